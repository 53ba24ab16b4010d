/**
 * Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2015, arXiv:1509.09308): a 3×3 convolution of stride 1 as 36 matrix products, a
 * quarter of the multiplications. The picture is cut into tiles of 4×4 results, each made from 6×6 pixels d; with the weights g and one
 * matrix product for each of the 36 places over the channels,
 *
 *   result = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A
 *
 * Here are the kernels at both ends: Bᵀ d B for all tiles, [36, tiles, C], and Aᵀ m A from [36, tiles, O]. The matrices hold numbers up to 8
 * and so cost some accuracy: results are within about 1e-5 of the largest, where the direct sum is within 1e-6.
 */

import { blockedChannels, plain } from '../graph/layout.js';
import type { Lowering, TargetInfo } from '../graph/op.js';
import { affine, type I32, type KernelBuilder, type Ptr, type VF } from '../ir/index.js';
import type { Shape } from '../util/shape.js';
import { unravel } from './nest.js';

/** Results along each side of a tile, and pixels it is made from. */
export const winogradTile = 4;
export const winogradPatch = 6;

export interface WinogradSizes {
  readonly images: number;
  readonly channels: number;
  /** Of the picture, and of the result. */
  readonly in: readonly [number, number];
  readonly out: readonly [number, number];
  /** Rows and columns of zeros before the picture. */
  readonly before: readonly [number, number];
}

/** Tiles along an axis of the result. */
export const tilesOf = (size: number): number => Math.ceil(size / winogradTile);

const sizesKey = (s: WinogradSizes) =>
  `${s.images}x${s.channels}x${s.in.join('x')}_${s.out.join('x')}_p${s.before.join('x')}`;

/** Tiles that follow each other and use the same of their rows (or columns): `first` to `last` of the patch, of `results` to keep. */
interface Run {
  readonly from: number;
  readonly to: number;
  readonly first: number;
  readonly last: number;
  readonly results: number;
}

function runsAlong(out: number, size: number, before: number): Run[] {
  const runs: Run[] = [];
  for (let tile = 0; tile < tilesOf(out); tile++) {
    const start = tile * winogradTile - before;
    const first = Math.max(0, -start);
    const last = Math.min(winogradPatch, size - start) - 1;
    const results = Math.min(winogradTile, out - tile * winogradTile);
    const run = runs.at(-1);
    if (run !== undefined && run.first === first && run.last === last && run.results === results) {
      runs[runs.length - 1] = { ...run, to: tile + 1 };
    } else runs.push({ from: tile, to: tile + 1, first, last, results });
  }
  return runs;
}

/** Calls `body` for the tile in row `row`, column by column, with the runs its row and column belong to. */
function eachTile(k: KernelBuilder, s: WinogradSizes, row: I32, body: (rows: Run, columns: Run, column: I32) => void) {
  const columns = runsAlong(s.out[1], s.in[1], s.before[1]);
  const choose = (rows: readonly Run[]): void => {
    const [run, ...others] = rows;
    const inRun = () => {
      for (const c of columns) k.loop({ from: c.from, to: c.to }, (column) => body(run, c, column));
    };
    if (others.length === 0) inRun();
    else k.if(row.lt(k.i32(run.to)), inRun, () => choose(others));
  };
  choose(runsAlong(s.out[0], s.in[0], s.before[0]));
}

/** x [N, C, H, W] → [36, tiles, C]. The channels must fill their blocks. */
export function winogradInputLowering(x: Shape, s: WinogradSizes, { block }: TargetInfo): Lowering {
  const [tileRows, tileColumns] = s.out.map(tilesOf);
  const tiles = s.images * tileRows * tileColumns;
  const [height, width] = s.in;
  const blocks = s.channels / block;
  return {
    key: `winograd_input_${sizesKey(s)}`,
    inputs: [blockedChannels(x.length, block)],
    output: plain,
    coords: [winogradPatch ** 2, tiles, s.channels],
    epilogue: true,
    build(k, epilogue) {
      const source = k.param('x', 'f32');
      epilogue.params(k);
      k.tasks(s.images * tileRows * blocks, (task) => {
        const [image, row, channel] = unravel(k, task, [s.images, tileRows, blocks]);
        const plane = source.at(
          image
            .mul(blocks)
            .add(channel)
            .mul(height * width * block),
        );
        const top = row.mul(winogradTile).sub(s.before[0]);
        eachTile(k, s, row, (rows, columns, column) => {
          const left = column.mul(winogradTile).sub(s.before[1]);
          // From the first pixel inside: no address may lie before the picture.
          const corner = plane.at(top.add(rows.first).mul(width).add(left.add(columns.first)).mul(block));
          const tile = image.mul(tileRows).add(row).mul(tileColumns).add(column);
          for (let v = 0; v < block; v += k.lanes) {
            const pixel = (y: number, x: number): VF | null =>
              y < rows.first || y > rows.last || x < columns.first || x > columns.last
                ? null
                : k.load(corner, ((y - rows.first) * width + x - columns.first) * block + v);
            transformInput(k, pixel, (place, value) =>
              epilogue.emit(k, value, [place, tile, affine(channel.mul(block)).plus(v)]),
            );
          }
        });
      });
      return k.finish(`winograd_input_${sizesKey(s)}`);
    },
  };
}

