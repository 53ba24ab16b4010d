/** RISE: the picture is shown through thousands of random masks; a pixel matters as much as the class is likely on average when it is seen. */

import { Random } from '../data/index.js';
import type { Module } from '../nn/index.js';
import { fromOwned, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { type AskOptions, checkPictures, type Explanation, resolveClasses } from './ask.js';
import { keepWhere, maskedModel } from './masked.js';

export interface RiseOptions extends AskOptions {
  /** How many masks, default 4000 (the paper: 4000 for VGG-16, 8000 for ResNet-50). */
  readonly masks?: number;
  /** Cells of a mask along each side before it is enlarged, default 7. */
  readonly cells?: number;
  /** Probability that a cell is shown, default 0.5. */
  readonly keep?: number;
  readonly seed?: number;
  /** How many masked pictures go through the model at once, default 32. */
  readonly batchSize?: number;
}

/**
 * Σ_i p(class | x · M_i) · M_i / (masks · keep). A mask is a grid of random cells, enlarged bilinearly by a cell more than the picture needs and shifted at
 * random. x [N, C, H, W] → `raw` [N, H, W]; `maps` [N, H, W], each scaled to 0 … 1. @throws {ConfigError} for options out of range
 * Source: Petsiuk, Das and Saenko 2018, arXiv:1806.07421.
 */
export async function rise(
  model: Module,
  x: Tensor,
  { masks: count = 4000, cells = 7, keep = 0.5, seed = 0, ...options }: RiseOptions = {},
): Promise<Explanation> {
  checkPictures('rise', x);
  if (!(Number.isInteger(count) && count >= 1 && Number.isInteger(cells) && cells >= 2 && keep > 0 && keep <= 1)) {
    throw new ConfigError(`rise: masks ≥ 1, cells ≥ 2 and keep in (0, 1]; got ${count}, ${cells}, ${keep}`);
  }
  const [, , height, width] = x.shape;
  const write = (into: Float32Array, i: number) =>
    drawMask(into, { height, width, cells, keep }, new Random(seed, 0, i));
  return riseWith(model, x, { count, keep, write, ...options });
}

/** @internal With any masks: `write` fills in mask i [H, W]. */
export async function riseWith(
  model: Module,
  x: Tensor,
  {
    count,
    keep,
    write,
    target,
    batchSize = 32,
    onProgress,
  }: Pick<RiseOptions, 'target' | 'batchSize' | 'onProgress'> & {
    count: number;
    keep: number;
    write: (into: Float32Array, i: number) => void;
  },
): Promise<Explanation> {
  const [pictures, , height, width] = x.shape;
  const classes = await resolveClasses(model, x, target);
  const ask = maskedModel(model, keepWhere(0), { target, ask: 'probability', batchSize });
  const size = height * width;
  const masks = {
    count,
    shape: [1, height, width],
    fill(into: Float32Array, from: number, many: number) {
      for (let i = 0; i < many; i++) write(into.subarray(i * size, (i + 1) * size), from + i);
    },
  };
  const raw = new Float32Array(pictures * size);
  const maps = new Float32Array(pictures * size);
  const mask = new Float32Array(size);
  for (let n = 0; n < pictures; n++) {
    const likely = await ask(x.narrow(0, n, 1), masks, classes?.[n] ?? null, (done) =>
      onProgress?.(n * count + done, pictures * count),
    );
    const sum = new Float64Array(size);
    for (let i = 0; i < count; i++) {
      write(mask, i); // drawn again rather than kept: 4000 masks of 224 × 224 are 800 MB
      const weight = likely[i] / (count * keep);
      for (let p = 0; p < size; p++) sum[p] += weight * mask[p];
    }
    raw.set(sum, n * size);
    maps.set(toUnit(sum), n * size);
  }
  const shape = [pictures, height, width];
  return { maps: fromOwned(maps, shape, 'float32'), raw: fromOwned(raw, shape, 'float32'), classes };
}

function drawMask(
  into: Float32Array,
  { height, width, cells, keep }: { height: number; width: number; cells: number; keep: number },
  random: Random,
): void {
  const grid = Float32Array.from({ length: cells * cells }, () => (random.chance(keep) ? 1 : 0));
  const rows = enlarged(height, cells, random.integer(0, Math.ceil(height / cells)));
  const columns = enlarged(width, cells, random.integer(0, Math.ceil(width / cells)));
  for (let y = 0, p = 0; y < height; y++) {
    const { low, high, part } = rows[y];
    for (let x = 0; x < width; x++, p++) {
      const c = columns[x];
      const top = grid[low * cells + c.low] * (1 - c.part) + grid[low * cells + c.high] * c.part;
      const bottom = grid[high * cells + c.low] * (1 - c.part) + grid[high * cells + c.high] * c.part;
      into[p] = top * (1 - part) + bottom * part;
    }
  }
}

/** Between which cells each pixel lies, when `cells` are stretched over (cells + 1) · ⌈size / cells⌉ pixels and cut from `shift` on. */
function enlarged(size: number, cells: number, shift: number): { low: number; high: number; part: number }[] {
  const scale = cells / ((cells + 1) * Math.ceil(size / cells));
  return Array.from({ length: size }, (_, i) => {
    const at = Math.min(cells - 1, Math.max(0, (i + shift + 0.5) * scale - 0.5));
    const low = Math.floor(at);
    return { low, high: Math.min(cells - 1, low + 1), part: at - low };
  });
}

function toUnit(values: Float64Array): Float64Array {
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return values.map((v) => (high > low ? (v - low) / (high - low) : 0));
}
