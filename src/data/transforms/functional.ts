/**
 * The transforms without chance: each takes a picture [C, H, W] of bytes and gives a new one. As torchvision's `transforms.v2.functional`.
 */

export { centerCrop, resize, resizeShorterSide } from '../resize.js';
export {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  autocontrast,
  equalize,
  invert,
  posterize,
  rgbToGrayscale,
  solarize,
} from './color.js';
export { adjustSharpness, gaussianBlur } from './filters.js';
export {
  crop,
  erase,
  type Fill,
  fiveCrop,
  horizontalFlip,
  type PaddingMode,
  pad,
  resizedCrop,
  type Sides,
  tenCrop,
  verticalFlip,
} from './geometry.js';
export {
  affine,
  elastic,
  perspective,
  perspectiveCoefficients,
  rotate,
  type WarpFilter,
  type WarpOptions,
} from './warp.js';
