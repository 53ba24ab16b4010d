/**
 * Pooling over windows of one to three spatial axes, on planes of pixels: blocks of channels side by side, or single channels of a plain
 * tensor where there are few.
 *
 *   forward   a task scans the windows of some rows (`pool-scan.ts`)
 *   adjoint   a task collects, for some rows of the input, what their windows send (`pool-collect.ts`); for maxima it first scans the
 *             windows of those rows and keeps the positions of their maxima in scratch: small enough for the cache, used again and again.
 *             The usual maxima need no positions (`pool-spread.ts`, `pool-overlap.ts`)
 */

import type { Layout } from '../graph/layout.js';
import type { Epilogue, Lowering, TargetInfo } from '../graph/op.js';
import { type Affine, affine, type I32, type Kernel, type KernelBuilder, type Ptr, type Value } from '../ir/index.js';
import type { Shape } from '../util/shape.js';
import { pixelsAhead } from './ahead.js';
import { collectRow } from './pool-collect.js';
import { carriedRows, overlapsInput, rowsBefore, sendRows } from './pool-overlap.js';
import type { Looked } from './pool-run.js';
import { newScan, scanRow } from './pool-scan.js';
import {
  blockedPlanes,
  type Deal,
  deal,
  eachUnit,
  type Planes,
  type PoolWindow,
  pixels,
  plainPlanes,
  poolCoords,
  type Triple,
  windowsOver,
} from './pool-shape.js';
import { spreadNothing, spreadRow, tilesInput } from './pool-spread.js';

/** Looks through the windows of x [N, C, spatial…]; 'at' reads a second tensor g, which comes first: (g, x). */
export function poolLowerings(x: Shape, w: PoolWindow, looked: Looked, target: TargetInfo): Lowering[] {
  return waysOf(x, target).map((planes) => {
    const rowBytes = 4 * planes.block * (w.in[2] * w.stride[1] + w.out[2]);
    const rows = w.out[0] * w.out[1];
    const d = deal(planes.images * planes.blocks, rows, { least: 1, most: rows, rowBytes, few: false }, target);
    return {
      ...common(`pool_${looked}`, x, w, planes, w.out, d),
      inputs: looked === 'at' ? [planes.layout, planes.layout] : [planes.layout],
      build: (k, epilogue) => forwardKernel(k, w, looked, planes, d, epilogue),
    };
  });
}

/** Sends dy to all elements of its windows: (dy). Or to their maxima in x: (dy, x). */
export function poolGradLowerings(x: Shape, w: PoolWindow, to: 'all' | 'max', target: TargetInfo): Lowering[] {
  return waysOf(x, target).map((planes) => {
    if (to === 'max' && tilesInput(w)) return tiledLowering(x, w, planes, target);
    if (to === 'max' && overlapsInput(w) && sendsWell(w, planes)) return overlapLowering(x, w, planes, target);
    const rows = w.in[0] * w.in[1];
    const rowBytes = 8 * planes.block * w.in[2];
    const cut = to === 'all' ? { least: 1, most: rows } : rowsOfPositions(w, planes);
    const d = deal(planes.images * planes.blocks, rows, { ...cut, rowBytes, few: to === 'max' }, target);
    const span = (w.kernel[1] - 1) * w.dilation[1];
    const keptRows = d.groups === 1 ? w.out[0] * w.out[1] : Math.floor((d.rowsEach + span) / w.stride[1]) + 2;
    const kept = to === 'max' ? keptRows * w.out[2] * planes.block : 0;
    return {
      ...common(`pool_grad_${to}`, x, w, planes, w.in, d),
      inputs: to === 'max' ? [planes.layout, planes.layout] : [planes.layout],
      ...(kept > 0 ? { scratchBytes: 4 * kept * d.tasks } : {}),
      build: (k, epilogue) => gradKernel(k, w, to, planes, d, kept, epilogue),
    };
  });
}

/** The gradient of a maximum over windows side by side: each window sends to its own elements, at once. */
function tiledLowering(x: Shape, w: PoolWindow, planes: Planes, target: TargetInfo): Lowering {
  const rowBytes = 4 * planes.block * (2 * w.in[2] * w.stride[1] + w.out[2]);
  const d = deal(planes.images * planes.blocks, w.out[1], { least: 1, most: w.out[1], rowBytes, few: false }, target);
  return {
    ...common('pool_grad_tiled', x, w, planes, w.in, d),
    inputs: [planes.layout, planes.layout],
    build: (k, epilogue) => tiledKernel(k, w, planes, d, epilogue),
  };
}

/**
 * Whether windows that overlap do better without positions. Where a block is several vectors, each walks the rows by itself, which pays for
 * windows one apart only; those of single numbers side by side are many at a time where positions are kept.
 */
