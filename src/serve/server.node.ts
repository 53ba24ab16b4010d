/**
 * A model behind HTTP: pictures in, classes out. Sockets, headers, bodies, pixels, queue and time are all limited; nothing a request says becomes a
 * path on the disk. `stop` takes no more requests, answers those that came, and closes.
 */

import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import type { Classifier } from '../train/classifier.node.js';
import { scorer } from '../train/scorer.js';
import { ConfigError } from '../util/errors.js';
import { contentSecurityPolicy, renderPage } from '../web/page.js';
import { makeListener, type RequestLine, type State } from './app.node.js';
import { Batcher } from './batcher.js';
import { Budget } from './body.node.js';
import { Buffers } from './buffers.js';
import { Decoder } from './decoder.node.js';
import { YoungGarbage } from './garbage.node.js';
import { defaultLimits, type Limits } from './limits.js';
import { makeMetrics } from './metrics.node.js';
import { openApi } from './openapi.js';
import { Refusal } from './refusal.js';

export interface ServeOptions extends Partial<Limits> {
  /** 0 takes any that is free. */
  readonly port?: number;
  readonly host?: string;
  /** What requests must carry as `Authorization: Bearer`. */
  readonly token?: string | null;
  readonly version?: string;
  /** The script of the page at GET /; without it there is no page. */
  readonly pageScript?: string | null;
  readonly onRequest?: (line: RequestLine) => void;
}

export interface Server {
  readonly url: string;
  readonly port: number;
  /** Milliseconds of a batch, by the number of pictures in it. */
  readonly batchMilliseconds: ReadonlyMap<number, number>;
  readonly limits: Limits;
  /** Resolves when all requests that had come are answered, or after `withinMs`. */
  stop(options?: { withinMs?: number }): Promise<void>;
}

