/**
 * Operators that compute each element by itself: arithmetic, comparisons, logic, rounding, functions, choices and type changes.
 * Operands broadcast by NumPy's rule in ONNX as here. Source: github.com/onnx/onnx, docs/Operators.md.
 */

import { asTensor, F, type Tensor, where } from '../../../tensor/index.js';
import type { DType } from '../../../util/dtype.js';
import type { OnnxNode } from '../import-node.js';
import { DataType } from '../schema.js';
import { Known } from './known.js';
import { computes, type Operator, type OperatorTable, required } from './operator.js';

const unary = (f: (x: Tensor) => Tensor): Operator => computes((node) => (x) => f(required(node, x)));

const binary = (f: (a: Tensor, b: Tensor, node: OnnxNode) => Tensor): Operator =>
  computes((node) => (a, b) => f(required(node, a), required(node, b, 'its second input'), node));

/** Any number of inputs, combined from the first on. */
const variadic = (f: (a: Tensor, b: Tensor) => Tensor): Operator =>
  computes(
    (node) =>
      (...inputs) =>
        inputs.map((x) => required(node, x, 'an input')).reduce(f),
  );

const isFloat = (x: Tensor) => x.dtype === 'float32';

/** Integers divide towards 0, as in C. */
function divide(a: Tensor, b: Tensor): Tensor {
  if (isFloat(a) || isFloat(b)) return a.div(b);
  return a.div(b).trunc().to(a.dtype);
}

/** Small whole exponents become products and roots: a power with an exponent from a tensor would not know them. */
function power(a: Tensor, b: Tensor): Tensor {
  const exponent = b instanceof Known && b.size === 1 && b.ndim <= a.ndim ? b.values[0] : null;
  if (exponent !== null) return (exponent === 1 ? a : a.pow(exponent)).to(a.dtype);
  return a.pow(b).to(a.dtype);
}

/** The remainder of C's fmod has the sign of the dividend, Python's that of the divisor. */
function remainder(a: Tensor, b: Tensor, node: OnnxNode): Tensor {
  return node.flag('fmod') ? a.sub(divide(a, b).trunc().mul(b)) : a.remainder(b);
}

/** A limit may be an attribute (before version 11) or an input; a plain number compiles to less than a tensor of one. */
function limit(value: Tensor | undefined): Tensor | number | null {
  if (value === undefined) return null;
  return value instanceof Known && value.size === 1 ? value.values[0] : value;
}

const types: Partial<Record<DataType, DType>> = {
  [DataType.FLOAT]: 'float32',
  [DataType.DOUBLE]: 'float32',
  [DataType.FLOAT16]: 'float32',
  [DataType.BFLOAT16]: 'float32',
  [DataType.INT64]: 'int32',
  [DataType.UINT64]: 'int32',
  [DataType.INT32]: 'int32',
  [DataType.UINT32]: 'int32',
  [DataType.INT16]: 'int32',
  [DataType.UINT16]: 'int32',
  [DataType.INT8]: 'int32',
  [DataType.UINT8]: 'uint8',
  [DataType.BOOL]: 'bool',
};

/** What an ONNX element type is here. @throws {FormatError} for text, complex numbers and the like. */
export function dtypeOf(node: OnnxNode, type: number): DType {
  const dtype = types[type as DataType];
  if (dtype === undefined) throw node.fail(`fovea has no numbers of type ${DataType[type] ?? type}`);
  return dtype;
}

const sinh = (x: Tensor) => x.exp().sub(x.neg().exp()).mul(0.5);
const cosh = (x: Tensor) => x.exp().add(x.neg().exp()).mul(0.5);

