/** Pooling over 1, 2 or 3 spatial axes of [N, C, spatial…]; a single item [C, spatial…] and one bare plane [spatial…] work too. */

import type { Node } from '../graph/node.js';
import { cast } from '../ops/elementwise.js';
import { reshape } from '../ops/movement.js';
import * as ops from '../ops/pool.js';
import type { PerAxis, PoolOptions } from '../ops/window.js';
import { ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import type { ValuesAndIndices } from './reduce.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

/** stride (default: kernelSize), padding, dilation, ceilMode. */
export type MaxPoolOptions = Omit<PoolOptions, 'kernelSize'>;

/** stride (default: kernelSize), padding, ceilMode, countIncludePad (default true), divisorOverride. */
export type AvgPoolOptions = Omit<ops.AvgPoolOptions, 'kernelSize'>;

export type { AdaptiveSize } from '../ops/pool.js';

type AdaptiveSize = ops.AdaptiveSize;

/** The maximum of each window: [N, C, L] → [N, C, L']. */
export function maxPool1d(x: TensorLike, kernelSize: PerAxis, options: MaxPoolOptions = {}): Tensor {
  return over('maxPool1d', 1, x, (n) => ops.maxPool(n, { ...options, kernelSize }));
}

/** The maximum of each window: [N, C, H, W] → [N, C, H', W']. */
export function maxPool2d(x: TensorLike, kernelSize: PerAxis, options: MaxPoolOptions = {}): Tensor {
  return over('maxPool2d', 2, x, (n) => ops.maxPool(n, { ...options, kernelSize }));
}

/** The maximum of each window: [N, C, D, H, W] → [N, C, D', H', W']. */
export function maxPool3d(x: TensorLike, kernelSize: PerAxis, options: MaxPoolOptions = {}): Tensor {
  return over('maxPool3d', 3, x, (n) => ops.maxPool(n, { ...options, kernelSize }));
}

/** The maxima, and where they stand: int32 positions in the flattened spatial plane, padding not counted, the first of equals. */
export function maxPool1dWithIndices(
  x: TensorLike,
  kernelSize: PerAxis,
  options: MaxPoolOptions = {},
): ValuesAndIndices {
  return withIndices('maxPool1d', 1, x, { ...options, kernelSize });
}

/** The maxima, and where they stand: int32 positions in the flattened spatial plane, padding not counted, the first of equals. */
export function maxPool2dWithIndices(
  x: TensorLike,
  kernelSize: PerAxis,
  options: MaxPoolOptions = {},
): ValuesAndIndices {
  return withIndices('maxPool2d', 2, x, { ...options, kernelSize });
}

/** The maxima, and where they stand: int32 positions in the flattened spatial plane, padding not counted, the first of equals. */
export function maxPool3dWithIndices(
  x: TensorLike,
  kernelSize: PerAxis,
  options: MaxPoolOptions = {},
): ValuesAndIndices {
  return withIndices('maxPool3d', 3, x, { ...options, kernelSize });
}

/** The mean of each window: [N, C, L] → [N, C, L']. */
export function avgPool1d(x: TensorLike, kernelSize: PerAxis, options: AvgPoolOptions = {}): Tensor {
  return over('avgPool1d', 1, x, (n) => ops.avgPool(n, { ...options, kernelSize }));
}

/** The mean of each window: [N, C, H, W] → [N, C, H', W']. */
export function avgPool2d(x: TensorLike, kernelSize: PerAxis, options: AvgPoolOptions = {}): Tensor {
  return over('avgPool2d', 2, x, (n) => ops.avgPool(n, { ...options, kernelSize }));
}

/** The mean of each window: [N, C, D, H, W] → [N, C, D', H', W']. */
export function avgPool3d(x: TensorLike, kernelSize: PerAxis, options: AvgPoolOptions = {}): Tensor {
  return over('avgPool3d', 3, x, (n) => ops.avgPool(n, { ...options, kernelSize }));
}

/** Means of windows that divide L into `outputSize` parts as evenly as possible. */
export function adaptiveAvgPool1d(x: TensorLike, outputSize: AdaptiveSize): Tensor {
  return over('adaptiveAvgPool1d', 1, x, (n) => ops.adaptiveAvgPool(n, outputSize));
}

/** Means of windows that divide H and W into `outputSize` parts as evenly as possible; null keeps an axis. */
export function adaptiveAvgPool2d(x: TensorLike, outputSize: AdaptiveSize): Tensor {
  return over('adaptiveAvgPool2d', 2, x, (n) => ops.adaptiveAvgPool(n, outputSize));
}

/** Means of windows that divide D, H and W into `outputSize` parts as evenly as possible; null keeps an axis. */
export function adaptiveAvgPool3d(x: TensorLike, outputSize: AdaptiveSize): Tensor {
  return over('adaptiveAvgPool3d', 3, x, (n) => ops.adaptiveAvgPool(n, outputSize));
}

/** Maxima of windows that divide L into `outputSize` parts as evenly as possible. */
export function adaptiveMaxPool1d(x: TensorLike, outputSize: AdaptiveSize): Tensor {
  return over('adaptiveMaxPool1d', 1, x, (n) => ops.adaptiveMaxPool(n, outputSize));
}

/** Maxima of windows that divide H and W into `outputSize` parts as evenly as possible; null keeps an axis. */
export function adaptiveMaxPool2d(x: TensorLike, outputSize: AdaptiveSize): Tensor {
  return over('adaptiveMaxPool2d', 2, x, (n) => ops.adaptiveMaxPool(n, outputSize));
}

/** Maxima of windows that divide D, H and W into `outputSize` parts as evenly as possible; null keeps an axis. */
export function adaptiveMaxPool3d(x: TensorLike, outputSize: AdaptiveSize): Tensor {
  return over('adaptiveMaxPool3d', 3, x, (n) => ops.adaptiveMaxPool(n, outputSize));
}

/** The mean over all axes behind N C, which stay with size 1. */
export function globalAvgPool(x: TensorLike): Tensor {
  return new Tensor(ops.globalAvgPool(float(x)));
}

/** The maximum over all axes behind N C, which stay with size 1. */
export function globalMaxPool(x: TensorLike): Tensor {
  return new Tensor(ops.globalMaxPool(float(x)));
}

function withIndices(op: string, spatial: number, x: TensorLike, options: PoolOptions): ValuesAndIndices {
  return {
    values: over(op, spatial, x, (n) => ops.maxPool(n, options)),
    indices: over(op, spatial, x, (n) => ops.maxPoolIndices(n, options)),
  };
}

/** Pools x with batch and channel axes put in front where they were left out, and takes them off again. */
function over(op: string, spatial: number, x: TensorLike, pool: (n: Node) => Node): Tensor {
  const n = float(x);
  const missing = spatial + 2 - n.shape.length;
  if (missing === 0) return new Tensor(pool(n));
  if (missing < 0 || missing > 2) {
    const axes = ['L', 'H W', 'D H W'][spatial - 1];
    throw new ShapeError(
      `${op}: x has the wrong number of axes\n  x  ${formatShape(n.shape)}\n` +
        `  x has ${n.shape.length} axes; ${op} takes ${spatial + 2}: N C ${axes} (or C ${axes}, or ${axes} alone).`,
    );
  }
  const y = pool(reshape(n, [...new Array<number>(missing).fill(1), ...n.shape]));
  return new Tensor(reshape(y, y.shape.slice(missing)));
}

function float(x: TensorLike): Node {
  return cast(asTensor(x).node, 'float32');
}