function sendsWell(w: PoolWindow, planes: Planes): boolean {
  const dense = w.stride[1] === 1 && w.stride[2] === 1;
  if (planes.block === 1) return w.stride[2] > 1;
  return dense || planes.block === planes.width;
}

/** … over windows that overlap: each sends to its own elements, and rows of sums that are not complete are kept for the next windows. */
function overlapLowering(x: Shape, w: PoolWindow, planes: Planes, target: TargetInfo): Lowering {
  const rowBytes = 4 * planes.block * (2 * w.in[2] * w.stride[1] + w.out[2]);
  const least = Math.min(w.out[1], 8 * rowsBefore(w) + 1);
  const d = deal(planes.images * planes.blocks, w.out[1], { least, most: w.out[1], rowBytes, few: true }, target);
  const kept = carriedRows(w) * w.in[2] * planes.block;
  return {
    ...common('pool_grad_overlap', x, w, planes, w.in, d),
    inputs: [planes.layout, planes.layout],
    scratchBytes: 4 * Math.max(1, kept) * d.tasks,
    build: (k, epilogue) => overlapKernel(k, w, planes, d, kept, epilogue),
  };
}

/** Positions a task keeps at a time, in bytes. */
const positionBytes = 96 * 1024;

/** Rows of the input whose windows' positions fit. Planes with depth are not cut: their windows reach far. */
function rowsOfPositions(w: PoolWindow, planes: Planes): { least: number; most: number } {
  const rows = w.in[0] * w.in[1];
  if (w.in[0] !== 1 || w.out[0] !== 1) return { least: rows, most: rows };
  const windowRows = Math.ceil(positionBytes / (4 * planes.block * w.out[2]));
  // Windows at a cut are scanned on both sides.
  const overlap = (w.kernel[1] - 1) * w.dilation[1];
  return { least: Math.min(rows, 4 * overlap + 1), most: windowRows * w.stride[1] };
}

/** Fewer channels than this are most likely a picture, that lies plain already. */
const fewChannels = 4;

function waysOf(x: Shape, target: TargetInfo): Planes[] {
  const [blocked, plain] = [blockedPlanes(x, target), plainPlanes(x)];
  return x[1] < fewChannels ? [plain, blocked] : [blocked, plain];
}

function common(name: string, x: Shape, w: PoolWindow, planes: Planes, size: Triple, d: Deal) {
  const axis = (i: number) => `${w.in[i]}k${w.kernel[i]}s${w.stride[i]}d${w.dilation[i]}p${w.padLo[i]}to${w.out[i]}`;
  const output: Layout = planes.layout;
  return {
    key: `${name}_${x[0]}x${x[1]}b${planes.block}_${[0, 1, 2].map(axis).join('_')}_${d.rowsEach}x${d.unitsEach}`,
    output,
    coords: poolCoords(planes, size),
    epilogue: true,
  };
}

/** Hands the vector that begins at a lane of a pixel's block to the epilogue. */
type EmitLane = (pixel: I32 | Affine, lane: number | I32, value: Value) => void;
/** Hands vector `v` of a pixel's block to the epilogue. */
type Emit = (pixel: I32 | Affine, v: number, value: Value) => void;

function emitLaneTo(
  k: KernelBuilder,
  planes: Planes,
  epilogue: Epilogue,
  plane: I32,
  { expected }: { expected: boolean },
): EmitLane {
  const [image, block] = [plane.div(planes.blocks), plane.rem(planes.blocks)];
  const coords = (pixel: I32 | Affine, lane: number | I32) =>
    planes.block === 1 ? [image, block, pixel] : [image, block, pixel, lane];
  return (pixel, lane, value) => {
    epilogue.emit(k, value, coords(pixel, lane));
    if (expected && planes.block > 1) epilogue.expect?.(k, coords(affine(pixel).plus(pixelsAhead(planes.block)), lane));
  };
}

/** With `expected`, results are called for ahead. */
function emitTo(
  k: KernelBuilder,
  planes: Planes,
  epilogue: Epilogue,
  plane: I32,
  how: { expected: boolean } = { expected: false },
): Emit {
  const emit = emitLaneTo(k, planes, epilogue, plane, how);
  return (pixel, v, value) => emit(pixel, v * planes.width, value);
}

const planeAt = <E extends 'f32'>(p: Ptr<E>, planes: Planes, plane: I32, size: Triple): Ptr<E> =>
  p.at(affine(plane).times(pixels(size) * planes.block));

