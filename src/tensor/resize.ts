/**
 * Pictures and volumes in another resolution: `interpolate` with PyTorch's sampling positions, and pixel shuffling. Linear and cubic
 * interpolation are a product with a small matrix per axis, nearest neighbours by a whole factor a repetition; so both have exact adjoints.
 * No such product counts among a model's multiply–accumulates: PyTorch's interpolation has none.
 */

import type { Node } from '../graph/node.js';
import { Storage } from '../graph/storage.js';
import { cast } from '../ops/elementwise.js';
import { indexSelect } from '../ops/indexing.js';
import { matmul } from '../ops/matmul.js';
import { expand, permute, reshape } from '../ops/movement.js';
import { buffer } from '../ops/source.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { type Resampling, resamplingMatrix } from '../util/resampling.js';
import { formatShape, numel } from '../util/shape.js';
import { asTensor, Tensor, type TensorLike } from './tensor.js';

export type InterpolateMode = 'nearest' | 'linear' | 'bilinear' | 'trilinear' | 'bicubic';

export interface InterpolateOptions {
  /** The new size: one number for all spatial axes or one for each. This or `scaleFactor`. */
  size?: number | readonly number[];
  /** New size = ⌊size · scaleFactor⌋. */
  scaleFactor?: number | readonly number[];
  /** Default nearest. linear, bilinear and trilinear are the same on 1, 2 and 3 axes. */
  mode?: InterpolateMode;
  /** Whether the corner pixels' centres (true) or outer edges (false, the default) of both grids lie on each other. */
  alignCorners?: boolean;
  /** Whether bilinear and bicubic filters widen when the picture shrinks, as Pillow's do, so that every pixel counts. */
  antialias?: boolean;
}

/** x [N, C, spatial…] sampled at another size. */
export function interpolate(x: TensorLike, options: InterpolateOptions): Tensor {
  const { mode = 'nearest', alignCorners = false, antialias = false } = options;
  const n = cast(asTensor(x).node, 'float32');
  const spatial = n.shape.slice(2);
  if (spatial.length < 1 || spatial.length > 3) {
    throw new ShapeError(
      `interpolate: x must be [N, C, spatial…] with 1 to 3 spatial axes; its shape is ${formatShape(n.shape)}`,
    );
  }
  const rank = { nearest: spatial.length, linear: 1, bilinear: 2, trilinear: 3, bicubic: 2 }[mode];
  if (rank !== spatial.length) {
    throw new ConfigError(
      `interpolate: mode '${mode}' takes ${rank} spatial axes; x has shape ${formatShape(n.shape)}`,
    );
  }
  if (antialias && (alignCorners || (mode !== 'bilinear' && mode !== 'bicubic'))) {
    throw new ConfigError("interpolate: antialias goes with mode 'bilinear' or 'bicubic', without alignCorners");
  }
  const sizes = targetSizes(spatial, options);
  const scales = options.size === undefined ? perAxis('scaleFactor', options.scaleFactor!, spatial.length) : null;
  const y = sizes.reduce((image, size, i) => {
    const [from, axis] = [spatial[i], i + 2];
    // PyTorch steps by the scale it was given, not by the quotient of the sizes, which may differ by rounding.
    const step = scales === null ? from / size : 1 / scales[i];
    if (from === size && step === 1) return image;
    if (mode === 'nearest') return nearest(image, axis, size, step);
    const kind = mode === 'bicubic' ? 'cubic' : 'linear';
    return alongAxis(image, axis, weights({ kind, from, to: size, step, alignCorners, antialias }), size);
  }, n);
  return new Tensor(y);
}

