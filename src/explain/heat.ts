/**
 * Numbers of explanations turned into what is drawn: heat maps in 0 … 1. Class activation maps are treated as the package pytorch-grad-cam does (relu, to
 * 0 … 1, bilinear to the input's size, to 0 … 1 again); attributions of pixels lose their sign and their top per cent is cut, since a handful of
 * pixels would else leave the rest black.
 */

import { fromOwned, type Tensor } from '../tensor/index.js';
import { numel } from '../util/shape.js';

/** Below this a map counts as flat. pytorch-grad-cam's. */
const tiny = 1e-7;

/** Maps [N, h, w] of a layer → heat [N, height, width] in 0 … 1. Recorded only. */
export function camHeat(raw: Tensor, height: number, width: number): Tensor {
  const small = toUnit(raw.relu());
  const large = small.unsqueeze(1).interpolate({ size: [height, width], mode: 'bilinear' });
  return toUnit(large.reshape([raw.shape[0], height, width]));
}

/** Each map [N, h, w] moved and scaled into 0 … 1; a flat one becomes 0. */
function toUnit(maps: Tensor): Tensor {
  const moved = maps.sub(maps.amin([1, 2], { keepDims: true }));
  return moved.div(moved.amax([1, 2], { keepDims: true }).add(tiny));
}

/** How the channels of a pixel become one number: their sum without its sign (what adds up to the score), or the largest without its sign. */
export type PixelSum = 'sum' | 'max';

/** Attributions [N, C, H, W] → heat [N, H, W] in 0 … 1; 1 stands for the 99th percentile of each picture and above (Smilkov et al. 2017, section 3). */
export async function pixelHeat(attributions: Tensor, channels: PixelSum): Promise<Tensor> {
  const [n, , height, width] = attributions.shape;
  const combined = channels === 'sum' ? attributions.sum(1).abs() : attributions.abs().amax(1);
  const heat = Float32Array.from(await combined.data());
  const size = height * width;
  for (let i = 0; i < n; i++) {
    const map = heat.subarray(i * size, (i + 1) * size);
    const high = percentile(map, 0.99);
    for (let p = 0; p < size; p++) map[p] = high > 0 ? Math.min(1, map[p] / high) : 0;
  }
  return fromOwned(heat, [n, height, width], 'float32');
}

/** The value below which `share` of the values lie; of a map with few values above 0, the largest one. */
function percentile(values: Float32Array, share: number): number {
  const sorted = Float32Array.from(values).sort();
  const at = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return at > 0 ? at : sorted[sorted.length - 1];
}

/** One map of several as rows of numbers, and where its heat lies. */
export interface HeatSummary {
  readonly peak: { readonly x: number; readonly y: number };
  /** The middle of the heat, in pixels. */
  readonly center: { readonly x: number; readonly y: number };
  /** The smallest share of the picture that holds half of the heat: small for a sharp map. */
  readonly halfMass: number;
}

/** Numbers about a heat map [H, W]. */
export function summarizeHeat(
  map: ArrayLike<number>,
  [height, width]: readonly [height: number, width: number],
): HeatSummary {
  let [best, sum, sx, sy] = [0, 0, 0, 0];
  for (let i = 0; i < numel([height, width]); i++) {
    if (map[i] > map[best]) best = i;
    sum += map[i];
    sx += map[i] * (i % width);
    sy += map[i] * Math.floor(i / width);
  }
  const sorted = Float64Array.from(map).sort().reverse();
  let [held, count] = [0, 0];
  while (held < sum / 2 && count < sorted.length) held += sorted[count++];
  const middle = sum > 0 ? { x: sx / sum, y: sy / sum } : { x: (width - 1) / 2, y: (height - 1) / 2 };
  return { peak: { x: best % width, y: Math.floor(best / width) }, center: middle, halfMass: count / sorted.length };
}
