/** A worker of the decode pool that is killed by pictures whose name says so. */

import { parentPort } from 'node:worker_threads';
import { PicturePipeline } from '../src/data/pictures/pipeline.node.js';

const read = PicturePipeline.prototype.read;
PicturePipeline.prototype.read = function (item) {
  if (item.name.includes('kill-worker')) process.exit(1);
  return read.call(this, item);
};
if (parentPort === null) throw new Error('runs in a worker');
await import('../src/data/pictures/worker.node.js');
