/** The routes of the server, and what a request for a prediction goes through: token, place in the queue, body, decoding, batch. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { likeliest } from '../train/scorer.js';
import { FormatError } from '../util/errors.js';
import type { Batcher } from './batcher.js';
import { type Budget, bodyKind, busy, filesOf, readBody, type Upload } from './body.node.js';
import type { Buffers } from './buffers.js';
import { Cancellation, type Signal } from './cancellation.js';
import type { Decoder } from './decoder.node.js';
import type { YoungGarbage } from './garbage.node.js';
import type { Limits } from './limits.js';
import type { Metrics } from './metrics.node.js';
import { ClientGone, Refusal } from './refusal.js';

/** What the routes are made of. */
export interface House {
  readonly modelName: string;
  readonly classes: readonly string[];
  readonly limits: Limits;
  readonly token: string | null;
  readonly batcher: Batcher;
  readonly decoder: Decoder;
  readonly budget: Budget;
  readonly buffers: Buffers;
  readonly garbage: YoungGarbage;
  readonly metrics: Metrics;
  readonly state: State;
  /** What GET answers with, by path. */
  readonly pages: ReadonlyMap<string, { readonly type: string; readonly body: string; readonly policy?: string }>;
  readonly log: ((line: RequestLine) => void) | null;
}

/** What changes while the server runs. */
export interface State {
  stopping: boolean;
  inFlight: number;
  /** Pictures whose bytes are being read or decoded. */
  coming: number;
}

export interface RequestLine {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly milliseconds: number;
}

/** What every request is answered with. */
interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function makeListener(house: House): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  return (incoming, outgoing) => void respond(incoming, outgoing, house);
}

async function respond(incoming: IncomingMessage, outgoing: ServerResponse, house: House): Promise<void> {
  const start = performance.now();
  const { state, metrics, garbage, log } = house;
  const { path, query } = targetOf(incoming.url!);
  const method = incoming.method!;
  state.inFlight++;
  const reply = await replyTo({ method, path, query, incoming, outgoing }, house).catch((error) =>
    refused(error instanceof Refusal ? error : failure(error)),
  );
  state.inFlight--;
  const milliseconds = performance.now() - start;
  const status = outgoing.destroyed ? 499 : reply.status;
  metrics.request({ route: routes.has(path) ? path : 'other', status, seconds: milliseconds / 1000 });
  log?.({ method, path, status, milliseconds });
  send(reply, incoming, outgoing, state.stopping);
  garbage.cameThrough(incoming.socket);
}

interface Question {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

async function replyTo(question: Question, house: House): Promise<Reply> {
  const { method, path, incoming } = question;
  const known = routes.get(path);
  if (known === undefined) {
    throw new Refusal(
      404,
      'not_found',
      'There is nothing at this path. Pictures go to POST /predict; GET /openapi.json says more.',
    );
  }
  if (method === 'POST' && known.includes('POST')) return predict(question, house);
  if ((method === 'GET' || method === 'HEAD') && known.includes('GET')) {
    if (path === '/healthz') {
      const { stopping } = house.state;
      return json({ status: stopping ? 'stopping' : 'ok', model: house.modelName }, stopping ? 503 : 200);
    }
    if (path === '/metrics') {
      checkToken(incoming.headers.authorization, house.token);
      const { metrics } = house;
      return { status: 200, headers: { 'Content-Type': metrics.contentType }, body: await metrics.text() };
    }
    const page = house.pages.get(path);
    if (page !== undefined) {
      const { type, body, policy } = page;
      const headers = { 'Content-Type': type, ...(policy !== undefined && { 'Content-Security-Policy': policy }) };
      return { status: 200, headers, body };
    }
  }
  throw new Refusal(405, 'method_not_allowed', `${path} answers to ${known}.`, { Allow: known });
}

const routes: ReadonlyMap<string, string> = new Map([
  ['/', 'GET, POST'],
  ['/predict', 'POST'],
  ['/healthz', 'GET'],
  ['/metrics', 'GET'],
  ['/openapi.json', 'GET'],
  ['/page.js', 'GET'],
]);

/** A request names a path, or, where it was sent to a proxy, a whole address (RFC 9112, 3.2). */
function targetOf(url: string): { path: string; query: string } {
  const target = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?]*/i, '');
  const at = target.indexOf('?');
  return at < 0 ? { path: target, query: '' } : { path: target.slice(0, at), query: target.slice(at + 1) };
}

function json(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(value) };
}

function refused(refusal: Refusal): Reply {
  return json(refusal, refusal.status, refusal.headers);
}

function send(
  { status, headers, body }: Reply,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  stopping: boolean,
): void {
  if (outgoing.destroyed) return;
  outgoing.writeHead(status, {
    ...headers,
    'Content-Length': Buffer.byteLength(body),
    'X-Content-Type-Options': 'nosniff',
    ...(stopping && { Connection: 'close' }),
  });
  outgoing.end(body);
  if (!incoming.complete) passOver(incoming);
}

/** Who is still sending what was refused reads the answer only when it may go on; not for long, though. */
function passOver(incoming: IncomingMessage): void {
  const enough = setTimeout(() => incoming.socket.destroySoon(), passingOverMs).unref();
  incoming.once('close', () => clearTimeout(enough));
  incoming.resume();
}

const passingOverMs = 500;

