/** fovea/io: file formats that a page reads and writes, bytes in and values out. Apart from `fovea`, so that a page which only computes stays small. */

export { type IdxArray, parseIdx, readIdx } from './data/idx.js';
export * from './io/index.js';
