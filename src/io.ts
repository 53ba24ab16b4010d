/** fovea/io: file formats that a page reads and writes, bytes in and values out. Apart from `fovea`, so that a page which only computes stays small. */

export { type IdxArray, parseIdx, readIdx } from './data/idx.js';
export { encodeNpy, isNpy, parseNpy } from './data/npy.js';
export { encodeNpz, type NpzFile, openNpz, parseNpz } from './data/npz.js';
export * from './io/index.js';
