/** UMAP by the package umap-js: points of many dimensions drawn in two so that neighbours stay neighbours. Seeded. */

import { Random } from '../data/index.js';
import { ConfigError } from '../util/errors.js';

export interface UmapOptions {
  readonly dimensions?: number;
  /** How many neighbours decide where a point goes: few show fine structure, many the whole. Default 15. */
  readonly neighbors?: number;
  /** How close points may lie, default 0.1. */
  readonly minDistance?: number;
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * points [count, features] → [count, dimensions]. @throws {ConfigError} for fewer points than neighbours
 * Source: McInnes, Healy and Melville 2018, arXiv:1802.03426.
 */
export async function umap(
  points: ArrayLike<number>,
  [count, features]: readonly [count: number, features: number],
  { dimensions = 2, neighbors = 15, minDistance = 0.1, seed = 0, onProgress }: UmapOptions = {},
): Promise<Float64Array> {
  if (count <= neighbors)
    throw new ConfigError(`umap: ${count} points are too few for ${neighbors} neighbours; pass fewer neighbors`);
  const { UMAP } = await import('umap-js');
  const random = new Random(seed);
  const fit = new UMAP({
    nComponents: dimensions,
    nNeighbors: neighbors,
    minDist: minDistance,
    random: () => random.uniform(),
  });
  const rows = Array.from({ length: count }, (_, i) =>
    Array.from({ length: features }, (_, j) => points[i * features + j]),
  );
  const epochs = fit.initializeFit(rows);
  for (let epoch = 0; epoch < epochs; epoch++) {
    fit.step();
    onProgress?.(epoch + 1, epochs);
    if (epoch % 10 === 9) await new Promise((resolve) => setTimeout(resolve)); // a page stays alive
  }
  return Float64Array.from(fit.getEmbedding().flat());
}
