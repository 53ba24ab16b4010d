/**
 * Kernels that follow data: gather, scatter-add, sorting, running sums. All work on plain memory, element by element, with an axis seen as
 * outer × size × inner. Indices outside their axis touch no memory: gather gives 0 there and scatter-add drops the element.
 */

import { plain } from '../graph/layout.js';
import type { Lowering } from '../graph/op.js';
import type { F, I32, Int, KernelBuilder, Ptr, Value } from '../ir/index.js';
import type { DType } from '../util/dtype.js';
import { contiguousStrides, numel, type Shape } from '../util/shape.js';
import { elemOf } from './fused.js';
import { unravel } from './nest.js';

const taskElements = 4096;

/** out[m] = x[m with m[axis] replaced by index[m]] for every m of `index`. */
export function gatherLowering(x: Shape, index: Shape, axis: number, dtype: DType): Lowering {
  const n = numel(index);
  const strides = contiguousStrides(x);
  return {
    key: `gather_${x.join('x')}_${index.join('x')}_${axis}_${dtype}`,
    inputs: [plain, plain],
    output: plain,
    coords: [n],
    epilogue: true,
    build(k, epilogue) {
      const source = k.param('x', elemOf(dtype));
      const at = k.param('index', 'i32');
      epilogue.params(k);
      eachElement(k, n, (i) => {
        const place = elementAddress(k, i, index, strides.with(axis, 0));
        const { inside, line } = checked(k, k.load(at, i, 1), x[axis]);
        const value = k.load(source.at(place.add(line.mul(strides[axis]))), 0, 1);
        epilogue.emit(k, k.select(inside, value, zero(k, dtype)), [i]);
      });
      return k.finish(`gather_${n}`);
    },
  };
}

/** base with src[m] added at (m with m[axis] replaced by index[m]). Lines along the axis are independent; each adds up in order. */
export function scatterAddLowering(base: Shape, index: Shape, axis: number, dtype: DType): Lowering {
  const strides = contiguousStrides(base);
  const indexStrides = contiguousStrides(index);
  const size = base[axis];
  const others = base.map((n, d) => (d === axis ? 1 : n));
  const lines = numel(others);
  const elem = elemOf(dtype);
  return {
    key: `scatterAdd_${base.join('x')}_${index.join('x')}_${axis}_${dtype}`,
    inputs: [plain, plain, plain],
    output: plain,
    coords: [numel(base)],
    epilogue: false,
    build(k, epilogue) {
      const start = k.param('base', elem);
      const at = k.param('index', 'i32');
      const src = k.param('src', elem);
      epilogue.params(k);
      const out = epilogue.output();
      k.tasks(lines, (task) => {
        const m = unravel(k, task, others);
        const line = address(k, m, strides);
        k.loop(size, (i) => {
          const here = line.add(i.mul(strides[axis]));
          k.store(out.at(here), 0, k.load(start.at(here), 0, 1));
        });
        let covered: I32 = k.i32(1);
        m.forEach((c, d) => {
          if (d !== axis && index[d] < base[d]) covered = covered.and(c.lt(index[d]));
        });
        k.if(covered, () => {
          const from = address(k, m, indexStrides);
          k.loop(index[axis], (i) => {
            const e = from.add(i.mul(indexStrides[axis]));
            const { inside, line: target } = checked(k, k.load(at, e, 1), size);
            k.if(inside, () => {
              const to = out.at(line.add(target.mul(strides[axis])));
              k.store(to, 0, plus(k.load(to, 0, 1), k.load(src, e, 1)));
            });
          });
        });
      });
      return k.finish(`scatter_add_${lines}x${size}`);
    },
  };
}

/** Running sums along an axis, from the front or from the back. */
export function cumsumLowering(shape: Shape, axis: number, reverse: boolean, dtype: DType): Lowering {
  const { outer, size, inner } = line(shape, axis);
  const elem = elemOf(dtype);
  return {
    key: `cumsum_${outer}x${size}x${inner}_${reverse}_${dtype}`,
    inputs: [plain],
    output: plain,
    coords: [numel(shape)],
    epilogue: true,
    build(k, epilogue) {
      const x = k.param('x', elem);
      epilogue.params(k);
      k.tasks(outer * inner, (task) => {
        const start = task
          .div(inner)
          .mul(size * inner)
          .add(task.rem(inner));
        const sum = k.var(zero(k, dtype));
        k.loop(size, (i) => {
          const step = reverse ? i.neg().add(size - 1) : i;
          const at = start.add(step.mul(inner));
          sum.set(plus(sum.value, k.load(x, at, 1)) as never);
          epilogue.emit(k, sum.value, [at]);
        });
      });
      return k.finish(`cumsum_${outer}x${size}x${inner}`);
    },
  };
}

