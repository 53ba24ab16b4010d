/**
 * Pictures blurred and sharpened: each pixel from its neighbours. Names and results are those of torchvision's `transforms.v2.functional`.
 */

import { ConfigError } from '../../util/errors.js';
import type { Planes } from '../resize.js';
import { filterSpace } from './filter-kernel.js';
import { sourceIndices } from './geometry.js';

const f32 = Math.fround;
type Pair = readonly [x: number, y: number];
/** Adding and taking this away rounds a double to a whole number, halves to even. */
const rounder = 6755399441055744; // 1.5 · 2⁵²

/**
 * Blurred by a normal distribution of `sigma` pixels, cut off at `kernelSize` (odd; one number or x and y). Left out, sigma is 0.15 ·
 * kernelSize + 0.35. Beyond its border the picture is mirrored.
 */
export function gaussianBlur(picture: Planes, kernelSize: number | Pair, sigma?: number | Pair): Planes {
  const sizes = pairOf(kernelSize);
  const sigmas = sigma === undefined ? ([sizes[0] * 0.15 + 0.35, sizes[1] * 0.15 + 0.35] as const) : pairOf(sigma);
  const [kernelX, kernelY] = [gaussianKernel(sizes[0], sigmas[0]), gaussianKernel(sizes[1], sigmas[1])];
  const { data, shape } = picture;
  const [channels, height, width] = shape;
  const plane = height * width;
  const out = new Uint8Array(data.length);
  for (let c = 0; c < channels; c++) {
    const { values, stride } = separable(data.subarray(c * plane, (c + 1) * plane), height, width, kernelX, kernelY);
    for (let y = 0; y < height; y++) {
      const [from, to] = [y * stride, c * plane + y * width];
      for (let x = 0; x < width; x++) out[to + x] = values[from + x] + rounder - rounder;
    }
  }
  return { data: out, shape };
}

/** factor 0 is a little blurred, 1 the picture itself, 2 sharper. The outermost pixels stay; so does a picture of fewer than 3 × 3. */
export function adjustSharpness({ data, shape }: Planes, factor: number): Planes {
  if (!(factor >= 0 && factor < Infinity))
    throw new ConfigError(`adjustSharpness: factor is not negative, not ${factor}`);
  const [channels, height, width] = shape;
  const out = data.slice();
  const share = f32(1 - factor);
  for (let c = 0; c < channels; c++) {
    for (let y = 1; y < height - 1; y++) {
      const row = (c * height + y) * width;
      for (let at = row + 1; at < row + width - 1; at++) {
        const x = data[at];
        let sum = 4 * x;
        for (let line = at - width; line <= at + width; line += width)
          sum += data[line - 1] + data[line] + data[line + 1];
        const blurred = sum / 13 + rounder - rounder; // never half-way: 13 is odd
        const value = f32(x + (blurred - x) * share);
        out[at] = value < 0 ? 0 : value > 255 ? 255 : value;
      }
    }
  }
  return { data: out, shape };
}

/** The weights of a normal distribution at whole distances; they add up to 1. */
export function gaussianKernel(size: number, sigma: number): Float64Array {
  if (!Number.isInteger(size) || size < 1 || size % 2 === 0) {
    throw new ConfigError(`gaussianBlur: kernelSize is odd and positive, not ${size}`);
  }
  if (!(sigma > 0)) throw new ConfigError(`gaussianBlur: sigma is positive, not ${sigma}`);
  const middle = (size - 1) / 2;
  const weights = Float64Array.from({ length: size }, (_, i) => Math.exp(-((i - middle) ** 2) / (2 * sigma * sigma)));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
}

/**
 * Rows, then columns, each weighted by a kernel; mirrored at the borders. In float32. The result [H, W] is good until the next call.
 */
export function separable(
  plane: ArrayLike<number>,
  height: number,
  width: number,
  kernelX: Float64Array,
  kernelY: Float64Array,
): { readonly values: Float32Array; readonly stride: number } {
  const [reachX, reachY] = [kernelX.length >> 1, kernelY.length >> 1];
  // One line after the other, each with its mirror images at both ends: the whole plane is one row to the kernel.
  const stride = width + 2 * reachX;
  const space = filterSpace((height + 2 * reachY) * stride + 2 * reachX);
  const { input, middle, output } = space;
  const xs = sourceIndices('reflect', -reachX, stride, width);
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < stride; i++) input[y * stride + i] = plane[y * width + xs[i]];
  }
  space.convolve('input', 'middle', height * stride, Float32Array.from(kernelX), 1);
  const ys = sourceIndices('reflect', -reachY, height + 2 * reachY, height);
  // Lines make room for mirror images above them, and those are copied from the lines.
  middle.copyWithin(reachY * stride, 0, height * stride);
  for (const [i, y] of ys.entries()) {
    if (i !== y + reachY) middle.copyWithin(i * stride, (y + reachY) * stride, (y + reachY + 1) * stride);
  }
  space.convolve('middle', 'output', height * stride, Float32Array.from(kernelY), stride);
  return { values: output, stride };
}

function pairOf(value: number | Pair): Pair {
  return typeof value === 'number' ? [value, value] : value;
}
