/**
 * How the server of `fovea serve` answers: one request after another, then 64 clients of which one in five sends something bad — noise, a picture cut
 * short, a body of the wrong type, one that is too large, a connection that is dropped in the middle.
 *
 *   node scripts/run-ts.mjs bench/serve.ts [--seconds 10] [--models classic,mobilenet_v2] [--json FILE] [--cli FILE] [--options "--threads 1"]
 *
 * Beside it, in turns, a bare node:http server answers the same loads. It reads the body, waits as long as the model's single request takes longer than its own, busily, and
 * answers: what it loses of time is lost to queueing, to the clients and to the machine.
 *
 * The servers are processes of their own, the clients share this one. Loads: `single`, one client without a pause; `paused`, one that pauses between two requests,
 * so that it finds everybody asleep, as most requests do; `1/s each`, 64 clients that pause for a second; `closed`, 64 clients, each of which asks
 * again as soon as it has its answer, so that 64 requests wait whatever the server does; `20 %` and so on, 64 clients that pause between two requests so
 * that together they ask for that share of what `closed` got answered.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { encodePng, RunFolder } from '../src/io/index.node.js';
import { findModel } from '../src/models/index.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    models: { type: 'string', default: 'classic,mobilenet_v2' },
    json: { type: 'string' },
    cli: { type: 'string' },
    options: { type: 'string', default: '' },
  },
});
const seconds = Number(values.seconds);
const cli = values.cli ?? join(process.cwd(), 'dist/cli/main.js');
const given = values.options.split(' ').filter(Boolean); // of `fovea serve`
const clients = 64;
const shares = [0.2, 0.4, 0.6]; // of what `closed` got answered

interface Load {
  readonly name: string;
  readonly requestsPerSecond: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly worst: number;
  readonly good: number;
  readonly bad: number;
  /** Good requests without a 200. */
  readonly lost: number;
  /** Answers to bad requests, by status; 'closed' where the connection was. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly residentMB: number;
  /** Of the bare server under the same load. */
  readonly bareP99: number;
}

interface Result {
  readonly model: string;
  /** Median of the bare server's single request, ms. */
  readonly bareSingle: number;
  readonly loads: readonly Load[];
}

const tooLarge = 11_000_000;
/** What of it is under way before the refusal is read: 100 Mbit/s for 20 ms. */
const sentOfTooLarge = new Uint8Array(250_000);
const folder = await mkdtemp(join(tmpdir(), 'fovea-serve-'));
const results: Result[] = [];
try {
  for (const model of values.models.split(',')) results.push(await measure(model));
} finally {
  await rm(folder, { recursive: true });
}
if (values.json !== undefined) {
  const machine = { cpu: cpus()[0].model.trim(), cores: availableParallelism(), node: process.versions.node };
  await writeFile(
    values.json,
    `${JSON.stringify({ date: new Date().toISOString(), machine, seconds, clients, shares, results }, null, 2)}\n`,
  );
}

async function measure(model: string): Promise<Result> {
  const run = join(folder, model);
  const { shape, picture } = await makeRun(model, run);
  const server = await start(run);
  const bodies = { picture, cut: picture.slice(0, picture.length >> 1) };
  const once = (server: Running, load: Partial<Drive> = {}) =>
    drive(server, bodies, { count: 1, seconds, badShare: 0, thinkMs: 0, ...load });
  console.log(`\n${model} [${shape}], pictures of ${picture.length} bytes, server on ${availableParallelism()} cores`);
  let bare: Running | null = null;
  try {
    const warm = { seconds: Math.min(2, seconds) };
    await once(server, warm);
    const single = await once(server);
    bare = await startBare(0);
    await once(bare, warm);
    const own = await once(bare, warm);
    await bare.stop();
    bare = await startBare(Math.max(0, single.p50 - own.p50));
    await once(bare, warm);
    const bareSingle = await once(bare);

    console.log(
      'load         req/s   p50 ms   p95 ms   p99 ms    worst   p99/single   bare: p99 ms  p99/single   good   lost    bad  refusals',
    );
    const loads: Load[] = [];
    const compare = async (name: string, load: Partial<Drive>) => {
      const ours = load.count === undefined && load.thinkMs === undefined ? single : await once(server, load);
      const theirs = ours === single ? bareSingle : await once(bare!, load);
      loads.push({ name, ...ours, bareP99: theirs.p99 });
      show(loads.at(-1)!, single.p50, bareSingle.p50);
      return ours;
    };
    await compare('single', {});
    await compare('paused', { thinkMs: 10 });
    const many = { count: clients, badShare: 0.2 };
    await compare('1/s each', { ...many, thinkMs: 1000 });
    const closed = await compare('closed', many);
    for (const share of shares) {
      const thinkMs = (1000 * clients) / (share * closed.requestsPerSecond) - 2 * single.p50;
      await compare(`${100 * share} %`, { ...many, thinkMs });
    }
    return { model, bareSingle: bareSingle.p50, loads };
  } finally {
    await bare?.stop();
    await server.stop();
  }
}

