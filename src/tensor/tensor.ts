/**
 * Tensor: an immutable, lazy array of numbers. Operations check shapes at once and record a node of the graph; numbers are computed when they
 * are asked for (`await t.data()`) or a step is taken. Methods are thin: each calls the function of the same name, which says more.
 */

import type { Node } from '../graph/node.js';
import type { Storage } from '../graph/storage.js';
import { stopGradient } from '../ops/elementwise.js';
import { buffer, constant } from '../ops/source.js';
import type { DType, TypedArray } from '../util/dtype.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, numel, type Shape } from '../util/shape.js';
import * as activation from './activation.js';
import { backward } from './autograd.js';
import * as convolution from './conv.js';
import { tensor } from './creation.js';
import * as elementwise from './elementwise.js';
import { gradEnabled, isSource, madeInNoGrad, pastOf, registerLeaf } from './history.js';
import * as indexing from './indexing.js';
import * as linear from './linear.js';
import * as movement from './movement.js';
import * as pooling from './pool.js';
import { formatTensor, type PrintOptions } from './print.js';
import type { Axes, KeepDims, ValuesAndIndices, VarianceOptions } from './reduce.js';
import * as reduction from './reduce.js';
import { type InterpolateOptions, interpolate } from './resize.js';
import { assign, dispose, peekValue, readValue } from './runtime.js';

/** Numbers in nested arrays, all of one length at each depth. */
export type NestedArray = number | boolean | readonly NestedArray[];

/** What stands beside a tensor in arithmetic. A number takes the tensor's type; only a fraction turns integers into float32. */
export type Operand = Tensor | number | boolean;

/** What functions take for a tensor. */
export type TensorLike = Tensor | TypedArray | NestedArray;

/** The tensor itself, or a tensor of the numbers. */
export function asTensor(value: TensorLike): Tensor {
  return value instanceof Tensor ? value : tensor(value);
}

type Ints = [readonly number[]] | number[];

export class Tensor {
  /** @internal The node that stands for the present value; `node` is what operations read. */
  current: Node;
  /** @internal False for a result of noGrad that no operation outside has used yet. */
  tracked: boolean;
  /** Where the value lives from step to step: of parameters, buffers and optimiser state. null for results. */
  storage: Storage | null = null;
  /** The gradient that `backward()` has added up, until it is set to null. */
  grad: Tensor | null = null;
  #wantsGrad = false;

  /** @internal Users make tensors with `tensor`, `zeros`, `rand` and so on. */
  constructor(node: Node) {
    this.current = node;
    this.tracked = true;
    if (gradEnabled() || node.inputs.length === 0) return;
    if (madeInNoGrad(node)) this.tracked = false;
    else this.current = stopGradient(node);
  }

  /** @internal The node that operations on this tensor read. */
  get node(): Node {
    if (!this.tracked && gradEnabled()) {
      this.current = stopGradient(this.current);
      this.tracked = true;
    }
    return this.current;
  }

  get shape(): Shape {
    return this.current.shape;
  }

  get dtype(): DType {
    return this.current.dtype;
  }

  /** How many axes. */
  get ndim(): number {
    return this.current.shape.length;
  }

  /** How many elements. */
  get size(): number {
    return numel(this.current.shape);
  }

  // — reading —

  /** The elements in row-major order, computed if need be; a copy. bool comes as 0 and 1. */
  async data(): Promise<TypedArray> {
    return (await readValue(this)).slice();
  }

  /** The one element. @throws {ConfigError} when there are more, or none. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new ConfigError(
        `item: the tensor has shape ${formatShape(this.shape)}, ${this.size} elements; item() reads one. Use data() or toArray().`,
      );
    }
    return (await readValue(this))[0];
  }

  /** The elements in nested arrays (one number for a tensor without axes); bool as true and false. */
  async toArray<T = NestedArray>(): Promise<T> {
    const data = await readValue(this);
    const { shape, dtype } = this;
    let offset = 0;
    const nest = (axis: number): NestedArray => {
      if (axis < shape.length) return Array.from({ length: shape[axis] }, () => nest(axis + 1));
      const value = data[offset++];
      return dtype === 'bool' ? value !== 0 : value;
    };
    return nest(0) as T;
  }

