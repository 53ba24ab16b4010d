/**
 * A network that came as a list of operations, as model files hold it, in the shape of a Module: named steps, each a module or a function,
 * read named values and write named values. Modules and parameters lie under their dotted names as in a model written by hand, so state,
 * hooks, `get`, `summary`, `foldBatchNorm` and messages know no difference. Importers build these; what formats they read is their business.
 */

import { scopePath, withScope } from '../graph/node.js';
import { Parameter, Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { Module } from './module.js';

/** What a step does with tensors. An input that was left out (its name is '') is undefined. */
export type GraphFunction = (...inputs: (Tensor | undefined)[]) => Tensor | readonly Tensor[];

export interface GraphStep {
  /** A module's place below the graph: `layer1.0.conv1`. Steps that share a module have one name. For functions, what messages say. */
  readonly name: string;
  /** Names of the values read; '' for one that is left out. */
  readonly inputs: readonly string[];
  /** Names of the values made; '' for one that nobody wants. */
  readonly outputs: readonly string[];
  readonly run: Module | GraphFunction;
  /** What the function is called in `toString`. */
  readonly label?: string;
}

/** A tensor that steps read by name. */
export interface GraphTensor {
  readonly name: string;
  readonly tensor: Tensor;
  /** Where it lies below the graph, as part of its state; left out, it is a constant of the graph. */
  readonly path?: string;
}

export interface GraphSpec {
  /** Names of the values that `forward` takes, in order. */
  readonly inputs: readonly string[];
  /** Names of the values that `forward` returns: a tensor if there is one, a record of tensors by name if there are several. */
  readonly outputs: readonly string[];
  /** In an order in which every value is made before it is read. */
  readonly steps: readonly GraphStep[];
  readonly tensors?: readonly GraphTensor[];
}

/** The output of a graph: a tensor, or several by name. */
export type GraphOutput = Tensor | Record<string, Tensor>;

/** Holds what lies below one name, such as `layer1`; it does nothing by itself. */
export class GraphScope extends Module {}

/** Where a module or parameter lies; read anew in each call, since folding and users may put another in its place. */
interface Place {
  readonly owner: Module;
  readonly field: string;
}

interface PlannedStep {
  readonly step: GraphStep;
  /** null for a function. */
  readonly place: Place | null;
  /** Values that no later step reads. */
  readonly drops: readonly string[];
}

/**
 * Inputs in order → the output, or `{ name: output }` where there are several. Values are let go after their last reader.
 * @throws {ConfigError} for a graph that does not hold together: values nobody makes or made twice, names that are taken.
 */
export class GraphModule extends Module {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #steps: readonly PlannedStep[];
  readonly #constants: ReadonlyMap<string, Tensor>;
  readonly #state: ReadonlyMap<string, Place>;

  constructor({ inputs, outputs, steps, tensors = [] }: GraphSpec) {
    super();
    this.inputNames = [...inputs];
    this.outputNames = [...outputs];
    checkValues(inputs, outputs, steps, tensors);
    const state = new Map<string, Place>();
    const constants = new Map<string, Tensor>();
    for (const { name, tensor, path } of tensors) {
      if (path === undefined) constants.set(name, tensor);
      else state.set(name, this.#put(path, tensor));
    }
    const drops = lastUses(outputs, steps);
    this.#steps = steps.map((step, i) => {
      const place = step.run instanceof Module ? this.#put(step.name, step.run) : null;
      return { step, place, drops: drops[i] };
    });
    this.#state = state;
    this.#constants = constants;
  }

  override forward(...inputs: Tensor[]): GraphOutput {
    const { inputNames, outputNames } = this;
    if (inputs.length !== inputNames.length) {
      throw new ConfigError(
        `${this.constructor.name}: takes ${inputNames.length} inputs (${inputNames.join(', ')}), got ${inputs.length}`,
      );
    }
    const values = new Map<string, Tensor>(this.#constants);
    for (const [name, place] of this.#state) values.set(name, standing(place) as Tensor);
    for (const [i, name] of inputNames.entries()) values.set(name, inputs[i]);
    const outer = scopePath();
    for (const { step, place, drops } of this.#steps) {
      const given = step.inputs.map((name) => values.get(name));
      const made =
        place !== null
          ? (standing(place) as Module).forward(...given)
          : withScope(outer === null ? step.name : `${outer}.${step.name}`, () =>
              (step.run as GraphFunction)(...given),
            );
      const results = made instanceof Tensor ? [made] : Object.values(made as Record<string, Tensor>);
      for (const [i, name] of step.outputs.entries()) if (name !== '') values.set(name, resultOf(step, results, i));
      for (const name of drops) values.delete(name);
    }
    if (outputNames.length === 1) return values.get(outputNames[0])!;
    return Object.fromEntries(outputNames.map((name) => [name, values.get(name)!]));
  }

  /** The step that makes the first output, with the module that stands there now. @throws {ConfigError} if no step does. */
  lastStep(): GraphStep {
    const found = this.#steps.find(({ step }) => step.outputs.includes(this.outputNames[0]));
    if (found === undefined) throw new ConfigError(`GraphModule: no step makes '${this.outputNames[0]}'`);
    return found.place === null ? found.step : { ...found.step, run: standing(found.place) as Module };
  }

  /** How often each kind of step occurs, by the name of its module's class or its function's label, most frequent first. */
  stepCounts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { step, place } of this.#steps) {
      const kind = place === null ? labelOf(step) : standing(place).constructor.name;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    return new Map([...counts].sort(([, a], [, b]) => b - a));
  }

  /** The program, a step a line: `value = name: Module(options)(values)`. */
  override toString(): string {
    const lines = this.#steps.map(({ step, place }) => {
      const call = place === null ? labelOf(step) : `${step.name}: ${standing(place)}`.replaceAll('\n', '\n  ');
      const made = step.outputs.filter((name) => name !== '').join(', ');
      return `  ${made} = ${call}(${step.inputs.map((name) => name || 'none').join(', ')})`;
    });
    const state = [...this.#state].map(([name, place]) => {
      const tensor = standing(place) as Tensor;
      return `  ${name} = ${tensor instanceof Parameter ? 'Parameter' : 'Buffer'}(${formatShape(tensor.shape)})`;
    });
    const head = `${this.constructor.name}(${this.inputNames.join(', ')}) → ${this.outputNames.join(', ')}`;
    return [`${head} {`, ...state, ...lines, '}'].join('\n');
  }

  /** Puts a module or tensor under its dotted path. The same module may be put there again. */
  #put(path: string, child: Module | Tensor): Place {
    const names = path.split('.');
    let owner: Module = this;
    for (const name of names.slice(0, -1)) {
      const found = fieldOf(owner, name);
      if (found === undefined) define(owner, name, new GraphScope());
      else if (!(found instanceof GraphScope))
        throw new ConfigError(`${describe(path)}: something else stands at ${name}`);
      owner = fieldOf(owner, name) as Module;
    }
    const field = names.at(-1)!;
    const there = fieldOf(owner, field);
    if (there === undefined) define(owner, field, child);
    else if (there !== child) throw new ConfigError(`${describe(path)}: the name is taken`);
    return { owner, field };
  }
}