export const elementwise: OperatorTable = {
  Add: binary((a, b) => a.add(b)),
  Sub: binary((a, b) => a.sub(b)),
  Mul: binary((a, b) => a.mul(b)),
  Div: binary(divide),
  Pow: binary(power),
  Mod: binary(remainder),
  Max: variadic((a, b) => a.maximum(b)),
  Min: variadic((a, b) => a.minimum(b)),
  Sum: variadic((a, b) => a.add(b)),
  Mean: computes((node) => (...inputs) => {
    const all = inputs.map((x) => required(node, x, 'an input'));
    return all.reduce((a, b) => a.add(b)).mul(1 / all.length);
  }),

  Neg: unary((x) => x.neg()),
  Abs: unary((x) => x.abs()),
  Sign: unary((x) => x.sign()),
  Reciprocal: unary((x) => x.reciprocal()),
  Sqrt: unary((x) => x.sqrt()),
  Exp: unary((x) => x.exp()),
  Log: unary((x) => x.log()),
  Erf: unary((x) => x.erf()),
  Floor: unary((x) => x.floor()),
  Ceil: unary((x) => x.ceil()),
  Round: unary((x) => x.round()),
  Sin: unary((x) => x.sin()),
  Cos: unary((x) => x.cos()),
  Tan: unary((x) => x.tan()),
  Sinh: unary(sinh),
  Cosh: unary(cosh),
  Asinh: unary((x) => x.abs().add(x.square().add(1).sqrt()).log().mul(x.sign())),
  Acosh: unary((x) => x.add(x.square().sub(1).sqrt()).log()),
  Atanh: unary((x) => x.add(1).div(x.neg().add(1)).log().mul(0.5)),

  Equal: binary((a, b) => a.eq(b)),
  Greater: binary((a, b) => a.gt(b)),
  GreaterOrEqual: binary((a, b) => a.ge(b)),
  Less: binary((a, b) => a.lt(b)),
  LessOrEqual: binary((a, b) => a.le(b)),
  And: binary((a, b) => a.logicalAnd(b)),
  Or: binary((a, b) => a.logicalOr(b)),
  Xor: binary((a, b) => a.logicalXor(b)),
  Not: unary((x) => x.logicalNot()),
  IsNaN: unary((x) => x.isNaN()),
  IsInf: computes((node) => {
    const [positive, negative] = [node.flag('detect_positive', true), node.flag('detect_negative', true)];
    return (input) => {
      const x = required(node, input);
      if (positive && negative) return x.isInf();
      if (!positive && !negative) return x.isInf().logicalAnd(false);
      return x.eq(positive ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY);
    };
  }),
  Where: computes((node) => (condition, a, b) => {
    const [x, y] = [required(node, a, 'its second input'), required(node, b, 'its third input')];
    return where(required(node, condition), x, y);
  }),

  Clip: computes((node) => {
    const [low, high] = [node.float('min'), node.float('max')];
    return (x, min, max) => required(node, x).clamp(limit(min) ?? low ?? null, limit(max) ?? high ?? null);
  }),
  Cast: computes((node) => {
    const dtype = dtypeOf(node, node.int('to', 0));
    return (x) => required(node, x).to(dtype);
  }),
  CastLike: binary((x, like) => x.to(like.dtype)),
  Identity: unary((x) => x),

  CumSum: computes(
    (node) => {
      const [exclusive, reverse] = [node.flag('exclusive'), node.flag('reverse')];
      return (input, axisInput) => {
        const x = required(node, input);
        const [axis] = axisInput instanceof Known ? axisInput.list() : [0];
        const line = reverse ? x.flip(axis) : x;
        const sums = F.cumsum(line, axis);
        const made = exclusive ? sums.sub(line) : sums;
        return reverse ? made.flip(axis) : made;
      };
    },
    [1],
  ),

  DynamicQuantizeLinear: computes((node) => (input) => {
    const x = required(node, input);
    const low = x.amin().minimum(0);
    const scale = x.amax().maximum(0).sub(low).div(255);
    const zero = low.neg().div(scale).round().clamp(0, 255);
    return [x.div(scale).round().add(zero).clamp(0, 255).to('uint8'), scale, zero.to('uint8')];
  }),
  QuantizeLinear: computes((node) => (input, scale, zeroPoint) => {
    const x = required(node, input);
    const along = (t: Tensor) => perAxis(node, t, x);
    const zero = zeroPoint === undefined ? asTensor(0) : zeroPoint.to('float32');
    const unsigned =
      zeroPoint === undefined ? node.int('output_dtype', 0) !== DataType.INT8 : zeroPoint.dtype === 'uint8';
    const steps = x
      .div(along(required(node, scale, 'its scale')))
      .round()
      .add(along(zero));
    return unsigned ? steps.clamp(0, 255).to('uint8') : steps.clamp(-128, 127).to('int32');
  }),
  DequantizeLinear: computes((node) => (input, scale, zeroPoint) => {
    const x = required(node, input).to('float32');
    const factor = perAxis(node, required(node, scale, 'its scale'), x);
    return (zeroPoint === undefined ? x : x.sub(perAxis(node, zeroPoint.to('float32'), x))).mul(factor);
  }),
};

/** One number for all of x, or one for each slice along `axis`. */
function perAxis(node: OnnxNode, t: Tensor, x: Tensor): Tensor {
  if (t.size === 1) return t.reshape([]);
  if (node.int('block_size', 0) !== 0) throw node.fail('scales for blocks are not supported');
  const axis = node.int('axis', 1);
  const at = axis < 0 ? axis + x.ndim : axis;
  if (t.ndim !== 1 || t.size !== x.shape[at]) {
    throw node.fail(`a scale of shape [${t.shape}] fits neither all of [${x.shape}] nor its axis ${axis}`);
  }
  return t.reshape([t.size, ...new Array<number>(x.ndim - 1 - at).fill(1)]);
}