  /** The elements if they are there without computing (host data, or computed before), else null. Not a copy: do not write to it. */
  peek(): TypedArray | null {
    return peekValue(this);
  }

  /** Computes the tensor, if need be, and writes it to the console. */
  async print(options: PrintOptions = {}): Promise<void> {
    console.log(formatTensor(this.shape, this.dtype, await readValue(this), options));
  }

  /** The elements as PyTorch prints them, if they have been computed, else shape and type. */
  toString(): string {
    const data = peekValue(this);
    if (data !== null) return formatTensor(this.shape, this.dtype, data);
    return `Tensor(shape=${formatShape(this.shape)}, dtype=${this.dtype}, not computed yet: await t.print())`;
  }

  /** What console.log shows in Node. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** Refuses `a + b` and the like, which JavaScript would turn into nonsense. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === 'string') return this.toString();
    throw new ConfigError(
      'JavaScript operators do not work on tensors: write a.add(b), a.mul(2), a.gt(b); read a number with await a.item().',
    );
  }

  // — state —

  /**
   * Gives this tensor a new value in place, keeping its storage from step to step. What was recorded from the old value keeps meaning the old
   * one; what is recorded from now on sees the new one. A tensor is computed with the next step, host data is written at once.
   */
  assign(value: Tensor | TypedArray): void {
    assign(this, value);
  }

  /** Gives the memory of a parameter or buffer back now instead of when it is collected. */
  dispose(): void {
    dispose(this);
  }

  // — gradients —

