/** Elementwise primitives → ONNX operators: one row each. Operands that are repeated to one shape are left to ONNX's own broadcasting. */

import type { AnyOp, Node } from '../../graph/node.js';
import { type ClampAttrs, stopGradientOp } from '../../ops/elementwise.js';
import type { DType } from '../../util/dtype.js';
import {
  alias,
  broadcastOperands,
  type Emission,
  type Match,
  type Rule,
  type RuleContext,
  single,
} from './export-emit.js';
import { dataTypes, type ValueType } from './export-graph.js';

/** Primitives that are one operator. */
const operators: Readonly<Record<string, string>> = {
  neg: 'Neg',
  abs: 'Abs',
  sign: 'Sign',
  exp: 'Exp',
  log: 'Log',
  sqrt: 'Sqrt',
  reciprocal: 'Reciprocal',
  sin: 'Sin',
  cos: 'Cos',
  tan: 'Tan',
  tanh: 'Tanh',
  sigmoid: 'Sigmoid',
  erf: 'Erf',
  relu: 'Relu',
  floor: 'Floor',
  ceil: 'Ceil',
  round: 'Round',
  isNaN: 'IsNaN',
  logicalNot: 'Not',
  add: 'Add',
  sub: 'Sub',
  mul: 'Mul',
  div: 'Div',
  pow: 'Pow',
  max: 'Max',
  min: 'Min',
  eq: 'Equal',
  lt: 'Less',
  le: 'LessOrEqual',
  gt: 'Greater',
  ge: 'GreaterOrEqual',
  logicalAnd: 'And',
  logicalOr: 'Or',
  logicalXor: 'Xor',
  where: 'Where',
};

type Chain = (e: Emission, names: readonly string[], type: ValueType) => string;

/** Primitives that are several; `type` is the result's. */
const chains: Readonly<Record<string, Chain>> = {
  expm1: (e, [x], type) => e.result('Sub', [e.step('Exp', [x], {}, type), e.graph.scalar(1, 'float32')]),
  log1p: (e, [x], type) => e.result('Log', [e.step('Add', [x, e.graph.scalar(1, 'float32')], {}, type)]),
  rsqrt: (e, [x], type) => e.result('Reciprocal', [e.step('Sqrt', [x], {}, type)]),
  trunc: (e, [x], type) =>
    e.result('Mul', [e.step('Sign', [x], {}, type), e.step('Floor', [e.step('Abs', [x], {}, type)], {}, type)]),
  ne: (e, names, type) => e.result('Not', [e.step('Equal', names, {}, type)]),
  // The sign follows the divisor; ONNX's Mod does so for integers only.
  mod: (e, [a, b], type) => {
    if (type.dtype !== 'float32') return e.result('Mod', [a, b]);
    const whole = e.step('Floor', [e.step('Div', [a, b], {}, type)], {}, type);
    return e.result('Sub', [a, e.step('Mul', [whole, b], {}, type)]);
  },
};

export const elementwiseRule: Rule = (node, context) => {
  const { name } = node.op;
  if (Object.hasOwn(operators, name)) {
    const known = name === 'where' ? sameBranches(node) : null;
    return known ?? single(operators[name], broadcastOperands(node, context));
  }
  if (Object.hasOwn(chains, name)) {
    const type = { dtype: node.dtype, dims: context.trace.dims(node) };
    return { operands: broadcastOperands(node, context), emit: (e, names) => chains[name](e, names, type) };
  }
  switch (name) {
    case 'clamp':
      return clip(node.inputs[0], node.attrs as ClampAttrs);
    case 'cast':
      return cast(node, context);
    case 'stopGradient':
      return alias(node.inputs[0]);
    default:
      return null;
  }
};

/** Limits; an infinite one is left out. */
export function clip(x: Node, { min, max }: ClampAttrs): Match {
  const bound = (e: Emission, value: number) => (Number.isFinite(value) ? e.graph.scalar(value, x.dtype) : '');
  return {
    operands: [x],
    emit: (e, [name]) =>
      e.result('Clip', Number.isFinite(max) ? [name, bound(e, min), bound(e, max)] : [name, bound(e, min)]),
  };
}

function cast(node: Node, { trace }: RuleContext): Match {
  const to = (dtype: DType) => ({ to: { i: dataTypes[dtype] } });
  const [x] = node.inputs;
  // A byte keeps the low bits of the whole number; of one beyond a byte ONNX says nothing, and runtimes differ.
  if (node.dtype !== 'uint8' || x.dtype === 'bool') return single('Cast', [x], to(node.dtype));
  const whole = { dtype: 'int32', dims: trace.dims(node) } as const;
  return {
    operands: [x],
    emit: (e, [name]) => {
      const number = x.dtype === 'int32' ? name : e.step('Cast', [name], to('int32'), whole);
      return e.result('Cast', [e.step('Mod', [number, e.graph.scalar(256, 'int32')], {}, whole)], to('uint8'));
    },
  };
}

/** `where` whose branches differ for gradients alone, as an embedding's with an entry that is not trained. */
function sameBranches({ inputs: [, a, b] }: Node): Match | null {
  const value = (node: Node): Node => (node.op === (stopGradientOp as AnyOp) ? value(node.inputs[0]) : node);
  return value(a) === value(b) ? alias(value(a)) : null;
}