/** Names that a step or tensor below a graph may not have, since every module has them. */
export function isReservedName(name: string): boolean {
  return name in Module.prototype || name === 'training' || name === '__proto__' || reservedByGraph.has(name);
}

const reservedByGraph = new Set(['inputNames', 'outputNames', 'stepCounts', 'lastStep', 'metadata']);

function fieldOf(owner: Module, name: string): unknown {
  return Object.hasOwn(owner, name) ? (owner as unknown as Record<string, unknown>)[name] : undefined;
}

function standing({ owner, field }: Place): Module | Tensor {
  return fieldOf(owner, field) as Module | Tensor;
}

function define(owner: Module, name: string, value: unknown): void {
  if (name === '' || isReservedName(name)) {
    throw new ConfigError(`GraphModule: '${name}' is no name for a part: it is empty, or every module has it`);
  }
  Object.defineProperty(owner, name, { value, enumerable: true, configurable: true, writable: true });
}

function describe(path: string): string {
  return `GraphModule: nothing can be put at ${path}`;
}

function labelOf({ label, name }: GraphStep): string {
  return label ?? name;
}

function resultOf(step: GraphStep, results: readonly Tensor[], i: number): Tensor {
  const result = results[i];
  if (result instanceof Tensor) return result;
  throw new ConfigError(
    `GraphModule: step ${step.name} should make ${step.outputs.length} tensors (${step.outputs.join(', ')}); it made ${results.length}`,
  );
}

function checkValues(
  inputs: readonly string[],
  outputs: readonly string[],
  steps: readonly GraphStep[],
  tensors: readonly GraphTensor[],
): void {
  const made = new Set<string>();
  const make = (name: string, where: string) => {
    if (made.has(name)) throw new ConfigError(`GraphModule: value '${name}' is made twice (${where})`);
    made.add(name);
  };
  for (const name of inputs) make(name, 'as an input');
  for (const { name } of tensors) make(name, 'as a tensor');
  for (const { name, inputs: read, outputs: written } of steps) {
    const unknown = read.find((value) => value !== '' && !made.has(value));
    if (unknown !== undefined) {
      throw new ConfigError(`GraphModule: step ${name} reads '${unknown}', which no step before it makes`);
    }
    for (const value of written) if (value !== '') make(value, `by step ${name}`);
  }
  const missing = outputs.find((name) => !made.has(name));
  if (missing !== undefined) throw new ConfigError(`GraphModule: nothing makes the output '${missing}'`);
  if (outputs.length === 0) throw new ConfigError('GraphModule: a graph needs an output');
}

/** For each step the values that nobody reads after it. */
function lastUses(outputs: readonly string[], steps: readonly GraphStep[]): string[][] {
  const needed = new Set(outputs);
  const drops: string[][] = [];
  for (const { inputs, outputs: made } of steps.toReversed()) {
    const last = new Set([...inputs, ...made].filter((name) => name !== '' && !needed.has(name)));
    for (const name of inputs) needed.add(name);
    drops.push([...last]);
  }
  return drops.reverse();
}
