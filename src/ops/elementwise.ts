/**
 * Operations that compute each element from the elements at the same place. One row each: meaning, kernel IR, derivative.
 * The functions broadcast and promote; the primitives behind them take equal shapes and one type.
 */

import type { Node } from '../graph/node.js';
import { defineOp, record } from '../graph/op.js';
import type { Float, Int } from '../ir/index.js';
import * as math from '../kernels/math.js';
import { type DType, promote } from '../util/dtype.js';
import { sameShape } from '../util/shape.js';
import { expand, sideBySide } from './movement.js';
import { binary, binaryOp, type None, none, type Operand, operands, unary, unaryOp } from './pointwise.js';
import { broadcast, shapeError } from './shape-error.js';
import { constant, uniformValue } from './source.js';
import { erf as erf64, floorMod, intPow, roundHalfEven, toInt32 } from './special.js';

export type { Operand } from './pointwise.js';

// — unary, numbers —

export const negOp = unaryOp('neg', {
  takes: 'number',
  f: (x) => -x,
  emit: (_, x) => x.neg(),
  vjp: (dy) => neg(dy),
  simplify: (x) => (x.op === negOp ? x.inputs[0] : null),
});
export const neg = unary(negOp, 'number');

export const absOp = unaryOp('abs', {
  takes: 'number',
  f: Math.abs,
  emit: (_, x) => math.abs(x),
  vjp: (dy, x) => mul(dy, sign(x)),
});
export const abs = unary(absOp, 'number');

/** −1, 0, 1; NaN stays NaN. */
export const signOp = unaryOp('sign', { takes: 'number', f: Math.sign, emit: (k, x) => math.sign(k, x) });
export const sign = unary(signOp, 'number');

// — unary, floats —

export const expOp = unaryOp('exp', {
  takes: 'float',
  f: Math.exp,
  emit: (k, x) => math.exp(k, x),
  vjp: (dy, _, y) => mul(dy, y),
});
export const exp = unary(expOp, 'float');

export const expm1Op = unaryOp('expm1', {
  takes: 'float',
  f: Math.expm1,
  emit: (k, x) => math.expm1(k, x),
  vjp: (dy, _, y) => mul(dy, add(y, 1)),
});
export const expm1 = unary(expm1Op, 'float');

export const logOp = unaryOp('log', {
  takes: 'float',
  f: Math.log,
  emit: (k, x) => math.log(k, x),
  vjp: (dy, x) => div(dy, x),
});
export const log = unary(logOp, 'float');

export const log1pOp = unaryOp('log1p', {
  takes: 'float',
  f: Math.log1p,
  emit: (k, x) => math.log1p(k, x),
  vjp: (dy, x) => div(dy, add(x, 1)),
});
export const log1p = unary(log1pOp, 'float');

export const sqrtOp = unaryOp('sqrt', {
  takes: 'float',
  f: Math.sqrt,
  emit: (_, x) => x.sqrt(),
  vjp: (dy, _, y) => mul(div(dy, y), 0.5),
});
export const sqrt = unary(sqrtOp, 'float');

export const rsqrtOp = unaryOp('rsqrt', {
  takes: 'float',
  f: (x) => 1 / Math.sqrt(x),
  emit: (k, x: Float) => k.f32(1, x.width).div(x.sqrt()),
  vjp: (dy, _, y) => mul(dy, mul(mul(y, y), mul(y, -0.5))),
});
export const rsqrt = unary(rsqrtOp, 'float');

export const reciprocalOp = unaryOp('reciprocal', {
  takes: 'float',
  f: (x) => 1 / x,
  emit: (k, x: Float) => k.f32(1, x.width).div(x),
  vjp: (dy, _, y) => neg(mul(dy, mul(y, y))),
});
export const reciprocal = unary(reciprocalOp, 'float');

