/**
 * A 3×3 convolution of stride 1 as Winograd's minimal filtering (kernels/winograd.ts), in three primitives' worth of graph:
 *
 *   x → winogradInput → [36, tiles, C]   ┐
 *   w → winogradWeight → [36, C, O]      ┴ matmul → [36, tiles, O] → winogradOutput → y
 *
 * It pays where the weights are the same from call to call, so that theirs is computed ahead, and where the pictures are large enough to pay
 * for reading four times the weights.
 */

import type { Node } from '../graph/node.js';
import { defineOp, record } from '../graph/op.js';
import { Storage } from '../graph/storage.js';
import {
  tilesOf,
  type WinogradSizes,
  winogradInputLowering,
  winogradOutputLowering,
  winogradPatch,
  winogradTile,
} from '../kernels/winograd.js';
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
  const [[images, channels, height, width], filters] = [x.shape, weight.shape[0]];
  if (channels % channelMultiple !== 0 || filters % channelMultiple !== 0) return null;
  const sizes: WinogradSizes = {
    images,
    channels,
    in: [height, width],
    out: [outShape[2], outShape[3]],
    before: [p.padding[0][0], p.padding[1][0]],
  };
  const products = matmul(record(winogradInputOp, [x], sizes), winogradWeight(weight));
  return record(winogradOutputOp, [products], { ...sizes, channels: filters });
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
  const places = winogradPatch ** 2;
  const direct = images * height * width * pairs * 9 + macsPerWeightByte * pairs * 9 * 4;
  const filtered =
    1.15 * places * tiles * pairs +
    macsPerWeightByte * places * pairs * 4 +
    macsPerTileByte * places * tiles * (channels + filters) * 4 * 2;
  return filtered < 0.8 * direct;
}

const tilesOfPicture = (s: WinogradSizes): number => s.images * tilesOf(s.out[0]) * tilesOf(s.out[1]);

/** [O, C, 3, 3] → [36, C, O]: G g Gᵀ for each pair of channels. */
function winogradWeight(weight: Node): Node {
  const [filters, channels] = weight.shape;
  const rows = reshape(weight, [filters * channels, 9]);
  const values = matmul(rows, buffer(new Storage([9, winogradPatch ** 2], 'float32', weightMatrix())));
  return permute(reshape(values, [filters, channels, winogradPatch ** 2]), [2, 1, 0]);
}

const G = [
  [1 / 4, 0, 0],
  [-1 / 6, -1 / 6, -1 / 6],
  [-1 / 6, 1 / 6, -1 / 6],
  [1 / 24, 1 / 12, 1 / 6],
  [1 / 24, -1 / 12, 1 / 6],
  [0, 0, 1],
];
const BT = [
  [4, 0, -5, 0, 1, 0],
  [0, -4, -4, 1, 1, 0],
  [0, 4, -4, -1, 1, 0],
  [0, -2, -1, 2, 1, 0],
  [0, 2, -1, -2, 1, 0],
  [0, 4, 0, -5, 0, 1],
];
const AT = [
  [1, 1, 1, 1, 1, 0],
  [0, 1, -1, 2, -2, 0],
  [0, 1, 1, 4, 4, 0],
  [0, 1, -1, 8, -8, 1],
];

/** [9, 36]: column (i, j) holds what each weight adds to (G g Gᵀ)[i, j]. */
function weightMatrix(): Float32Array {
  const places = winogradPatch ** 2;
  const matrix = new Float32Array(9 * places);
  for (let tap = 0; tap < 9; tap++) {
    for (let place = 0; place < places; place++) {
      const [i, j] = [Math.floor(place / winogradPatch), place % winogradPatch];
      matrix[tap * places + place] = G[i][Math.floor(tap / 3)] * G[j][tap % 3];
    }
  }
  return matrix;
}

/** x [N, C, H, W] → [36, tiles, C]: Bᵀ d B of every tile. */
export const winogradInputOp = defineOp<WinogradSizes>('winogradInput', {
  infer: (_, s) => ({ shape: [winogradPatch ** 2, tilesOfPicture(s), s.channels], dtype: 'float32' }),
  reference([x], s, out) {
    const data = new Float64Array(numel(out.shape));
    eachTile(s, (image, channel, tile, [top, left]) => {
      const patch = square(winogradPatch, (y, column) => {
        const [row, at] = [top - s.before[0] + y, left - s.before[1] + column];
        const inside = row >= 0 && row < s.in[0] && at >= 0 && at < s.in[1];
        return inside ? x.data[((image * s.channels + channel) * s.in[0] + row) * s.in[1] + at] : 0;
      });
      sandwich(BT, patch).forEach((value, place) => {
        data[(place * out.shape[1] + tile) * s.channels + channel] = value;
      });
    });
    return data;
  },
  lower: ({ inputs: [x], attrs }, target) => [winogradInputLowering(x.shape, attrs, target)],
});

/** [36, tiles, O] → [N, O, H', W']: Aᵀ m A of every tile; `channels` is O. */
export const winogradOutputOp = defineOp<WinogradSizes>('winogradOutput', {
  infer: (_, s) => ({ shape: [s.images, s.channels, ...s.out], dtype: 'float32' }),
  reference([m], s, out) {
    const data = new Float64Array(numel(out.shape));
    const tiles = tilesOfPicture(s);
    eachTile(s, (image, channel, tile, [top, left]) => {
      const products = square(
        winogradPatch,
        (y, column) => m.data[((y * winogradPatch + column) * tiles + tile) * s.channels + channel],
      );
      sandwich(AT, products).forEach((value, at) => {
        const [row, column] = [top + Math.floor(at / winogradTile), left + (at % winogradTile)];
        if (row >= s.out[0] || column >= s.out[1]) return;
        data[((image * s.channels + channel) * s.out[0] + row) * s.out[1] + column] = value;
      });
    });
    return data;
  },
  lower: ({ shape, attrs }, target) => [winogradOutputLowering(shape.length, attrs, target)],
});

/** Visits every tile of every channel, with the place of its first result. */
function eachTile(
  s: WinogradSizes,
  body: (image: number, channel: number, tile: number, at: readonly [number, number]) => void,
): void {
  const [rows, columns] = s.out.map(tilesOf);
  for (let image = 0; image < s.images; image++) {
    for (let channel = 0; channel < s.channels; channel++) {
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          body(image, channel, (image * rows + i) * columns + j, [i * winogradTile, j * winogradTile]);
        }
      }
    }
  }
}

function square(size: number, value: (y: number, x: number) => number): number[] {
  return Array.from({ length: size * size }, (_, at) => value(Math.floor(at / size), at % size));
}

/** M v Mᵀ, row by row, for the square matrix v that lies row by row. */
function sandwich(m: readonly (readonly number[])[], v: readonly number[]): number[] {
  const size = m[0].length;
  const half = m.map((row) =>
    Array.from({ length: size }, (_, x) => row.reduce((sum, factor, y) => sum + factor * v[y * size + x], 0)),
  );
  return half.flatMap((line) => m.map((row) => row.reduce((sum, factor, x) => sum + factor * line[x], 0)));
}
