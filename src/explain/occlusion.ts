/** Occlusion: a window slides over the picture and covers it; where the score falls, the model was looking. */

import type { Module } from '../nn/index.js';
import { fromOwned, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { type AskOptions, checkPictures, type Explanation, resolveClasses } from './ask.js';
import { keepWhere, maskedModel } from './masked.js';

export interface OcclusionOptions extends AskOptions {
  /** Side of the window in pixels, or [height, width]. Default an eighth of the picture's. */
  readonly window?: number | readonly [number, number];
  /** How far it moves, default half of the window. */
  readonly stride?: number | readonly [number, number];
  /** What the window shows, default 0: the mean colour of a normalised picture. */
  readonly baseline?: number;
  /** How many covered pictures go through the model at once, default 32. */
  readonly batchSize?: number;
}

/**
 * For every pixel the mean fall of the score over the windows that cover it. Windows start at multiples of the stride and are cut at the far edges, so that
 * every pixel is covered (Captum's convention); where a stride longer than the window leaves pixels out, they are 0.
 * x [N, C, H, W] → `raw` [N, H, W], with signs; `maps` [N, H, W] show what makes the score fall. @throws {ConfigError} for windows that do not fit
 * Source: Zeiler and Fergus 2014, arXiv:1311.2901.
 */
export async function occlusion(
  model: Module,
  x: Tensor,
  { target, window, stride, baseline = 0, batchSize = 32, onProgress }: OcclusionOptions = {},
): Promise<Explanation> {
  checkPictures('occlusion', x);
  const [count, , height, width] = x.shape;
  const windows = place(height, width, window, stride);
  const classes = await resolveClasses(model, x, target);
  const ask = maskedModel(model, keepWhere(baseline), { target, ask: 'score', batchSize });
  const size = height * width;
  // Mask 0 covers nothing: the score all others are compared with.
  const masks = {
    count: windows.length + 1,
    shape: [1, height, width],
    fill(into: Float32Array, from: number, many: number) {
      into.fill(1);
      for (let i = 0; i < many; i++) {
        if (from + i > 0) cover(into.subarray(i * size, (i + 1) * size), width, windows[from + i - 1]);
      }
    },
  };
  const raw = new Float32Array(count * size);
  for (let n = 0; n < count; n++) {
    const scores = await ask(x.narrow(0, n, 1), masks, classes?.[n] ?? null, (done) =>
      onProgress?.(n * masks.count + done, count * masks.count),
    );
    raw.set(meanFall(scores, windows, width, size), n * size);
  }
  return {
    maps: fromOwned(toUnit(raw, size), [count, height, width], 'float32'),
    raw: fromOwned(raw, [count, height, width], 'float32'),
    classes,
  };
}

interface Box {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

function place(
  height: number,
  width: number,
  window: OcclusionOptions['window'],
  stride: OcclusionOptions['stride'],
): Box[] {
  const [h, w] = pair(window) ?? [Math.ceil(height / 8), Math.ceil(width / 8)];
  const [dy, dx] = pair(stride) ?? [Math.max(1, h >> 1), Math.max(1, w >> 1)];
  for (const [what, value, most] of [
    ['window', h, height],
    ['window', w, width],
    ['stride', dy, height],
    ['stride', dx, width],
  ] as const) {
    if (Number.isInteger(value) && value >= 1 && value <= most) continue;
    throw new ConfigError(
      `occlusion: ${what} must be 1 … ${most} pixels on a picture of ${height} × ${width}, not ${value}`,
    );
  }
  const boxes: Box[] = [];
  for (let i = 0; i <= Math.ceil((height - h) / dy); i++) {
    for (let j = 0; j <= Math.ceil((width - w) / dx); j++) {
      const [top, left] = [i * dy, j * dx];
      boxes.push({ top, left, bottom: Math.min(height, top + h), right: Math.min(width, left + w) });
    }
  }
  return boxes;
}

function pair(value: number | readonly [number, number] | undefined): readonly [number, number] | null {
  if (value === undefined) return null;
  return typeof value === 'number' ? [value, value] : value;
}

function cover(mask: Float32Array, width: number, { top, left, bottom, right }: Box): void {
  for (let y = top; y < bottom; y++) mask.fill(0, y * width + left, y * width + right);
}

function meanFall(scores: Float32Array, windows: readonly Box[], width: number, size: number): Float32Array {
  const sum = new Float64Array(size);
  const times = new Float64Array(size);
  for (const [i, { top, left, bottom, right }] of windows.entries()) {
    const fall = scores[0] - scores[i + 1];
    for (let y = top; y < bottom; y++) {
      for (let p = y * width + left; p < y * width + right; p++) {
        sum[p] += fall;
        times[p]++;
      }
    }
  }
  return Float32Array.from(sum, (s, p) => (times[p] === 0 ? 0 : s / times[p]));
}

/** What speaks for the class, the strongest of each picture being 1. */
function toUnit(raw: Float32Array, size: number): Float32Array {
  const out = new Float32Array(raw.length);
  for (let from = 0; from < raw.length; from += size) {
    const map = raw.subarray(from, from + size);
    const most = map.reduce((a, b) => Math.max(a, b), 0);
    for (let p = 0; p < size; p++) out[from + p] = most > 0 ? Math.max(0, map[p] / most) : 0;
  }
  return out;
}
