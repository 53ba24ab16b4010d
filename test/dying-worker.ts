/** A worker of the decode pool that is killed, or falls asleep for ever, over pictures whose name says so. */

import { parentPort } from 'node:worker_threads';
import { PicturePipeline } from '../src/data/pictures/pipeline.node.js';

const read = PicturePipeline.prototype.read;
PicturePipeline.prototype.read = function (item) {
  if (item.name.includes('kill-worker')) process.exit(1);
  if (item.name.includes('hang-worker')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  return read.call(this, item);
};
if (parentPort === null) throw new Error('runs in a worker');
await import('../src/data/pictures/worker.node.js');
