/**
 * Convolutions over 1, 2 or 3 spatial axes. Besides batches [N, C, spatial…] they take a single item [C, spatial…], and one bare plane with one
 * bare kernel, as in a textbook: `F.conv2d([[1, 2], [3, 4]], [[1, 0], [0, 1]])` → [[5]].
 */

import type { Node } from '../graph/node.js';
import { conv, convTranspose, type ConvTransposeOptions as TransposeOptions } from '../ops/conv.js';
import { add, cast } from '../ops/elementwise.js';
import { reshape } from '../ops/movement.js';
import { convParams, type ConvOptions as WindowOptions } from '../ops/window.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { type PadMode, pad } from './movement.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

export interface ConvOptions extends WindowOptions {
  /** [O], added to every place of its channel. */
  readonly bias?: TensorLike | null;
  /** What padding holds. */
  readonly paddingMode?: Exclude<PadMode, 'constant'>;
}

export interface ConvTransposeOptions extends TransposeOptions {
  readonly bias?: TensorLike | null;
}

/** Slides weight [O, C/groups, kL] over x [N, C, L] → [N, O, L']. */
export function conv1d(x: TensorLike, weight: TensorLike, options: ConvOptions = {}): Tensor {
  return convolve('conv1d', 1, x, weight, options);
}

/** Slides weight [O, C/groups, kH, kW] over x [N, C, H, W] → [N, O, H', W'], H' = ⌊(H + 2·padding − dilation·(kH − 1) − 1) / stride⌋ + 1. */
export function conv2d(x: TensorLike, weight: TensorLike, options: ConvOptions = {}): Tensor {
  return convolve('conv2d', 2, x, weight, options);
}

/** Slides weight [O, C/groups, kD, kH, kW] over x [N, C, D, H, W] → [N, O, D', H', W']. */
export function conv3d(x: TensorLike, weight: TensorLike, options: ConvOptions = {}): Tensor {
  return convolve('conv3d', 3, x, weight, options);
}

/** The adjoint of conv1d: x [N, C, L] and weight [C, O/groups, kL] → [N, O, L']. */
export function convTranspose1d(x: TensorLike, weight: TensorLike, options: ConvTransposeOptions = {}): Tensor {
  return convolveTransposed('convTranspose1d', 1, x, weight, options);
}

/** The adjoint of conv2d: x [N, C, H, W] and weight [C, O/groups, kH, kW] → [N, O, H', W'], H' = (H − 1)·stride − 2·padding + dilation·(kH − 1) + outputPadding + 1. */
export function convTranspose2d(x: TensorLike, weight: TensorLike, options: ConvTransposeOptions = {}): Tensor {
  return convolveTransposed('convTranspose2d', 2, x, weight, options);
}

/** The adjoint of conv3d: x [N, C, D, H, W] and weight [C, O/groups, kD, kH, kW] → [N, O, D', H', W']. */
export function convTranspose3d(x: TensorLike, weight: TensorLike, options: ConvTransposeOptions = {}): Tensor {
  return convolveTransposed('convTranspose3d', 3, x, weight, options);
}

function convolve(op: string, spatial: number, x: TensorLike, weight: TensorLike, options: ConvOptions): Tensor {
  const { bias = null, paddingMode = 'zeros' } = options;
  const [n, w, result] = lift(op, spatial, x, weight);
  const y = paddingMode === 'zeros' ? conv(n, w, options) : convPadded(op, n, w, options, paddingMode);
  return result(withBias(op, y, bias));
}

function convPadded(op: string, x: Node, weight: Node, options: ConvOptions, mode: ConvOptions['paddingMode']): Node {
  const { padding } = convParams(op, options, weight.shape.slice(2));
  return conv(pad(new Tensor(x), padding, { mode }).node, weight, { ...options, padding: 0 });
}

function convolveTransposed(
  op: string,
  spatial: number,
  x: TensorLike,
  weight: TensorLike,
  options: ConvTransposeOptions,
): Tensor {
  const [n, w, result] = lift(op, spatial, x, weight);
  return result(withBias(op, convTranspose(n, w, options), options.bias ?? null));
}

/** The operands with batch and channel axes where they were left out, and what takes these axes off the result again. */
function lift(
  op: string,
  spatial: number,
  x: TensorLike,
  weight: TensorLike,
): [x: Node, weight: Node, result: (y: Node) => Tensor] {
  const n = cast(asTensor(x).node, 'float32');
  const w = cast(asTensor(weight).node, 'float32');
  const rank = n.shape.length;
  if (rank === spatial && w.shape.length === spatial) {
    const bare = (y: Node) => new Tensor(reshape(y, y.shape.slice(2)));
    return [reshape(n, [1, 1, ...n.shape]), reshape(w, [1, 1, ...w.shape]), bare];
  }
  if (w.shape.length !== spatial + 2) {
    const kernel = ['kL', 'kH, kW', 'kD, kH, kW'][spatial - 1];
    throw new ShapeError(
      `${op}: weight has the wrong number of axes\n  x       ${formatShape(n.shape)}\n  weight  ${formatShape(w.shape)}\n` +
        `  weight has ${w.shape.length} axes; ${op} takes ${spatial + 2}: [O, C/groups, ${kernel}]. One bare kernel [${kernel}] goes with one bare plane.`,
    );
  }
  if (rank === spatial + 1) {
    return [reshape(n, [1, ...n.shape]), w, (y) => new Tensor(reshape(y, y.shape.slice(1)))];
  }
  return [n, w, (y) => new Tensor(y)];
}

function withBias(op: string, y: Node, bias: TensorLike | null): Node {
  if (bias === null) return y;
  const b = asTensor(bias).node;
  const channels = y.shape[1];
  if (b.shape.length > 1 || b.shape[0] !== channels) {
    throw new ConfigError(
      `${op}: bias must have shape [${channels}], one number per output channel; got ${formatShape(b.shape)}`,
    );
  }
  return add(y, reshape(b, [channels, ...new Array<number>(y.shape.length - 2).fill(1)]));
}