export const sinOp = unaryOp('sin', {
  takes: 'float',
  f: Math.sin,
  emit: (k, x) => math.sin(k, x),
  vjp: (dy, x) => mul(dy, cos(x)),
});
export const sin = unary(sinOp, 'float');

export const cosOp = unaryOp('cos', {
  takes: 'float',
  f: Math.cos,
  emit: (k, x) => math.cos(k, x),
  vjp: (dy, x) => neg(mul(dy, sin(x))),
});
export const cos = unary(cosOp, 'float');

export const tanOp = unaryOp('tan', {
  takes: 'float',
  f: Math.tan,
  emit: (k, x) => math.tan(k, x),
  vjp: (dy, _, y) => mul(dy, add(mul(y, y), 1)),
});
export const tan = unary(tanOp, 'float');

export const tanhOp = unaryOp('tanh', {
  takes: 'float',
  f: Math.tanh,
  emit: (k, x) => math.tanh(k, x),
  vjp: (dy, _, y) => mul(dy, sub(1, mul(y, y))),
});
export const tanh = unary(tanhOp, 'float');

export const sigmoidOp = unaryOp('sigmoid', {
  takes: 'float',
  f: (x) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x))),
  emit: (k, x) => math.sigmoid(k, x),
  vjp: (dy, _, y) => mul(dy, mul(y, sub(1, y))),
});
export const sigmoid = unary(sigmoidOp, 'float');

export const erfOp = unaryOp('erf', {
  takes: 'float',
  f: erf64,
  emit: (k, x) => math.erf(k, x),
  vjp: (dy, x) => mul(dy, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))),
});
export const erf = unary(erfOp, 'float');

/** max(x, 0) with the gradient 0 at 0, as PyTorch has it. */
export const reluOp = unaryOp('relu', {
  takes: 'number',
  f: (x) => Math.max(x, 0),
  emit: (_, x) => x.max(0),
  vjp: (dy, _, y) => where(gt(y, 0), dy, 0),
});
export const relu = unary(reluOp, 'number');

// — rounding: steps, so no gradient flows —

export const floorOp = unaryOp('floor', { takes: 'float', f: Math.floor, emit: (_, x) => x.floor() });
export const floor = rounding(floorOp);

export const ceilOp = unaryOp('ceil', { takes: 'float', f: Math.ceil, emit: (_, x) => x.ceil() });
export const ceil = rounding(ceilOp);

/** Halves go to the even neighbour. */
export const roundOp = unaryOp('round', { takes: 'float', f: roundHalfEven, emit: (_, x) => x.nearest() });
export const round = rounding(roundOp);

export const truncOp = unaryOp('trunc', { takes: 'float', f: Math.trunc, emit: (_, x) => x.trunc() });
export const trunc = rounding(truncOp);

/** Integers are round already. */
function rounding(op: typeof floorOp): (x: Node) => Node {
  return (x) => (x.dtype === 'float32' ? record(op, [x], none) : x);
}

// — binary, numbers —

export const addOp = binaryOp('add', {
  takes: 'number',
  f: (a, b) => a + b,
  emit: (_, a, b) => a.add(b),
  vjp: (dy) => [dy, dy],
  neutral: { left: 0, right: 0 },
  simplify: sideBySide,
});
export const add = binary(addOp, 'number');

export const subOp = binaryOp('sub', {
  takes: 'number',
  f: (a, b) => a - b,
  emit: (_, a, b) => a.sub(b),
  vjp: (dy) => [dy, neg(dy)],
  neutral: { right: 0 },
});
export const sub = binary(subOp, 'number');

export const mulOp = binaryOp('mul', {
  takes: 'number',
  f: (a, b) => a * b,
  int: Math.imul,
  emit: (_, a, b) => a.mul(b),
  vjp: (dy, a, b) => [mul(dy, b), mul(dy, a)],
  neutral: { left: 1, right: 1 },
});
export const mul = binary(mulOp, 'number');