async function predict({ query, incoming, outgoing }: Question, house: House): Promise<Reply> {
  const start = performance.now();
  const asking = new Cancellation();
  let complete = false;
  const late = setTimeout(
    () => asking.abort(complete ? tooLate(house.limits) : tooSlow(house.limits)),
    house.limits.timeoutMs,
  );
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) asking.abort(new ClientGone('the client has left'));
  });
  try {
    checkToken(incoming.headers.authorization, house.token);
    if (house.state.stopping) throw new Refusal(503, 'stopping', 'The server is stopping.', { 'Retry-After': '5' });
    const top = topOf(query, house.classes.length);
    const uploads = await receive(incoming, asking, house);
    complete = true;
    const answers = await Promise.all(uploads.map((upload) => answerTo(upload, top, asking, house)));
    const about = { model: house.modelName, milliseconds: rounded(performance.now() - start, 2) };
    if (answers.length > 1 && answers.some(({ error }) => error === undefined)) {
      return json({
        pictures: answers.map(({ file, predictions, error }) => ({
          file,
          ...(predictions ? { predictions } : error!.toJSON()),
        })),
        ...about,
      });
    }
    const { predictions, error } = answers[0];
    if (error !== undefined) throw error;
    return json({ predictions, ...about });
  } finally {
    clearTimeout(late);
  }
}

/** The pictures of a request, counted as coming until `answerTo` has dealt with each. */
async function receive(incoming: IncomingMessage, signal: Signal, house: House): Promise<Upload[]> {
  const { limits, state, budget, buffers } = house;
  const kind = bodyKind(incoming);
  checkQueue(1, house);
  state.coming++;
  try {
    const body = await readBody(incoming, { maxBytes: limits.maxBytes, budget, buffers, signal });
    if (kind === 'raw') {
      state.coming++;
      return [{ file: null, bytes: body }];
    }
    try {
      const files = await filesOf(body as Uint8Array<ArrayBuffer>, incoming.headers['content-type']!);
      checkQueue(files.length, house);
      budget.take(files.reduce((sum, { bytes }) => sum + bytes.length, 0));
      state.coming += files.length;
      return files;
    } finally {
      budget.give(body.length);
      buffers.give(body.buffer);
    }
  } finally {
    state.coming--;
    house.batcher.look();
  }
}

interface Answer {
  readonly file: string | null;
  readonly predictions?: { class: string; index: number; probability: number }[];
  readonly error?: Refusal;
}

/** Only what the picture itself is to blame for comes back as an error; what concerns the whole request is thrown. */
async function answerTo({ file, bytes }: Upload, top: number, signal: Signal, house: House): Promise<Answer> {
  const { decoder, batcher, budget, buffers, state, classes, metrics } = house;
  const { length } = bytes;
  let data: Uint8Array;
  let row: Promise<Float32Array>;
  try {
    const start = performance.now();
    data = await decoder.decode(bytes, signal);
    metrics.decoded((performance.now() - start) / 1000);
    row = batcher.ask({ data, signal });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    metrics.decodeError();
    return { file, error: notAPicture(error) };
  } finally {
    budget.give(length);
    state.coming--;
    batcher.look(); // others may have waited for this one
  }
  const probabilities = await row.finally(() => buffers.give(data.buffer));
  const predictions = likeliest(probabilities, classes, top).map(({ name, index, probability }) => ({
    class: name,
    index,
    probability: rounded(probability, 6),
  }));
  return { file, predictions };
}

/** @throws {Refusal} 503 unless so many more pictures may wait */
function checkQueue(more: number, { state, batcher, limits }: House): void {
  if (state.coming + batcher.queued + more > limits.queue) throw busy(`${limits.queue} pictures wait already`);
}

function topOf(query: string, classes: number): number {
  const text = query === '' ? null : new URLSearchParams(query).get('top');
  if (text === null) return Math.min(5, classes);
  const top = Number(text);
  if (/^\d{1,6}$/.test(text) && top >= 1) return Math.min(top, classes);
  throw new Refusal(400, 'bad_request', `top is how many classes to answer with: a whole number from 1 to ${classes}.`);
}

/** Digests of one length are compared, in a time that does not depend on where they differ. */
function checkToken(header: string | undefined, token: string | null): void {
  if (token === null) return;
  const given = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  const digest = (text: string) => createHash('sha256').update(text).digest();
  if (given !== undefined && timingSafeEqual(digest(given), digest(token))) return;
  const what = given === undefined ? 'needs a token' : 'does not know this token';
  const message = `The server ${what}: send the header Authorization: Bearer TOKEN.`;
  throw new Refusal(401, 'unauthorized', message, { 'WWW-Authenticate': 'Bearer' });
}

function notAPicture({ message }: FormatError): Refusal {
  return /the limit is|pixel limit/.test(message)
    ? new Refusal(413, 'too_large', `The picture has more pixels than the server takes: ${message}.`)
    : new Refusal(400, 'not_a_picture', `${sentence(message)} Send a JPEG, PNG, WebP, GIF, AVIF or TIFF.`);
}

function sentence(message: string): string {
  const line = message.split('\n')[0].trim();
  return `${line[0].toUpperCase()}${line.slice(1)}${line.endsWith('.') ? '' : '.'}`;
}

function tooSlow({ timeoutMs }: Limits): Refusal {
  return new Refusal(408, 'timeout', `The body did not arrive within ${timeoutMs / 1000} s.`, { Connection: 'close' });
}

function tooLate({ timeoutMs }: Limits): Refusal {
  return new Refusal(
    504,
    'timeout',
    `The answer was not ready within ${timeoutMs / 1000} s: the server has too much to do.`,
  );
}

function failure(error: unknown): Refusal {
  if (!(error instanceof ClientGone)) process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  return new Refusal(500, 'failed', 'The server could not compute this. What went wrong is in its log.');
}

function rounded(x: number, digits: number): number {
  return Number(x.toFixed(digits));
}
