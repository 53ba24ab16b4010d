/**
 * What a row of the operator table is: a translation of one ONNX node into steps of a GraphModule. Rows are written with `computes` (a function
 * of tensors), `layer` (a module that reads the first input), or as an object with `translate` where weights become parts of a module.
 */

import type { Module } from '../../../nn/index.js';
import type { Parameter, Tensor } from '../../../tensor/index.js';
import type { OnnxNode } from '../import-node.js';
import type { GraphProto } from '../schema.js';
import { Known } from './known.js';

export type Compute = (...inputs: (Tensor | undefined)[]) => Tensor | readonly Tensor[];

/** A step to be made of a node. */
export interface Part {
  readonly run: Module | Compute;
  /** Names of values read. Left out: all of the node's. */
  readonly inputs?: readonly string[];
  /** Names of values made. Left out: all of the node's. */
  readonly outputs?: readonly string[];
  /** For a module with weights: the dotted place that their names say, or null. */
  readonly path?: string | null;
  /** Set where the result follows from the shapes of the inputs alone. */
  readonly fromShapes?: boolean;
}

export interface Operator {
  /** Inputs, by position, whose numbers must follow from constants and shapes: sizes, axes, bounds. */
  readonly known?: readonly number[];
  /** @throws {FormatError} for a node that cannot be translated. */
  translate(node: OnnxNode, graph: GraphContext): Part | readonly Part[];
}

export type OperatorTable = Readonly<Record<string, Operator>>;

/** What rows may ask about the graph around a node. */
export interface GraphContext {
  /** A value that is the same in every call, or null. */
  constant(name: string | null): Known | null;
  /** Whether a value's numbers follow from constants and shapes. */
  isKnown(name: string): boolean;
  /** How many axes a value has, where that is plain. */
  rank(name: string): number | null;
  /**
   * A constant of floats as a trained tensor; the same one for all who ask for the same form. null for a value that is no constant of floats,
   * and for the transpose of one that others read as it is (which would untie them).
   */
  parameter(name: string | null, form?: 'as it is' | 'transposed'): Parameter | null;
  /** A constant of floats as saved state that is not trained. */
  buffer(name: string): Tensor;
  /** The place that a weight's name gives its module: `layer1.0.conv1` of `layer1.0.conv1.weight`; null if it says nothing. */
  placeOf(weight: string | null): string | null;
  /** The one node that reads a value, if there is just one and nobody else wants it. */
  onlyReader(name: string): OnnxNode | null;
  /** Makes the caller responsible for another node's outputs. */
  absorb(node: OnnxNode): void;
  /** A name for a value between two parts of a node. */
  inner(node: OnnxNode, what: string): string;
  /** The tensor in an attribute, or null where there is none. */
  tensorAttribute(node: OnnxNode, name: string): Known | null;
  /** A graph inside a node as a function of the values that it reads from around it. */
  subgraph(node: OnnxNode, graph: GraphProto): { readonly module: Module; readonly reads: readonly string[] };
}

/** A function of the node's inputs; `known` lists those whose numbers must be known. */
export function computes(make: (node: OnnxNode) => Compute, known: readonly number[] = []): Operator {
  return { known, translate: (node) => ({ run: make(node) }) };
}

/** A module that reads the first input and makes the first output. */
export function layer(make: (node: OnnxNode) => Module): Operator {
  return {
    translate: (node) => ({ run: make(node), inputs: node.inputs.slice(0, 1), outputs: node.outputs.slice(0, 1) }),
  };
}

/** The numbers of an input that must be known; a list of sizes or axes is never long. */
export function numbers(node: OnnxNode, value: Tensor | undefined, what: string, most = 1024): number[] {
  if (value instanceof Known && value.size <= most) return value.list();
  if (value === undefined) throw node.fail(`${what} is missing`);
  throw node.fail(`${what} must be known before anything runs; a list of ${value.size} numbers is beyond that`);
}

/** The single number of an input that must be known. */
export function oneNumber(node: OnnxNode, value: Tensor | undefined, what: string): number {
  const list = numbers(node, value, what);
  if (list.length !== 1) throw node.fail(`${what} must be one number, not ${list.length}`);
  return list[0];
}

/** An input that a node cannot do without. */
export function required(node: OnnxNode, value: Tensor | undefined, what = 'its first input'): Tensor {
  if (value === undefined) throw node.fail(`${what} is missing`);
  return value;
}

/** An axis counted from the front. */
export function axisOf(node: OnnxNode, axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || at < 0 || at >= rank)
    throw node.fail(`axis ${axis} does not exist: there are ${rank}`);
  return at;
}

/** Axes counted from the front, each once. */
export function axesOf(node: OnnxNode, axes: readonly number[], rank: number): number[] {
  const all = axes.map((axis) => axisOf(node, axis, rank));
  if (new Set(all).size !== all.length) throw node.fail(`axes ${JSON.stringify(axes)} name one twice`);
  return all;
}

/** Refuses results of a size that only a damaged or hostile file asks for. */
export function checkedShape(node: OnnxNode, shape: readonly number[]): number[] {
  const size = shape.reduce((product, n) => product * n, 1);
  if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw node.fail(`${JSON.stringify(shape)} is no shape: sizes are whole numbers from 0 up`);
  }
  if (shape.length > 32 || size > mostElements) {
    throw node.fail(`a result of shape ${JSON.stringify(shape)} is beyond what fovea makes (${mostElements} elements)`);
  }
  return [...shape];
}

const mostElements = 2 ** 31 - 1;
