/**
 * What an operation is: all its facts in one record — shape rule, meaning, gradient, and how the compiler may compute it.
 * Passes ask these properties; nothing outside `ops/` asks "is this a convolution?".
 */

import type { Affine, I32, Kernel, KernelBuilder, Ptr, Value } from '../ir/index.js';
import type { DType } from '../util/dtype.js';
import type { Shape } from '../util/shape.js';
import type { Layout } from './layout.js';
import { Node } from './node.js';
import type { Storage } from './storage.js';
import type { View } from './view.js';

/** A value on the reference target: row-major, floats in float64. */
export interface NdArray {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: Float64Array | Int32Array | Uint8Array;
}

export interface Inferred {
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface OpFacts<A> {
  /** Checks the operands and says what comes out. Throws ShapeError / ConfigError. */
  infer(inputs: readonly Node[], attrs: A): Inferred;
  /** What the operation means, in float64: for an op whose meaning is not listed in ops/reference/. `data` has numel(out.shape) elements. */
  reference?(inputs: readonly NdArray[], attrs: A, out: Inferred): NdArray['data'];
  /**
   * Vector–Jacobian product: the gradient for each input as graph, from the gradient of the output.
   * null for inputs that have none (integers). Leave out for operations without a derivative.
   */
  vjp?(dy: Node, node: Node<A>): readonly (Node | null)[];

  /** Computes each element from the elements at the same index: what, in float64, for operands of which the first is of `dtype`. */
  element?(attrs: A, dtype: DType): (...operands: number[]) => number;
  /** Computes each element from the elements at the same index: how, in kernel IR. Fuses into producers and consumers. */
  pointwise?(k: KernelBuilder, args: readonly Value[], attrs: A): Value;
  /** Only moves elements: the strided view of its input it equals, if there is one (null → it must copy). */
  view?(input: View, node: Node<A>): View | null;
  /** Combines the elements along axes. */
  reduction?: Reduction<A>;
  /** Has kernels of its own: the ways to compute it on `target`, best first. Empty when the target has none for this case. */
  lower?(node: Node<A>, target: TargetInfo): readonly Lowering[];
  /** The ways differ in layouts alone: best is the one that takes the operands as they lie. */
  readonly followsOperands?: boolean;
  /** Rewrites itself in terms of other primitives when `target` has no kernel for it, or none that is fast. */
  decompose?(node: Node<A>, target: TargetInfo): Node | null;

  /** An equal, cheaper node (x · 1 → x), or null. Called while compiling, inputs first. */
  simplify?(node: Node<A>): Node | null;
  /** An equal node to this one times `scale` [C], a number for each entry of axis 1, with the factor moved into an operand. */
  scaleChannels?(node: Node<A>, scale: Node): Node;
  /** An equal node that is cheaper when operand `fixed` is the same from call to call: what depends on it alone is computed ahead. */
  withFixed?(node: Node<A>, fixed: number): Node | null;
  /** What every element of the result is when no operand has any. Left out where that is 0, an empty sum, or the neutral element. */
  ofNothing?(attrs: A): number;
  /** A constant: the one number that every element is. */
  uniform?(attrs: A): number;
  /** Reads a storage as it was at `version`. */
  reads?(attrs: A): { readonly storage: Storage; readonly version: number };
  /** True for sources whose value is not known from the graph alone. */
  readonly source?: boolean;
  /** True when two nodes with equal inputs may still differ. */
  readonly impure?: boolean;
  /** Multiply–accumulates, for summaries and plans. */
  macs?(node: Node<A>): number;
}

/** sum, max, min over `axes`; the kernel generator turns it into loops. */
export interface Reduction<A> {
  axes(attrs: A): readonly number[];
  /** Neutral element. */
  readonly init: number;
  combine(k: KernelBuilder, acc: Value, x: Value): Value;
  /** Folds the lanes of a vector in a fixed order. */
  fold(k: KernelBuilder, v: Value): Value;
}

export interface TargetInfo {
  readonly name: string;
  readonly lanes: number;
  /** Vector registers a kernel may keep live. */
  readonly registers: number;
  /** Channels per block of a blocked layout. */
  readonly block: number;
  readonly fma: boolean;
  readonly threads: number;
}

/**
 * One way to compute a structured node. Layouts are demands: the compiler converts what does not fit.
 * `coords` are the sizes of the index space in which the kernel hands finished vectors to its epilogue: the physical output, with
 * neighbouring axes merged as the kernel likes; the last coordinate counts elements that lie side by side.
 */
export interface Lowering {
  readonly key: string;
  readonly inputs: readonly Layout[];
  readonly output: Layout;
  readonly coords: readonly number[];
  /** False when the kernel cannot take fused work on its results. */
  readonly epilogue: boolean;
  /** Scratch bytes the kernel needs in the arena, passed as one more pointer after the inputs. */
  readonly scratchBytes?: number;
  /** Writes a kernel that runs before: from the inputs into scratch. Parameters: inputs in order, then scratch. */
  before?(k: KernelBuilder): Kernel;
  /** `before` only gets things ready: the multiplications are in the kernel itself. */
  readonly prepares?: boolean;
  /** Writes the kernel. Parameters: inputs in order, scratch if any, then the epilogue's own (declared by calling `epilogue.params`). */
  build(k: KernelBuilder, epilogue: Epilogue): Kernel;
}

/** The lanes of a vector that count: `count` of them, from lane `first` on. */
export interface LanePart {
  readonly first: number;
  readonly count: number;
}

/** The work fused behind a structured kernel, ending in the stores. */
export interface Epilogue {
  /** Part of the kernel's name and identity. */
  readonly key: string;
  /** Declares the extra pointer parameters. Call once, after the kernel's own parameters. */
  params(k: KernelBuilder): void;
  /**
   * Takes a finished vector (or scalar) whose first element has these coordinates (one per entry of `coords`), computes what is fused and
   * stores. Of a vector that shares lanes with another one, only `part` is stored; all its lanes lie inside the row.
   */
  emit(k: KernelBuilder, value: Value, coords: readonly (number | I32 | Affine)[], part?: LanePart): void;
  /** Calls for the memory in which the results at these coordinates will be stored: for kernels that write more than they read. */
  expect?(k: KernelBuilder, coords: readonly (number | I32 | Affine)[]): void;
  /** The main output, for kernels that accumulate in place or write by themselves (only when `epilogue` is false). */
  output(): Ptr;
}

export class Op<A> {
  constructor(
    readonly name: string,
    readonly facts: OpFacts<A>,
  ) {}
}

/** Defines a primitive and returns the function that records it. */
export function defineOp<A>(name: string, facts: OpFacts<A>): Op<A> {
  return new Op(name, facts);
}

/** Records a node: checks shapes now, computes nothing. */
export function record<A>(op: Op<A>, inputs: readonly Node[], attrs: A): Node<A> {
  const out = op.facts.infer(inputs, attrs);
  return new Node(op, inputs, attrs, out.shape, out.dtype);
}
