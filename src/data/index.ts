/** Data sets, loaders and transforms, as far as they need no Node. */

export {
  type ArrayDatasetOptions,
  type ArrayLayout,
  type ArrayParts,
  arrayDatasets,
  guessLayout,
} from './arrays.js';
export { type ClipAugment, evenFrames, type VolumeOptions } from './clips.js';
export {
  ArrayDataset,
  type Batch,
  type Dataset,
  type Samples,
  Subset,
  split,
  type TransformContext,
  take,
} from './dataset.js';
export { DataLoader, type DataLoaderOptions, type LoadedBatch, type LoaderPosition } from './loader.js';
export { encodeNpy, isNpy, parseNpy } from './npy.js';
export { batchTensors, normalizeTensor } from './on-device.js';
export { contain, preprocess } from './preprocess.js';
export { Random } from './random.js';
export { sampleName, sampleText, withClasses } from './relabel.js';
export {
  type Box,
  centerCrop,
  type Interleaved,
  type Planes,
  type ResizeFilter,
  resize,
  resizeAndCrop,
  resizeBox,
  resizedSize,
  resizeInterleaved,
  resizeShorterSide,
} from './resize.js';
export {
  balancedSampler,
  classWeights,
  type Sampler,
  WeightedSampler,
  type WeightedSamplerOptions,
} from './sampler.js';
export { MinMaxScaler, type ScalerJson, StandardScaler, scalerFromJson } from './scaler.js';
export { permutation } from './shuffle.js';
export { encodeTexts, TextDataset, tokenize, Vocabulary, type VocabularyOptions } from './text.js';
export type { PictureTransform } from './transforms/index.js';
export * as transforms from './transforms/index.js';
export {
  compose,
  computeMeanStd,
  normalize,
  oneHot,
  type Transform,
  toTensor,
} from './transforms/index.js';
