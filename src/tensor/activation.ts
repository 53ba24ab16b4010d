/** Activation functions, composed of elementwise primitives so that they fuse; formulas and defaults are PyTorch's. */

import type { Node } from '../graph/node.js';
import * as ops from '../ops/elementwise.js';
import { reshape } from '../ops/movement.js';
import { logSoftmax as logSoftmaxOf, softmax as softmaxOf } from '../ops/reduce.js';
import { ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

/** max(x, 0). */
export function relu(x: TensorLike): Tensor {
  return new Tensor(ops.relu(asTensor(x).node));
}

/** min(max(x, 0), 6). */
export function relu6(x: TensorLike): Tensor {
  // Not a clamp at 0: relu's slope there is 0, as PyTorch's, a clamp's would be 1.
  return new Tensor(ops.clamp(ops.relu(asTensor(x).node), { max: 6 }));
}

/** x where positive, negativeSlope · x elsewhere. */
export function leakyRelu(x: TensorLike, negativeSlope = 0.01): Tensor {
  const n = float(x);
  return new Tensor(ops.where(ops.gt(n, 0), n, ops.mul(n, negativeSlope)));
}

/** x where positive, weight · x elsewhere; `weight` has one element, or one per channel (axis 1). He et al. 2015, arXiv:1502.01852. */
export function prelu(x: TensorLike, weight: TensorLike): Tensor {
  const n = float(x);
  const w = asTensor(weight);
  const channels = n.shape.length < 2 ? 1 : n.shape[1];
  if (w.size !== 1 && w.size !== channels) {
    throw new ShapeError(
      `prelu: the slopes do not fit\n  x       ${formatShape(n.shape)}\n  weight  ${formatShape(w.shape)}\n` +
        `  It takes 1 slope, or ${channels}: one per channel (axis 1).`,
    );
  }
  const rest = w.size === 1 ? n.shape.length : n.shape.length - 1;
  const slopes = reshape(w.node, [w.size, ...new Array<number>(Math.max(0, rest - 1)).fill(1)]);
  return new Tensor(ops.where(ops.gt(n, 0), n, ops.mul(n, slopes)));
}

/** x where positive, alpha · (eˣ − 1) elsewhere. Clevert et al. 2016, arXiv:1511.07289. */
export function elu(x: TensorLike, alpha = 1): Tensor {
  const n = float(x);
  return new Tensor(ops.where(ops.gt(n, 0), n, ops.mul(expm1Below0(n), alpha)));
}

/** ELU with the slopes that keep mean 0 and variance 1. Klambauer et al. 2017, arXiv:1706.02515. */
export function selu(x: TensorLike): Tensor {
  const n = float(x);
  const alpha = 1.6732632423543772;
  const scale = 1.0507009873554805;
  return new Tensor(ops.mul(ops.where(ops.gt(n, 0), n, ops.mul(expm1Below0(n), alpha)), scale));
}

/** max(x, 0) + min(alpha · (e^(x/alpha) − 1), 0). Barron 2017, arXiv:1704.07483. */
export function celu(x: TensorLike, alpha = 1): Tensor {
  const n = float(x);
  return new Tensor(ops.where(ops.gt(n, 0), n, ops.mul(expm1Below0(ops.mul(n, 1 / alpha)), alpha)));
}

/** x · Φ(x), Φ the normal distribution; `approximate: 'tanh'` is the formula of GPT-2. Hendrycks & Gimpel 2016, arXiv:1606.08415. */
export function gelu(x: TensorLike, { approximate = 'none' }: { approximate?: 'none' | 'tanh' } = {}): Tensor {
  const n = float(x);
  const half = ops.mul(n, 0.5);
  if (approximate === 'none') return new Tensor(ops.mul(half, ops.add(ops.erf(ops.mul(n, Math.SQRT1_2)), 1)));
  const cube = ops.mul(ops.mul(n, n), n);
  const inner = ops.mul(ops.add(n, ops.mul(cube, 0.044715)), Math.sqrt(2 / Math.PI));
  return new Tensor(ops.mul(half, ops.add(ops.tanh(inner), 1)));
}

/** x · sigmoid(x), also called swish. Ramachandran et al. 2017, arXiv:1710.05941. */
export function silu(x: TensorLike): Tensor {
  const n = float(x);
  return new Tensor(ops.mul(n, ops.sigmoid(n)));
}

/** x · tanh(softplus(x)). Misra 2019, arXiv:1908.08681. */
export function mish(x: TensorLike): Tensor {
  const n = float(x);
  return new Tensor(ops.mul(n, ops.tanh(softplusOf(n, 1, 20))));
}

/** x · relu6(x + 3) / 6. Howard et al. 2019, arXiv:1905.02244. */
export function hardswish(x: TensorLike): Tensor {
  const n = float(x);
  return new Tensor(ops.mul(ops.mul(n, ops.clamp(ops.add(n, 3), { min: 0, max: 6 })), 1 / 6));
}

/** relu6(x + 3) / 6. */
export function hardsigmoid(x: TensorLike): Tensor {
  return new Tensor(ops.mul(ops.clamp(ops.add(float(x), 3), { min: 0, max: 6 }), 1 / 6));
}

/** x limited to min … max. */
export function hardtanh(x: TensorLike, min = -1, max = 1): Tensor {
  return new Tensor(ops.clamp(float(x), { min, max }));
}

/** log(1 + e^(beta·x)) / beta; x itself once beta·x is above `threshold`. */
export function softplus(
  x: TensorLike,
  { beta = 1, threshold = 20 }: { beta?: number; threshold?: number } = {},
): Tensor {
  return new Tensor(softplusOf(float(x), beta, threshold));
}

/** x / (1 + |x|). */
export function softsign(x: TensorLike): Tensor {
  const n = float(x);
  return new Tensor(ops.div(n, ops.add(ops.abs(n), 1)));
}

/** log(sigmoid(x)). */
export function logSigmoid(x: TensorLike): Tensor {
  const n = float(x);
  // min(x, 0) − log(1 + e^−|x|): nothing overflows, and the halves of min at 0 give the slope ½.
  return new Tensor(ops.sub(ops.min(n, 0), ops.log1p(ops.exp(ops.neg(ops.abs(n))))));
}

/** eˣ / Σ eˣ along `axis`: positive, adding up to 1. */
export function softmax(x: TensorLike, axis: number): Tensor {
  return new Tensor(softmaxOf(asTensor(x).node, axis));
}

/** log(softmax(x)), without its rounding and overflow. */
export function logSoftmax(x: TensorLike, axis: number): Tensor {
  return new Tensor(logSoftmaxOf(asTensor(x).node, axis));
}

function float(x: TensorLike): Node {
  return ops.cast(asTensor(x).node, 'float32');
}

/** eˣ − 1 where x ≤ 0. The branch not taken must stay finite, or its gradient would be 0 · ∞. */
function expm1Below0(x: Node): Node {
  return ops.expm1(ops.clamp(x, { max: 0 }));
}

function softplusOf(x: Node, beta: number, threshold: number): Node {
  const scaled = beta === 1 ? x : ops.mul(x, beta);
  const soft = ops.log1p(ops.exp(ops.clamp(scaled, { max: threshold })));
  return ops.where(ops.gt(scaled, threshold), x, beta === 1 ? soft : ops.mul(soft, 1 / beta));
}
