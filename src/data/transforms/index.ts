/**
 * What happens to pictures and batches between the data set and the model: transforms of one picture, with torchvision's names and
 * defaults, which are JSON too; the functions beneath them; and transforms of whole batches.
 */

export { autoAugment, randAugment, trivialAugmentWide } from './auto-augment.js';
export { compose, computeMeanStd, normalize, oneHot, type Transform, toTensor } from './batch.js';
export {
  colorJitter,
  gaussianBlur,
  grayscale,
  randomAdjustSharpness,
  randomAutocontrast,
  randomEqualize,
  randomGrayscale,
  randomInvert,
  randomPosterize,
  randomSolarize,
} from './colors.js';
export {
  centerCrop,
  pad,
  randomCrop,
  randomErasing,
  randomHorizontalFlip,
  randomResizedCrop,
  randomVerticalFlip,
  resize,
} from './crops.js';
export * as functional from './functional.js';
export { cutMix, type MixOptions, mixUp, randomBatchChoice } from './mix.js';
export { onPictures, type PictureFactory, type PictureTransform, pipeline } from './picture.js';
export { type Preset, type PresetName, type PresetOptions, presetOf, presets } from './presets.js';
export { factories, fromJson, randomApply, randomChoice, type TransformJson, toJson } from './registry.js';
export { averageViews, type TtaViews, tta } from './tta.js';
export { elasticTransform, randomAffine, randomPerspective, randomRotation } from './warps.js';
