/** Matrix products. */

import { add, mul } from '../ops/elementwise.js';
import { matmul as product } from '../ops/matmul.js';
import { permute, reshape } from '../ops/movement.js';
import { sum } from '../ops/reduce.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape, numel } from '../util/shape.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

/** Matrix product over the last two axes, the ones before them broadcast; vectors count as a row on the left, a column on the right. */
export function matmul(a: TensorLike, b: TensorLike): Tensor {
  return new Tensor(product(asTensor(a).node, asTensor(b).node));
}

/** The sum of products of two vectors of one length. */
export function dot(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = [asTensor(a).node, asTensor(b).node];
  if (x.shape.length !== 1 || y.shape.length !== 1 || x.shape[0] !== y.shape[0]) {
    throw new ShapeError(
      `dot: takes two vectors of one length\n  left   ${formatShape(x.shape)}\n  right  ${formatShape(y.shape)}\n  For matrices use matmul.`,
    );
  }
  return new Tensor(sum(mul(x, y)));
}

/** Batched product of [B, M, K] and [B, K, N]. */
export function bmm(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = [asTensor(a).node, asTensor(b).node];
  if (x.shape.length !== 3 || y.shape.length !== 3 || x.shape[0] !== y.shape[0]) {
    throw new ShapeError(
      `bmm: takes [B, M, K] and [B, K, N] with equal B\n  left   ${formatShape(x.shape)}\n  right  ${formatShape(y.shape)}\n` +
        '  matmul broadcasts the axes before the last two.',
    );
  }
  return new Tensor(product(x, y));
}

/** x [.., inFeatures] · weightᵀ + bias, with weight [outFeatures, inFeatures] → [.., outFeatures]. */
export function linear(x: TensorLike, weight: TensorLike, bias: TensorLike | null = null): Tensor {
  const y = product(asTensor(x).node, asTensor(weight).node, { transB: true });
  return new Tensor(bias === null ? y : add(y, asTensor(bias).node));
}

/**
 * Einstein's sum: `einsum('bij,bjk->bik', a, b)`. Each letter is an axis; letters that do not appear behind the arrow are summed over. One or
 * two operands; a letter twice in one operand (a diagonal) is not supported.
 */
export function einsum(equation: string, ...operands: TensorLike[]): Tensor {
  const tensors = operands.map(asTensor);
  const { inputs, output, sizes } = parseEinsum(equation, tensors);
  const nodes = tensors.map((t) => t.node);
  if (nodes.length === 1) return new Tensor(arrange(nodes[0], inputs[0], output));
  const [[a, b], [x, y]] = [inputs, nodes];

  const kept = new Set(output);
  const batch = [...a].filter((l) => b.includes(l) && kept.has(l));
  const joint = [...a].filter((l) => b.includes(l) && !kept.has(l));
  const left = [...a].filter((l) => !b.includes(l) && kept.has(l));
  const right = [...b].filter((l) => !a.includes(l) && kept.has(l));
  const size = (letters: string[]) => numel(letters.map((l) => sizes.get(l)!));
  const lhs = reshape(arrange(x, a, [...batch, ...left, ...joint].join('')), [size(batch), size(left), size(joint)]);
  const rhs = reshape(arrange(y, b, [...batch, ...joint, ...right].join('')), [size(batch), size(joint), size(right)]);
  const letters = [...batch, ...left, ...right];
  const full = reshape(product(lhs, rhs), letters.map((l) => sizes.get(l)!)); // biome-ignore format: one thought
  return new Tensor(arrange(full, letters.join(''), output));
}

/** Sums over the letters that are not in `to` and brings the rest into its order. */
function arrange(node: Tensor['node'], from: string, to: string) {
  const gone = [...from].flatMap((l, i) => (to.includes(l) ? [] : [i]));
  const rest = [...from].filter((l) => to.includes(l));
  const reduced = gone.length === 0 ? node : sum(node, gone);
  return permute(reduced, [...to].map((l) => rest.indexOf(l))); // biome-ignore format: one thought
}

function parseEinsum(equation: string, tensors: readonly Tensor[]) {
  const text = equation.replaceAll(' ', '');
  const match = /^([a-zA-Z]*(?:,[a-zA-Z]*)*)(?:->([a-zA-Z]*))?$/.exec(text);
  const refuse = (why: string) => new ConfigError(`einsum: '${equation}': ${why}`);
  if (match === null) throw refuse("write the axes of each operand as letters, as in 'ij,jk->ik'");
  const inputs = match[1].split(',');
  if (inputs.length !== tensors.length)
    throw refuse(`it names ${inputs.length} operands, ${tensors.length} were passed`);
  if (inputs.length > 2) throw refuse('takes one or two operands; chain several calls for more');
  const sizes = new Map<string, number>();
  inputs.forEach((letters, i) => {
    const { shape } = tensors[i];
    if (letters.length !== shape.length)
      throw refuse(`operand ${i} has shape ${formatShape(shape)}, not ${letters.length} axes`);
    if (new Set(letters).size !== letters.length)
      throw refuse(`a letter twice in one operand (${letters}) is not supported`);
    [...letters].forEach((l, axis) => {
      const known = sizes.get(l);
      if (known !== undefined && known !== shape[axis])
        throw refuse(`axis ${l} is ${known} in one operand and ${shape[axis]} in another`);
      sizes.set(l, shape[axis]);
    });
  });
  const all = inputs.join('');
  const once = [...new Set(all)].filter((l) => all.indexOf(l) === all.lastIndexOf(l)).sort();
  const output = match[2] ?? once.join('');
  const unknown = [...output].find((l) => !sizes.has(l));
  if (unknown !== undefined) throw refuse(`the result names ${unknown}, which no operand has`);
  if (new Set(output).size !== output.length) throw refuse(`a letter twice in the result (${output}) is not supported`);
  return { inputs, output, sizes };
}