function show(
  { name, requestsPerSecond, p50, p95, p99, worst, bareP99, good, lost, bad, refusals }: Load,
  single: number,
  bareSingle: number,
): void {
  const ms = (x: number) => x.toFixed(1).padStart(8);
  const statuses = Object.entries(refusals).map(([status, n]) => `${status}: ${n}`).join(', '); // biome-ignore format: one thought
  console.log(
    `${name.padEnd(9)}${requestsPerSecond.toFixed(0).padStart(9)} ${ms(p50)} ${ms(p95)} ${ms(p99)} ${ms(worst)} ${(p99 / single).toFixed(1).padStart(12)}` +
      `${ms(bareP99).padStart(15)}${(bareP99 / bareSingle).toFixed(1).padStart(12)}` +
      ` ${String(good).padStart(6)} ${String(lost).padStart(6)} ${String(bad).padStart(6)}  ${statuses}`,
  );
}

// —— the server ——

interface Running {
  readonly port: number;
  stop(): Promise<void>;
}

async function start(run: string): Promise<Running> {
  const child: ChildProcess = spawn(process.execPath, [cli, 'serve', run, '--port', '0', '--json', ...given], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  for await (const line of createInterface({ input: child.stdout! })) {
    const { event, port } = JSON.parse(line) as { event: string; port: number };
    if (event !== 'listening') continue;
    return {
      port,
      stop: async () => {
        child.kill('SIGTERM');
        if ((await ended) !== 0) throw new Error('the server did not stop with exit code 0');
      },
    };
  }
  throw new Error('the server did not start');
}

/** Refuses what is announced to be too large, as `fovea serve` does; whatever else comes takes it so many milliseconds of arithmetic. */
async function startBare(busyMs: number): Promise<Running> {
  const code = `
    const server = require('node:http').createServer((incoming, outgoing) => {
      const answer = (status) => {
        const body = JSON.stringify({ predictions: [], milliseconds: 0 });
        outgoing.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
      };
      incoming.on('error', () => {});
      if (Number(incoming.headers['content-length']) > 10_000_000) {
        incoming.resume();
        return answer(413);
      }
      incoming.on('data', () => {}).on('end', () => {
        const end = performance.now() + ${busyMs};
        while (performance.now() < end);
        answer(200);
      });
    });
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));
    process.on('SIGTERM', () => process.exit(0));`;
  const child: ChildProcess = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const port = await new Promise<number>((resolve) => child.stdout!.once('data', (text) => resolve(Number(text))));
  return {
    port,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** A run with weights as they are drawn: what it answers does not matter here. */
async function makeRun(name: string, path: string): Promise<{ shape: readonly number[]; picture: Uint8Array }> {
  const build = findModel(name);
  const grey = build.input[0] === 1;
  const classes = Array.from({ length: 10 }, (_, i) => `class ${i}`);
  const model = build({ numClasses: classes.length });
  const statistics = (x: number) => new Array<number>(build.input[0]).fill(x);
  const folder = await RunFolder.create(path, {
    format: 'fovea-run',
    version: 1,
    model: { name, options: {} },
    input: {
      shape: [...build.input],
      mean: statistics(0.5),
      std: statistics(0.25),
      ...(!grey && { resize: 256, interpolation: 'bilinear' as const }),
    },
    classes,
    seed: 1,
    training: {},
  });
  const state = Object.entries(model.stateDict()).map(
    async ([path, t]) => [path, { dtype: t.dtype, shape: t.shape, data: await t.data() }] as const,
  );
  await folder.writeModel(await Promise.all(state));
  return { shape: build.input, picture: grey ? await digit() : await photo() };
}

function digit(): Promise<Uint8Array> {
  const data = Uint8Array.from({ length: 784 }, (_, i) =>
    Math.max(0, 255 - 40 * Math.abs((i % 28) - Math.floor(i / 28))),
  );
  return encodePng({ data, shape: [1, 28, 28] });
}

/** 500 × 375, with as much detail as photographs have. */
async function photo(): Promise<Uint8Array> {
  const [height, width] = [375, 500];
  const raw = new Uint8Array(height * width * 3);
  for (let i = 0; i < raw.length; i++) {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    raw[i] =
      128 + 60 * Math.sin((x * (c + 1)) / 19) * Math.cos(y / 13) + 40 * Math.sin((x * y) / 900) + ((i * 7919) % 23);
  }
  const { default: sharp } = await import('sharp');
  return new Uint8Array(
    await sharp(raw, { raw: { width, height, channels: 3 } })
      .jpeg({ quality: 90 })
      .toBuffer(),
  );
}

// —— the clients ——

interface Drive {
  readonly count: number;
  readonly seconds: number;
  readonly badShare: number;
  /** Mean of the pause after an answer, which is drawn from an exponential distribution. */
  readonly thinkMs: number;
}

interface Bodies {
  readonly picture: Uint8Array;
  readonly cut: Uint8Array;
}

async function drive(
  { port }: Running,
  bodies: Bodies,
  { count, seconds, badShare, thinkMs }: Drive,
): Promise<Omit<Load, 'name' | 'bareP99'>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 * count });
  const times: number[] = [];
  const refusals: Record<string, number> = {};
  let [lost, bad, lastAnswer] = [0, 0, 0];
  const random = generator(7);
  const begin = performance.now();
  const end = begin + 1000 * seconds;
  const client = async () => {
    if (thinkMs > 0) await sleep(random() * thinkMs); // they do not all begin at once
    while (performance.now() < end) {
      if (random() < badShare) {
        bad++;
        const status = await sendBad(port, agent, bodies, Math.floor(random() * 5));
        refusals[status] = (refusals[status] ?? 0) + 1;
      } else {
        const start = performance.now();
        const status = await send(port, agent, bodies.picture, { 'Content-Type': 'image/jpeg' });
        times.push(performance.now() - start);
        if (status !== '200') lost++;
      }
      lastAnswer = performance.now();
      if (thinkMs > 0) await sleep(-thinkMs * Math.log(1 - random()));
    }
  };
  await Promise.all(Array.from({ length: count }, client));
  const elapsed = (lastAnswer - begin) / 1000; // without the last pauses
  const metrics = await text(port, '/metrics'); // of the bare server, nothing
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(share * times.length))];
  return {
    requestsPerSecond: (times.length + bad) / elapsed,
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    worst: at(1),
    good: times.length,
    bad,
    lost,
    refusals,
    residentMB: Math.round(Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1]) / 1e6),
  };
}