function forwardKernel(
  k: KernelBuilder,
  w: PoolWindow,
  looked: Looked,
  planes: Planes,
  d: Deal,
  epilogue: Epilogue,
): Kernel {
  const g = looked === 'at' ? k.param('g', 'f32') : null;
  const x = k.param('x', 'f32');
  epilogue.params(k);
  eachUnit(k, d, w.out[0] * w.out[1], (_task, plane, from, to) => {
    const emit = emitTo(k, planes, epilogue, plane);
    const planeOf = (p: Ptr<'f32'>) => planeAt(p, planes, plane, w.in);
    const scan = newScan(k, { window: w, planes, looked, x: planeOf(x), other: g === null ? null : planeOf(g) }, from);
    k.loop({ from, to }, (row) => {
      const [od, oh] = w.out[0] === 1 ? [k.i32(0), row] : [row.div(w.out[1]), row.rem(w.out[1])];
      const line = row.mul(w.out[2]);
      scanRow(k, scan, od, oh, (ow, shift, v, value) => emit(affine(line.add(ow)).plus(shift), v, value));
    });
  });
  return k.finish(`pool_${looked}_${epilogue.key}`);
}

function gradKernel(
  k: KernelBuilder,
  w: PoolWindow,
  sentTo: 'all' | 'max',
  planes: Planes,
  d: Deal,
  kept: number,
  epilogue: Epilogue,
): Kernel {
  const dy = k.param('dy', 'f32');
  const x = sentTo === 'max' ? k.param('x', 'f32') : null;
  const scratch = kept > 0 ? k.param('positions', 'i32') : null;
  epilogue.params(k);
  eachUnit(k, d, w.in[0] * w.in[1], (task, plane, from, to) => {
    let firstWindow = k.i32(0);
    const positions = scratch?.at(affine(task).times(kept)) ?? null;
    if (positions !== null) {
      const firstRow = d.groups > 1 ? windowsOver(k, w, 1, from).from : k.i32(0);
      const looked = {
        window: w,
        planes,
        looked: 'position' as const,
        x: planeAt(x!, planes, plane, w.in),
        other: null,
      };
      const scan = newScan(k, looked, firstRow);
      const last = d.groups > 1 ? windowsOver(k, w, 1, to.sub(1)) : null;
      const endRow = last === null ? k.i32(w.out[0] * w.out[1]) : last.from.add(last.count);
      firstWindow = firstRow.mul(w.out[2]);
      k.loop({ from: firstRow, to: endRow }, (row) => {
        const [od, oh] = w.out[0] === 1 ? [k.i32(0), row] : [row.div(w.out[1]), row.rem(w.out[1])];
        const line = row.sub(firstRow).mul(w.out[2]);
        scanRow(k, scan, od, oh, (ow, shift, v, value) => {
          const at = affine(line.add(ow)).plus(shift).times(planes.block);
          k.store(positions, at.plus(v * planes.width), value);
        });
      });
    }
    const emit = emitTo(k, planes, epilogue, plane);
    const collect = { window: w, planes, dy: planeAt(dy, planes, plane, w.out), positions, firstWindow };
    k.loop({ from, to }, (row) => {
      const [id, ih] = w.in[0] === 1 ? [k.i32(0), row] : [row.div(w.in[1]), row.rem(w.in[1])];
      const first = row.mul(w.in[2]);
      collectRow(k, collect, id, ih, (iw, shift, v, value) => emit(affine(first.add(iw)).plus(shift), v, value));
    });
  });
  return k.finish(`pool_grad_${sentTo}_${epilogue.key}`);
}

function overlapKernel(
  k: KernelBuilder,
  w: PoolWindow,
  planes: Planes,
  d: Deal,
  kept: number,
  epilogue: Epilogue,
): Kernel {
  const dy = k.param('dy', 'f32');
  const x = k.param('x', 'f32');
  const scratch = k.param('carry', 'f32');
  epilogue.params(k);
  eachUnit(k, d, w.out[1], (task, plane, from, to) => {
    const windows = {
      window: w,
      planes,
      dy: planeAt(dy, planes, plane, w.out),
      x: planeAt(x, planes, plane, w.in),
      carry: scratch.at(affine(task).times(kept)),
    };
    sendRows(k, windows, from, to, emitLaneTo(k, planes, epilogue, plane, { expected: true }));
  });
  return k.finish(`pool_grad_overlap_${epilogue.key}`);
}

function tiledKernel(k: KernelBuilder, w: PoolWindow, planes: Planes, d: Deal, epilogue: Epilogue): Kernel {
  const dy = k.param('dy', 'f32');
  const x = k.param('x', 'f32');
  epilogue.params(k);
  eachUnit(k, d, w.out[1], (_task, plane, from, to) => {
    const emit = emitTo(k, planes, epilogue, plane, { expected: true });
    const tiles = { window: w, planes, dy: planeAt(dy, planes, plane, w.out), x: planeAt(x, planes, plane, w.in) };
    k.loop({ from, to }, (oh) => spreadRow(k, tiles, oh, emit));
    k.if(to.eq(w.out[1]), () => spreadNothing(k, tiles, emit));
  });
  return k.finish(`pool_grad_tiled_${epilogue.key}`);
}
