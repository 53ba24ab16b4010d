/** Tensors from data, and from nothing: constants, ranges, identity matrices. */

import { Storage } from '../graph/storage.js';
import { add, cast, eq, mul } from '../ops/elementwise.js';
import { reshape } from '../ops/movement.js';
import { buffer, constant, iota } from '../ops/source.js';
import { allocate, type DType, type TypedArray } from '../util/dtype.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape, numel, type Shape } from '../util/shape.js';
import { type NestedArray, Tensor, type TensorLike } from './tensor.js';

export interface CreationOptions {
  dtype?: DType;
  /** Makes the tensor a leaf: gradients that reach it add up in its `grad`. */
  requiresGrad?: boolean;
}

export interface TensorOptions extends CreationOptions {
  /** For data in one row: the shape it has. */
  shape?: Shape;
}

/**
 * A tensor of the numbers in nested arrays or a typed array, which is copied. Types: Float32Array, numbers → float32; Int32Array → int32;
 * Uint8Array → uint8; booleans → bool; `dtype` says otherwise. @throws {ShapeError} when nested arrays are ragged.
 */
export function tensor(
  data: TensorLike | ArrayLike<number>,
  { shape, dtype, requiresGrad = false }: TensorOptions = {},
): Tensor {
  if (data instanceof Tensor) return marked(data.detach().to(dtype ?? data.dtype), requiresGrad);
  const read =
    typeof data === 'object' && !Array.isArray(data)
      ? readRow(data as ArrayLike<number>)
      : readNested(data as NestedArray);
  const type = dtype ?? read.dtype;
  const size = read.values.length;
  const target = shape === undefined ? read.shape : inferShape(shape, size);
  return fromOwned(convert(read.values, type), target, type, requiresGrad);
}

/** A tensor that takes over `data` without a copy: the caller must not write to it afterwards. */
export function fromOwned(data: TypedArray, shape: Shape, dtype: DType, requiresGrad = false): Tensor {
  return marked(new Tensor(buffer(new Storage(shape, dtype, data))), requiresGrad);
}

export function zeros(shape: Shape, options: CreationOptions = {}): Tensor {
  return full(shape, 0, { dtype: 'float32', ...options });
}

export function ones(shape: Shape, options: CreationOptions = {}): Tensor {
  return full(shape, 1, { dtype: 'float32', ...options });
}

/** `value` everywhere. The value is part of the compiled program; for one that changes from step to step use `tensor(value)`. */
export function full(
  shape: Shape,
  value: number | boolean,
  { dtype, requiresGrad = false }: CreationOptions = {},
): Tensor {
  checkShape('full', shape);
  return marked(
    new Tensor(constant(value, [...shape], dtype ?? (typeof value === 'boolean' ? 'bool' : 'float32'))),
    requiresGrad,
  );
}

export function zerosLike(x: Tensor, options: CreationOptions = {}): Tensor {
  return full(x.shape, 0, { dtype: x.dtype, ...options });
}

export function onesLike(x: Tensor, options: CreationOptions = {}): Tensor {
  return full(x.shape, 1, { dtype: x.dtype, ...options });
}

export function fullLike(x: Tensor, value: number | boolean, options: CreationOptions = {}): Tensor {
  return full(x.shape, value, { dtype: x.dtype, ...options });
}

/** 0, 1, … n − 1. int32 when all of it is whole. */
export function arange(n: number): Tensor;
/** start, start + step, … as long as it lies before stop. int32 when all of it is whole. */
export function arange(start: number, stop: number, step?: number, options?: CreationOptions): Tensor;
export function arange(a: number, b?: number, step = 1, { dtype, requiresGrad = false }: CreationOptions = {}): Tensor {
  const [start, stop] = b === undefined ? [0, a] : [a, b];
  if (!(step !== 0 && [start, stop, step].every(Number.isFinite))) {
    throw new ConfigError(`arange: needs finite bounds and a step other than 0, not ${start}, ${stop}, ${step}`);
  }
  const count = Math.max(0, Math.ceil((stop - start) / step));
  const whole = Number.isInteger(start) && Number.isInteger(step);
  const positions = cast(iota(count), whole ? 'int32' : 'float32');
  const scaled = step === 1 ? positions : mul(positions, step);
  const shifted = start === 0 ? scaled : add(scaled, start);
  const type = dtype ?? (whole && Number.isInteger(stop) ? 'int32' : 'float32');
  return marked(new Tensor(cast(shifted, type)), requiresGrad);
}

