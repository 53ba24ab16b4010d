/** What pictures go through before a model sees them: published weights are worth their score with exactly this, and less with anything else. */

/** The shorter side (or both) → `resize`, the middle `crop` of it, byte / 255, then (value − mean) / std for each channel. */
export interface Preprocessing {
  /** Length of the shorter side after resizing; or exactly that height and width, whatever the picture's aspect ratio. */
  readonly resize: number | readonly [height: number, width: number];
  /** Height and width cut out of the middle: the model's input. */
  readonly crop: readonly [height: number, width: number];
  /** Pillow's filters, antialiased, as torchvision and timm use them. */
  readonly interpolation: 'bilinear' | 'bicubic';
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

const statistics = {
  /** Of ImageNet's training pictures: torchvision's and most of timm's weights. */
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  /** Of Kinetics-400's training clips: torchvision's video weights. */
  kinetics: { mean: [0.43216, 0.394666, 0.37645], std: [0.22803, 0.22145, 0.216989] },
  /** 0 … 255 → −1 … 1: weights from TensorFlow ("inception" in timm). */
  symmetric: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  /** 0 … 255 → 0 … 1. */
  unit: { mean: [0, 0, 0], std: [1, 1, 1] },
  /** 0 … 255 as they are: some weights from Caffe. */
  bytes: { mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255] },
} as const;

/** `preprocessing(224, { resize: 232 })`; left out: the shorter side to size / 0.875, bilinear, ImageNet's mean and deviation. */
export function preprocessing(
  size: number,
  options: {
    readonly resize?: Preprocessing['resize'];
    readonly interpolation?: Preprocessing['interpolation'];
    readonly statistics?: keyof typeof statistics;
  } = {},
): Preprocessing {
  const { resize = Math.floor(size / 0.875), interpolation = 'bilinear' } = options;
  return { resize, crop: [size, size], interpolation, ...statistics[options.statistics ?? 'imagenet'] };
}