function sendBad(port: number, agent: Agent, { picture, cut }: Bodies, kind: number): Promise<string> {
  const jpeg = { 'Content-Type': 'image/jpeg' };
  if (kind === 0) return send(port, agent, picture.map((x, i) => x ^ (i * 31)), jpeg); // biome-ignore format: one thought
  if (kind === 1) return send(port, agent, cut, jpeg);
  if (kind === 2) return send(port, agent, new TextEncoder().encode('{}'), { 'Content-Type': 'application/json' });
  if (kind === 3) return send(port, agent, sentOfTooLarge, jpeg, tooLarge);
  return dropConnection(port, picture);
}

/** The status, or 'closed'. A body that announces to be longer than it is stays unfinished. */
function send(
  port: number,
  agent: Agent,
  body: Uint8Array,
  headers: Record<string, string>,
  announced = body.length,
): Promise<string> {
  return new Promise((resolve) => {
    const sent = request({
      port,
      agent,
      method: 'POST',
      path: '/predict',
      headers: { ...headers, 'Content-Length': announced },
    });
    sent.once('response', (response) => {
      response.resume();
      response.once('close', () => resolve(String(response.statusCode)));
      // The answer is there: what is still to be sent of a refused body is not needed.
      if (!sent.writableFinished) response.once('end', () => sent.destroy());
    });
    sent.once('error', () => resolve('closed'));
    if (announced === body.length) sent.end(body);
    else sent.write(body);
  });
}

function dropConnection(port: number, picture: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(
        `POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: ${picture.length}\r\n\r\n`,
      );
      socket.write(picture.subarray(0, picture.length >> 1), () => socket.destroy());
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve('closed'));
  });
}

async function text(port: number, path: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${port}${path}`)).text();
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
