/** Filters: the weights of a convolution as pictures. Those of a first layer are small pictures of what they look for. */

import type { Planes } from '../data/index.js';
import type { Module } from '../nn/index.js';
import { Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { colorize, enlarge, type GridOptions, pictureGrid } from './pictures.js';

export interface FilterOptions extends GridOptions {
  /** How many to show at most, default 64. */
  readonly count?: number;
  /** Filters are enlarged by a whole factor to about this many pixels. Default 36. */
  readonly size?: number;
}

export interface Filters {
  readonly path: string;
  /** [outputs, inputs / groups, height, width] */
  readonly shape: readonly number[];
  /** Filters of three inputs in colours; of others one picture for each pair of output and input, blue below 0 and red above. */
  readonly pictures: readonly Planes[];
  readonly grid: Planes;
}

/** Path of the first convolution over pictures in the model, or null. */
export function firstConvolution(model: Module): string | null {
  for (const [path, module] of model.namedModules()) if (weightOf(module) !== null) return path;
  return null;
}

/** The filters of the convolution at `path`, left out the model's first. @throws {ConfigError} where there is no 2-d convolution */
export async function filters(
  model: Module,
  path: string | null = firstConvolution(model),
  { count = 64, size = 36, ...grid }: FilterOptions = {},
): Promise<Filters> {
  const weight = path === null ? null : weightOf(model.get(path));
  if (path === null || weight === null) {
    throw new ConfigError(
      `filters: ${path === null ? 'the model' : path} has no filters [outputs, inputs, height, width] to draw`,
    );
  }
  const values = (await weight.data()) as Float32Array;
  const [outputs, inputs, height, width] = weight.shape;
  const area = height * width;
  const factor = Math.max(1, Math.round(size / Math.max(height, width)));
  const largest = (from: number, length: number) =>
    values.subarray(from, from + length).reduce((most, v) => Math.max(most, Math.abs(v)), 1e-30);
  const pictures: Planes[] = [];
  if (inputs === 3) {
    for (let o = 0; o < Math.min(outputs, count); o++) {
      const most = largest(o * 3 * area, 3 * area);
      const data = Uint8Array.from(values.subarray(o * 3 * area, (o + 1) * 3 * area), (v) =>
        Math.round(127.5 * (1 + v / most)),
      );
      pictures.push(enlarge({ data, shape: [3, height, width] }, factor));
    }
  } else {
    for (let i = 0; i < Math.min(outputs * inputs, count); i++) {
      const most = largest(i * area, area);
      const signed = values.subarray(i * area, (i + 1) * area).map((v) => 0.5 * (1 + v / most));
      pictures.push(enlarge(colorize(signed, [height, width], 'coolwarm'), factor));
    }
  }
  return { path, shape: weight.shape, pictures, grid: pictureGrid(pictures, grid) };
}

function weightOf(module: Module): Tensor | null {
  const { weight } = module as Module & { weight?: unknown };
  return weight instanceof Tensor && weight.ndim === 4 && weight.shape[2] * weight.shape[3] > 1 ? weight : null;
}