/** m [36, tiles, O] → [N, O, H', W']; `s.channels` is O. */
export function winogradOutputLowering(rank: number, s: WinogradSizes, { block }: TargetInfo): Lowering {
  const [tileRows, tileColumns] = s.out.map(tilesOf);
  const tiles = s.images * tileRows * tileColumns;
  const [height, width] = s.out;
  const blocks = s.channels / block;
  return {
    key: `winograd_output_${sizesKey(s)}`,
    inputs: [plain],
    output: blockedChannels(rank, block),
    coords: [s.images, blocks, height * width, block],
    epilogue: true,
    build(k, epilogue) {
      const source = k.param('m', 'f32');
      epilogue.params(k);
      k.tasks(s.images * tileRows * blocks, (task) => {
        const [image, row, channel] = unravel(k, task, [s.images, tileRows, blocks]);
        eachTile(k, s, row, (rows, columns, column) => {
          const tile = image.mul(tileRows).add(row).mul(tileColumns).add(column);
          const products: Ptr<'f32'> = source.at(tile.mul(s.channels).add(channel.mul(block)));
          const start = row.mul(winogradTile * width).add(column.mul(winogradTile));
          for (let v = 0; v < block; v += k.lanes) {
            const product = (place: number): VF => k.load(products, place * tiles * s.channels + v);
            transformOutput(k, product, rows.results, columns.results, (y, x, value) =>
              epilogue.emit(k, value, [image, channel, affine(start).plus(y * width + x), v]),
            );
          }
        });
      });
      return k.finish(`winograd_output_${sizesKey(s)}`);
    },
  };
}

/** Bᵀ d B, rows of the result two by two where they share their sums, so that few values are live at once. Pixels outside are null, for 0. */
function transformInput(
  k: KernelBuilder,
  pixel: (y: number, x: number) => VF | null,
  emit: (place: number, value: VF) => void,
): void {
  for (const group of inputGroups) {
    const columns = range(winogradPatch).map((x) => group.make(k, (y) => pixel(y, x)));
    group.rows.forEach((row, i) => {
      for (const along of inputGroups) {
        const values = along.make(k, (x) => columns[x][i]);
        along.rows.forEach((column, j) => {
          emit(row * winogradPatch + column, values[j] ?? k.f32(0));
        });
      }
    });
  }
}

type Line = (at: number) => VF | null;

/** The rows of Bᵀ, those together that are the sum and the difference of two values. */
const inputGroups: readonly { readonly rows: readonly number[]; make(k: KernelBuilder, d: Line): (VF | null)[] }[] = [
  { rows: [0], make: (k, d) => [sum(k, [4, d(0)], [-5, d(2)], [1, d(4)])] },
  { rows: [1, 2], make: (k, d) => plusMinus(k, sum(k, [1, d(4)], [-4, d(2)]), 1, sum(k, [1, d(3)], [-4, d(1)])) },
  { rows: [3, 4], make: (k, d) => plusMinus(k, sum(k, [1, d(4)], [-1, d(2)]), 2, sum(k, [1, d(3)], [-1, d(1)])) },
  { rows: [5], make: (k, d) => [sum(k, [4, d(1)], [-5, d(3)], [1, d(5)])] },
];

/** Aᵀ m A, as far as results are kept; even and odd rows apart, which are made of the same sums. */
function transformOutput(
  k: KernelBuilder,
  product: (place: number) => VF,
  rows: number,
  columns: number,
  emit: (y: number, x: number, value: VF) => void,
): void {
  for (const first of [0, 1]) {
    const kept = [first, first + 2].filter((y) => y < rows);
    if (kept.length === 0) continue;
    const halves = range(winogradPatch).map((x) => outputLine(k, first, kept, (y) => product(y * winogradPatch + x)));
    kept.forEach((y, i) => {
      for (const along of [0, 1]) {
        const wanted = [along, along + 2].filter((x) => x < columns);
        const values = outputLine(k, along, wanted, (x) => halves[x][i]);
        wanted.forEach((x, j) => {
          emit(y, x, values[j]);
        });
      }
    });
  }
}

/** Of the rows 0 and 2, or 1 and 3, of Aᵀ those in `kept`. */
function outputLine(k: KernelBuilder, first: number, kept: readonly number[], m: (at: number) => VF): VF[] {
  const sign = first === 0 ? 1 : -1;
  const [m1, m2, m3, m4] = [m(1), m(2), m(3), m(4)];
  const near = sum(k, [1, m1], [sign, m2]);
  const far = sum(k, [1, m3], [sign, m4]);
  return kept.map((row) => {
    if (row === 0) return sum(k, [1, m(0)], [1, near], [1, far])!;
    if (row === 3) return sum(k, [1, m(5)], [1, near], [8, far])!;
    return sum(k, [1, near], [2 ** row, far])!;
  });
}

/** a + factor · b and a − factor · b. */
function plusMinus(k: KernelBuilder, a: VF | null, factor: number, b: VF | null): [VF | null, VF | null] {
  return [sum(k, [1, a], [factor, b]), sum(k, [1, a], [-factor, b])];
}

/** Σ factor · value; null stands for 0. */
function sum(k: KernelBuilder, ...terms: readonly (readonly [factor: number, value: VF | null])[]): VF | null {
  const some = terms
    .filter((t): t is readonly [number, VF] => t[1] !== null)
    .sort((a, b) => +(b[0] === 1) - +(a[0] === 1));
  if (some.length === 0) return null;
  const [[factor, value], ...rest] = some;
  let total = factor === 1 ? value : value.mul(factor);
  for (const [f, v] of rest) total = f === 1 ? total.add(v) : f === -1 ? total.sub(v) : total.fma(k.f32(f), v);
  return total;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