/** Always float32, as PyTorch's `/`. */
export const divOp = binaryOp('div', {
  takes: 'float',
  f: (a, b) => a / b,
  emit: (_, a, b) => a.div(b),
  vjp: (dy, _, b, y) => {
    const da = div(dy, b);
    return [da, neg(mul(da, y))];
  },
  neutral: { right: 1 },
});
export const div = binary(divOp, 'float');

export const powOp = binaryOp('pow', {
  takes: 'number',
  // JavaScript says NaN for 1 ** ±∞, 1 ** NaN and (−1) ** ±∞; IEEE 754 and PyTorch say 1.
  f: (a, b) => (a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY) ? 1 : a ** b),
  int: intPow,
  emit: (k, a, b) => math.pow(k, a, b),
  vjp: (dy, a, b, y) => {
    const da = where(eq(b, 0), 0, mul(dy, mul(b, pow(a, sub(b, 1)))));
    const flat = logicalAnd(eq(a, 0), ge(b, 0)); // 0 to any power ≥ 0 does not move with the exponent
    const db = where(flat, 0, mul(dy, mul(y, log(where(flat, 1, a)))));
    return [da, db];
  },
});
const recordPow = binary(powOp, 'number');

/** a to the power of b. The usual constant exponents become products, roots and reciprocals. */
export function pow(a: Operand, b: Operand): Node {
  const exponent = typeof b === 'number' ? b : b.shape.length === 0 ? uniformValue(b) : null;
  if (typeof a !== 'number' && (exponent === 2 || exponent === 3)) {
    const square = mul(a, a);
    return exponent === 2 ? square : mul(square, a);
  }
  if (typeof a !== 'number' && a.dtype === 'float32') {
    if (exponent === 1) return a;
    if (exponent === 0.5) return sqrt(a);
    if (exponent === -0.5) return rsqrt(a);
    if (exponent === -1) return reciprocal(a);
  }
  return recordPow(a, b);
}

/** The larger one, NaN if either is. Equal operands share the gradient in halves, as PyTorch's maximum. */
export const maxOp = binaryOp('max', {
  takes: 'any',
  f: Math.max,
  emit: (_, a, b) => a.max(b),
  vjp: (dy, a, b) => shareBetween(dy, gt(a, b), eq(a, b)),
});
export const max = binary(maxOp, 'any');

/** The smaller one, NaN if either is. Equal operands share the gradient in halves. */
export const minOp = binaryOp('min', {
  takes: 'any',
  f: Math.min,
  emit: (_, a, b) => a.min(b),
  vjp: (dy, a, b) => shareBetween(dy, lt(a, b), eq(a, b)),
});
export const min = binary(minOp, 'any');

function shareBetween(dy: Node, first: Node, tie: Node): [Node, Node] {
  const half = mul(dy, 0.5);
  return [where(first, dy, where(tie, half, 0)), where(logicalOr(first, tie), where(tie, half, 0), dy)];
}

/** Remainder with the sign of the divisor, as torch.remainder. Integers modulo 0 give 0. */
export const modOp = binaryOp('mod', {
  takes: 'number',
  f: floorMod,
  int: (a, b) => (b === 0 ? 0 : floorMod(a, b)),
  emit: (k, a, b) => math.mod(k, a, b),
  vjp: (dy, a, b) => [dy, neg(mul(dy, floor(div(a, b))))],
});
export const mod = binary(modOp, 'number');

// — comparisons and logic: bool comes out, 0 or 1 in registers —

const comparison = (
  name: string,
  f: (a: number, b: number) => boolean,
  method: 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge',
) =>
  binaryOp(name, {
    takes: 'any',
    gives: 'bool',
    f: (a, b) => Number(f(a, b)),
    // biome-ignore lint/suspicious/noExplicitAny: both are Int or both Float
    emit: (_, a: any, b: any) => (a[method](b) as Int).and(1),
  });

