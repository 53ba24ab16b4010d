/**
 * Gradients as users ask for them. `backward` adds d loss/d leaf to the `grad` of every leaf that wants one; `grad` returns gradients and
 * leaves everything else alone. Both record graph and compute nothing; so their results can be differentiated again.
 */

import { gradient, type Rules } from '../grad/reverse.js';
import type { Node } from '../graph/node.js';
import { add, cast, gt, logicalAnd, reluOp, where } from '../ops/elementwise.js';
import { constant } from '../ops/source.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape, sameShape } from '../util/shape.js';
import { checkNotLost, leafOf, visitHistory } from './history.js';
import { computeWithNextStep } from './runtime.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

const algebra = { add, zeros: (like: Node) => constant(0, like.shape, like.dtype) };

/**
 * Adds the gradient of `output` to the `grad` of every parameter (and other leaf with requiresGrad) it was computed from. An output with more
 * than one element needs `gradientOfOutput`, of its shape. The next realisation (opt.step()) computes `output` too, so reading it is free.
 */
export function backward(output: Tensor, gradientOfOutput?: TensorLike): void {
  const node = output.node;
  const seed = seedFor('backward', output, gradientOfOutput);
  const nodes: Node[] = [];
  const leaves: Tensor[] = [];
  visitHistory([node], (n) => {
    checkNotLost(n, 'backward');
    const leaf = leafOf(n);
    if (leaf !== null) {
      nodes.push(n);
      leaves.push(leaf);
    }
    return false;
  });
  if (leaves.length === 0) {
    throw new ConfigError(
      'backward: nothing this tensor was computed from wants a gradient.\n' +
        '  Parameters do; a tensor does after { requiresGrad: true }. Values computed inside noGrad, detached ones and integers pass none on.',
    );
  }
  const gradients = gradient([node], [seed], nodes, algebra);
  for (let i = 0; i < leaves.length; i++) {
    const leaf = leaves[i];
    leaf.grad = new Tensor(leaf.grad === null ? gradients[i] : add(leaf.grad.node, gradients[i]));
  }
  computeWithNextStep(output);
}

export interface GradOptions {
  /** Gradients of the outputs, one each; may be left out for outputs with one element. */
  gradOutputs?: TensorLike | readonly TensorLike[];
  /** Gives zeros for inputs the outputs do not depend on, instead of an error. */
  allowUnused?: boolean;
  /**
   * What takes the place of relu's derivative, wherever relu was called: 'guided' lets only positive gradients through where the input was positive
   * (Springenberg et al. 2015, arXiv:1412.6806), 'deconvnet' positive ones wherever (Zeiler and Fergus 2014, arXiv:1311.2901). No longer a gradient.
   */
  relu?: 'guided' | 'deconvnet';
}

const reluRules: Record<NonNullable<GradOptions['relu']>, Rules> = {
  guided: new Map([[reluOp, (dy, y) => [where(logicalAnd(gt(y, 0), gt(dy, 0)), dy, 0)]]]),
  deconvnet: new Map([[reluOp, (dy) => [where(gt(dy, 0), dy, 0)]]]),
};

/** The gradient of Σ outputs by `input`, which may be any tensor the outputs were computed from. */
export function grad(outputs: Tensor | readonly Tensor[], input: Tensor, options?: GradOptions): Tensor;
/** The gradients of Σ outputs by each of `inputs`. */
export function grad(outputs: Tensor | readonly Tensor[], inputs: readonly Tensor[], options?: GradOptions): Tensor[];
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  { gradOutputs, allowUnused = false, relu }: GradOptions = {},
): Tensor | Tensor[] {
  const ys = outputs instanceof Tensor ? [outputs] : outputs;
  const xs = inputs instanceof Tensor ? [inputs] : inputs;
  const given =
    outputs instanceof Tensor
      ? [gradOutputs as TensorLike | undefined]
      : ((gradOutputs ?? []) as readonly TensorLike[]);
  const seeds = ys.map((y, i) => seedFor('grad', y, given[i]));
  const yNodes = ys.map((y) => y.node);
  const xNodes = xs.map((x) => x.node);
  const missing = new Set(xNodes);
  visitHistory(yNodes, (n) => {
    missing.delete(n);
    checkNotLost(n, 'grad');
    return false;
  });
  if (missing.size > 0 && !allowUnused) {
    const i = xNodes.findIndex((x) => missing.has(x));
    throw new ConfigError(
      `grad: the outputs were not computed from input ${i}, of shape ${formatShape(xs[i].shape)}.\n` +
        '  Differentiate by the very tensor that was used (not a copy or a later version of it), or pass { allowUnused: true } for zeros.',
    );
  }
  const rules = relu === undefined ? undefined : reluRules[relu];
  const gradients = gradient(yNodes, seeds, xNodes, algebra, rules).map((n) => new Tensor(n));
  return inputs instanceof Tensor ? gradients[0] : gradients;
}

function seedFor(op: string, output: Tensor, given: TensorLike | undefined): Node {
  if (output.dtype !== 'float32') {
    throw new ConfigError(`${op}: the tensor is ${output.dtype}; gradients flow through float32 only.`);
  }
  if (given === undefined) {
    if (output.size === 1) return constant(1, output.shape, 'float32');
    throw new ConfigError(
      `${op}: the tensor has shape ${formatShape(output.shape)}; without a gradient for each element it must have one element.\n` +
        `  Reduce it first, e.g. ${op === 'backward' ? 'loss.mean().backward()' : 'grad(y.sum(), x)'}, or pass a gradient of shape ${formatShape(output.shape)}.`,
    );
  }
  const seed = asTensor(given);
  if (!sameShape(seed.shape, output.shape)) {
    throw new ShapeError(
      `${op}: the gradient does not have the shape of the tensor\n  tensor    ${formatShape(output.shape)}\n  gradient  ${formatShape(seed.shape)}\n` +
        '  It takes one number for each element.',
    );
  }
  return cast(seed.node, 'float32');
}
