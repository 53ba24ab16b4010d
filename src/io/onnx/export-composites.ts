/**
 * Activations that fovea composes of primitives and ONNX has as one operator. What to look for is not written down a second time: each row
 * calls fovea's own function on a stand-in, and the graph that it records is the pattern. Numbers that differ between two calls with
 * different parameters are the parameters, and are read off the graph that matched.
 */

import { attrsKey } from '../../graph/key.js';
import type { AnyOp, Node } from '../../graph/node.js';
import { Storage } from '../../graph/storage.js';
import { mulOp } from '../../ops/elementwise.js';
import { type ReduceAttrs, sumOp } from '../../ops/reduce.js';
import { buffer, uniformValue } from '../../ops/source.js';
import { F, Tensor } from '../../tensor/index.js';
import { clip } from './export-elementwise.js';
import { type Attributes, type Emission, type Match, type Rule, type RuleContext, single } from './export-emit.js';
import type { ValueType } from './export-graph.js';
import { reduction } from './export-structured.js';

interface Row {
  /** The function, with a parameter for those that have one. */
  readonly make: (x: Tensor, parameter: number) => Tensor;
  /** Whether `make` reads its parameter. */
  readonly parameter?: boolean;
  /** What in the recorded graph stands for the operand, if not the argument itself. */
  readonly operand?: (root: Node) => Node;
  /** First opset that has the operator. */
  readonly since?: number;
  emit(x: Node, numbers: readonly number[], context: RuleContext): Match;
}

const operator = (name: string, attributes?: Attributes) => (x: Node) => single(name, [x], attributes);

/** Later rows may be parts of earlier ones. */
const rows: readonly Row[] = [
  { make: (x) => F.hardswish(x), emit: operator('HardSwish') },
  { make: (x) => F.hardsigmoid(x), emit: operator('HardSigmoid', { alpha: { f: 1 / 6 }, beta: { f: 0.5 } }) },
  { make: (x) => F.relu6(x), emit: (x) => clip(x, { min: 0, max: 6 }) },
  { make: (x) => F.gelu(x), since: 20, emit: operator('Gelu') },
  { make: (x) => F.gelu(x), emit: erfGelu },
  {
    make: (x) => F.gelu(x, { approximate: 'tanh' }),
    since: 20,
    emit: operator('Gelu', { approximate: { s: 'tanh' } }),
  },
  { make: (x) => F.mish(x), since: 18, emit: operator('Mish') },
  { make: (x) => F.softplus(x), emit: operator('Softplus') },
  { make: (x) => F.softsign(x), emit: operator('Softsign') },
  { make: (x) => F.selu(x), emit: operator('Selu') },
  { make: (x) => F.norm(x), operand: (root) => root.inputs[0].inputs[0], emit: rootOfSquares },
  {
    make: (x, slope) => F.leakyRelu(x, slope),
    parameter: true,
    emit: (x, [slope]) => single('LeakyRelu', [x], { alpha: { f: slope } }),
  },
  {
    make: (x, alpha) => F.elu(x, alpha),
    parameter: true,
    emit: (x, [alpha]) => single('Elu', [x], { alpha: { f: alpha } }),
  },
  {
    make: (x, alpha) => F.celu(x, alpha),
    parameter: true,
    emit: (x, [, alpha]) => single('Celu', [x], { alpha: { f: alpha } }), // the first is 1 / alpha
  },
];

export const compositeRule: Rule = (node, context) => {
  for (const { since = 0, emit, pattern } of patterns()) {
    if (since > context.opset || pattern.root.op !== node.op) continue;
    const found = match(pattern, node, context);
    if (found !== null) return emit(found.x, found.numbers, context);
  }
  return null;
};

interface Pattern {
  readonly root: Node;
  readonly x: Node;
  /** Constants that are parameters. */
  readonly open: ReadonlySet<Node>;
}

let made: (Row & { readonly pattern: Pattern })[] | null = null;

function patterns(): (Row & { readonly pattern: Pattern })[] {
  made ??= rows.map((row) => ({ ...row, pattern: patternOf(row) }));
  return made;
}

function patternOf({ make, operand, parameter = false }: Row): Pattern {
  const argument = buffer(new Storage([2, 3], 'float32', null));
  const call = (number: number) => make(new Tensor(argument), number).current;
  const root = call(0.375);
  const x = operand?.(root) ?? argument;
  const open = new Set<Node>();
  if (parameter) openConstants(root, call(0.625), open);
  return { root, x, open };
}

function openConstants(a: Node, b: Node, open: Set<Node>): void {
  if (uniformValue(a) !== uniformValue(b)) open.add(a);
  a.inputs.forEach((input, i) => void openConstants(input, b.inputs[i], open));
}

function match({ root, x, open }: Pattern, node: Node, { trace }: RuleContext): { x: Node; numbers: number[] } | null {
  let bound: Node | null = null;
  const numbers: number[] = [];
  const same = (p: Node, n: Node): boolean => {
    if (p === x) {
      bound ??= n;
      return bound === n;
    }
    const number = uniformValue(p);
    if (number !== null) {
      const found = trace.literal(n);
      if (open.has(p) && found !== null) numbers.push(found);
      return found !== null && (open.has(p) || found === number);
    }
    const alike = p.op === n.op && p.dtype === n.dtype && attrsKey(p.attrs) === attrsKey(n.attrs);
    return alike && p.inputs.every((input, i) => same(input, n.inputs[i]));
  };
  return same(root, node) && bound !== null && !trace.isFixed(bound) ? { x: bound, numbers } : null;
}

/** A root whose slope at 0 is 0 and which is otherwise one like any other: of a sum of squares, the length. */
function rootOfSquares(x: Node, _numbers: readonly number[], context: RuleContext): Match {
  const [squares] = x.inputs;
  const isLength =
    x.op === (sumOp as AnyOp) && squares.op === (mulOp as AnyOp) && squares.inputs[0] === squares.inputs[1];
  return isLength ? reduction('ReduceL2', squares.inputs[0], x.attrs as ReduceAttrs, context) : single('Sqrt', [x]);
}

/** As PyTorch writes it, which runtimes know to fuse: x · (erf(x / √2) + 1) · ½. */
function erfGelu(x: Node, _numbers: readonly number[], { trace }: RuleContext): Match {
  const type: ValueType = { dtype: 'float32', dims: trace.dims(x) };
  const scalar = (e: Emission, value: number) => e.graph.scalar(value, 'float32');
  return {
    operands: [x],
    emit: (e, [name]) => {
      const scaled = e.step('Div', [name, scalar(e, Math.SQRT2)], {}, type);
      const above = e.step('Add', [e.step('Erf', [scaled], {}, type), scalar(e, 1)], {}, type);
      return e.result('Mul', [e.step('Mul', [name, above], {}, type), scalar(e, 0.5)]);
    },
  };
}