export const eqOp = comparison('eq', (a, b) => a === b, 'eq');
export const eq = binary(eqOp, 'any');
export const neOp = comparison('ne', (a, b) => a !== b, 'ne');
export const ne = binary(neOp, 'any');
export const ltOp = comparison('lt', (a, b) => a < b, 'lt');
export const lt = binary(ltOp, 'any');
export const leOp = comparison('le', (a, b) => a <= b, 'le');
export const le = binary(leOp, 'any');
export const gtOp = comparison('gt', (a, b) => a > b, 'gt');
export const gt = binary(gtOp, 'any');
export const geOp = comparison('ge', (a, b) => a >= b, 'ge');
export const ge = binary(geOp, 'any');

export const isNaNOp = unaryOp('isNaN', {
  takes: 'float',
  gives: 'bool',
  f: (x) => Number(Number.isNaN(x)),
  emit: (_, x: Float) => x.ne(x).and(1),
});
// biome-ignore lint/suspicious/noShadowRestrictedNames: the name in PyTorch, ONNX and JavaScript alike
export const isNaN = unary(isNaNOp, 'float');

export const logicalNotOp = unaryOp('logicalNot', { takes: 'bool', f: (x) => 1 - x, emit: (_, x: Int) => x.xor(1) });
export const logicalNot = unary(logicalNotOp, 'bool');

export const logicalAndOp = binaryOp('logicalAnd', { takes: 'bool', f: (a, b) => a & b, emit: (_, a, b) => a.and(b) });
export const logicalAnd = binary(logicalAndOp, 'bool');
export const logicalOrOp = binaryOp('logicalOr', { takes: 'bool', f: (a, b) => a | b, emit: (_, a, b) => a.or(b) });
export const logicalOr = binary(logicalOrOp, 'bool');
export const logicalXorOp = binaryOp('logicalXor', { takes: 'bool', f: (a, b) => a ^ b, emit: (_, a, b) => a.xor(b) });
export const logicalXor = binary(logicalXorOp, 'bool');

/** Any type as truth values: everything but 0 is true, NaN too. */
export function logicalOperand(x: Node): Node {
  return x.dtype === 'bool' ? x : ne(x, 0);
}

// — choosing, converting —

/** `a` where `cond` holds, else `b`; nothing of the other branch reaches the value or the gradient. */
export function where(cond: Node, a: Operand, b: Operand): Node {
  const [x, y] = operands(a, b);
  if (cond.dtype === 'bool' && x.dtype === y.dtype && sameShape(x.shape, y.shape) && sameShape(x.shape, cond.shape)) {
    return record(whereOp, [cond, x, y], none);
  }
  const dtype = promote(x.dtype, y.dtype);
  const shape = broadcast('where', cond.shape, broadcast('where', x.shape, y.shape));
  const meet = (node: Node) => expand(cast(node, dtype), shape);
  return record(whereOp, [expand(logicalOperand(cond), shape), meet(x), meet(y)], none);
}

export const whereOp = defineOp<None>('where', {
  infer: ([cond, a, b]) => {
    if (
      cond.dtype !== 'bool' ||
      a.dtype !== b.dtype ||
      !sameShape(cond.shape, a.shape) ||
      !sameShape(a.shape, b.shape)
    ) {
      throw shapeError(
        'where',
        'the primitive takes a bool condition and two operands of its shape and of one type',
        [
          [`cond ${cond.dtype}`, cond.shape],
          [`a ${a.dtype}`, a.shape],
          [`b ${b.dtype}`, b.shape],
        ],
        'Call the function where() of ops/, which broadcasts and converts.',
      );
    }
    return { shape: a.shape, dtype: a.dtype };
  },
  element: () => (cond, a, b) => (cond ? a : b),
  vjp: (dy, { inputs: [cond] }) => [null, where(cond, dy, 0), where(cond, 0, dy)],
  simplify: ({ inputs: [cond, a, b] }) => {
    const always = uniformValue(cond);
    return always === null ? null : always ? a : b;
  },
  // biome-ignore lint/suspicious/noExplicitAny: both branches are Int or both Float
  pointwise: (k, [cond, a, b]) => k.select((cond as Int).ne(0), a as any, b as any),
});

