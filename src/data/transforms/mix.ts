/**
 * Batches in which pictures are mixed with each other, and their labels with them: MixUp (Zhang et al. 2017, arXiv:1710.09412) and CutMix
 * (Yun et al. 2019, arXiv:1905.04899). As in torchvision's `v2.MixUp` and `v2.CutMix`, one λ of Beta(α, α) serves the batch, and each
 * picture's partner is the one before it.
 *
 * Bytes stay bytes: a blend is rounded to the nearest, so that the batch still travels to the device as a quarter of its floats and is
 * normalised there. The rounding is at most half a grey level, a thousandth of what MixUp adds.
 */

import { ConfigError } from '../../util/errors.js';
import { formatShape } from '../../util/shape.js';
import type { Batch, Samples, TransformContext } from '../dataset.js';
import { Random } from '../random.js';
import type { Transform } from './batch.js';
import { pick, weightsOf } from './registry.js';

export interface MixOptions {
  /** Of Beta(α, α): small ones mix little, 1 mixes evenly. Left out: 1, torchvision's. */
  readonly alpha?: number;
  /** How many there are. Left out where the batch has soft targets already, or the loader says so. */
  readonly classes?: number;
}

/** λ of each picture and 1 − λ of the one before it; targets likewise. Takes bytes or floats of any shape [N, …]. */
export function mixUp({ alpha = 1, classes }: MixOptions = {}): Transform {
  checkAlpha('mixUp', alpha);
  return (batch, context) => {
    const share = randomOf(context).beta(alpha, alpha);
    const targets = targetsOf('mixUp', batch, classes ?? context.classes);
    return { ...batch, inputs: blended(batch, share), targets: mixedTargets(targets, batch.labels.length, share) };
  };
}

/**
 * A box of each picture [N, C, H, W] is the previous picture's; targets in proportion to what is seen of each. The box has 1 − λ of the
 * area, but for what of it lies outside.
 */
export function cutMix({ alpha = 1, classes }: MixOptions = {}): Transform {
  checkAlpha('cutMix', alpha);
  return (batch, context) => {
    const { inputs, shape } = batch;
    if (shape.length !== 4) {
      throw new ConfigError(`cutMix: takes pictures [N, C, H, W]; the batch is ${formatShape(shape)}`);
    }
    const [count, channels, height, width] = shape;
    const box = randomBox(height, width, alpha, randomOf(context));
    const targets = targetsOf('cutMix', batch, classes ?? context.classes);
    const mixed = inputs.slice();
    for (let i = 0; i < count; i++) {
      const from = (i + count - 1) % count;
      for (let c = 0; c < channels; c++) {
        for (let y = box.top; y < box.bottom; y++) {
          const row = (picture: number) => ((picture * channels + c) * height + y) * width;
          mixed.set(inputs.subarray(row(from) + box.left, row(from) + box.right), row(i) + box.left);
        }
      }
    }
    const share = 1 - ((box.right - box.left) * (box.bottom - box.top)) / (width * height);
    return { ...batch, inputs: mixed, targets: mixedTargets(targets, count, share) };
  };
}

/** For each batch one of `transforms`, each as likely as its share of the weights `p`: MixUp or CutMix, mostly. */
export function randomBatchChoice(
  transforms: readonly Transform[],
  { p = null }: { readonly p?: readonly number[] | null } = {},
): Transform {
  const weights = weightsOf('randomBatchChoice', transforms.length, p);
  return (batch, context) => transforms[pick(weights, randomOf(context).fork(0).uniform())](batch, context);
}

/** The batch's own numbers: of a stream that no picture's pipeline reaches. */
function randomOf({ seed, epoch, batch }: TransformContext): Random {
  return new Random(seed, epoch, batch, batchStream);
}
const batchStream = 0xffff;

function checkAlpha(name: string, alpha: number): void {
  if (!(alpha > 0 && alpha < Infinity)) throw new ConfigError(`${name}: alpha is positive, not ${alpha}`);
}

/** The batch's soft targets, or rows with one 1. */
function targetsOf(name: string, { labels, targets }: Batch, classes: number | undefined): Float32Array {
  if (targets !== undefined) return targets;
  if (classes === undefined) {
    throw new ConfigError(`${name}: how many classes are there? Pass { classes: dataset.classes.length }`);
  }
  const out = new Float32Array(labels.length * classes);
  for (const [i, label] of labels.entries()) {
    if (label < 0 || label >= classes)
      throw new ConfigError(`${name}: label ${label} at ${i} is not one of 0 … ${classes - 1}`);
    out[i * classes + label] = 1;
  }
  return out;
}

function mixedTargets(targets: Float32Array, count: number, share: number): Float32Array {
  return mix(targets, targets.length / Math.max(1, count), count, share, new Float32Array(targets.length));
}

function blended({ inputs, labels }: Batch, share: number): Samples {
  const count = labels.length;
  const size = inputs.length / Math.max(1, count);
  if (inputs instanceof Int32Array) throw new ConfigError('mixUp: tokens cannot be mixed; it takes bytes or floats');
  if (inputs instanceof Float32Array) return mix(inputs, size, count, share, new Float32Array(inputs.length));
  // A clamped array rounds to the nearest, halves to even.
  const { buffer } = mix(inputs, size, count, share, new Uint8ClampedArray(inputs.length));
  return new Uint8Array(buffer);
}

/** share · row i + (1 − share) · row i − 1, the last before the first. */
function mix<T extends Float32Array | Uint8ClampedArray>(
  rows: Float32Array | Uint8Array,
  size: number,
  count: number,
  share: number,
  out: T,
): T {
  for (let i = 0; i < count; i++) {
    const [own, other] = [i * size, ((i + count - 1) % count) * size];
    for (let k = 0; k < size; k++) out[own + k] = rows[own + k] * share + rows[other + k] * (1 - share);
  }
  return out;
}

interface Bounds {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** About a point anywhere, of √(1 − λ) of both sides, cut off at the borders. */
function randomBox(height: number, width: number, alpha: number, random: Random): Bounds {
  const half = 0.5 * Math.sqrt(1 - random.beta(alpha, alpha));
  const [x, y] = [random.integer(0, width), random.integer(0, height)];
  const [halfWidth, halfHeight] = [Math.trunc(half * width), Math.trunc(half * height)];
  return {
    left: Math.max(0, x - halfWidth),
    top: Math.max(0, y - halfHeight),
    right: Math.min(width, x + halfWidth),
    bottom: Math.min(height, y + halfHeight),
  };
}
