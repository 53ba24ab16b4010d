/**
 * The adjoint of looking through windows, gathered: each element of the input adds up the gradients of the windows that hold it — of all of
 * them for sums, for maxima of those whose maximum it is, known by its position. So every element is written once, by one task.
 */

import { affine, type Float, type I32, type KernelBuilder, type Ptr, type Value } from '../ir/index.js';
import { callAhead } from './ahead.js';
import {
  combine,
  eachOf,
  indexValue,
  type Planes,
  type PoolWindow,
  type Range,
  wide,
  windowsOver,
} from './pool-shape.js';

export interface Collect {
  readonly window: PoolWindow;
  readonly planes: Planes;
  /** The plane of gradients. */
  readonly dy: Ptr<'f32'>;
  /** Positions of the maxima of windows `firstWindow` …, or null for sums. */
  readonly positions: Ptr<'i32'> | null;
  readonly firstWindow: I32;
}

/** Takes vector `v` of the block of pixel `iw` + `shift` of the row. */
export type Collected = (iw: I32, shift: number, v: number, value: Value) => void;

/** Windows over an element along an axis, at most, to be written out. */
const writtenWindows = 4;

/** Pixels collected together, about. */
const pixelsEach = 4;

/** Collects the elements of one row of the input. */
export function collectRow(k: KernelBuilder, c: Collect, id: I32, ih: I32, done: Collected): void {
  const { window: w } = c;
  const flat = w.in[0] === 1 && w.out[0] === 1;
  const deep = flat ? { from: 0, count: 1 } : windowsOver(k, w, 0, id);
  const high = windowsOver(k, w, 1, ih);
  const row = id.mul(w.in[1]).add(ih).mul(w.in[2]);
  const inside = columnsInside(w);
  const columns = (rows: readonly Range[]) => {
    const edge = (iw: I32) => {
      const sums = collectPixel(k, c, [id, ih, iw], row.add(iw), [...rows, windowsOver(k, w, 2, iw)]);
      for (const [v, sum] of sums.entries()) done(iw, 0, v, sum);
    };
    if (inside === null || rows.some((r) => typeof r.count !== 'number')) {
      k.loop(w.in[2], edge);
      return;
    }
    const [stride, padLo] = [w.stride[2], w.padLo[2]];
    const lines = linesOf(k, c, rows[1]);
    k.loop({ from: 0, to: inside.from * stride - padLo }, edge);
    const strides = Math.max(1, Math.floor(pixelsEach / stride));
    // Where pixels are single numbers, neighbouring ones fill the lanes.
    const lanes = c.planes.block === 1 && stride === 1 ? k.lanes : 1;
    const along = lanes === 1 ? inside.from : inside.to - ((inside.to - inside.from) % lanes);
    const whole = inside.to - ((inside.to - along) % strides);
    const collect = (n: number) => (last: I32) => collectStrides(k, c, lines, row, last, n, done);
    k.loop({ from: inside.from, to: along, step: lanes }, (last) => collectLanes(k, w, lines, row, last, lanes, done));
    k.loop({ from: along, to: whole, step: strides }, collect(strides));
    k.loop({ from: whole, to: inside.to }, collect(1));
    k.loop({ from: inside.to * stride - padLo, to: w.in[2] }, edge);
  };
  // The windows of most rows are few, and written out.
  const known = (count: number): void => {
    if (count === 0) columns([deep, high]);
    else
      k.if(
        high.count.eq(count),
        () => columns([deep, { from: high.from, count }]),
        () => known(count - 1),
      );
  };
  const most = Math.ceil(w.kernel[1] / w.stride[1]);
  known(flat && w.dilation[1] === 1 && most < writtenWindows ? most : 0);
}

/** A row of windows. */
interface Line {
  readonly dy: Ptr<'f32'>;
  readonly positions: Ptr<'i32'> | null;
}

function linesOf(k: KernelBuilder, c: Collect, rows: Range): Line[] {
  const lines: Line[] = [];
  eachOf(k, rows, (oh) => {
    const first = indexValue(k, affine(oh).times(c.window.out[2]));
    lines.push({
      dy: c.dy.at(affine(first).times(c.planes.block)),
      positions: c.positions?.at(affine(first.sub(c.firstWindow)).times(c.planes.block)) ?? null,
    });
  });
  return lines;
}

