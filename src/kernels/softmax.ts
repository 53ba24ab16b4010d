/**
 * softmax and log-softmax along one axis, in one kernel: for each line the maximum, then the sum of exponentials, then the results. A line is
 * read three times but comes from memory once. A NaN need not become the maximum: the sum has it anyway. Lanes run along the line where its
 * elements lie side by side, else across lines.
 */

import { plain } from '../graph/layout.js';
import type { LanePart, Lowering } from '../graph/op.js';
import { type Affine, affine, type F, type I32, type Index, type KernelBuilder, type Ptr } from '../ir/index.js';
import { numel, type Shape } from '../util/shape.js';
import * as math from './math.js';
import { unravel } from './nest.js';

/** Elements one task should handle, and how many tasks are enough where each needs scratch. */
const taskElements = 8192;
const mostTasks = 64;

export function softmaxLowering(shape: Shape, axis: number, log: boolean): Lowering {
  const [outer, size, inner] = [numel(shape.slice(0, axis)), shape[axis], numel(shape.slice(axis + 1))];
  // Exponentials of one line wait until their sum is known; where lines lie across each other, they are computed twice.
  const waits = !log && inner === 1 && size >= 16;
  const perTask = Math.max(1, Math.floor(taskElements / Math.max(1, size * inner)));
  const group = Math.max(perTask, waits ? Math.ceil(outer / mostTasks) : 1);
  const tasks = numel(shape) === 0 ? 0 : Math.ceil(outer / group);
  const waitingFloats = waits ? Math.ceil(size / 16) * 16 : 0;
  const name = `${log ? 'log_softmax' : 'softmax'}_${outer}x${size}x${inner}`;
  return {
    key: name,
    inputs: [plain],
    output: plain,
    coords: inner === 1 ? [outer, size] : [outer, size, inner],
    epilogue: true,
    ...(waits && tasks > 0 ? { scratchBytes: tasks * waitingFloats * 4 } : {}),
    build(k, epilogue) {
      const x = k.param('x', 'f32');
      const scratch = waits && tasks > 0 ? k.param('powers', 'f32') : null;
      epilogue.params(k);
      // Tensors of few, long lines side by side are shared out along the lines as well.
      const columns = inner === 1 ? 1 : Math.ceil(inner / k.lanes);
      const columnsEach = Math.max(1, Math.floor(taskElements / Math.max(1, size * k.lanes)));
      const parts = group > 1 ? 1 : Math.ceil(columns / columnsEach);
      k.tasks(tasks * parts, (task) => {
        const [g, part] = unravel(k, task, [tasks, parts]);
        const first = g.mul(group);
        const range = { from: part.mul(columnsEach), to: part.add(1).mul(columnsEach).min(k.i32(columns)) };
        k.loop({ from: first, to: first.add(group).min(k.i32(outer)) }, (o) => {
          const at = x.at(affine(o).times(size * inner));
          if (inner === 1) {
            const powers = scratch?.at(affine(task).times(waitingFloats)) ?? null;
            alongLine(k, at, size, log, powers, (i, value, lanes) => epilogue.emit(k, value, [o, i], lanes));
            return;
          }
          const column = (j: Affine, width: number, lanes?: LanePart) =>
            acrossLines(k, at.at(j), size, inner, width, log, (i, value) => epilogue.emit(k, value, [o, i, j], lanes));
          if (inner < k.lanes) for (let j = 0; j < inner; j++) column(affine(j), 1);
          else {
            const whole = Math.floor(inner / k.lanes);
            k.loop(parts === 1 ? columns : range, (c) => {
              const vector = () => column(affine(c).times(k.lanes), k.lanes);
              const count = inner - whole * k.lanes;
              if (count === 0) vector();
              else k.if(c.lt(whole), vector, () => column(affine(inner - k.lanes), k.lanes, { first: k.lanes - count, count })); // biome-ignore format: one thought
            });
          }
        });
      });
      return k.finish(name);
    },
  };
}

/** The factor, or what to take off, that turns e^(x − max), or x − max, into results. */
function ending(k: KernelBuilder, sum: F, log: boolean): F {
  return log ? math.log(k, sum) : k.f32(1, sum.width).div(sum);
}

