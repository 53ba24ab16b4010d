/**
 * Keras's models as modules: `.keras` archives (Keras 3), whole models in `.h5` (Keras 2 and 3), and TensorFlow.js layers models. The
 * configuration says which layers there are (config.ts), a table what each is here (layers.ts), and the weights are found by name or by place.
 */

import { GraphModule, type GraphSpec, type GraphStep, isReservedName } from '../../nn/graph-module.js';
import { inEvalMode, Module } from '../../nn/index.js';
import { zeros } from '../../tensor/index.js';
import { ConfigError, FormatError, ShapeError } from '../../util/errors.js';
import { asSource, type BytesLike } from '../byte-source.js';
import type { HostTensor } from '../host-tensor.js';
import { isZip, openZip, readZipEntry } from '../zip.js';
import { type KerasCall, type KerasGraph, type KerasLayer, readKerasConfig } from './config.js';
import { type H5Content, readH5 } from './h5.js';
import { knowsLayer, type LayerWeights, type Translation, translateLayer } from './layers.js';

export interface KerasOptions {
  /** Inner values to return instead of the model's own outputs, as `inputs` of a step names them. */
  readonly outputs?: readonly string[];
}

export interface KerasFacts {
  readonly name: string;
  /** Of the Keras that wrote it; null where the file does not say. */
  readonly version: string | null;
  /** Inputs as `forward` takes them, without the batch: channels first. null where any size will do. */
  readonly inputs: readonly { readonly name: string; readonly shape: readonly (number | null)[] }[];
  readonly outputs: readonly string[];
}

/** A network from Keras: takes [N, C, …] where Keras takes [N, …, C]; trains and explains like one written by hand. */
export class KerasModule extends GraphModule {
  #facts: KerasFacts | null = null;

  get metadata(): KerasFacts {
    return this.#facts!;
  }

  /** @internal */
  static from(
    graph: KerasGraph,
    weights: WeightsOf,
    version: string | null,
    { outputs }: KerasOptions = {},
  ): KerasModule {
    const spec = build(graph, weights, Number.parseInt(version ?? '3', 10));
    const module = new KerasModule(outputs === undefined ? spec : { ...spec, outputs });
    check(module, graph);
    module.#facts = {
      name: graph.name,
      version,
      inputs: graph.inputs.map(({ name, shape }) => ({ name, shape: channelsFirst(shape) })),
      outputs: graph.outputs.map(({ name }) => name),
    };
    return module;
  }
}

/** One sample's shapes walk through the network; nothing is computed. @throws {FormatError} where they do not fit */
function check(module: KerasModule, { inputs }: KerasGraph): void {
  if (inputs.some(({ shape }) => shape.includes(null))) return;
  try {
    inEvalMode(module, () =>
      module.forward(...inputs.map(({ shape }) => zeros([1, ...channelsFirst(shape as number[])]))),
    );
  } catch (error) {
    if (!(error instanceof ShapeError || error instanceof ConfigError)) throw error;
    throw new FormatError(`keras: the layers do not fit together: ${error.message}`);
  }
}

function channelsFirst<T>(shape: readonly T[]): T[] {
  return shape.length < 2 ? [...shape] : [shape.at(-1)!, ...shape.slice(0, -1)];
}

/** The variables of a layer. */
export type WeightsOf = (layer: KerasLayer) => LayerWeights;

/**
 * The model in a `.keras` or `.h5` file. Needs the package `h5wasm`.
 * @throws {FormatError} naming the layer or the offset for what cannot be read: other layers, Python code, damage
 */
export async function importKeras(bytes: BytesLike, options: KerasOptions = {}): Promise<KerasModule> {
  const source = asSource(bytes);
  const head = source.read(0, Math.min(8, source.sizeBytes));
  if (!isZip(head)) return importH5(await readH5(source.read(0, source.sizeBytes)), options);
  const entries = openZip(source);
  const entry = (name: string) => {
    const found = entries.get(name);
    if (found !== undefined) return readZipEntry(source, found);
    throw new FormatError(`keras: the archive has no ${name}: it is not a .keras file`, 0);
  };
  const config = json(entry('config.json'), 'config.json');
  const metadata = entries.has('metadata.json') ? json(entry('metadata.json'), 'metadata.json') : null;
  const { tensors } = await readH5(entry('model.weights.h5'));
  const version = (metadata as { keras_version?: unknown } | null)?.keras_version;
  return KerasModule.from(
    readKerasConfig(config),
    byPlace(tensors),
    typeof version === 'string' ? version : null,
    options,
  );
}

function importH5({ tensors, attributes }: H5Content, options: KerasOptions): KerasModule {
  const config = attributes.get('model_config');
  if (config === undefined) {
    throw new FormatError(
      "keras: the file holds weights without a model (no attribute 'model_config'): save the whole model with model.save(…)",
    );
  }
  const graph = readKerasConfig(json(config, 'model_config'));
  return KerasModule.from(graph, byName(tensors), attributes.get('keras_version') ?? null, options);
}

