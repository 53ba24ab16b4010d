/** How a tensor reads on the screen: PyTorch's format, so that tutorials and their output can be compared line by line. */

import type { DType, TypedArray } from '../util/dtype.js';
import { contiguousStrides, numel, type Shape } from '../util/shape.js';

export interface PrintOptions {
  /** Digits behind the point (default 4). */
  precision?: number;
  /** Tensors with more elements are shortened to their edges (default 1000). */
  threshold?: number;
  /** Elements shown at each edge (default 3). */
  edgeItems?: number;
  /** Characters per line (default 80). */
  lineWidth?: number;
}

/** `tensor([[1., 2.],\n        [3., 4.]])`; the dtype is named when it does not show in the numbers. */
export function formatTensor(shape: Shape, dtype: DType, data: TypedArray, options: PrintOptions = {}): string {
  const suffixes: string[] = [];
  if (numel(shape) === 0 && shape.length !== 1) suffixes.push(`size=(${shape.join(', ')})`);
  if (dtype === 'uint8' || (numel(shape) === 0 && dtype !== 'float32')) suffixes.push(`dtype=${dtype}`);
  const body = formatValues(shape, dtype, data, options, 'tensor('.length);
  const { lineWidth = 80 } = options;
  let text = `tensor(${body}`;
  let lastLine = text.length - text.lastIndexOf('\n') - 1;
  for (const suffix of suffixes) {
    const wraps = lastLine + suffix.length + 3 > lineWidth;
    text += wraps ? `,\n${' '.repeat(7)}${suffix}` : `, ${suffix}`;
    lastLine = wraps ? 7 + suffix.length : lastLine + suffix.length + 2;
  }
  return `${text})`;
}

/** The nested brackets alone. `indent`: columns already used on the first line. */
export function formatValues(
  shape: Shape,
  dtype: DType,
  data: TypedArray,
  options: PrintOptions = {},
  indent = 0,
): string {
  const size = numel(shape);
  if (size === 0) return '[]';
  const { precision = 4, threshold = 1000, edgeItems = 3, lineWidth = 80 } = options;
  const shortened = size > threshold;
  const strides = contiguousStrides(shape);
  /** Positions shown along an axis; null is the gap. */
  const shown = (axis: number): (number | null)[] => {
    const n = shape[axis];
    if (!shortened || n <= 2 * edgeItems) return Array.from({ length: n }, (_, i) => i);
    const edge = Array.from({ length: edgeItems }, (_, i) => i);
    return [...edge, null, ...edge.map((i) => n - edgeItems + i)];
  };
  const values: number[] = [];
  const collect = (axis: number, offset: number) => {
    if (axis === shape.length) values.push(data[offset]);
    else for (const i of shown(axis)) if (i !== null) collect(axis + 1, offset + i * strides[axis]);
  };
  collect(0, 0);
  const format = numberFormat(values, dtype, precision);

  const write = (axis: number, offset: number, column: number): string => {
    if (axis === shape.length) return format.text(data[offset]);
    const parts = shown(axis).map((i) => {
      if (i === null) return axis === shape.length - 1 ? ' ...' : '...';
      return write(axis + 1, offset + i * strides[axis], column + 1);
    });
    if (axis < shape.length - 1)
      return `[${parts.join(`,${'\n'.repeat(shape.length - 1 - axis)}${' '.repeat(column + 1)}`)}]`;
    const perLine = Math.max(1, Math.floor((lineWidth - column) / (format.width + 2)));
    const lines: string[] = [];
    for (let i = 0; i < parts.length; i += perLine) lines.push(parts.slice(i, i + perLine).join(', '));
    return `[${lines.join(`,\n${' '.repeat(column + 1)}`)}]`;
  };
  return write(0, 0, indent);
}

interface NumberFormat {
  readonly width: number;
  text(value: number): string;
}

/** One format for all numbers: whole ones as `3.`, others with a fixed number of digits, exponents when the sizes lie far apart. */
function numberFormat(values: readonly number[], dtype: DType, precision: number): NumberFormat {
  if (dtype !== 'float32') {
    const plain = dtype === 'bool' ? (v: number) => (v === 0 ? 'False' : 'True') : String;
    return padded(plain, Math.max(...values.map((v) => plain(v).length)));
  }
  const finite = values.filter((v) => Number.isFinite(v) && v !== 0);
  const sizes = finite.map(Math.abs);
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const whole = finite.every(Number.isInteger);
  const exponents = finite.length > 0 && (Math.fround(most / least) > 1000 || most > 1e8 || least < 1e-4);
  const special = (v: number) => (Number.isNaN(v) ? 'nan' : v > 0 ? 'inf' : '-inf');
  const sign = (v: number) => (v < 0 || Object.is(v, -0) ? '-' : '');
  const text = (v: number): string => {
    if (!Number.isFinite(v)) return special(v);
    const size = Math.abs(v);
    if (exponents) return sign(v) + size.toExponential(precision).replace(/e([+-])(\d)$/, 'e$10$2');
    return sign(v) + (whole ? `${size.toFixed(0)}.` : size.toFixed(precision));
  };
  return padded(text, Math.max(1, ...finite.map((v) => text(v).length)));
}

function padded(text: (value: number) => string, width: number): NumberFormat {
  return { width, text: (value) => text(value).padStart(width) };
}
