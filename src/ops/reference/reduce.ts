/** What combining along axes means, element by element in row-major order. */

import type { NdArray, Op } from '../../graph/op.js';
import { contiguousStrides, numel } from '../../util/shape.js';
import { lineGeometry } from '../indexing.js';
import {
  type ArgAttrs,
  argmaxOp,
  argminOp,
  logSoftmaxOp,
  maxReduceOp,
  minReduceOp,
  prodOp,
  type ReduceAttrs,
  reducedShape,
  type SoftmaxAttrs,
  softmaxOp,
  sumOp,
} from '../reduce.js';
import { eachStrided, referenceArray } from './arrays.js';
import { meaning } from './meaning.js';

export const reduceMeanings = [
  reduction(sumOp, (a, b) => a + b),
  reduction(prodOp, (a, b) => a * b, Math.imul),
  reduction(maxReduceOp, Math.max),
  reduction(minReduceOp, Math.min),
  extreme(argmaxOp, (a, b) => a > b),
  extreme(argminOp, (a, b) => a < b),
  shares(softmaxOp, (x, max, total) => Math.exp(x - max) / total),
  shares(logSoftmaxOp, (x, max, total) => x - max - Math.log(total)),
];

/** Each element from itself, its line's maximum and the line's Σ exp(x − max). */
function shares(op: Op<SoftmaxAttrs>, f: (x: number, max: number, total: number) => number) {
  return meaning(op, ([x], { axis }, out) => {
    const { size, inner } = lineGeometry(x.shape, axis);
    const y = referenceArray(out.dtype, x.data.length);
    for (let line = 0; line < x.data.length / Math.max(1, size); line++) {
      const start = Math.floor(line / inner) * size * inner + (line % inner);
      const places = Array.from({ length: size }, (_, i) => start + i * inner);
      const max = places.reduce((m, i) => Math.max(m, x.data[i]), Number.NEGATIVE_INFINITY);
      const total = places.reduce((sum, i) => sum + Math.exp(x.data[i] - max), 0);
      for (const i of places) y[i] = f(x.data[i], max, total);
    }
    return y;
  });
}

/** `int`: for integers, where the formula differs. */
function reduction(op: Op<ReduceAttrs>, f: (a: number, b: number) => number, int = f) {
  const neutral = op.facts.reduction!.init;
  return meaning(op, ([x], { axes }, out) => {
    const float = out.dtype === 'float32';
    const start = float ? neutral : Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, neutral));
    const combine = float ? f : int;
    const data = referenceArray('float32', numel(out.shape)).fill(start);
    eachReduced(x, axes, (i, o) => {
      data[o] = combine(data[o], x.data[i]);
    });
    return float ? data : wrapped(out.dtype, data);
  });
}

/** The first place no other beats; NaN counts as the extreme. */
function extreme(op: Op<ArgAttrs>, beats: (a: number, b: number) => boolean) {
  return meaning(op, ([x], { axis }, out) => {
    const best = new Float64Array(numel(out.shape));
    const where = new Int32Array(best.length);
    const seen = new Int32Array(best.length);
    eachReduced(x, [axis], (i, o) => {
      const value = x.data[i];
      const place = seen[o]++;
      const better = place === 0 || beats(value, best[o]) || (Number.isNaN(value) && !Number.isNaN(best[o]));
      if (!better) return;
      best[o] = value;
      where[o] = place;
    });
    return where;
  });
}

function wrapped(dtype: NdArray['dtype'], data: NdArray['data']): NdArray['data'] {
  const out = referenceArray(dtype, data.length);
  out.set(data);
  return out;
}

/** Visits each element of x with the position of the result it belongs to. */
function eachReduced(x: NdArray, axes: readonly number[], visit: (input: number, output: number) => void): void {
  const kept = contiguousStrides(reducedShape(x.shape, axes, true));
  const strides = kept.map((s, i) => (axes.includes(i) ? 0 : s));
  eachStrided(x.shape, strides, 0, (output, input) => visit(input, output));
}
