/** A small model that is served, and ways to ask it that a browser would not. */

import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { normalizeTensor } from '../../src/data/index.js';
import { decodeImage, encodePng, RunFolder } from '../../src/io/all.node.js';
import { findModel, type ModelOptions } from '../../src/models/index.js';
import { type ServeOptions, type Server, serve } from '../../src/serve/index.node.js';
import { manualSeed, openDevice, setDevice, tensor } from '../../src/tensor/index.js';
import { openClassifier } from '../../src/train/all.node.js';
import { rowsOf } from '../../src/train/evaluate.js';

export interface RunOptions {
  readonly model: string;
  readonly options?: ModelOptions;
  readonly classes: readonly string[];
  readonly shape: readonly number[];
  /** With it, pictures are cut; without, they are shown as a whole. */
  readonly resize?: number;
}

/** A run with drawn weights, and a head that tells pictures apart: over some of them each class has scores of mean 0 and deviation 2 or so. */
export async function makeRun(
  path: string,
  { model: name, options = {}, classes, shape, resize }: RunOptions,
): Promise<string> {
  manualSeed(3);
  const model = findModel(name)({ ...options, numClasses: classes.length }).eval();
  const numbers = (x: number) => new Array<number>(shape[0]).fill(x);
  const [mean, std] = [numbers(0.3), numbers(0.2)];
  const folder = await RunFolder.create(path, {
    format: 'fovea-run',
    version: 1,
    model: { name, options: { ...options } as never },
    input: {
      shape: [...shape],
      mean,
      std,
      ...(resize !== undefined && { resize, interpolation: 'bilinear' as const }),
    },
    classes: [...classes],
    seed: 1,
    training: {},
  });
  const pictures = await Promise.all(Array.from({ length: 16 }, async (_, i) => decodeImage(await png(i, shape as never), { channels: shape[0] as 1 | 3 }))); // biome-ignore format: one thought
  const bytes = tensor(Uint8Array.from(pictures.flatMap(({ data }) => [...data])), {
    shape: [16, ...shape],
    dtype: 'uint8',
  });
  const scores = rowsOf(model.forward(normalizeTensor(bytes, mean, std)));
  const centre = (await scores.mean(0).data()) as Float32Array;
  const gain = 2 / (await scores.sub(scores.mean(0)).square().mean().sqrt().item());
  const state: [string, { dtype: 'float32'; shape: readonly number[]; data: Float32Array }][] = [];
  for (const [key, t] of Object.entries(model.stateDict())) {
    const values = (await t.data()) as Float32Array;
    const isHead = t.shape[0] === classes.length && t.shape.length <= 2;
    const data = isHead ? values.map((x, i) => gain * (t.shape.length === 2 ? x : x - centre[i])) : values;
    state.push([key, { dtype: t.dtype as 'float32', shape: t.shape, data }]);
  }
  await folder.writeModel(state);
  return path;
}

export interface Served extends AsyncDisposable {
  readonly server: Server;
  readonly url: string;
  /** What `fovea predict` sees in the same bytes. */
  readonly predict: Awaited<ReturnType<typeof openClassifier>>;
}

export const classes = ['ant', 'bee', 'cat', 'dog', 'eel', 'fox', 'gnu'];

/** LeNet-5 on grey pictures of 28 × 28, on a free port. */
export async function serveLenet(options: ServeOptions = {}): Promise<Served> {
  const opened = await openDevice('wasm', { threads: 1 });
  setDevice(opened.target);
  const folder = await mkdtemp(join(tmpdir(), 'fovea-serve-'));
  const run = await makeRun(join(folder, 'run'), { model: 'lenet5', classes, shape: [1, 28, 28] });
  const predict = await openClassifier(run);
  const server = await serve(await openClassifier(run), {
    port: 0,
    version: '1.2.3',
    pageScript: 'export {};',
    ...options,
  }).catch(async (error) => {
    await rm(folder, { recursive: true });
    throw error;
  });
  return {
    server,
    url: server.url,
    predict,
    [Symbol.asyncDispose]: async () => {
      await server.stop({ withinMs: 2000 });
      await rm(folder, { recursive: true });
      await opened.target.dispose();
    },
  };
}

/** A PNG of 28 × 28 that is another for each seed. */
export function png(seed: number, [channels, height, width] = [1, 28, 28]): Promise<Uint8Array<ArrayBuffer>> {
  const data = Uint8Array.from({ length: channels * height * width }, (_, i) => {
    const [x, y, c] = [i % width, Math.floor(i / width) % height, Math.floor(i / width / height)];
    return (
      127 + 120 * Math.sin((seed + c + 1) * 0.37 + (x * (1 + (seed % 5))) / 6) * Math.cos((y * (1 + (seed % 3))) / 7)
    );
  });
  return encodePng({ data, shape: [channels, height, width] }).then((bytes) => new Uint8Array(bytes));
}

/** Sends bytes as they are and reads until the connection is closed; null where no answer came. */
export function rawRequest(
  port: number,
  bytes: Uint8Array | string,
  { timeoutMs = 10_000, end = false } = {},
): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      if (end) socket.end(bytes);
      else socket.write(bytes);
    });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(
        new Error(`neither an answer nor a closed connection after ${timeoutMs} ms, so far: ${text.slice(0, 200)}`),
      );
    }, timeoutMs);
    socket.on('data', (piece) => {
      text += piece.toString('latin1');
      if (isWhole(text)) socket.destroy();
    });
    socket.on('error', () => {}); // a reset is a closed connection
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(text === '' ? null : text);
    });
  });
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return false;
  const length = Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? Number.NaN);
  return text.length >= head + 4 + length;
}

export function statusOf(answer: string | null): number | null {
  const found = /^HTTP\/1\.1 (\d{3}) /.exec(answer ?? '');
  return found === null ? null : Number(found[1]);
}
