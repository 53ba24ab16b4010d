/**
 * Activation maximisation: pictures made up so that a channel of a layer, or a class, answers as strongly as possible. The picture climbs its gradient from
 * noise; alone, that ends in fine patterns no eye knows. So the picture is shifted at random before each step (what holds must hold a few pixels further
 * on), gradients are blurred, widely at first and less and less (large shapes before details), and differences of neighbours cost something.
 */

import { Random } from '../data/index.js';
import type { Module } from '../nn/index.js';
import { compile, fromOwned, grad, type Tensor } from '../tensor/index.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { asking, listen, rowsOf } from './ask.js';
import { mapForm, toMaps } from './layers.js';
import { gaussianBlur } from './similarity.js';

export interface ActivationMaximizationOptions {
  /** [C, H, W] of a picture as the model takes it. */
  readonly inputShape: readonly [channels: number, height: number, width: number];
  /** Path of a layer with maps; left out, the model's scores, and `channels` are classes. */
  readonly layer?: string;
  /** One picture for each of these. */
  readonly channels: readonly number[];
  /** What of a map is to grow: its mean over all places (default), or the unit in the middle. */
  readonly unit?: 'channel' | 'center';
  readonly steps?: number;
  /** Size of a step, as the root mean square of what is added to the pixels. Default 0.06. */
  readonly lr?: number;
  /** Largest random shift in pixels before a step; default a sixteenth of the shorter side. */
  readonly jitter?: number;
  /** Standard deviation of the gradients' blur in pixels at the start, falling to a tenth; default a twentieth of the shorter side. 0: none. */
  readonly blur?: number;
  /** Cost of total variation, as a share of the step. Default 0.05. */
  readonly variation?: number;
  /** Smallest and largest number of each channel that a pixel may take, e.g. (0 − mean) / std and (1 − mean) / std. */
  readonly limits?: { readonly low: readonly number[]; readonly high: readonly number[] };
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface MaximizedActivations {
  /** [channels asked for, C, H, W], as the model takes them. */
  readonly pictures: Tensor;
  /** What the channels answered to the noise that was the start, and to the pictures. */
  readonly before: Float32Array;
  readonly after: Float32Array;
}

/** @throws {ConfigError} for a channel that the layer does not have. Source: Olah, Mordvintsev and Schubert 2017, Distill; Yosinski et al. 2015, arXiv:1506.06579. */
export async function maximizeActivations(
  model: Module,
  options: ActivationMaximizationOptions,
): Promise<MaximizedActivations> {
  const { inputShape, channels, steps = 256, lr = 0.06, variation = 0.05, limits, seed = 0, onProgress } = options;
  const [c, height, width] = inputShape;
  const shorter = Math.min(height, width);
  const { jitter = Math.round(shorter / 16), blur = shorter / 20 } = options;
  const count = channels.length;
  if (count === 0)
    throw new ConfigError('maximizeActivations: channels is empty: there is nothing to make a picture of');
  const size = c * height * width;
  const random = new Random(seed);
  const x = Float32Array.from({ length: count * size }, () => random.normal(0, 0.1));
  const climber = (relu?: 'deconvnet') =>
    compile((pixels: Tensor) =>
      asking(model, () => {
        const answers = answersOf(model, pixels, options);
        return [answers, grad(answers.sum(), pixels, { relu, allowUnused: true })];
      }),
    );
  const climb = climber();
  // Where relus are closed no slope leads anywhere; one that passes through closed relus gets the picture to where one does.
  const wake = climber('deconvnet');
  const shape = [count, c, height, width];
  let before: Float32Array | null = null;
  for (let step = 0; step < steps; step++) {
    const [dy, dx] = jitter > 0 ? [random.integer(-jitter, jitter + 1), random.integer(-jitter, jitter + 1)] : [0, 0];
    const moved = fromOwned(rolled(x, shape, dy, dx), shape, 'float32');
    const [answers, slope] = await climb(moved);
    before ??= Float32Array.from(await answers.data());
    const slopes = (await slope.data()) as Float32Array;
    const asleep = channels.map((_, n) => slopes.subarray(n * size, (n + 1) * size).every((v) => v === 0));
    if (asleep.includes(true)) {
      const [, through] = await wake(moved);
      const found = (await through.data()) as Float32Array;
      for (const [n, still] of asleep.entries())
        if (still) slopes.set(found.subarray(n * size, (n + 1) * size), n * size);
    }
    const share = step / Math.max(1, steps - 1);
    const back = rolled(slopes, shape, -dy, -dx);
    const smooth = gaussianBlur(back, [count * c, height, width], blur * 0.1 ** share);
    const rate = lr * (1 - 0.8 * share);
    const flat = flattening(x, shape);
    for (let n = 0; n < count; n++) {
      const norm = rootMeanSquare(smooth.subarray(n * size, (n + 1) * size));
      for (let i = n * size; i < (n + 1) * size; i++)
        x[i] += (norm > 0 ? (rate * smooth[i]) / norm : 0) + rate * variation * flat[i];
    }
    if (limits !== undefined) clip(x, shape, limits);
    onProgress?.(step + 1, steps);
  }
  const pictures = fromOwned(x, shape, 'float32');
  const [answers] = await climb(pictures);
  const after = Float32Array.from(await answers.data());
  return { pictures, before: before ?? after, after };
}

/** What channel n of the layer answers to picture n. */
function answersOf(
  model: Module,
  x: Tensor,
  { layer, channels, unit = 'channel' }: ActivationMaximizationOptions,
): Tensor {
  const index = fromOwned(Int32Array.from(channels), [channels.length, 1], 'int32');
  const { outputs, answers } = listen(model, x);
  const output = layer === undefined ? rowsOf(outputs) : answers.findLast(({ path }) => path === layer)?.output;
  if (output === undefined) throw new ConfigError(`maximizeActivations: the model never called ${layer}`);
  const rows = output.ndim === 2 ? output : placesOf(output, x, layer!, unit);
  const wrong = channels.find((k) => !(Number.isInteger(k) && k >= 0 && k < rows.shape[1]));
  if (wrong !== undefined) {
    throw new ConfigError(
      `maximizeActivations: ${layer ?? 'the model'} has channels 0 … ${rows.shape[1] - 1}; got ${wrong}`,
    );
  }
  return rows.gather(1, index).reshape([channels.length]);
}

function placesOf(output: Tensor, x: Tensor, layer: string, unit: 'channel' | 'center'): Tensor {
  const form = mapForm(output.shape, x.shape);
  if (form === null)
    throw new ShapeError(`maximizeActivations: ${layer} gives ${formatShape(output.shape)}, which is no map`);
  const maps = toMaps(output, form);
  if (unit === 'channel') return maps.mean([2, 3]);
  return maps.select(3, form.width >> 1).select(2, form.height >> 1);
}

/** Planes moved by (dy, dx), what leaves at one side coming back at the other. */
function rolled(
  values: Float32Array,
  [count, channels, height, width]: readonly number[],
  dy: number,
  dx: number,
): Float32Array {
  const out = new Float32Array(values.length);
  const shift = ((dx % width) + width) % width;
  for (let p = 0; p < count * channels; p++) {
    for (let y = 0; y < height; y++) {
      const from = (p * height + y) * width;
      const to = (p * height + ((((y + dy) % height) + height) % height)) * width;
      out.set(values.subarray(from, from + width - shift), to + shift);
      out.set(values.subarray(from + width - shift, from + width), to);
    }
  }
  return out;
}

/** Towards the mean of the four neighbours: the way in which Σ (differences)² falls. */
function flattening(x: Float32Array, [count, channels, height, width]: readonly number[]): Float32Array {
  const out = new Float32Array(x.length);
  for (let p = 0, i = 0; p < count * channels; p++) {
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++, i++) {
        let sum = 0;
        if (row > 0) sum += x[i - width] - x[i];
        if (row < height - 1) sum += x[i + width] - x[i];
        if (column > 0) sum += x[i - 1] - x[i];
        if (column < width - 1) sum += x[i + 1] - x[i];
        out[i] = sum;
      }
    }
  }
  return out;
}

function clip(
  x: Float32Array,
  [count, channels, height, width]: readonly number[],
  { low, high }: NonNullable<ActivationMaximizationOptions['limits']>,
): void {
  for (let p = 0, i = 0; p < count * channels; p++) {
    const [least, most] = [low[p % channels], high[p % channels]];
    for (let k = 0; k < height * width; k++, i++) x[i] = Math.min(most, Math.max(least, x[i]));
  }
}

function rootMeanSquare(values: Float32Array): number {
  let sum = 0;
  for (const v of values) sum += v * v;
  return Math.sqrt(sum / values.length);
}