/** [N, C·r², H, W] → [N, C, H·r, W·r]: channels become pixels. Shi et al. 2016, arXiv:1609.05158. */
export function pixelShuffle(x: TensorLike, factor: number): Tensor {
  const n = asTensor(x).node;
  const [batch, channels, h, w] = n.shape;
  if (n.shape.length !== 4 || channels % factor ** 2 !== 0) {
    throw new ShapeError(`pixelShuffle: x must be [N, C·${factor ** 2}, H, W]; its shape is ${formatShape(n.shape)}`);
  }
  const c = channels / factor ** 2;
  const split = permute(reshape(n, [batch, c, factor, factor, h, w]), [0, 1, 4, 2, 5, 3]);
  return new Tensor(reshape(split, [batch, c, h * factor, w * factor]));
}

/** [N, C, H·r, W·r] → [N, C·r², H, W]: pixels become channels. */
export function pixelUnshuffle(x: TensorLike, factor: number): Tensor {
  const n = asTensor(x).node;
  const [batch, c, h, w] = n.shape;
  if (n.shape.length !== 4 || h % factor !== 0 || w % factor !== 0) {
    throw new ShapeError(
      `pixelUnshuffle: x must be [N, C, H·${factor}, W·${factor}]; its shape is ${formatShape(n.shape)}`,
    );
  }
  const split = permute(reshape(n, [batch, c, h / factor, factor, w / factor, factor]), [0, 1, 3, 5, 2, 4]);
  return new Tensor(reshape(split, [batch, c * factor ** 2, h / factor, w / factor]));
}

function targetSizes(spatial: readonly number[], { size, scaleFactor }: InterpolateOptions): number[] {
  if ((size === undefined) === (scaleFactor === undefined))
    throw new ConfigError('interpolate: pass either size or scaleFactor');
  const sizes =
    size !== undefined
      ? perAxis('size', size, spatial.length)
      : perAxis('scaleFactor', scaleFactor!, spatial.length).map((s, i) => Math.floor(spatial[i] * s));
  if (!sizes.every((s) => Number.isInteger(s) && s >= 1)) {
    throw new ConfigError(`interpolate: the new sizes ${formatShape(sizes)} must be whole numbers of at least 1`);
  }
  return sizes;
}

function perAxis(name: string, value: number | readonly number[], rank: number): number[] {
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : [...value];
  if (list.length !== rank)
    throw new ConfigError(`interpolate: ${name} takes one number, or ${rank} of them; got ${list.length}`);
  return list;
}

function nearest(x: Node, axis: number, size: number, step: number): Node {
  const from = x.shape[axis];
  const factor = size / from;
  if (Number.isInteger(factor) && step * factor === 1) {
    const column = reshape(x, x.shape.toSpliced(axis + 1, 0, 1));
    return reshape(expand(column, x.shape.toSpliced(axis + 1, 0, factor)), x.shape.with(axis, size));
  }
  const single = Math.fround(step);
  const positions = Int32Array.from({ length: size }, (_, i) =>
    Math.min(Math.floor(Math.fround(i * single)), from - 1),
  );
  return indexSelect(x, axis, buffer(new Storage([size], 'int32', positions)));
}

/** x with `matrix` [size, from] applied along `axis`. */
function alongAxis(x: Node, axis: number, matrix: Storage, size: number): Node {
  const before = x.shape.slice(0, axis);
  const after = x.shape.slice(axis + 1);
  if (after.length === 0) return matmul(x, buffer(matrix), { transB: true, uncounted: true });
  const planes = reshape(x, [numel(before), x.shape[axis], numel(after)]);
  return reshape(matmul(buffer(matrix), planes, { uncounted: true }), [...before, size, ...after]);
}

const remembered = new Map<string, Storage>();

/** Row o holds the weights of the input positions that make output o. */
function weights(resampling: Resampling & { readonly step: number }): Storage {
  const key = JSON.stringify(resampling);
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const shape = [resampling.to, resampling.from];
  const storage = new Storage(shape, 'float32', Float32Array.from(resamplingMatrix(resampling)));
  if (remembered.size >= 64) remembered.delete(remembered.keys().next().value!);
  remembered.set(key, storage);
  return storage;
}