/** Collects the pixels whose last window is `last` or one of the `strides` − 1 next, a stride of pixels each; all their windows are there. */
function collectStrides(
  k: KernelBuilder,
  c: Collect,
  lines: readonly Line[],
  row: I32,
  last: I32,
  strides: number,
  done: Collected,
): void {
  const { window: w, planes } = c;
  const { width, block } = planes;
  const stride = w.stride[2];
  const most = windowsOfResidue(w, 0);
  const first = last.sub(most - 1);
  const pixel = last.mul(stride).sub(w.padLo[2]);
  const place = c.positions === null ? null : wide(k, row.add(pixel), width);
  const newest = lines[lines.length - 1];
  if (newest !== undefined) callAhead(k, newest.dy, affine(first).times(block), strides * block);
  for (let v = 0; v < block / width; v++) {
    // Neighbouring pixels share their windows.
    const windows = lines.map((line) =>
      Array.from({ length: most + strides - 1 }, (_, j) => {
        const at = affine(first)
          .times(block)
          .plus(j * block + v * width);
        return {
          dy: k.load(line.dy, at, width),
          position: line.positions === null ? null : k.load(line.positions, at, width),
        };
      }),
    );
    for (let i = 0; i < strides * stride; i++) {
      const mine = place?.add(i) ?? null;
      const after = Math.floor(i / stride) + most;
      let sum: Float | null = null;
      for (const line of windows) {
        for (const { dy, position } of line.slice(after - windowsOfResidue(w, i % stride), after)) {
          const part = mine === null ? dy : k.select<Float>(position!.eq(mine), dy, 0);
          sum = sum === null ? part : sum.add(part);
        }
      }
      done(pixel, i, v, sum ?? k.f32(0, width));
    }
  }
}

/** Collects for `lanes` pixels side by side, the first of which has `last` as its last window. */
function collectLanes(
  k: KernelBuilder,
  w: PoolWindow,
  lines: readonly Line[],
  row: I32,
  last: I32,
  lanes: number,
  done: Collected,
): void {
  const most = windowsOfResidue(w, 0);
  const pixel = last.sub(w.padLo[2]);
  const mine = k.splat(row.add(pixel)).add(k.iota());
  const parts = lines.flatMap(({ dy, positions }) =>
    Array.from({ length: most }, (_, j) => {
      const at = affine(last).plus(j + 1 - most);
      const part = k.load(dy, at, lanes);
      return positions === null ? part : k.select<Float>(k.load(positions, at, lanes).eq(mine), part, 0);
    }),
  );
  done(pixel, 0, 0, parts.length === 0 ? k.f32(0, lanes) : parts.reduce((a, b) => a.add(b)));
}

/** Windows over an inner input column whose distance from the start of its last window is `r`. */
function windowsOfResidue(w: PoolWindow, r: number): number {
  return Math.max(0, Math.ceil((w.kernel[2] - r) / w.stride[2]));
}

/** Last windows of the columns that have all their windows inside; null where columns are too various to be written out. */
function columnsInside(w: PoolWindow): { from: number; to: number } | null {
  const stride = w.stride[2];
  const most = windowsOfResidue(w, 0);
  if (w.dilation[2] !== 1 || stride > 4 || most > writtenWindows) return null;
  const from = Math.max(most - 1, Math.ceil(w.padLo[2] / stride));
  const to = Math.min(w.out[2], Math.floor((w.in[2] - stride + w.padLo[2]) / stride) + 1);
  return from < to ? { from, to } : null;
}

function collectPixel(
  k: KernelBuilder,
  c: Collect,
  at: readonly I32[],
  place: I32,
  windows: readonly Range[],
): Value[] {
  const { window: w, planes, positions } = c;
  const { width, block } = planes;
  const vectors = block / width;
  const sums = Array.from({ length: vectors }, () => k.zero(width));
  const mine = positions === null ? null : wide(k, place, width);
  const steps = [w.out[1] * w.out[2], w.out[2], 1];
  // Sums must leave out windows that step over the element; maxima find that out by themselves.
  const stepsOver = positions === null ? [0, 1, 2].filter((axis) => w.dilation[axis] > 1) : [];
  eachOf(k, windows[0], (od) => {
    eachOf(k, windows[1], (oh) => {
      eachOf(k, windows[2], (ow) => {
        const o = [od, oh, ow];
        const window = combine(o, steps);
        const add = () => {
          for (let v = 0; v < vectors; v++) {
            let dy: Float = k.load(c.dy, window.times(block).plus(v * width), width);
            if (positions !== null) {
              const position = k.load(
                positions,
                window
                  .plus(affine(c.firstWindow).times(-1))
                  .times(block)
                  .plus(v * width),
                width,
              );
              dy = k.select<Float>(position.eq(mine!), dy, 0);
            }
            sums[v].addTo(dy);
          }
        };
        let touches: I32 | null = null;
        for (const axis of stepsOver) {
          const start = indexValue(k, affine(o[axis]).times(w.stride[axis]));
          const meets = at[axis].add(w.padLo[axis]).sub(start).rem(w.dilation[axis]).eq(0);
          touches = touches === null ? meets : touches.and(meets);
        }
        if (touches === null) add();
        else k.if(touches, add);
      });
    });
  });
  return sums.map((s) => s.value);
}
