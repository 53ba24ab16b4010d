/**
 * What a Keras model is made of, read from its configuration: Sequential and functional models of Keras 2 and 3 and of TensorFlow.js, nested
 * or not, become one list of layers and the calls between them. Nothing is executed: layers that carry Python code are refused by name.
 */

import { FormatError } from '../../util/errors.js';
import type { JsonObject } from '../schema.js';

/** A tensor of the model: what a call of a layer returned. */
export type ValueRef = string;

export interface KerasLayer {
  /** Its name below the models it lies in: `encoder/conv2d`. */
  readonly path: string;
  readonly className: string;
  readonly config: JsonObject;
  /** Where .keras keeps its variables: classes in snake case, counted, below one another: `functional/layers/conv2d_1`. */
  readonly storedAt: string;
}

export interface KerasCall {
  readonly layer: KerasLayer;
  readonly inputs: readonly ValueRef[];
  readonly output: ValueRef;
}

export interface KerasInput {
  readonly name: string;
  readonly value: ValueRef;
  /** As Keras has it, channels last, without the batch; null where any size will do. */
  readonly shape: readonly (number | null)[];
}

export interface KerasGraph {
  readonly name: string;
  readonly inputs: readonly KerasInput[];
  readonly outputs: readonly { readonly name: string; readonly value: ValueRef }[];
  readonly calls: readonly KerasCall[];
}

const deepest = 16;
const most = 100_000;

/** @throws {FormatError} naming the layer whose entry is not what it should be */
export function readKerasConfig(config: unknown): KerasGraph {
  const { className, inner, name } = modelOf(config, 'the model');
  const reader = new Reader();
  const read = reader.model(className, inner, { path: '', storedAt: '', given: null, depth: 0 });
  return { name, inputs: read.inputs, outputs: read.outputs, calls: reader.calls };
}

interface Place {
  readonly path: string;
  readonly storedAt: string;
  /** What a model inside another is called with; null for the outermost. */
  readonly given: readonly ValueRef[] | null;
  readonly depth: number;
}

interface Read {
  readonly inputs: KerasInput[];
  readonly outputs: { name: string; value: ValueRef }[];
}

class Reader {
  readonly calls: KerasCall[] = [];
  #values = 0;

  model(className: string, config: JsonObject, place: Place): Read {
    if (place.depth > deepest) throw new FormatError(`keras: models lie more than ${deepest} deep in one another`);
    if (className === 'Sequential') return this.#sequential(config, place);
    if (['Functional', 'Model'].includes(className)) return this.#functional(config, place);
    const hint = 'fovea reads Sequential and functional models, whose configuration says what they compute';
    throw new FormatError(`keras: ${describe(place.path)} is a ${className}: ${hint}`);
  }

  #sequential(config: JsonObject, place: Place): Read {
    const layers = list(config.layers, place.path, 'layers');
    const inputs: KerasInput[] = [];
    let current: ValueRef | null = place.given?.[0] ?? null;
    const counter = new Counter();
    let last = 'output';
    for (const [i, entry] of layers.entries()) {
      const { className, inner, name } = modelOf(entry, `layer ${i} of ${describe(place.path)}`);
      last = name;
      const storedAt = `${place.storedAt}layers/${counter.next(className)}`;
      if (current === null) {
        const shape = inputShape(inner) ?? inputShape(anyConfig(config, 'build_config'));
        if (shape === null && className !== 'InputLayer') {
          throw new FormatError(
            `keras: the first layer, ${name}, does not say what shape it takes (batch_input_shape)`,
          );
        }
        current = this.#value();
        inputs.push({ name: className === 'InputLayer' ? name : 'input', value: current, shape: shape ?? [] });
      }
      if (className === 'InputLayer') continue;
      [current] = this.#call(className, inner, name, [current], { ...place, storedAt });
    }
    if (current === null) throw new FormatError(`keras: ${describe(place.path)} has no layers`);
    return { inputs, outputs: [{ name: last, value: current }] };
  }

  #functional(config: JsonObject, place: Place): Read {
    const entries = list(config.layers, place.path, 'layers').map((entry, i) => {
      const { className, inner, name } = modelOf(entry, `layer ${i} of ${describe(place.path)}`);
      return { className, inner, name, nodes: callsOf((entry as JsonObject).inbound_nodes, name) };
    });
    const counter = new Counter();
    const stored = entries.map(({ className }) => `${place.storedAt}layers/${counter.next(className)}`);
    const inputRefs = references(config.input_layers, place.path, 'input_layers');
    const made = new Map<string, ValueRef>(); // `layer:call:output` → value
    const inputs: KerasInput[] = inputRefs.map(([name], i) => {
      const layer = entries.find((entry) => entry.name === name);
      if (layer === undefined) throw new FormatError(`keras: ${describe(place.path)} has no input layer '${name}'`);
      const value = place.given === null ? this.#value() : place.given[i];
      if (value === undefined) throw new FormatError(`keras: ${describe(place.path)} is called with too few inputs`);
      made.set(`${name}:0:0`, value);
      return { name, value, shape: inputShape(layer.inner) ?? [] };
    });

    // A call runs when all it reads is there; the file's order need not be one in which that is so.
    const waiting = entries.flatMap((entry, i) =>
      entry.nodes.map((refs, call) => ({ entry, storedAt: stored[i], refs, call })),
    );
    for (let progress = true; progress && waiting.length > 0; ) {
      progress = false;
      for (let i = 0; i < waiting.length; i++) {
        const { entry, storedAt, refs, call } = waiting[i];
        const read = refs.map((ref) => made.get(ref));
        if (read.includes(undefined)) continue;
        const results = this.#call(entry.className, entry.inner, entry.name, read as ValueRef[], {
          ...place,
          storedAt,
        });
        for (const [k, value] of results.entries()) made.set(`${entry.name}:${call}:${k}`, value);
        waiting.splice(i--, 1);
        progress = true;
      }
    }
    const outputs = references(config.output_layers, place.path, 'output_layers').map(([name, call, k]) => {
      const value = made.get(`${name}:${call}:${k}`);
      if (value !== undefined) return { name, value };
      throw new FormatError(
        `keras: ${describe(place.path)}: nothing makes the output '${name}' (its inputs are missing, or form a circle)`,
      );
    });
    return { inputs, outputs };
  }

  /** Adds the call of a layer, or of all layers of a model inside this one; what it returns. */
  #call(className: string, config: JsonObject, name: string, inputs: readonly ValueRef[], place: Place): ValueRef[] {
    const path = place.path === '' ? name : `${place.path}/${name}`;
    if (['Sequential', 'Functional', 'Model'].includes(className)) {
      const inside = { path, storedAt: `${place.storedAt}/`, given: inputs, depth: place.depth + 1 };
      return this.model(className, config, inside).outputs.map(({ value }) => value);
    }
    if (this.calls.length >= most) throw new FormatError(`keras: more than ${most} layers`);
    const output = this.#value();
    this.calls.push({ layer: { path, className, config, storedAt: place.storedAt }, inputs, output });
    return [output];
  }

  #value(): ValueRef {
    return `v${this.#values++}`;
  }
}

