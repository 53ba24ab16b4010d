/** Functions that compute each element from the elements at the same place. Operands broadcast; types promote as in PyTorch. */

import * as ops from '../ops/elementwise.js';
import type { DType } from '../util/dtype.js';
import { asTensor, type Operand, Tensor, type TensorLike } from './tensor.js';

// — arithmetic —

export function add(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.add(operand(a), operand(b)));
}

export function sub(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.sub(operand(a), operand(b)));
}

export function mul(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.mul(operand(a), operand(b)));
}

/** Always float32, for integers too. */
export function div(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.div(operand(a), operand(b)));
}

/** ⌊a / b⌋; of integers int32. */
export function floorDivide(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = [asTensor(a), asTensor(b)];
  const quotient = ops.floor(ops.div(x.node, operand(b)));
  const float = x.dtype === 'float32' || (y.dtype === 'float32' && !(typeof b === 'number' && Number.isInteger(b)));
  return new Tensor(float ? quotient : ops.cast(quotient, 'int32'));
}

/** The remainder of a / b with the sign of b. */
export function remainder(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.mod(operand(a), operand(b)));
}

export function pow(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.pow(operand(a), operand(b)));
}

/** The larger of a and b at each place; NaN if either is. */
export function maximum(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.max(operand(a), operand(b)));
}

/** The smaller of a and b at each place; NaN if either is. */
export function minimum(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.min(operand(a), operand(b)));
}

/** a + weight · (b − a). */
export function lerp(a: TensorLike, b: TensorLike, weight: Operand): Tensor {
  const start = asTensor(a);
  return add(start, mul(sub(b, start), weight));
}

export function neg(x: TensorLike): Tensor {
  return new Tensor(ops.neg(node(x)));
}

export function abs(x: TensorLike): Tensor {
  return new Tensor(ops.abs(node(x)));
}

/** −1, 0 or 1. */
export function sign(x: TensorLike): Tensor {
  return new Tensor(ops.sign(node(x)));
}

export function square(x: TensorLike): Tensor {
  const n = node(x);
  return new Tensor(ops.mul(n, n));
}

export function sqrt(x: TensorLike): Tensor {
  return new Tensor(ops.sqrt(node(x)));
}

/** 1 / √x. */
export function rsqrt(x: TensorLike): Tensor {
  return new Tensor(ops.rsqrt(node(x)));
}

/** 1 / x. */
export function reciprocal(x: TensorLike): Tensor {
  return new Tensor(ops.reciprocal(node(x)));
}

// — exponentials, trigonometry —

export function exp(x: TensorLike): Tensor {
  return new Tensor(ops.exp(node(x)));
}

/** eˣ − 1, exact near 0. */
export function expm1(x: TensorLike): Tensor {
  return new Tensor(ops.expm1(node(x)));
}

/** Natural logarithm. */
export function log(x: TensorLike): Tensor {
  return new Tensor(ops.log(node(x)));
}

/** log(1 + x), exact near 0. */
export function log1p(x: TensorLike): Tensor {
  return new Tensor(ops.log1p(node(x)));
}

export function log2(x: TensorLike): Tensor {
  return new Tensor(ops.mul(ops.log(node(x)), Math.LOG2E));
}

export function log10(x: TensorLike): Tensor {
  return new Tensor(ops.mul(ops.log(node(x)), Math.LOG10E));
}

export function sin(x: TensorLike): Tensor {
  return new Tensor(ops.sin(node(x)));
}

export function cos(x: TensorLike): Tensor {
  return new Tensor(ops.cos(node(x)));
}

export function tan(x: TensorLike): Tensor {
  return new Tensor(ops.tan(node(x)));
}

export function tanh(x: TensorLike): Tensor {
  return new Tensor(ops.tanh(node(x)));
}

/** 1 / (1 + e⁻ˣ). */
export function sigmoid(x: TensorLike): Tensor {
  return new Tensor(ops.sigmoid(node(x)));
}

/** The error function 2/√π ∫₀ˣ e^(−t²) dt. */
export function erf(x: TensorLike): Tensor {
  return new Tensor(ops.erf(node(x)));
}

// — rounding, limits —

export function floor(x: TensorLike): Tensor {
  return new Tensor(ops.floor(node(x)));
}

export function ceil(x: TensorLike): Tensor {
  return new Tensor(ops.ceil(node(x)));
}

/** To the nearest integer, halves to the even one. */
export function round(x: TensorLike): Tensor {
  return new Tensor(ops.round(node(x)));
}

/** Towards 0. */
export function trunc(x: TensorLike): Tensor {
  return new Tensor(ops.trunc(node(x)));
}

/** x limited to min … max; either may be left out (null). */
export function clamp(x: TensorLike, min?: Operand | null, max?: Operand | null): Tensor {
  const low = min ?? undefined;
  const high = max ?? undefined;
  if (!(low instanceof Tensor) && !(high instanceof Tensor)) {
    return new Tensor(ops.clamp(node(x), { min: numberOf(low), max: numberOf(high) }));
  }
  const raised = low === undefined ? asTensor(x) : maximum(x, low);
  return high === undefined ? raised : minimum(raised, high);
}

// — comparisons and logic: bool comes out —

export function eq(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.eq(operand(a), operand(b)));
}

export function ne(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.ne(operand(a), operand(b)));
}

export function lt(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.lt(operand(a), operand(b)));
}

export function le(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.le(operand(a), operand(b)));
}

export function gt(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.gt(operand(a), operand(b)));
}

export function ge(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.ge(operand(a), operand(b)));
}

export function logicalNot(x: TensorLike): Tensor {
  return new Tensor(ops.logicalNot(node(x)));
}

export function logicalAnd(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.logicalAnd(operand(a), operand(b)));
}

export function logicalOr(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.logicalOr(operand(a), operand(b)));
}

export function logicalXor(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.logicalXor(operand(a), operand(b)));
}

// biome-ignore lint/suspicious/noShadowRestrictedNames: torch's word, and F.isNaN reads well
export function isNaN(x: TensorLike): Tensor {
  return new Tensor(ops.isNaN(node(x)));
}

// biome-ignore lint/suspicious/noShadowRestrictedNames: torch's word, and F.isFinite reads well
export function isFinite(x: TensorLike): Tensor {
  return new Tensor(ops.lt(ops.abs(node(x)), Number.POSITIVE_INFINITY));
}

export function isInf(x: TensorLike): Tensor {
  return new Tensor(ops.eq(ops.abs(node(x)), Number.POSITIVE_INFINITY));
}

/** `a` where `condition` is true (not 0), else `b`. */
export function where(condition: TensorLike, a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(ops.where(node(condition), operand(a), operand(b)));
}

/** Another element type: float → int drops the fraction; anything but 0 is true. */
export function to(x: TensorLike, dtype: DType): Tensor {
  const t = asTensor(x);
  return t.dtype === dtype ? t : new Tensor(ops.cast(t.node, dtype));
}

// — helpers —

function node(x: TensorLike) {
  return x instanceof Tensor ? x.node : asTensor(x).node;
}

/** Numbers go on as numbers, so that they take the type of the tensor beside them. */
function operand(x: TensorLike) {
  return typeof x === 'number' ? x : node(x);
}

function numberOf(x: Operand | undefined): number | undefined {
  return x === undefined ? undefined : Number(x);
}
