/** The routes of the server, and what a request for a prediction goes through: token, place in the queue, body, decoding, batch. */

import { createHash, timingSafeEqual } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { likeliest } from '../train/scorer.js';
import { FormatError } from '../util/errors.js';
import type { Batcher } from './batcher.js';
import { type Budget, bodyKind, busy, filesOf, readBody, type Upload } from './body.node.js';
import type { Decoder } from './decoder.node.js';
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

type Env = { Bindings: HttpBindings };

export function makeApp(house: House): Hono<Env> {
  const app = new Hono<Env>();
  app.use(async (c, next) => {
    const start = performance.now();
    house.state.inFlight++;
    try {
      await next();
    } finally {
      house.state.inFlight--;
    }
    c.res.headers.set('X-Content-Type-Options', 'nosniff');
    if (house.state.stopping) c.res.headers.set('Connection', 'close');
    const milliseconds = performance.now() - start;
    const status = c.env.outgoing.destroyed ? 499 : c.res.status;
    const path = new URL(c.req.url).pathname;
    house.metrics.request({ route: routes.has(path) ? path : 'other', status, seconds: milliseconds / 1000 });
    house.log?.({ method: c.req.method, path, status, milliseconds });
  });
  app.post('/predict', (c) => predict(c, house));
  app.post('/', (c) => predict(c, house));
  app.get('/healthz', (c) => {
    const { stopping } = house.state;
    return c.json({ status: stopping ? 'stopping' : 'ok', model: house.modelName }, stopping ? 503 : 200);
  });
  app.get('/metrics', async (c) => {
    checkToken(c.req.header('authorization'), house.token);
    return c.body(await house.metrics.text(), 200, { 'Content-Type': house.metrics.contentType });
  });
  for (const [path, { type, body, policy }] of house.pages) {
    const headers = { 'Content-Type': type, ...(policy !== undefined && { 'Content-Security-Policy': policy }) };
    app.get(path, (c) => c.body(body, 200, headers));
  }
  app.notFound((c) => {
    const path = new URL(c.req.url).pathname;
    const known = routes.get(path);
    return refuse(
      c,
      known === undefined
        ? new Refusal(
            404,
            'not_found',
            `There is nothing at this path. Pictures go to POST /predict; GET /openapi.json says more.`,
          )
        : new Refusal(405, 'method_not_allowed', `${path} answers to ${known}.`, { Allow: known }),
    );
  });
  app.onError((error, c) => refuse(c, error instanceof Refusal ? error : failure(error)));
  return app;
}

const routes: ReadonlyMap<string, string> = new Map([
  ['/', 'GET, POST'],
  ['/predict', 'POST'],
  ['/healthz', 'GET'],
  ['/metrics', 'GET'],
  ['/openapi.json', 'GET'],
  ['/page.js', 'GET'],
]);

async function predict(c: Context<Env>, house: House): Promise<Response> {
  const start = performance.now();
  const { incoming, outgoing } = c.env;
  const request = new AbortController();
  setMaxListeners(0, request.signal); // each picture of a form listens twice
  let complete = false;
  const late = setTimeout(
    () => request.abort(complete ? tooLate(house.limits) : tooSlow(house.limits)),
    house.limits.timeoutMs,
  );
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) request.abort(new ClientGone('the client has left'));
  });
  try {
    checkToken(c.req.header('authorization'), house.token);
    if (house.state.stopping) throw new Refusal(503, 'stopping', 'The server is stopping.', { 'Retry-After': '5' });
    const top = topOf(c.req.query('top'), house.classes.length);
    const uploads = await receive(incoming, request.signal, house);
    complete = true;
    const answers = await Promise.all(uploads.map((upload) => answerTo(upload, top, request.signal, house)));
    const about = { model: house.modelName, milliseconds: rounded(performance.now() - start, 2) };
    if (answers.length > 1 && answers.some(({ error }) => error === undefined)) {
      return c.json({
        pictures: answers.map(({ file, predictions, error }) => ({
          file,
          ...(predictions ? { predictions } : error!.toJSON()),
        })),
        ...about,
      });
    }
    const { predictions, error } = answers[0];
    if (error !== undefined) throw error;
    return c.json({ predictions, ...about });
  } finally {
    clearTimeout(late);
  }
}

/** The pictures of a request, counted as coming until `answerTo` has dealt with each. */
async function receive(incoming: IncomingMessage, signal: AbortSignal, house: House): Promise<Upload[]> {
  const { limits, state, budget } = house;
  const kind = bodyKind(incoming);
  checkQueue(1, house);
  state.coming++;
  try {
    const body = await readBody(incoming, { maxBytes: limits.maxBytes, budget, signal });
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
async function answerTo({ file, bytes }: Upload, top: number, signal: AbortSignal, house: House): Promise<Answer> {
  const { decoder, batcher, budget, state, classes, metrics } = house;
  const { length } = bytes;
  let row: Promise<Float32Array>;
  try {
    const start = performance.now();
    const data = await decoder.decode(bytes, signal);
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
  const predictions = likeliest(await row, classes, top).map(({ name, index, probability }) => ({
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

function topOf(text: string | undefined, classes: number): number {
  if (text === undefined) return Math.min(5, classes);
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

function refuse(c: Context<Env>, refusal: Refusal): Response {
  return c.json(refusal.toJSON(), refusal.status, { ...refusal.headers });
}

function rounded(x: number, digits: number): number {
  return Number(x.toFixed(digits));
}