/** Keras 3 names what it stores by class, in snake case, with a count from the second on. */
class Counter {
  readonly #seen = new Map<string, number>();

  next(className: string): string {
    const name = className
      .replace(/(.)([A-Z][a-z0-9]+)/g, '$1_$2')
      .replace(/([a-z])([A-Z])/g, '$1_$2')
      .replaceAll(/\W/g, '')
      .toLowerCase();
    const count = this.#seen.get(name) ?? 0;
    this.#seen.set(name, count + 1);
    return count === 0 ? name : `${name}_${count}`;
  }
}

/** { class_name, config } of a model or layer. */
function modelOf(value: unknown, what: string): { className: string; inner: JsonObject; name: string } {
  if (!isObject(value) || typeof value.class_name !== 'string') {
    throw new FormatError(`keras: ${what} is no layer: there is no class_name`);
  }
  // Early Keras wrote a Sequential's layers directly under `config`.
  const inner = Array.isArray(value.config) ? { layers: value.config } : (value.config ?? {});
  if (!isObject(inner)) throw new FormatError(`keras: ${what}: config is not an object`);
  const name = [inner.name, value.name].find((n) => typeof n === 'string') ?? value.class_name;
  return { className: value.class_name, inner, name: name as string };
}

/** The calls of a layer, each as the values it reads: `layer:call:output`. */
function callsOf(nodes: unknown, name: string): string[][] {
  if (nodes === undefined) return [];
  if (!Array.isArray(nodes)) throw new FormatError(`keras: ${name}: inbound_nodes is not a list`);
  return nodes.map((node) => {
    const refs: string[] = [];
    if (isObject(node)) collectHistories(node.args, refs, name, 0);
    else if (Array.isArray(node)) for (const entry of node) refs.push(reference(entry, name).join(':'));
    if (refs.length === 0) throw new FormatError(`keras: ${name} is called without the result of another layer`);
    return refs;
  });
}

/** Keras 3: tensors anywhere among the arguments, each with the layer, call and output it came from. */
function collectHistories(value: unknown, refs: string[], name: string, depth: number): void {
  if (depth > deepest) throw new FormatError(`keras: ${name}: its arguments lie too deep in one another`);
  if (Array.isArray(value)) for (const item of value) collectHistories(item, refs, name, depth + 1);
  else if (isObject(value) && value.class_name === '__keras_tensor__' && isObject(value.config)) {
    refs.push(reference(value.config.keras_history, name).join(':'));
  }
}

function reference(value: unknown, name: string): [name: string, call: number, output: number] {
  if (Array.isArray(value) && typeof value[0] === 'string') {
    const [layer, call = 0, output = 0] = value;
    if (Number.isSafeInteger(call) && Number.isSafeInteger(output)) return [layer, call as number, output as number];
  }
  throw new FormatError(`keras: ${name}: ${short(value)} names no layer's result`);
}

/** [["a", 0, 0], …], or ["a", 0, 0] alone as Keras 3 writes it. */
function references(value: unknown, path: string, field: string): [string, number, number][] {
  if (!Array.isArray(value)) {
    if (isObject(value)) return Object.values(value).map((ref) => reference(ref, field));
    throw new FormatError(`keras: ${describe(path)}: ${field} is not a list`);
  }
  return typeof value[0] === 'string' ? [reference(value, field)] : value.map((ref) => reference(ref, field));
}

function inputShape(config: JsonObject): (number | null)[] | null {
  const found = config.batch_shape ?? config.batch_input_shape ?? config.batchInputShape ?? config.input_shape;
  if (!Array.isArray(found) || found.length > 8) return null;
  return found.slice(1).map((n) => (typeof n === 'number' && Number.isSafeInteger(n) && n > 0 ? n : null));
}

function anyConfig(config: JsonObject, field: string): JsonObject {
  const found = config[field];
  return isObject(found) ? found : {};
}

function list(value: unknown, path: string, field: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new FormatError(`keras: ${describe(path)}: ${field} is not a list`);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(path: string): string {
  return path === '' ? 'the model' : path;
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