  /** Whether gradients flow into this tensor: set on leaves, and for results true if they come from such a leaf. */
  get requiresGrad(): boolean {
    if (this.#wantsGrad || this.current.inputs.length === 0) return this.#wantsGrad;
    return this.tracked && this.dtype === 'float32' && pastOf(this.current) !== 'none';
  }

  set requiresGrad(flag: boolean) {
    if (flag && this.dtype !== 'float32')
      throw new ConfigError(`requiresGrad: gradients flow through float32 only; this tensor is ${this.dtype}.`);
    if (!isSource(this.node)) {
      if (flag) return; // results have it from their leaves, or gain nothing by it
      throw new ConfigError('requiresGrad: only leaves can stop wanting a gradient; cut a result off with t.detach().');
    }
    // A constant would be folded away and the leaf with it.
    if (flag && this.current.op.facts.uniform !== undefined) this.current = stopGradient(this.current);
    this.#wantsGrad = flag;
    if (flag) registerLeaf(this.current, this);
  }

  /** @internal */
  get wantsGrad(): boolean {
    return this.#wantsGrad;
  }

  /** Adds gradients to the `grad` of every parameter (and leaf with requiresGrad) this was computed from; see `backward`. */
  backward(gradient?: TensorLike): void {
    backward(this, gradient);
  }

  /** The same values without their past: no gradient flows back through it. */
  detach(): Tensor {
    const node = this.current;
    if (node.realized !== null) return new Tensor(buffer(node.realized));
    const read = node.op.facts.reads?.(node.attrs).storage;
    if (read !== undefined && !read.persistent) return new Tensor(buffer(read));
    const uniform = node.op.facts.uniform?.(node.attrs);
    return new Tensor(uniform === undefined ? stopGradient(node) : constant(uniform, node.shape, node.dtype));
  }

  // — arithmetic —

  add(other: Operand): Tensor {
    return elementwise.add(this, other);
  }

  sub(other: Operand): Tensor {
    return elementwise.sub(this, other);
  }

  mul(other: Operand): Tensor {
    return elementwise.mul(this, other);
  }

  /** Always float32, for integers too. */
  div(other: Operand): Tensor {
    return elementwise.div(this, other);
  }

  /** ⌊this / other⌋. */
  floorDivide(other: Operand): Tensor {
    return elementwise.floorDivide(this, other);
  }

  /** The remainder of this / other, with the sign of other. */
  remainder(other: Operand): Tensor {
    return elementwise.remainder(this, other);
  }

  pow(exponent: Operand): Tensor {
    return elementwise.pow(this, exponent);
  }

  /** The larger of the two at each place. */
  maximum(other: Operand): Tensor {
    return elementwise.maximum(this, other);
  }

  /** The smaller of the two at each place. */
  minimum(other: Operand): Tensor {
    return elementwise.minimum(this, other);
  }

  /** this + weight · (end − this). */
  lerp(end: Operand, weight: Operand): Tensor {
    return elementwise.lerp(this, end, weight);
  }

  /** Limited to min … max; either may be null. */
  clamp(min?: Operand | null, max?: Operand | null): Tensor {
    return elementwise.clamp(this, min, max);
  }

  neg(): Tensor {
    return elementwise.neg(this);
  }

  abs(): Tensor {
    return elementwise.abs(this);
  }

  /** −1, 0 or 1. */
  sign(): Tensor {
    return elementwise.sign(this);
  }

  square(): Tensor {
    return elementwise.square(this);
  }

  sqrt(): Tensor {
    return elementwise.sqrt(this);
  }

  /** 1 / √this. */
  rsqrt(): Tensor {
    return elementwise.rsqrt(this);
  }

  /** 1 / this. */
  reciprocal(): Tensor {
    return elementwise.reciprocal(this);
  }

  exp(): Tensor {
    return elementwise.exp(this);
  }

  /** eˣ − 1, exact near 0. */
  expm1(): Tensor {
    return elementwise.expm1(this);
  }

  /** Natural logarithm. */
  log(): Tensor {
    return elementwise.log(this);
  }

  /** log(1 + x), exact near 0. */
  log1p(): Tensor {
    return elementwise.log1p(this);
  }

  log2(): Tensor {
    return elementwise.log2(this);
  }

  log10(): Tensor {
    return elementwise.log10(this);
  }

  sin(): Tensor {
    return elementwise.sin(this);
  }

  cos(): Tensor {
    return elementwise.cos(this);
  }

  tan(): Tensor {
    return elementwise.tan(this);
  }

  /** The error function. */
  erf(): Tensor {
    return elementwise.erf(this);
  }

  floor(): Tensor {
    return elementwise.floor(this);
  }

  ceil(): Tensor {
    return elementwise.ceil(this);
  }

  /** To the nearest integer, halves to the even one. */
  round(): Tensor {
    return elementwise.round(this);
  }

  /** Towards 0. */
  trunc(): Tensor {
    return elementwise.trunc(this);
  }

  // — comparisons and logic: bool comes out —

  eq(other: Operand): Tensor {
    return elementwise.eq(this, other);
  }

  ne(other: Operand): Tensor {
    return elementwise.ne(this, other);
  }

  lt(other: Operand): Tensor {
    return elementwise.lt(this, other);
  }

  le(other: Operand): Tensor {
    return elementwise.le(this, other);
  }

  gt(other: Operand): Tensor {
    return elementwise.gt(this, other);
  }

  ge(other: Operand): Tensor {
    return elementwise.ge(this, other);
  }

  logicalAnd(other: Operand): Tensor {
    return elementwise.logicalAnd(this, other);
  }

  logicalOr(other: Operand): Tensor {
    return elementwise.logicalOr(this, other);
  }

  logicalXor(other: Operand): Tensor {
    return elementwise.logicalXor(this, other);
  }

  logicalNot(): Tensor {
    return elementwise.logicalNot(this);
  }

  isNaN(): Tensor {
    return elementwise.isNaN(this);
  }

  isFinite(): Tensor {
    return elementwise.isFinite(this);
  }

  isInf(): Tensor {
    return elementwise.isInf(this);
  }

  /** `a` where this is true (not 0), else `b`. */
  where(a: TensorLike, b: TensorLike): Tensor {
    return elementwise.where(this, a, b);
  }

  // — activations —

  /** max(x, 0). */
  relu(): Tensor {
    return activation.relu(this);
  }

  /** min(max(x, 0), 6). */
  relu6(): Tensor {
    return activation.relu6(this);
  }

  /** x where positive, negativeSlope · x elsewhere (default 0.01). */
  leakyRelu(negativeSlope?: number): Tensor {
    return activation.leakyRelu(this, negativeSlope);
  }

  /** x where positive, weight · x elsewhere; one slope, or one per channel. */
  prelu(weight: TensorLike): Tensor {
    return activation.prelu(this, weight);
  }

  /** x where positive, alpha · (eˣ − 1) elsewhere. */
  elu(alpha?: number): Tensor {
    return activation.elu(this, alpha);
  }

  /** ELU with the slopes that keep mean 0 and variance 1. */
  selu(): Tensor {
    return activation.selu(this);
  }

  celu(alpha?: number): Tensor {
    return activation.celu(this, alpha);
  }

  /** x · Φ(x), Φ the normal distribution. */
  gelu(options?: { approximate?: 'none' | 'tanh' }): Tensor {
    return activation.gelu(this, options);
  }

  /** x · sigmoid(x), also called swish. */
  silu(): Tensor {
    return activation.silu(this);
  }

  /** x · tanh(softplus(x)). */
  mish(): Tensor {
    return activation.mish(this);
  }

  /** 1 / (1 + e⁻ˣ). */
  sigmoid(): Tensor {
    return elementwise.sigmoid(this);
  }

  tanh(): Tensor {
    return elementwise.tanh(this);
  }

  /** x · relu6(x + 3) / 6. */
  hardswish(): Tensor {
    return activation.hardswish(this);
  }

  /** relu6(x + 3) / 6. */
  hardsigmoid(): Tensor {
    return activation.hardsigmoid(this);
  }

  hardtanh(min?: number, max?: number): Tensor {
    return activation.hardtanh(this, min, max);
  }

  /** log(1 + e^(beta·x)) / beta. */
  softplus(options?: { beta?: number; threshold?: number }): Tensor {
    return activation.softplus(this, options);
  }

  /** x / (1 + |x|). */
  softsign(): Tensor {
    return activation.softsign(this);
  }

  /** log(sigmoid(x)). */
  logSigmoid(): Tensor {
    return activation.logSigmoid(this);
  }

  /** eˣ / Σ eˣ along `axis`: positive, adding up to 1. */
  softmax(axis: number): Tensor {
    return activation.softmax(this, axis);
  }

  /** log(softmax(x)), without its rounding and overflow. */
  logSoftmax(axis: number): Tensor {
    return activation.logSoftmax(this, axis);
  }

  // — reductions; axes count from either end, left out all elements are combined —

  sum(axes?: Axes | null, options?: KeepDims): Tensor {
    return reduction.sum(this, axes, options);
  }

  mean(axes?: Axes | null, options?: KeepDims): Tensor {
    return reduction.mean(this, axes, options);
  }

  /** Variance; `correction` (default 1) is subtracted from the count. */
  var(axes?: Axes | null, options?: VarianceOptions): Tensor {
    return reduction.variance(this, axes, options);
  }

  /** Standard deviation; `correction` (default 1) is subtracted from the count. */
  std(axes?: Axes | null, options?: VarianceOptions): Tensor {
    return reduction.std(this, axes, options);
  }

  prod(axes?: Axes | null, options?: KeepDims): Tensor {
    return reduction.prod(this, axes, options);
  }

  /** The largest along `axes`; equal ones share the gradient. */
  amax(axes?: Axes | null, options?: KeepDims): Tensor {
    return reduction.amax(this, axes, options);
  }

  /** The smallest along `axes`; equal ones share the gradient. */
  amin(axes?: Axes | null, options?: KeepDims): Tensor {
    return reduction.amin(this, axes, options);
  }

  /** Whether any element is true (not 0). */
  any(axes?: Axes | null, options?: KeepDims): Tensor {
    return reduction.any(this, axes, options);
  }

  /** Whether all elements are true (not 0). */
  all(axes?: Axes | null, options?: KeepDims): Tensor {
    return reduction.all(this, axes, options);
  }

  /** log Σ eˣ, without overflow. */
  logsumexp(axes?: Axes | null, options?: KeepDims): Tensor {
    return reduction.logsumexp(this, axes, options);
  }

  /** The largest of all elements. */
  max(): Tensor;
  /** The largest along one axis and where it stands; the gradient goes to that element. */
  max(axis: number, options?: KeepDims): ValuesAndIndices;
  max(axis?: number, options?: KeepDims): Tensor | ValuesAndIndices {
    return axis === undefined ? reduction.max(this) : reduction.max(this, axis, options);
  }

  /** The smallest of all elements. */
  min(): Tensor;
  /** The smallest along one axis and where it stands; the gradient goes to that element. */
  min(axis: number, options?: KeepDims): ValuesAndIndices;
  min(axis?: number, options?: KeepDims): Tensor | ValuesAndIndices {
    return axis === undefined ? reduction.min(this) : reduction.min(this, axis, options);
  }

  /** Where the largest element stands (int32), the first of equals. */
  argmax(axis?: number | null, options?: KeepDims): Tensor {
    return reduction.argmax(this, axis, options);
  }

  /** Where the smallest element stands (int32), the first of equals. */
  argmin(axis?: number | null, options?: KeepDims): Tensor {
    return reduction.argmin(this, axis, options);
  }

  /** (Σ |x|ᵖ)^(1/p), p = 2 by default. */
  norm(p?: number, axes?: Axes | null, options?: KeepDims): Tensor {
    return reduction.norm(this, p, axes, options);
  }

  /** Running sums along `axis`. */
  cumsum(axis: number): Tensor {
    return indexing.cumsum(this, axis);
  }

  // — shape —

  /** The same elements in row-major order under another shape; one size may be −1. */
  reshape(...shape: Ints): Tensor {
    return movement.reshape(this, ints(shape));
  }

  /** Another name of `reshape`. */
  view(...shape: Ints): Tensor {
    return movement.reshape(this, ints(shape));
  }

  /** Joins the axes from startDim (0) to endDim (−1) into one. */
  flatten(startDim?: number, endDim?: number): Tensor {
    return movement.flatten(this, startDim, endDim);
  }

  /** Splits one axis into several. */
  unflatten(axis: number, sizes: Shape): Tensor {
    return movement.unflatten(this, axis, sizes);
  }

  /** Drops axes of size 1: the ones named, or all. */
  squeeze(axes?: number | readonly number[]): Tensor {
    return movement.squeeze(this, axes);
  }

  /** A new axis of size 1 in front of `axis` (−1: at the end). */
  unsqueeze(axis: number): Tensor {
    return movement.unsqueeze(this, axis);
  }

  /** Axis i of the result is axis `axes[i]` of this. */
  permute(...axes: Ints): Tensor {
    return movement.permute(this, ints(axes));
  }

  /** Two axes exchanged. */
  transpose(a: number, b: number): Tensor {
    return movement.transpose(this, a, b);
  }

  /** The transposed matrix. */
  t(): Tensor {
    if (this.ndim > 2)
      throw new ConfigError(
        `t: takes a matrix; for shape ${formatShape(this.shape)} name two axes: transpose(-2, -1).`,
      );
    return this.ndim < 2 ? this : movement.transpose(this, 0, 1);
  }

  /** One axis taken out and put in at another place. */
  moveaxis(from: number, to: number): Tensor {
    return movement.moveaxis(this, from, to);
  }

  /** Repeated to a larger shape by the broadcasting rule; −1 keeps a size. */
  expand(...shape: Ints): Tensor {
    return movement.expand(this, ints(shape));
  }

  /** Repeated to a larger shape by the broadcasting rule. */
  broadcastTo(shape: Shape): Tensor {
    return movement.expand(this, shape);
  }

  /** Laid side by side `times[i]` times along each axis. */
  repeat(...times: Ints): Tensor {
    return movement.repeat(this, ints(times));
  }

  /** Each slice along `axis` repeated in a row. */
  repeatInterleave(times: number, axis: number): Tensor {
    return movement.repeatInterleave(this, times, axis);
  }

  /** The elements in reverse order along `axes`. */
  flip(axes?: number | readonly number[]): Tensor {
    return movement.flip(this, axes);
  }

  /** Elements moved along `axes`; what leaves at the end comes back at the start. */
  roll(shifts: number | readonly number[], axes?: number | readonly number[]): Tensor {
    return movement.roll(this, shifts, axes);
  }

  /** Adds elements around: pairs [before, after] for the last axes, or PyTorch's flat list; mode constant, reflect, replicate or circular. */
  pad(padding: movement.Padding, options?: { mode?: movement.PadMode; value?: number }): Tensor {
    return movement.pad(this, padding, options);
  }

  /** Parts of one size, or of the sizes listed, along `axis`. */
  split(size: number | readonly number[], axis?: number): Tensor[] {
    return movement.split(this, size, axis);
  }

  /** As many parts along `axis`, as equal as they come. */
  chunk(chunks: number, axis?: number): Tensor[] {
    return movement.chunk(this, chunks, axis);
  }

  /** The slices along `axis`, without that axis. */
  unbind(axis?: number): Tensor[] {
    return movement.unbind(this, axis);
  }

  /** The lower triangle of the last two axes. */
  tril(diagonal?: number): Tensor {
    return movement.tril(this, diagonal);
  }

  /** The upper triangle of the last two axes. */
  triu(diagonal?: number): Tensor {
    return movement.triu(this, diagonal);
  }

  // — choosing —

  /** NumPy's x[…]: `x.at(0, '1:5', '...', null)`; a list or integer tensor picks several positions. */
  at(...indices: indexing.Index[]): Tensor {
    return indexing.at(this, ...indices);
  }

  /** Ranges of axes: `x.slice('1:5', '::2')`, `x.slice([1, 5], { step: 2 })`; all axes stay. */
  slice(...ranges: indexing.Range[]): Tensor {
    return indexing.slice(this, ...ranges);
  }

  /** The slice at one position of `axis`, without that axis. */
  select(axis: number, index: number): Tensor {
    return indexing.select(this, axis, index);
  }

  /** `length` elements from `start` on along `axis`. */
  narrow(axis: number, start: number, length: number): Tensor {
    return indexing.narrow(this, axis, start, length);
  }

  /** out[…, i, …] = this[…, index[…, i, …], …] along `axis`. */
  gather(axis: number, index: TensorLike): Tensor {
    return indexing.gather(this, axis, index);
  }

  /** The slices at the positions `index` along `axis`. */
  indexSelect(axis: number, index: TensorLike): Tensor {
    return indexing.indexSelect(this, axis, index);
  }

  /** This with each src[…, i, …] added at index[…, i, …] along `axis`. */
  scatterAdd(axis: number, index: TensorLike, src: TensorLike): Tensor {
    return indexing.scatterAdd(this, axis, index, src);
  }

  /** Class numbers → one axis more: 1 at the class, 0 elsewhere. */
  oneHot(numClasses: number): Tensor {
    return indexing.oneHot(this, numClasses);
  }

  /** The k largest along `axis` (−1), in order, and where they stand. */
  topk(k: number, axis?: number, options?: { largest?: boolean }): ValuesAndIndices {
    return indexing.topk(this, k, axis, options);
  }

  /** The elements in order along `axis` (−1), and where each came from. */
  sort(axis?: number, options?: { descending?: boolean }): ValuesAndIndices {
    return indexing.sort(this, axis, options);
  }

  /** The positions that would put `axis` (−1) in order. */
  argsort(axis?: number, options?: { descending?: boolean }): Tensor {
    return indexing.argsort(this, axis, options);
  }

  // — matrix products —

  /** Matrix product over the last two axes, the others broadcast. */
  matmul(other: TensorLike): Tensor {
    return linear.matmul(this, other);
  }

  /** The sum of products of two vectors. */
  dot(other: TensorLike): Tensor {
    return linear.dot(this, other);
  }

  /** [B, M, K] × [B, K, N] → [B, M, N]. */
  bmm(other: TensorLike): Tensor {
    return linear.bmm(this, other);
  }

  /** this [.., inFeatures] · weightᵀ + bias, with weight [outFeatures, inFeatures]. */
  linear(weight: TensorLike, bias: TensorLike | null = null): Tensor {
    return linear.linear(this, weight, bias);
  }

  // — convolution: N C spatial…, options stride, padding, dilation, groups, bias —

  /** Slides weight [O, C/groups, kL] over this. */
  conv1d(weight: TensorLike, options?: convolution.ConvOptions): Tensor {
    return convolution.conv1d(this, weight, options);
  }

  /** Slides weight [O, C/groups, kH, kW] over this. */
  conv2d(weight: TensorLike, options?: convolution.ConvOptions): Tensor {
    return convolution.conv2d(this, weight, options);
  }

  /** Slides weight [O, C/groups, kD, kH, kW] over this. */
  conv3d(weight: TensorLike, options?: convolution.ConvOptions): Tensor {
    return convolution.conv3d(this, weight, options);
  }

  /** The adjoint of conv1d; weight [C, O/groups, kL]. */
  convTranspose1d(weight: TensorLike, options?: convolution.ConvTransposeOptions): Tensor {
    return convolution.convTranspose1d(this, weight, options);
  }

  /** The adjoint of conv2d; weight [C, O/groups, kH, kW]. */
  convTranspose2d(weight: TensorLike, options?: convolution.ConvTransposeOptions): Tensor {
    return convolution.convTranspose2d(this, weight, options);
  }

  /** The adjoint of conv3d; weight [C, O/groups, kD, kH, kW]. */
  convTranspose3d(weight: TensorLike, options?: convolution.ConvTransposeOptions): Tensor {
    return convolution.convTranspose3d(this, weight, options);
  }

  // — pooling: N C spatial…, options stride (default: the kernel), padding, dilation, ceilMode —

  /** The maximum of each window. */
  maxPool1d(kernelSize: number | readonly number[], options?: pooling.MaxPoolOptions): Tensor {
    return pooling.maxPool1d(this, kernelSize, options);
  }

  /** The maximum of each window. */
  maxPool2d(kernelSize: number | readonly number[], options?: pooling.MaxPoolOptions): Tensor {
    return pooling.maxPool2d(this, kernelSize, options);
  }

  /** The maximum of each window. */
  maxPool3d(kernelSize: number | readonly number[], options?: pooling.MaxPoolOptions): Tensor {
    return pooling.maxPool3d(this, kernelSize, options);
  }

  /** The maximum of each window, and its position in the flattened spatial plane of x (int32). */
  maxPool1dWithIndices(kernelSize: number | readonly number[], options?: pooling.MaxPoolOptions): ValuesAndIndices {
    return pooling.maxPool1dWithIndices(this, kernelSize, options);
  }

  /** The maximum of each window, and its position in the flattened spatial plane of x (int32). */
  maxPool2dWithIndices(kernelSize: number | readonly number[], options?: pooling.MaxPoolOptions): ValuesAndIndices {
    return pooling.maxPool2dWithIndices(this, kernelSize, options);
  }

  /** The maximum of each window, and its position in the flattened spatial plane of x (int32). */
  maxPool3dWithIndices(kernelSize: number | readonly number[], options?: pooling.MaxPoolOptions): ValuesAndIndices {
    return pooling.maxPool3dWithIndices(this, kernelSize, options);
  }

  /** The mean of each window. */
  avgPool1d(kernelSize: number | readonly number[], options?: pooling.AvgPoolOptions): Tensor {
    return pooling.avgPool1d(this, kernelSize, options);
  }

  /** The mean of each window. */
  avgPool2d(kernelSize: number | readonly number[], options?: pooling.AvgPoolOptions): Tensor {
    return pooling.avgPool2d(this, kernelSize, options);
  }

  /** The mean of each window. */
  avgPool3d(kernelSize: number | readonly number[], options?: pooling.AvgPoolOptions): Tensor {
    return pooling.avgPool3d(this, kernelSize, options);
  }

  /** Means over windows that divide each spatial axis into `outputSize` parts. */
  adaptiveAvgPool1d(outputSize: pooling.AdaptiveSize): Tensor {
    return pooling.adaptiveAvgPool1d(this, outputSize);
  }

  /** Means over windows that divide each spatial axis into `outputSize` parts. */
  adaptiveAvgPool2d(outputSize: pooling.AdaptiveSize): Tensor {
    return pooling.adaptiveAvgPool2d(this, outputSize);
  }

  /** Means over windows that divide each spatial axis into `outputSize` parts. */
  adaptiveAvgPool3d(outputSize: pooling.AdaptiveSize): Tensor {
    return pooling.adaptiveAvgPool3d(this, outputSize);
  }

  /** Maxima over windows that divide each spatial axis into `outputSize` parts. */
  adaptiveMaxPool1d(outputSize: pooling.AdaptiveSize): Tensor {
    return pooling.adaptiveMaxPool1d(this, outputSize);
  }

  /** Maxima over windows that divide each spatial axis into `outputSize` parts. */
  adaptiveMaxPool2d(outputSize: pooling.AdaptiveSize): Tensor {
    return pooling.adaptiveMaxPool2d(this, outputSize);
  }

  /** Maxima over windows that divide each spatial axis into `outputSize` parts. */
  adaptiveMaxPool3d(outputSize: pooling.AdaptiveSize): Tensor {
    return pooling.adaptiveMaxPool3d(this, outputSize);
  }

  /** The mean over all spatial axes, which stay with size 1. */
  globalAvgPool(): Tensor {
    return pooling.globalAvgPool(this);
  }

  /** The maximum over all spatial axes, which stay with size 1. */
  globalMaxPool(): Tensor {
    return pooling.globalMaxPool(this);
  }

  /** [N, C, spatial…] sampled at another size: `x.interpolate({ scaleFactor: 2, mode: 'bilinear' })`. */
  interpolate(options: InterpolateOptions): Tensor {
    return interpolate(this, options);
  }

  // — types —

  /** Another element type: float → int drops the fraction; anything but 0 is true. */
  to(dtype: DType): Tensor {
    return elementwise.to(this, dtype);
  }

  float(): Tensor {
    return elementwise.to(this, 'float32');
  }

  int(): Tensor {
    return elementwise.to(this, 'int32');
  }

  bool(): Tensor {
    return elementwise.to(this, 'bool');
  }

  byte(): Tensor {
    return elementwise.to(this, 'uint8');
  }
}

/** Sizes given one by one or in an array. */
function ints(given: Ints): readonly number[] {
  return typeof given[0] === 'object' ? given[0] : (given as number[]);
}
