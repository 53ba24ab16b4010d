/**
 * What the pooling kernels share: memory seen as planes of pixels, ranges of taps and of windows clipped to the tensor, and tasks.
 * A range with numbers for bounds is written out while building, one with a run-time bound becomes a loop, so the same body serves the
 * interior of a picture and its edges.
 */

import { blockedChannels, type Layout, plain } from '../graph/layout.js';
import type { TargetInfo } from '../graph/op.js';
import { type Affine, affine, type I32, type Index, type Int, type KernelBuilder, type Value } from '../ir/index.js';
import type { Shape } from '../util/shape.js';

export type Triple = readonly [d: number, h: number, w: number];

/** A window over three spatial axes; see `ops/window.ts`. */
export interface PoolWindow {
  readonly in: Triple;
  readonly out: Triple;
  readonly kernel: Triple;
  readonly stride: Triple;
  readonly padLo: Triple;
  readonly dilation: Triple;
}

/** Planes of pixels of `block` values each, worked on `width` at a time. */
export interface Planes {
  readonly layout: Layout;
  readonly images: number;
  /** Planes of an image: blocks of channels, or channels. */
  readonly blocks: number;
  readonly block: number;
  readonly width: number;
}

export function blockedPlanes(x: Shape, target: TargetInfo): Planes {
  return {
    layout: blockedChannels(x.length, target.block),
    images: x[0],
    blocks: Math.ceil(x[1] / target.block),
    block: target.block,
    width: target.lanes,
  };
}

/** Every channel a plane of its own, one element at a time. */
export function plainPlanes(x: Shape): Planes {
  return { layout: plain, images: x[0], blocks: x[1], block: 1, width: 1 };
}

export const pixels = (t: Triple): number => t[0] * t[1] * t[2];

/** The index space of results with these sizes. */
export function poolCoords(p: Planes, size: Triple): number[] {
  return p.block === 1 ? [p.images, p.blocks, pixels(size)] : [p.images, p.blocks, pixels(size), p.block];
}

export interface Range {
  readonly from: number | I32;
  readonly count: number | I32;
}

export function eachOf(k: KernelBuilder, r: Range, body: (i: number | I32) => void): void {
  if (typeof r.count === 'number') {
    for (let i = 0; i < r.count; i++) body(typeof r.from === 'number' ? r.from + i : r.from.add(i));
  } else {
    const { from } = r;
    k.loop({ from, to: typeof from === 'number' ? r.count.add(from) : from.add(r.count) }, body);
  }
}

/** True where no window reaches outside along the axis. */
export function neverClipped(w: PoolWindow, axis: number): boolean {
  return (
    w.padLo[axis] === 0 && (w.out[axis] - 1) * w.stride[axis] + (w.kernel[axis] - 1) * w.dilation[axis] < w.in[axis]
  );
}

/** All taps, written out if there are few. */
export function allTaps(k: KernelBuilder, taps: number, written: boolean): Range {
  return { from: 0, count: written ? taps : k.i32(taps) };
}

/** The taps of window `o` that fall inside the input. */
export function tapsInside(k: KernelBuilder, w: PoolWindow, axis: number, o: I32): { from: I32; count: I32 } {
  const dilation = w.dilation[axis];
  const start = o.mul(w.stride[axis]).sub(w.padLo[axis]);
  const zero = k.i32(0);
  const from = start
    .neg()
    .add(dilation - 1)
    .max(zero)
    .div(dilation);
  const to = start
    .neg()
    .add(w.in[axis] - 1 + dilation)
    .max(zero)
    .div(dilation)
    .min(k.i32(w.kernel[axis]));
  return { from, count: to.sub(from).max(zero) };
}

/** The windows whose span holds input i; with a dilation, some of them step over it. */
export function windowsOver(k: KernelBuilder, w: PoolWindow, axis: number, i: I32): { from: I32; count: I32 } {
  const at = i.add(w.padLo[axis]);
  const zero = k.i32(0);
  const stride = w.stride[axis];
  const from = at
    .sub((w.kernel[axis] - 1) * w.dilation[axis] - (stride - 1))
    .max(zero)
    .div(stride);
  const to = at.div(stride).add(1).min(k.i32(w.out[axis]));
  return { from, count: to.sub(from).max(zero) };
}

/** Σ indexᵢ · stepᵢ */
export function combine(indices: readonly (number | I32)[], steps: readonly number[]): Affine {
  let sum = affine(0);
  indices.forEach((i, d) => {
    sum = sum.plus(affine(i as Index).times(steps[d]));
  });
  return sum;
}

/** The run-time value of an affine index. */
export function indexValue(k: KernelBuilder, a: Affine): I32 {
  let sum: I32 | null = null;
  for (const t of a.terms) {
    const term = t.coefficient === 1 ? t.value : t.value.mul(t.coefficient);
    sum = sum === null ? term : sum.add(term);
  }
  return sum === null ? k.i32(a.constant) : sum.add(a.constant);
}

/** A scalar in each of `width` lanes. */
export function wide(k: KernelBuilder, v: Int, width: number): Int {
  return width === 1 ? v : (k.splat(v) as Value as Int);
}

/** Rows of planes dealt out: a unit is `rowsEach` rows of one plane, a task some units one after another. */
export interface Deal {
  readonly planes: number;
  readonly rowsEach: number;
  readonly groups: number;
  readonly unitsEach: number;
  readonly tasks: number;
}

/** How a deal may be cut. */
export interface DealLimits {
  /** Rows of a unit, at least and at most. */
  readonly least: number;
  readonly most: number;
  readonly rowBytes: number;
  /** Rather long tasks than many: each has scratch of its own. */
  readonly few: boolean;
}

/** Units and tasks of about 64 KiB, as long as there are eight tasks a thread. */
export function deal(planes: number, rows: number, limits: DealLimits, target: TargetInfo): Deal {
  const { least, most, rowBytes, few } = limits;
  const wanted = target.threads * 8;
  const taskRows = Math.ceil((64 * 1024) / rowBytes);
  const balanced = Math.ceil((planes * rows) / wanted);
  const rowsWanted = Math.max(1, least, Math.min(most, rows, few ? balanced : Math.min(balanced, taskRows)));
  const groups = Math.max(1, Math.ceil(rows / rowsWanted));
  const rowsEach = Math.ceil(rows / groups);
  const units = planes * groups;
  const unitsWanted = few
    ? Math.ceil(units / wanted)
    : Math.min(Math.floor(units / wanted), Math.floor(taskRows / rowsEach));
  const unitsEach = Math.max(1, unitsWanted);
  return { planes, rowsEach, groups, unitsEach, tasks: Math.ceil(units / unitsEach) };
}

/** Runs `body` for each unit of a task: which plane (of all images), and its rows. */
export function eachUnit(
  k: KernelBuilder,
  d: Deal,
  rows: number,
  body: (task: I32, plane: I32, from: I32, to: I32) => void,
): void {
  const units = d.planes * d.groups;
  k.tasks(d.tasks, (task) => {
    const first = task.mul(d.unitsEach);
    const unit = (u: I32) => {
      const plane = d.groups === 1 ? u : u.div(d.groups);
      const from = d.groups === 1 ? k.i32(0) : u.rem(d.groups).mul(d.rowsEach);
      const to = d.groups === 1 ? k.i32(rows) : from.add(d.rowsEach).min(k.i32(rows));
      body(task, plane, from, to);
    };
    if (d.unitsEach === 1) unit(task);
    else k.loop({ from: first, to: first.add(d.unitsEach).min(k.i32(units)) }, unit);
  });
}
