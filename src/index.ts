/**
 * fovea: convolutional neural networks in TypeScript. This is what builds, trains and runs a network anywhere; `fovea/io` reads and
 * writes file formats, `fovea/node` is all of it with files, data sets on disk and run folders.
 */

export * as data from './data/index.js';
export * as explain from './explain/index.js';
export * as models from './models/index.js';
export * as nn from './nn/index.js';
export * as loss from './nn/loss.js';
export * as optim from './optim/index.js';
export * from './tensor/index.js';
export * from './train/index.js';
export type { DType, TypedArray } from './util/dtype.js';
export { ConfigError, FormatError, InvariantError, ShapeError } from './util/errors.js';
export type { Shape } from './util/shape.js';
