/**
 * Clips and volumes as 3-D networks take them, [C, D, H, W]: which frames of many are looked at, and volumes in the order of axes they were saved in.
 * Frames are taken evenly, as the temporal segments of Wang et al. 2016 (arXiv:1608.00859) are: from the middle of each of D equal parts.
 */

import type { HostTensor } from '../io/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import type { Random } from './random.js';
import type { Box, Planes } from './resize.js';

/** `wanted` frames out of `count`, in order; fewer than wanted are repeated. `from` and `length` bound the part of the clip that is looked at. */
export function evenFrames(
  count: number,
  wanted: number,
  { from = 0, length = count }: { from?: number; length?: number } = {},
): number[] {
  return Array.from({ length: wanted }, (_, i) => {
    const at = from + Math.floor(((i + 0.5) * length) / wanted);
    return Math.min(count - 1, Math.max(0, at));
  });
}

/** How one sample is changed in one epoch: the same for all of its frames. */
export interface ClipAugmentation {
  readonly from: number;
  readonly length: number;
  readonly flip: boolean;
  /** Side of the part that is cut out, as a share of the largest possible, and where it lies, 0 … 1. */
  readonly scale: number;
  readonly top: number;
  readonly left: number;
}

export interface ClipAugment {
  /** The least share of a clip's duration that is looked at; 1 always takes all. */
  readonly duration?: number;
  /** Chance of being mirrored. 0 where left and right mean something. */
  readonly flip?: number;
  /** The least share of height and width that is cut out. */
  readonly crop?: number;
}

export const defaultClipAugment: Required<ClipAugment> = { duration: 0.7, flip: 0.5, crop: 0.8 };

export function drawAugmentation(
  count: number,
  { duration, flip, crop }: Required<ClipAugment>,
  random: Random,
): ClipAugmentation {
  const length = Math.max(1, Math.round(count * random.uniform(duration, 1)));
  return {
    length,
    from: random.integer(0, count - length + 1),
    flip: random.chance(flip),
    scale: random.uniform(crop, 1),
    top: random.uniform(),
    left: random.uniform(),
  };
}

/** The part of a picture that has the aspect ratio of [height, width]: the largest one in the middle, or what an augmentation says. */
export function cropBox(
  [, h, w]: Planes['shape'],
  [height, width]: readonly [number, number],
  { scale = 1, top = 0.5, left = 0.5 }: Partial<ClipAugmentation> = {},
): Box {
  const fit = scale * Math.min(h / height, w / width);
  const size = { height: whole(fit * height, h), width: whole(fit * width, w) };
  return { ...size, top: Math.round(top * (h - size.height)), left: Math.round(left * (w - size.width)) };
}

function whole(size: number, most: number): number {
  return Math.min(most, Math.max(1, Math.round(size)));
}

/** Left and right exchanged, in place. */
export function flipRows(data: Uint8Array, width: number): void {
  for (let from = 0; from < data.length; from += width) data.subarray(from, from + width).reverse();
}

/** A volume as bytes, its frames one after the other: D pictures [C, H, W]. */
export interface Volume {
  readonly depth: number;
  readonly frameShape: readonly [channels: number, height: number, width: number];
  frame(index: number): Planes;
}

export interface VolumeOptions {
  /** Left out, told from the shape: an axis of 1, 3 or 4 at either end of four is the channels. */
  readonly layout?: 'DHW' | 'CDHW' | 'DHWC';
  /** Values that become 0 and 255, such as [−1000, 400] of a CT scan. Left out: bytes as they are, numbers in 0 … 1 times 255, others least to largest. */
  readonly range?: readonly [low: number, high: number];
}

/** @throws {ConfigError} for arrays that are no volume */
export function volumeOf(
  { data, shape, dtype }: HostTensor,
  { layout, range }: VolumeOptions = {},
  name = 'volume',
): Volume {
  const axes = layout ?? volumeLayout(shape, name);
  if (axes.length !== shape.length) {
    throw new ConfigError(`${name} is ${formatShape(shape)}; layout ${axes} has ${axes.length} axes`);
  }
  const size = (axis: string) => shape[axes.indexOf(axis)] ?? 1;
  const [channels, depth, height, width] = ['C', 'D', 'H', 'W'].map(size);
  if (depth * height * width === 0 || ![1, 3, 4].includes(channels)) {
    throw new ConfigError(
      `${name} is ${formatShape(shape)}, as ${axes}: nothing to look at, or not 1, 3 or 4 channels`,
    );
  }
  const plane = height * width;
  const toByte = byteScale(data, dtype, range);
  return {
    depth,
    frameShape: [channels, height, width],
    frame(index) {
      const out = new Uint8Array(channels * plane);
      for (let c = 0; c < channels; c++) {
        const last = axes === 'DHWC';
        const start = last ? index * plane * channels + c : (c * depth + index) * plane;
        const step = last ? channels : 1;
        for (let i = 0; i < plane; i++) out[c * plane + i] = toByte(data[start + i * step]);
      }
      return { data: out, shape: [channels, height, width] };
    },
  };
}

function volumeLayout(shape: readonly number[], name: string): 'DHW' | 'CDHW' | 'DHWC' {
  const isChannels = (size: number) => size === 1 || size === 3 || size === 4;
  if (shape.length === 3) return 'DHW';
  if (shape.length === 4 && isChannels(shape[3])) return 'DHWC';
  if (shape.length === 4 && isChannels(shape[0])) return 'CDHW';
  throw new ConfigError(`${name} is ${formatShape(shape)}; a volume is [D, H, W], [C, D, H, W] or [D, H, W, C]`);
}

function byteScale(
  data: HostTensor['data'],
  dtype: HostTensor['dtype'],
  range: VolumeOptions['range'],
): (value: number) => number {
  if (range === undefined && dtype === 'uint8') return (value) => value;
  const [low, high] = range ?? rangeOf(data);
  if (!(high > low)) return () => 0;
  const scale = 255 / (high - low);
  return (value) => (value <= low ? 0 : value >= high ? 255 : Math.round((value - low) * scale)) || 0; // NaN is black
}

function rangeOf(data: HostTensor['data']): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of data) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low >= 0 && high <= 1 ? [0, 1] : [low, high];
}

/** A picture with as many channels as the model takes: grey repeated, colours as luminance (ITU-R BT.601), transparency left out. */
export function withChannels(picture: Planes, channels: 1 | 3): Planes {
  const [own, height, width] = picture.shape;
  const plane = height * width;
  if (own === channels) return picture;
  const out = new Uint8Array(channels * plane);
  if (channels === 3) {
    for (let c = 0; c < 3; c++)
      out.set(picture.data.subarray((own === 1 ? 0 : c) * plane, (own === 1 ? 1 : c + 1) * plane), c * plane);
  } else {
    const [r, g, b] = [0, 1, 2].map((c) => picture.data.subarray(c * plane, (c + 1) * plane));
    for (let i = 0; i < plane; i++) out[i] = Math.round(0.299 * r[i] + 0.587 * g[i] + 0.114 * b[i]);
  }
  return { data: out, shape: [channels, height, width] };
}