/** Compiles all batch sizes, then listens. The classifier's model is the server's from then on. @throws {ConfigError} if the port is taken */
export async function serve(classifier: Classifier, options: ServeOptions = {}): Promise<Server> {
  const { port = 8080, host = '127.0.0.1', token = null, version = '', pageScript = null, onRequest } = options;
  const limits = limitsOf(options);
  if (token !== null && !/^[\x21-\x7e]+$/.test(token)) {
    throw new ConfigError('serve: a token travels in a header: letters, digits and signs of ASCII, no spaces');
  }
  const { model, modelName, classes, inputShape, normalize, channels, preprocessing, fit } = classifier;
  const state: State = { stopping: false, inFlight: 0, coming: 0 };

  const { score, drop } = scorer(model, { classes, inputShape, normalize });
  const batcher = new Batcher({
    score,
    size: inputShape.reduce((a, b) => a * b, 1),
    maxBatch: limits.maxBatch,
    delayMs: limits.batchDelayMs,
    onTheirWay: () => state.coming,
    soon: setImmediate,
    onDrop: drop,
    onBatch: (batch) => metrics.batch(batch),
  });
  const buffers = new Buffers(mostKept);
  const garbage = new YoungGarbage();
  const workers = Math.max(2, Math.min(4, availableParallelism()));
  const { maxPixels, timeoutMs } = limits;
  const maxSeconds = Math.ceil(timeoutMs / 1000);
  const decoder = new Decoder({ channels, preprocessing, fit, maxPixels, maxSeconds, workers, timeoutMs, buffers });
  const metrics = makeMetrics({
    waiting: () => batcher.queued,
    decoding: () => decoder.queued,
    inFlight: () => state.inFlight,
  });
  await decoder.start();
  const batchMilliseconds = new Map(await batcher.warmUp());

  const description = JSON.stringify(
    openApi({ version, modelName, classes, maxBytes: limits.maxBytes, token: token !== null }),
  );
  const html = renderPage({ title: modelName, classes, backend: 'server', token: token !== null });
  const pages = new Map([
    ['/openapi.json', { type: 'application/json', body: description }],
    ...(pageScript === null
      ? []
      : ([
          ['/', { type: 'text/html; charset=utf-8', body: html, policy: contentSecurityPolicy }],
          ['/page.js', { type: 'text/javascript; charset=utf-8', body: pageScript }],
        ] as const)),
  ]);
  const budget = new Budget(Math.max(8 * limits.maxBytes, smallestBudget));
  const log = onRequest ?? null;
  const house = {
    modelName,
    classes,
    limits,
    token,
    batcher,
    decoder,
    budget,
    buffers,
    garbage,
    metrics,
    state,
    pages,
    log,
  };
  const listener = makeListener(house);
  const http = createServer(
    {
      maxHeaderSize: 16_384,
      headersTimeout: Math.min(limits.timeoutMs, 10_000),
      // The application itself answers when a body is late; this is for what it does not read.
      requestTimeout: limits.timeoutMs + 2000,
      connectionsCheckingInterval: 500,
      keepAliveTimeout: 30_000,
    },
    listener,
  );
  http.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    // Who asks first, as curl does, need not send what will be refused.
    if (Number(incoming.headers['content-length']) > limits.maxBytes) outgoing.shouldKeepAlive = false;
    else outgoing.writeContinue();
    listener(incoming, outgoing);
  });
  http.setTimeout(limits.timeoutMs + 5000); // of a socket on which nothing moves: a client that does not read its answer
  http.maxConnections = 1024 + 2 * limits.queue;
  http.on('clientError', (error, socket) => answerBrokenRequest(error, socket as Socket, metrics.request));
  const address = await listen(http, port, host).catch(async (error) => {
    await decoder.close();
    throw error;
  });
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${shown}:${address.port}`,
    port: address.port,
    batchMilliseconds,
    limits,
    stop: async ({ withinMs = limits.timeoutMs } = {}) => {
      state.stopping = true;
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      http.closeIdleConnections();
      const late = setTimeout(() => http.closeAllConnections(), withinMs);
      await closed;
      clearTimeout(late);
      await decoder.close();
      await batcher.idle();
    },
  };
}

/** Bytes of memory that waits for the next requests. */
const mostKept = 32_000_000;

/** A full queue of pictures from a telephone must fit, whatever the limit of one. */
const smallestBudget = 256_000_000;

function limitsOf(options: Partial<Limits>): Limits {
  const limits: Limits = { ...defaultLimits };
  for (const name of Object.keys(defaultLimits) as (keyof Limits)[]) {
    const value = options[name];
    if (value === undefined) continue;
    const least = name === 'batchDelayMs' ? 0 : 1;
    if (!(value >= least)) throw new ConfigError(`serve: ${name} is a number from ${least} up, not ${value}`);
    Object.assign(limits, { [name]: value });
  }
  return limits;
}

/** What is not HTTP, or too much of it, gets an answer where the socket still takes one. */
function answerBrokenRequest(
  error: NodeJS.ErrnoException,
  socket: Socket,
  count: (request: { route: string; status: number; seconds: number }) => void,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const [status, reason, message] = brokenRequests[error.code ?? ''] ?? [400, 'Bad Request', 'This is not HTTP.'];
  count({ route: 'other', status, seconds: 0 });
  const body = JSON.stringify(new Refusal(400, 'bad_request', message));
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

const brokenRequests: Readonly<Record<string, [number, string, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'The headers are larger than 16 kB.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'The request did not arrive in time.'],
};

function listen(http: HttpServer, port: number, host: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      const known: Record<string, string> = {
        EADDRINUSE: 'the port is taken: choose another with --port, or 0 for any',
        EACCES: 'the system does not allow it: ports below 1024 are for administrators',
        EADDRNOTAVAIL: 'this machine has no such address: --host takes 127.0.0.1, 0.0.0.0 or one of its own',
        ENOTFOUND: 'this machine has no such address: --host takes 127.0.0.1, 0.0.0.0 or one of its own',
      };
      reject(new ConfigError(`cannot listen on ${host}, port ${port}: ${known[error.code ?? ''] ?? error.message}`));
    });
    http.listen(port, host, () => resolve(http.address() as AddressInfo));
  });
}