function result(k: KernelBuilder, shifted: F, end: F, log: boolean): F {
  return log ? shifted.sub(end) : math.expOfNegative(k, shifted).mul(end);
}

type Emit = (i: Index, value: F, part?: LanePart) => void;

/** One line whose elements lie side by side. Exponentials may wait in `powers`. */
function alongLine(
  k: KernelBuilder,
  x: Ptr<'f32'>,
  size: number,
  log: boolean,
  powers: Ptr<'f32'> | null,
  emit: Emit,
): void {
  const { lanes } = k;
  if (size < lanes) {
    shortLine(k, x, size, log, emit);
    return;
  }
  const whole = Math.floor(size / lanes);
  const count = size - whole * lanes;
  // The last vector ends with the line and shares lanes with the one before it.
  const last = { at: size - lanes, part: { first: lanes - count, count } };
  const chains = Math.min(4, whole);
  const eachVector = (body: (at: Index, chain: number) => void) => {
    const bulk = whole - (whole % chains);
    k.loop({ to: bulk, step: chains }, (i) => {
      for (let c = 0; c < chains; c++) body(affine(i).plus(c).times(lanes), c);
    });
    for (let v = bulk; v < whole; v++) body(v * lanes, v - bulk);
  };
  const maxima = Array.from({ length: chains }, () => k.var(k.load(x)));
  eachVector((at, c) => maxima[c].set(maxima[c].value.pmax(k.load(x, at))));
  if (count > 0) maxima[0].set(maxima[0].value.pmax(k.load(x, last.at)));
  const max = k.splat(k.maxLanes(maxima.map((m) => m.value).reduce((a, b) => a.pmax(b))));
  const sums = Array.from({ length: chains }, () => k.zero());
  const power = (at: Index): F => {
    const y = math.expOfNegative(k, k.load(x, at).sub(max));
    if (powers !== null) k.store(powers, at, y);
    return y;
  };
  eachVector((at, c) => {
    k.prefetch(x, affine(at).plus(size), 1); // the next line, which would else be waited for when this one is done
    sums[c].addTo(power(at));
  });
  if (count > 0) sums[0].addTo(k.select(k.iota().ge(last.part.first), power(last.at), 0));
  const end = k.splat(ending(k, k.sumLanes(sums.map((s) => s.value).reduce((a, b) => a.add(b))), log));
  const finish = (at: Index) =>
    powers !== null ? k.load(powers, at).mul(end) : result(k, k.load(x, at).sub(max), end, log);
  eachVector((at) => emit(at, finish(at)));
  if (count > 0) emit(last.at, finish(last.at), last.part);
}

/** Fewer elements than lanes: they are gathered into one vector. */
function shortLine(k: KernelBuilder, x: Ptr<'f32'>, size: number, log: boolean, emit: Emit): void {
  const { lanes } = k;
  const elements = Array.from({ length: size }, (_, i) => k.load(x, i, 1));
  const max = elements.reduce((a, b) => a.pmax(b));
  const shifted = k.lanesOf(Array.from({ length: lanes }, (_, i) => elements[i] ?? elements[0])).sub(k.splat(max));
  const counted = k.select(k.iota().lt(size), math.expOfNegative(k, shifted), 0);
  const end = k.splat(ending(k, k.sumLanes(counted), log));
  const values = log ? shifted.sub(end) : counted.mul(end);
  for (let i = 0; i < size; i++) emit(i, values.lane(i));
}

/** `width` lines side by side, their elements `stride` apart. */
function acrossLines(
  k: KernelBuilder,
  x: Ptr<'f32'>,
  size: number,
  stride: number,
  width: number,
  log: boolean,
  emit: Emit,
): void {
  const at = (i: I32) => affine(i).times(stride);
  const max = k.var(k.load(x, 0, width));
  k.loop({ from: 1, to: size }, (i) => max.set(max.value.pmax(k.load(x, at(i), width))));
  const sum = k.zero(width);
  k.loop(size, (i) => sum.addTo(math.expOfNegative(k, k.load(x, at(i), width).sub(max.value))));
  const end = k.var(ending(k, sum.value, log));
  k.loop(size, (i) => emit(i, result(k, k.load(x, at(i), width).sub(max.value), end.value, log)));
}
