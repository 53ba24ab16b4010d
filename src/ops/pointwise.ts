/**
 * What the rows of elementwise.ts are made of. A row holds a function on numbers (its meaning), its emission in kernel IR and its derivative;
 * here are the type rules around it: which types the primitive takes, how operands broadcast and promote to meet them.
 */

import type { Node } from '../graph/node.js';
import { defineOp, type Op, record } from '../graph/op.js';
import type { KernelBuilder, Value } from '../ir/index.js';
import { type DType, promote } from '../util/dtype.js';
import { sameShape } from '../util/shape.js';
import { cast, logicalOperand } from './elementwise.js';
import { expand } from './movement.js';
import { broadcast, shapeError } from './shape-error.js';
import { constant, uniformValue } from './source.js';

/**
 * Types a primitive computes in. float: float32. number: float32 or int32 (uint8 is computed in int32 and cut back, bool counts as int32).
 * any: all four, unchanged. bool: truth values.
 */
export type Domain = 'float' | 'number' | 'any' | 'bool';

/** A number takes the type of the tensor beside it; a fraction beside integers makes the result float32. */
export type Operand = Node | number;

/** Operations of this family have no attributes. */
export type None = Readonly<Record<never, never>>;
export const none: None = {};

export interface UnaryRow {
  takes: Domain;
  gives?: DType;
  f(x: number): number;
  // biome-ignore lint/suspicious/noExplicitAny: `takes` says which of Int and Float arrives
  emit(k: KernelBuilder, x: any): Value;
  /** dy times the derivative at x, where y = f(x). Left out when nothing flows back (integers) or it is zero everywhere. */
  vjp?(dy: Node, x: Node, y: Node): Node;
  /** An equal, cheaper node, if there is one. */
  simplify?(x: Node): Node | null;
}

export function unaryOp(name: string, row: UnaryRow): Op<None> {
  return defineOp<None>(name, {
    infer: ([x]) => {
      checkDomain(name, row.takes, x);
      return { shape: x.shape, dtype: row.gives ?? x.dtype };
    },
    element: () => row.f,
    vjp: (dy, node) => [row.vjp ? row.vjp(dy, node.inputs[0], node) : null],
    pointwise: (k, [x]) => row.emit(k, x),
    ...(row.simplify && { simplify: ({ inputs: [x] }) => row.simplify!(x) }),
  });
}

export function unary(op: Op<None>, takes: Domain): (x: Node) => Node {
  return (x) => {
    const type = domainType(takes, x.dtype);
    return cutBack(record(op, [operandAs(x, type)], none), x.dtype, takes);
  };
}

export interface BinaryRow {
  takes: Domain;
  gives?: DType;
  f(a: number, b: number): number;
  /** For integers, where the formula differs. */
  int?(a: number, b: number): number;
  // biome-ignore lint/suspicious/noExplicitAny: both are Int or both Float
  emit(k: KernelBuilder, a: any, b: any): Value;
  vjp?(dy: Node, a: Node, b: Node, y: Node): readonly [Node | null, Node | null];
  /** The operand that does nothing: x + 0, x · 1. */
  neutral?: { left?: number; right?: number };
  /** Another way to an equal result that costs less. */
  simplify?(a: Node, b: Node): Node | null;
}

export function binaryOp(name: string, row: BinaryRow): Op<None> {
  return defineOp<None>(name, {
    infer: ([a, b]) => {
      checkDomain(name, row.takes, a, b);
      return { shape: a.shape, dtype: row.gives ?? a.dtype };
    },
    element: (_, dtype) => (dtype !== 'float32' && row.int) || row.f,
    vjp: (dy, node) => (row.vjp ? row.vjp(dy, node.inputs[0], node.inputs[1], node) : [null, null]),
    pointwise: (k, [a, b]) => row.emit(k, a, b),
    simplify: ({ inputs: [a, b] }) => withoutNeutral(row.neutral, a, b) ?? row.simplify?.(a, b) ?? null,
  });
}

function withoutNeutral({ left, right }: NonNullable<BinaryRow['neutral']> = {}, a: Node, b: Node): Node | null {
  if (right !== undefined && uniformValue(b) === right) return a;
  return left !== undefined && uniformValue(a) === left ? b : null;
}

export function binary(op: Op<None>, takes: Domain): (a: Operand, b: Operand) => Node {
  return (a, b) => {
    const [x, y] = operands(a, b);
    if (x.dtype === y.dtype && sameShape(x.shape, y.shape) && domainType(takes, x.dtype) === x.dtype) {
      return record(op, [x, y], none);
    }
    const dtype = promote(x.dtype, y.dtype);
    const type = domainType(takes, dtype);
    const shape = broadcast(op.name, x.shape, y.shape);
    const meet = (node: Node) => expand(operandAs(node, type), shape);
    return cutBack(record(op, [meet(x), meet(y)], none), dtype, takes);
  };
}

/** Two nodes from two operands. */
export function operands(a: Operand, b: Operand): [Node, Node] {
  if (typeof a === 'number') return typeof b === 'number' ? [constant(a), constant(b)] : [literal(a, b), b];
  return typeof b === 'number' ? [a, literal(b, a)] : [a, b];
}

function literal(value: number, beside: Node): Node {
  if (beside.dtype === 'float32') return constant(value, beside.shape);
  if (!Number.isInteger(value)) return constant(value);
  const small = beside.dtype === 'uint8' && value >= 0 && value <= 255;
  return constant(value, [], small ? 'uint8' : 'int32');
}

function domainType(takes: Domain, dtype: DType): DType {
  switch (takes) {
    case 'float':
      return 'float32';
    case 'number':
      return promote(dtype, 'int32');
    case 'any':
      return dtype;
    case 'bool':
      return 'bool';
    default:
      return takes satisfies never;
  }
}

function operandAs(node: Node, dtype: DType): Node {
  return dtype === 'bool' ? logicalOperand(node) : cast(node, dtype);
}

/** Bytes stay bytes: 250 + 10 is 4 again, as in PyTorch. */
function cutBack(result: Node, asked: DType, takes: Domain): Node {
  return takes === 'number' && asked === 'uint8' && result.dtype === 'int32' ? cast(result, 'uint8') : result;
}

function checkDomain(name: string, takes: Domain, ...inputs: Node[]): void {
  const [first] = inputs;
  let fits = domainType(takes, first.dtype) === first.dtype;
  for (let i = 1; i < inputs.length; i++) {
    fits &&= inputs[i].dtype === first.dtype && sameShape(inputs[i].shape, first.shape);
  }
  if (fits) return;
  throw shapeError(
    name,
    `the primitive takes equal shapes and one type (${takes})`,
    inputs.map((x, i) => [`${i} ${x.dtype}`, x.shape]),
    `Call the function ${name}() of ops/, which broadcasts and converts.`,
  );
}
