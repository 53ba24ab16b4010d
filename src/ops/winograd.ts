/**
 * A 3×3 convolution of stride 1 as Winograd's minimal filtering F(4×4, 3×3), see kernels/winograd.ts:
 *
 *   w → winogradWeight → u [O, 36, C];   x, u → winogradConv → y
 *
 * It pays where the weights are the same from call to call, so that theirs is computed ahead, and where the pictures are large enough to pay
 * for reading four times the weights.
 */

import type { Node } from '../graph/node.js';
import { defineOp, record } from '../graph/op.js';
import { Storage } from '../graph/storage.js';
import { matrices, places, tilesOf, winogradLowering } from '../kernels/winograd.js';
import { numel, type Shape } from '../util/shape.js';
import { matmul } from './matmul.js';
import { permute, reshape } from './movement.js';
import { buffer } from './source.js';
import type { ConvParams } from './window.js';

/** The convolution of x with weight by minimal filtering, or null where that cannot be done. */
export function winogradConv(x: Node, weight: Node, p: ConvParams, outShape: Shape): Node | null {
  if (x.shape.length !== 4 || p.groups !== 1) return null;
  if ([...weight.shape.slice(2)].some((size) => size !== 3)) return null;
  if (p.stride.some((s) => s !== 1) || p.dilation.some((d) => d !== 1)) return null;
  if (x.shape[1] % channelMultiple !== 0 || weight.shape[0] % channelMultiple !== 0) return null;
  return record(winogradConvOp, [x, winogradWeight(weight)], { padding: p.padding, out: [outShape[2], outShape[3]] });
}

/** Blocks of channels are filled on every target. */
const channelMultiple = 16;

/** Multiply-adds in the time that a byte takes: of weights, read from memory once, and of the transformed tiles, which stay in cache. */
const macsPerWeightByte = 3;
const macsPerTileByte = 1;

/** Whether minimal filtering is the faster way for x [N, C, …] → [N, O, H', W']. */
export function winogradPays([, channels]: Shape, [images, filters, height, width]: Shape): boolean {
  const tiles = images * tilesOf(height) * tilesOf(width);
  const pairs = channels * filters;
  const direct = images * height * width * pairs * 9 + macsPerWeightByte * pairs * 9 * 4;
  const filtered =
    1.15 * places * tiles * pairs +
    macsPerWeightByte * places * pairs * 4 +
    macsPerTileByte * places * tiles * (channels + filters) * 4 * 2;
  return filtered < 0.8 * direct;
}

/** [O, C, 3, 3] → [O, 36, C]: G g Gᵀ for each pair of channels. */
function winogradWeight(weight: Node): Node {
  const [filters, channels] = weight.shape;
  const rows = reshape(weight, [filters * channels, 9]);
  const values = matmul(rows, buffer(new Storage([9, places], 'float32', weightMatrix())));
  return permute(reshape(values, [filters, channels, places]), [0, 2, 1]);
}

/** [9, 36]: column (i, j) holds what each weight adds to (G g Gᵀ)[i, j]. */
function weightMatrix(): Float32Array {
  const G = matrices.weights;
  const matrix = new Float32Array(9 * places);
  for (let tap = 0; tap < 9; tap++) {
    for (let place = 0; place < places; place++) {
      const [i, j] = [Math.floor(place / G.length), place % G.length];
      matrix[tap * places + place] = G[i][Math.floor(tap / 3)] * G[j][tap % 3];
    }
  }
  return matrix;
}

interface WinogradAttrs {
  readonly padding: ConvParams['padding'];
  /** H' and W'. */
  readonly out: readonly [number, number];
}

/** x [N, C, H, W], u [O, 36, C] → [N, O, H', W']: for each tile, Aᵀ (Σ over channels of u ⊙ Bᵀ d B) A. */
export const winogradConvOp = defineOp<WinogradAttrs>('winogradConv', {
  infer: ([x, u], { out }) => ({ shape: [x.shape[0], u.shape[0], ...out], dtype: 'float32' }),
  reference([x, u], { padding: [[top], [left]] }, out) {
    const [images, filters, height, width] = out.shape;
    const [, channels, rows, columns] = x.shape;
    const data = new Float64Array(numel(out.shape));
    const size = matrices.patches.length;
    const side = matrices.sums.length;
    for (let image = 0; image < images; image++) {
      for (let tile = 0; tile < tilesOf(height) * tilesOf(width); tile++) {
        const [i, j] = [Math.floor(tile / tilesOf(width)), tile % tilesOf(width)].map((t) => t * side);
        const patches = Array.from({ length: channels }, (_, channel) => {
          const patch = Array.from({ length: places }, (_, place) => {
            const [row, column] = [i - top + Math.floor(place / size), j - left + (place % size)];
            const inside = row >= 0 && row < rows && column >= 0 && column < columns;
            return inside ? x.data[((image * channels + channel) * rows + row) * columns + column] : 0;
          });
          return sandwich(matrices.patches, patch);
        });
        for (let filter = 0; filter < filters; filter++) {
          const sums = Array.from({ length: places }, (_, place) =>
            patches.reduce((sum, p, c) => sum + p[place] * u.data[(filter * places + place) * channels + c], 0),
          );
          sandwich(matrices.sums, sums).forEach((value, at) => {
            const [row, column] = [i + Math.floor(at / side), j + (at % side)];
            if (row >= height || column >= width) return;
            data[((image * filters + filter) * height + row) * width + column] = value;
          });
        }
      }
    }
    return data;
  },
  lower: ({ inputs: [x, u], attrs }, target) => [winogradLowering(x.shape, u.shape, attrs.padding, target)],
  macs: ({ inputs: [x, u], attrs }) => x.shape[0] * tilesOf(attrs.out[0]) * tilesOf(attrs.out[1]) * numel(u.shape),
});

/** M v Mᵀ, row by row, for the square matrix v that lies row by row. */
function sandwich(m: readonly (readonly number[])[], v: readonly number[]): number[] {
  const size = m[0].length;
  const half = m.map((row) =>
    Array.from({ length: size }, (_, x) => row.reduce((sum, factor, y) => sum + factor * v[y * size + x], 0)),
  );
  return half.flatMap((line) => m.map((row) => row.reduce((sum, factor, x) => sum + factor * line[x], 0)));
}