/**
 * Positions that put each line in order: a stable merge sort from runs of 1 upwards, between two scratch lines per task. NaN sorts as the largest.
 */
export function sortLowering(shape: Shape, axis: number, descending: boolean, dtype: DType): Lowering {
  const { outer, size, inner } = line(shape, axis);
  const lines = outer * inner;
  return {
    key: `sort_${outer}x${size}x${inner}_${descending}_${dtype}`,
    inputs: [plain],
    output: plain,
    coords: [numel(shape)],
    epilogue: false,
    scratchBytes: lines * size * 8,
    build(k, epilogue) {
      const x = k.param('x', elemOf(dtype));
      const scratch = k.param('scratch', 'i32');
      epilogue.params(k);
      k.tasks(lines, (task) => {
        const start = task
          .div(inner)
          .mul(size * inner)
          .add(task.rem(inner));
        const buffers = [scratch.at(task.mul(2 * size)), scratch.at(task.mul(2 * size).add(size))];
        const value = (position: I32) => k.load(x, start.add(position.mul(inner)), 1);
        k.loop(size, (i) => k.store(buffers[0], i, i));
        let from = 0;
        for (let width = 1; width < size; width *= 2) {
          mergeRuns(k, buffers[from], buffers[1 - from], size, width, (a, b) =>
            keepsOrder(k, value(a), value(b), descending),
          );
          from = 1 - from;
        }
        k.loop(size, (i) => epilogue.emit(k, k.load(buffers[from], i, 1), [start.add(i.mul(inner))]));
      });
      return k.finish(`sort_${outer}x${size}x${inner}`);
    },
  };
}

/** Merges neighbouring runs of `width` from one line into another. `first(a, b)`: whether a may stay before b. */
function mergeRuns(
  k: KernelBuilder,
  from: Ptr,
  to: Ptr,
  size: number,
  width: number,
  first: (a: I32, b: I32) => I32,
): void {
  k.loop({ from: 0, to: size, step: 2 * width }, (start) => {
    const middle = start.add(width).min(k.i32(size));
    const end = start.add(2 * width).min(k.i32(size));
    const left = k.var(start.add(0));
    const right = k.var(middle.add(0));
    k.loop({ from: start, to: end }, (out) => {
      // Reads stay inside the line: a side that is used up is not chosen, whatever is read for it.
      const a = k.load(from, left.value.min(k.i32(size - 1)), 1) as I32;
      const b = k.load(from, right.value.min(k.i32(size - 1)), 1) as I32;
      const leftDone = left.value.ge(middle);
      const rightDone = right.value.ge(end);
      const takeLeft = leftDone.eq(0).and(rightDone.or(first(a, b)));
      k.store(to, out, k.select(takeLeft, a, b));
      left.set(left.value.add(takeLeft) as never);
      right.set(right.value.add(takeLeft.eq(0)) as never);
    });
  });
}

/** 1 where x may stay before y: in order or equal, NaN counting as the largest. */
function keepsOrder(_k: KernelBuilder, x: Value, y: Value, descending: boolean): I32 {
  const [a, b] = descending ? [y as Int, x as Int] : [x as Int, y as Int];
  // a ≤ b, or b is NaN (NaN ≠ itself)
  return a.le(b).or(b.ne(b)) as I32;
}

function line(shape: Shape, axis: number): { outer: number; size: number; inner: number } {
  return { outer: numel(shape.slice(0, axis)), size: shape[axis], inner: numel(shape.slice(axis + 1)) };
}

/** Clamps an index into its axis and says whether it was inside. */
function checked(k: KernelBuilder, index: Value, size: number): { inside: I32; line: I32 } {
  const i = index as I32;
  const inside = i.ltU(k.i32(size)) as I32;
  return { inside, line: k.select(inside, i, k.i32(0)) as I32 };
}

function eachElement(k: KernelBuilder, n: number, body: (i: I32) => void): void {
  k.tasks(Math.ceil(n / taskElements), (task) => {
    const from = task.mul(taskElements);
    k.loop({ from, to: from.add(taskElements).min(k.i32(n)) }, body);
  });
}

function elementAddress(k: KernelBuilder, flat: I32, shape: Shape, strides: readonly number[]): I32 {
  return address(k, unravel(k, flat, shape), strides);
}

function address(k: KernelBuilder, index: readonly I32[], strides: readonly number[]): I32 {
  return index.reduce((sum, c, d) => (strides[d] === 0 ? sum : sum.add(c.mul(strides[d]))), k.i32(0));
}

function zero(k: KernelBuilder, dtype: DType): Value {
  return dtype === 'float32' ? k.f32(0, 1) : k.int(0, 1);
}

function plus(a: Value, b: Value): Value {
  return (a as F).add(b as F);
}