/** `count` evenly spaced numbers from start to stop, both included. */
export function linspace(
  start: number,
  stop: number,
  count: number,
  { requiresGrad = false }: CreationOptions = {},
): Tensor {
  if (!(Number.isInteger(count) && count >= 0))
    throw new ConfigError(`linspace: the count must be a whole number ≥ 0, not ${count}`);
  const step = count > 1 ? (stop - start) / (count - 1) : 0;
  // Computed from the nearer end, so that both ends are exact.
  const values = Float32Array.from({ length: count }, (_, i) =>
    2 * i < count ? start + i * step : stop - (count - 1 - i) * step,
  );
  return fromOwned(values, [count], 'float32', requiresGrad);
}

/** Ones on the diagonal of an n × m matrix. */
export function eye(n: number, m = n, { dtype = 'float32', requiresGrad = false }: CreationOptions = {}): Tensor {
  const rows = reshape(iota(n), [n, 1]);
  return marked(new Tensor(cast(eq(rows, iota(m)), dtype)), requiresGrad);
}

function marked(t: Tensor, requiresGrad: boolean): Tensor {
  if (requiresGrad) t.requiresGrad = true;
  return t;
}

interface Read {
  values: ArrayLike<number>;
  shape: Shape;
  dtype: DType;
}

function readRow(data: ArrayLike<number>): Read {
  const known: DType = data instanceof Int32Array ? 'int32' : isBytes(data) ? 'uint8' : 'float32';
  return { values: data, shape: [data.length], dtype: known };
}

function isBytes(data: ArrayLike<number>): boolean {
  return data instanceof Uint8Array || data instanceof Uint8ClampedArray;
}

function readNested(data: NestedArray): Read {
  const shape: number[] = [];
  for (let level = data; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  const values: number[] = [];
  let truths = 0;
  const walk = (item: NestedArray, axis: number, path: string) => {
    if (axis === shape.length) {
      if (typeof item !== 'number' && typeof item !== 'boolean') {
        throw Array.isArray(item) ? ragged(path, `an array of ${item.length}`, 'a number') : notANumber(path, item);
      }
      if (typeof item === 'boolean') truths++;
      values.push(Number(item));
      return;
    }
    if (!Array.isArray(item)) throw ragged(path, `${item}`, `an array of ${shape[axis]}`);
    if (item.length !== shape[axis]) throw ragged(path, `an array of ${item.length}`, `an array of ${shape[axis]}`);
    for (let i = 0; i < item.length; i++) walk(item[i], axis + 1, `${path}[${i}]`);
  };
  walk(data, 0, '');
  return { values, shape, dtype: truths > 0 && truths === values.length ? 'bool' : 'float32' };
}

function ragged(path: string, got: string, expected: string): ShapeError {
  return new ShapeError(
    `tensor: the nested arrays are ragged: at ${path || 'the top'} stands ${got}, elsewhere ${expected}`,
  );
}

function notANumber(path: string, item: unknown): ConfigError {
  return new ConfigError(
    `tensor: at ${path || 'the top'} stands ${item === null ? 'null' : typeof item}; it takes numbers and booleans`,
  );
}

function inferShape(shape: Shape, size: number): Shape {
  checkShape('tensor', shape, true);
  const open = shape.indexOf(-1);
  const rest = numel(shape.filter((s) => s !== -1));
  const filled = open < 0 ? [...shape] : shape.with(open, size / rest);
  if (numel(filled) !== size || !filled.every(Number.isInteger)) {
    throw new ShapeError(
      `tensor: ${size} values do not fill shape ${formatShape(shape)}, which takes ${rest}${open < 0 ? '' : ' times a whole number'}`,
    );
  }
  return filled;
}

function checkShape(op: string, shape: Shape, inferred = false): void {
  const open = inferred ? shape.filter((s) => s === -1).length : 0;
  const good = shape.filter((s) => Number.isInteger(s) && s >= 0).length;
  if (open > 1 || good + open !== shape.length) {
    throw new ShapeError(`${op}: ${formatShape(shape)} is no shape: sizes are whole numbers ≥ 0`);
  }
}

function convert(values: ArrayLike<number>, dtype: DType): TypedArray {
  const out = allocate(dtype, values.length);
  if (dtype === 'bool') for (let i = 0; i < out.length; i++) out[i] = values[i] !== 0 ? 1 : 0;
  else out.set(values);
  return out;
}