/** Converts. float → int truncates, saturates, NaN becomes 0; uint8 keeps the low byte; anything but 0 is true. */
export function cast(x: Node, dtype: DType): Node {
  if (x.dtype === dtype) return x;
  const uniform = uniformValue(x);
  if (uniform !== null) return constant(castNumber(uniform, dtype), x.shape, dtype);
  return record(castOp, [x], { dtype });
}

export const castOp = defineOp<{ readonly dtype: DType }>('cast', {
  infer: ([x], { dtype }) => ({ shape: x.shape, dtype }),
  element:
    ({ dtype }) =>
    (x) =>
      castNumber(x, dtype),
  vjp: (dy, { inputs: [x] }) => [x.dtype === 'float32' ? cast(dy, 'float32') : null],
  pointwise: (_, [x], { dtype }) => math.cast(x, dtype),
});

function castNumber(x: number, dtype: DType): number {
  switch (dtype) {
    case 'float32':
      return x;
    case 'int32':
      return toInt32(x);
    case 'uint8':
      return toInt32(x) & 255;
    case 'bool':
      return x !== 0 ? 1 : 0;
    default:
      return dtype satisfies never;
  }
}

/** The upper 24 of 32 random bits as a multiple of 2⁻²⁴ in [0, 1). */
export const bitsToUniformOp = defineOp<None>('bitsToUniform', {
  infer: ([bits]) => {
    if (bits.dtype !== 'int32') {
      throw shapeError(
        'bitsToUniform',
        `the bits must be int32, not ${bits.dtype}`,
        [['bits', bits.shape]],
        'randomBits() makes them.',
      );
    }
    return { shape: bits.shape, dtype: 'float32' };
  },
  element: () => (b) => (b >>> 8) * 2 ** -24,
  vjp: () => [null],
  pointwise: (_, [bits]) =>
    (bits as Int)
      .shrU(8)
      .toF()
      .mul(2 ** -24),
});
export const bitsToUniform = (bits: Node): Node => record(bitsToUniformOp, [bits], none);

/** x limited to min … max (either may be left out); NaN stays. Elements at a limit keep their gradient, as PyTorch's clamp. */
export function clamp(x: Node, { min: low, max: high }: { min?: number; max?: number }): Node {
  const fraction = [low, high].some((v) => v !== undefined && Number.isFinite(v) && !Number.isInteger(v));
  const type = x.dtype === 'float32' || fraction ? 'float32' : 'int32';
  const limited = record(clampOp, [cast(x, type)], {
    min: low ?? Number.NEGATIVE_INFINITY,
    max: high ?? Number.POSITIVE_INFINITY,
  });
  return x.dtype === 'uint8' && type === 'int32' ? cast(limited, 'uint8') : limited;
}

export interface ClampAttrs {
  readonly min: number;
  readonly max: number;
}

export const clampOp = defineOp<ClampAttrs>('clamp', {
  infer: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  element:
    ({ min: low, max: high }) =>
    (x) =>
      Math.min(Math.max(x, low), high),
  vjp: (dy, { inputs: [x], attrs }) => [where(logicalAnd(ge(x, attrs.min), le(x, attrs.max)), dy, 0)],
  pointwise: (_, [x], { min: low, max: high }) => math.clamp(x, low, high),
});

/** x itself; no gradient passes. */
export const stopGradientOp = defineOp<None>('stopGradient', {
  infer: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  element: () => (x) => x,
  vjp: () => [null],
  pointwise: (_, [x]) => x,
  simplify: ({ inputs: [x] }) => x,
});
export const stopGradient = (x: Node): Node => record(stopGradientOp, [x], none);
