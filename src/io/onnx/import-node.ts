/**
 * A node of an ONNX graph as the operator table reads it: names, the version of the operator set, attributes by name and type. Every complaint
 * names the node and its operator.
 */

import { FormatError } from '../../util/errors.js';
import { type AttributeProto, AttributeType, type GraphProto, type TensorProto } from './schema.js';

/** What stands in the file, after functions have been written out. */
export interface NodeFacts {
  readonly op: string;
  /** '' for ONNX's own operators. */
  readonly domain: string;
  readonly name: string;
  /** Of the operator set that the model asks for. */
  readonly version: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  /** Where the node begins in the file. */
  readonly offset: number | undefined;
  /** The dotted path of the module it was exported from, where the file says so. */
  readonly module: string | null;
}

export class OnnxNode {
  constructor(readonly facts: NodeFacts) {}

  get op(): string {
    return this.facts.op;
  }

  get version(): number {
    return this.facts.version;
  }

  /** Names of the values read; '' for one left out. */
  get inputs(): readonly string[] {
    return this.facts.inputs;
  }

  get outputs(): readonly string[] {
    return this.facts.outputs;
  }

  /** The name of input `i`, or null if it is left out. */
  input(i: number): string | null {
    return this.inputs[i] || null;
  }

  /** Whether somebody may want output `i`. */
  wants(i: number): boolean {
    return (this.outputs[i] ?? '') !== '';
  }

  has(name: string): boolean {
    return this.facts.attributes.has(name);
  }

  int(name: string): number | undefined;
  int(name: string, fallback: number): number;
  int(name: string, fallback?: number): number | undefined {
    const attribute = this.#attribute(name, AttributeType.INT);
    return attribute === undefined ? fallback : Number(attribute.i);
  }

  /** An integer that means yes or no. */
  flag(name: string, fallback = false): boolean {
    return this.int(name, Number(fallback)) !== 0;
  }

  float(name: string): number | undefined;
  float(name: string, fallback: number): number;
  float(name: string, fallback?: number): number | undefined {
    return this.#attribute(name, AttributeType.FLOAT)?.f ?? fallback;
  }

  ints(name: string): number[] | undefined {
    return this.#attribute(name, AttributeType.INTS)?.ints.map(Number);
  }

  floats(name: string): number[] | undefined {
    return this.#attribute(name, AttributeType.FLOATS)?.floats;
  }

  string(name: string): string | undefined;
  string(name: string, fallback: string): string;
  string(name: string, fallback?: string): string | undefined {
    const attribute = this.#attribute(name, AttributeType.STRING);
    return attribute === undefined ? fallback : new TextDecoder().decode(attribute.s);
  }

  /** One of a few words. */
  word<const Word extends string>(name: string, words: readonly Word[], fallback: Word): Word {
    const text = this.string(name, fallback);
    const found = words.find((word) => word === text);
    if (found === undefined) throw this.fail(`${name} is '${text}'; fovea knows ${words.join(', ')}`);
    return found;
  }

  strings(name: string): string[] | undefined {
    const decoder = new TextDecoder();
    return this.#attribute(name, AttributeType.STRINGS)?.strings.map((s) => decoder.decode(s));
  }

  tensor(name: string): TensorProto | undefined {
    return this.#attribute(name, AttributeType.TENSOR)?.t;
  }

  graph(name: string): GraphProto | undefined {
    return this.#attribute(name, AttributeType.GRAPH)?.g;
  }

  #attribute(name: string, type: AttributeType): AttributeProto | undefined {
    const attribute = this.facts.attributes.get(name);
    if (attribute === undefined) return undefined;
    // Files from before IR version 2 leave the type out.
    if (attribute.type === type || attribute.type === AttributeType.UNDEFINED) return attribute;
    throw this.fail(
      `attribute '${name}' is of type ${AttributeType[attribute.type] ?? attribute.type}, ${AttributeType[type]} is expected`,
    );
  }

  /** `node 'conv1' (Conv)`. */
  toString(): string {
    return describeNode(this.facts);
  }

  fail(problem: string): FormatError {
    return new FormatError(`onnx: ${this}: ${problem}`, this.facts.offset);
  }
}

export function describeNode({ name, op, domain, outputs }: NodeFacts): string {
  const operator = domain === '' ? op : `${domain}.${op}`;
  return name === '' ? `the node that makes '${outputs[0]}' (${operator})` : `node '${name}' (${operator})`;
}
