/** fovea in Node: all of `fovea`, with data sets on disk, pictures, files and run folders in `data`, `io` and beside the `Trainer`. */

export * as data from './data/all.node.js';
export * from './index.js';
export * as io from './io/all.node.js';
export * as report from './report/index.node.js';
export { type ServeOptions, type Server, serve } from './serve/index.node.js';
export * from './train/index.node.js';
