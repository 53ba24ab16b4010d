/** A worker of the decode pool: takes jobs, has two pictures under way (one may be decoded by the system's threads while the other is resized here), answers. */

import { parentPort } from 'node:worker_threads';
import { loadDirectDecoder } from '../../io/direct-decoder.node.js';
import { loadSharp } from '../../io/picture.node.js';
import type { Planes } from '../resize.js';
import type { FromWorker, ItemResult, PictureJob, SentError, ToWorker } from './messages.js';
import { type Keep, type PictureItem, PicturePipeline } from './pipeline.node.js';

const lanes = 2;

const port = parentPort!;
const pipelines = new Map<number, { pipeline: PicturePipeline; cache: number | null }>();
/** A spec that makes no sense fails the jobs that name it. */
const refused = new Map<number, SentError>();
const slabs = new Map<number, Uint8Array>();
/** Of each cache the slab that this worker fills, and how far; and which caches were asked for another. */
const own = new Map<number, { id: number; memory: Uint8Array; used: number }>();
const asked = new Set<number>();

interface Running {
  readonly job: PictureJob;
  readonly pipeline: PicturePipeline;
  readonly put: Keep;
  readonly out: Uint8Array | null;
  readonly results: ItemResult[];
  next: number;
  left: number;
}

const queue: Running[] = [];
let busy = 0;

const [sharp, direct] = await Promise.all([loadSharp(), loadDirectDecoder()]);
// Pictures are decoded side by side, not each by several threads; and none comes twice soon enough for libvips to remember it.
sharp.concurrency(1);
sharp.cache(false);

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'spec':
      try {
        pipelines.set(message.id, { pipeline: new PicturePipeline(message.spec, direct), cache: message.cache });
      } catch (error) {
        refused.set(message.id, sent(error));
      }
      break;
    case 'forget':
      pipelines.get(message.id)?.pipeline[Symbol.dispose]();
      pipelines.delete(message.id);
      break;
    case 'slab':
      slabs.set(message.id, new Uint8Array(message.memory));
      if (message.own) {
        own.set(message.cache, { id: message.id, memory: slabs.get(message.id)!, used: 0 });
        asked.delete(message.cache);
      }
      break;
    case 'drop':
      slabs.delete(message.id);
      for (const [cache, { id }] of own) if (id === message.id) own.delete(cache);
      break;
    case 'job':
      enqueue(message);
      break;
    default:
      message satisfies never;
  }
});
say({ kind: 'ready' });

function enqueue(job: PictureJob): void {
  const found = pipelines.get(job.spec);
  if (found === undefined) {
    const error = refused.get(job.spec) ?? { name: 'Error', message: `no spec ${job.spec}` };
    say({ kind: 'failed', id: job.id, error });
    return;
  }
  const { pipeline, cache } = found;
  const out = job.out === null ? null : new Uint8Array(job.out);
  const put = job.keep && cache !== null ? keepIn(cache) : () => null;
  queue.push({ job, pipeline, put, out, results: [], next: 0, left: job.items.length });
  for (let idle = lanes - busy; idle > 0; idle--) void lane();
}

async function lane(): Promise<void> {
  busy++;
  try {
    for (let running = queue[0]; running !== undefined; running = queue[0]) {
      const i = running.next++;
      if (running.next >= running.job.items.length) queue.shift();
      if (i < running.job.items.length && running.left > 0) await one(running, i);
    }
  } finally {
    busy--;
  }
}

async function one(running: Running, i: number): Promise<void> {
  const { job, results } = running;
  try {
    results[i] = await work(running, i);
  } catch (error) {
    const problem = sent(error);
    // A file is not to blame for wrong transforms or for bugs of ours.
    if (problem.name !== 'FormatError' && problem.name !== 'FileError') {
      running.left = -1;
      say({ kind: 'failed', id: job.id, error: problem });
      return;
    }
    results[i] = { ok: false, error: problem };
  }
  if (--running.left === 0) say({ kind: 'done', id: job.id, results });
}

async function work({ pipeline, job, put, out }: Running, i: number): Promise<ItemResult> {
  const { task } = job;
  const item = job.items[i];
  switch (task) {
    case 'load': {
      const target = out!.subarray(job.offsets[i], job.offsets[i] + pipeline.bytes);
      return { ok: true, place: await pipeline.load(item, target, cachedPlanes(item, pipeline), put) };
    }
    case 'audit':
    case 'header':
      return { ok: true, ...(await pipeline.audit(item, task === 'audit', put)) };
    case 'read':
      pipeline.read(item);
      return { ok: true, place: null };
    case 'decode':
    case 'resize': {
      const decoded = pipeline.decode(pipeline.read(item), item.name);
      const picture = decoded instanceof Promise ? await decoded : decoded;
      if (task === 'resize') pipeline.resize(picture);
      return { ok: true, place: null };
    }
  }
}

function cachedPlanes({ cached }: PictureItem, { spec: { channels } }: PicturePipeline): Planes | null {
  const slab = cached === null ? undefined : slabs.get(cached.slab);
  if (cached === null || slab === undefined) return null;
  const { offset, height, width } = cached;
  return { data: slab.subarray(offset, offset + channels * height * width), shape: [channels, height, width] };
}

/** Into this worker's own slab of a cache, where there is room. */
function keepIn(cache: number): Keep {
  return ({ data, shape: [, height, width] }) => {
    const slab = own.get(cache);
    if (slab === undefined || slab.used + data.length > slab.memory.length) {
      if (!asked.has(cache)) say({ kind: 'full', cache, bytes: data.length });
      asked.add(cache);
      return null;
    }
    const offset = slab.used;
    slab.memory.set(data, offset);
    slab.used += data.length;
    return { slab: slab.id, offset, height, width };
  };
}

function say(message: FromWorker): void {
  port.postMessage(message);
}

function sent(error: unknown): SentError {
  const { name, message, code, path } = error as Error & { code?: string | null; path?: string };
  return { name, message, ...(name === 'FileError' ? { code: code ?? null, path: path ?? '' } : {}) };
}
