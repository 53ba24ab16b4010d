/** Reads one batch and leaves its pool open: `one-batch FOLDER WORKER`. The process must end all the same. */

import { PictureDataset } from '../src/data/pictures/dataset.node.js';
import { openPictures } from '../src/data/pictures/open.node.js';
import { DecodePool } from '../src/data/pictures/pool.node.js';
import { preprocessing } from '../src/models/preprocessing.js';

const [folder, worker] = process.argv.slice(2);
const { samples, classes } = await openPictures(folder);
const pool = new DecodePool({ workers: 2, worker: new URL(worker) });
const set = new PictureDataset({ samples, classes, preprocessing: preprocessing(32), pool });
const { labels } = await set.batch([0, 1]);
console.log(`${labels.length} pictures`);