/** Keras 3: `layers/conv2d_1/vars/0`, in the order in which the layer made them. */
function byPlace(tensors: ReadonlyMap<string, HostTensor>): WeightsOf {
  return ({ path, storedAt, className }) => ({
    take(name, index) {
      const found = tensors.get(`${storedAt}/vars/${index}`);
      if (found !== undefined) return found;
      throw new FormatError(`keras: ${className} '${path}': its ${name} is missing (${storedAt}/vars/${index})`);
    },
  });
}

/** Keras 2 and TensorFlow.js: `…/conv2d/kernel:0`, by the layer's name. */
export function byName(tensors: ReadonlyMap<string, HostTensor>): WeightsOf {
  const found = new Map<string, HostTensor>();
  for (const [path, value] of tensors) found.set(path.replace(/:\d+$/, '').split('/').slice(-2).join('/'), value);
  return ({ path, className }) => {
    const layer = path.split('/').at(-1)!;
    return {
      take(name) {
        // Before Keras 3 a depthwise kernel had a name of its own; now it is the layer's kernel.
        const names = name === 'depthwise_kernel' ? [name, 'kernel'] : [name];
        for (const candidate of names) {
          const value = found.get(`${layer}/${candidate}`);
          if (value !== undefined) return value;
        }
        throw new FormatError(`keras: ${className} '${path}': its ${name} is missing (${layer}/${name})`);
      },
    };
  };
}

/** Every layer once, every call a step. */
function build(graph: KerasGraph, weightsOf: WeightsOf, version: number): GraphSpec {
  refuseUnknown(graph.calls);
  const ranks = new Map(graph.inputs.map(({ value, shape }) => [value, shape.length + 1]));
  const translations = new Map<KerasLayer['path'], { parts: Translation['parts']; rank: number; ranks: string }>();
  const steps: GraphStep[] = [];
  for (const { layer, inputs, output } of graph.calls) {
    const given = inputs.map((value) => ranks.get(value)!);
    const where = `keras: ${layer.className} '${layer.path}'`;
    let translated = translations.get(layer.path);
    if (translated === undefined) {
      const facts = { config: layer.config, weights: weightsOf(layer), ranks: given, where, version };
      const { parts, rank = given[0] } = translateLayer(layer.className, facts);
      if (layer.config.trainable === false)
        for (const part of parts) if (part instanceof Module) part.requiresGrad(false);
      translated = { parts, rank, ranks: given.join() };
      translations.set(layer.path, translated);
    } else if (translated.ranks !== given.join()) {
      throw new FormatError(`${where} is called with values of ${translated.ranks} and of ${given.join()} axes`);
    }
    const name = pathHere(layer.path);
    const modules = translated.parts.filter((part) => part instanceof Module).length;
    let current = [...inputs];
    for (const [i, part] of translated.parts.entries()) {
      const last = i === translated.parts.length - 1;
      const made = last ? output : `${output}.${i}`;
      // Of several modules, as in a separable convolution, each gets a name below the layer's.
      const own =
        part instanceof Module && modules > 1 ? `${name}.${partNames[modulesBefore(translated.parts, i)] ?? i}` : name;
      steps.push({
        name: own,
        inputs: current,
        outputs: [made],
        run: part as GraphStep['run'],
        label: ('label' in part ? part.label : undefined) ?? layer.className,
      });
      current = [made];
    }
    ranks.set(output, translated.rank);
  }
  return {
    inputs: graph.inputs.map(({ value }) => value),
    outputs: graph.outputs.map(({ value }) => value),
    steps,
  };
}

const partNames = ['depthwise', 'pointwise'];

function modulesBefore(parts: Translation['parts'], i: number): number {
  return parts.slice(0, i).filter((part) => part instanceof Module).length;
}

/** All of them at once, before anything is built. */
function refuseUnknown(calls: readonly KerasCall[]): void {
  const unknown = new Map<string, string>();
  for (const { layer } of calls) if (!knowsLayer(layer.className)) unknown.set(layer.path, layer.className);
  if (unknown.size <= 1) return; // one is refused with its reason where it is translated
  const names = [...unknown].slice(0, 12).map(([path, className]) => `${className} '${path}'`);
  const more = unknown.size > names.length ? ` and ${unknown.size - names.length} more` : '';
  throw new FormatError(`keras: fovea has no layers for ${names.join(', ')}${more}`);
}

/** `encoder/conv 1` → `encoder.conv_1`. */
function pathHere(path: string): string {
  return path
    .split('/')
    .map((name) => name.replaceAll(/[^A-Za-z0-9_-]/g, '_'))
    .map((name) => (name === '' || isReservedName(name) ? `${name}_` : name))
    .join('.');
}

/** JSON of a file's part called `where`. @throws {FormatError} */
export function json(text: Uint8Array | string, where: string): unknown {
  try {
    return JSON.parse(typeof text === 'string' ? text : new TextDecoder('utf-8', { fatal: true }).decode(text));
  } catch (error) {
    throw new FormatError(`${where}: not valid JSON: ${(error as Error).message}`);
  }
}
