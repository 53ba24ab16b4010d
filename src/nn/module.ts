/**
 * Module: a part of a network that owns parameters, buffers and other modules, and turns inputs into outputs in `forward`.
 *
 * Names come from the fields themselves: an own enumerable field that holds a Parameter, a Tensor (then it is a buffer), a Module, or an
 * array of these, is part of the module under the field's name, in declaration order; so a field spelled as its key in a PyTorch
 * checkpoint loads from one without a renaming table. A tensor in a `#private` field stays out of the state.
 *
 * Users write `this.conv1.forward(x)`. The constructor gives every instance an own, non-enumerable `forward` that runs the class's method
 * inside a call record: nodes recorded meanwhile carry the module's path below the outermost module called (shape errors name it, plans
 * and summaries group by it), and hooks and `activations` see inputs and outputs. `super.forward(x)` inside a method reaches the parent's
 * method directly, so nothing runs twice. (A `forward` declared as an arrow-function field replaces this; write it as a method.)
 */

import { withScope } from '../graph/node.js';
import { noGrad, Parameter, Tensor } from '../tensor/index.js';
import { ConfigError, suggest } from '../util/errors.js';
import { loadSlots, type State, type StateProblems, type StateSlot } from './state.js';

/** A module's saved tensors by path, in declaration order; parameters that are shared appear once. */
export type StateDict = Record<string, Tensor>;

// biome-ignore lint/suspicious/noExplicitAny: what goes in and comes out is each subclass's own business
type Any = any;
type Forward = (...inputs: Any[]) => Any;

/** Sees a module's inputs and output; a value it returns takes the output's place. */
export type ForwardHook = (module: Module, inputs: readonly Any[], output: Any) => Any;
/** Sees a module's inputs before it runs; an array it returns takes their place. */
// biome-ignore lint/suspicious/noConfusingVoidType: most hooks return nothing
export type ForwardPreHook = (module: Module, inputs: readonly Any[]) => readonly Any[] | void;

export interface HookHandle {
  remove(): void;
}

/** Paths of the modules below the outermost one being called. */
let callPaths: ReadonlyMap<Module, string> | null = null;

/** Modules made so far: while there are no new ones, paths found before still hold. */
let modulesMade = 0;
/** What `modulesMade` may grow to. */
let mostModules = Number.POSITIVE_INFINITY;

/** Runs `build`, which may make `limit` modules at most: for models whose options come from a file. @throws {ConfigError} for more */
export function withModuleLimit<T>(limit: number, build: () => T): T {
  const before = mostModules;
  mostModules = Math.min(before, modulesMade + limit);
  try {
    return build();
  } finally {
    mostModules = before;
  }
}

export class Module {
  /** True while training: dropout drops and batch norm uses the batch. Set by `train()` and `eval()`. */
  training = true;

  #hooks: Set<ForwardHook> | null = null;
  #preHooks: Set<ForwardPreHook> | null = null;
  #paths: { readonly below: ReadonlyMap<Module, string>; readonly made: number } | null = null;

  constructor() {
    if (++modulesMade > mostModules) throw new ConfigError('the model would have more layers than its weights allow');
    let implementation: Forward = this.forward;
    const wrapped: Forward = (...inputs) => this.#call(implementation, inputs);
    Object.defineProperty(this, 'forward', {
      configurable: true,
      get: () => wrapped,
      set: (replacement: Forward) => {
        implementation = replacement;
      },
    });
  }

  /** What the module computes. Subclasses narrow the types. */
  forward(..._inputs: Any[]): Any {
    throw new ConfigError(
      `${this.constructor.name} has no forward: call the modules inside it, or define forward(x) as a method.`,
    );
  }

  #call(implementation: Forward, inputs: readonly Any[]): Any {
    const outer = callPaths;
    let path = outer?.get(this);
    if (path === undefined) {
      path = '';
      callPaths = this.#pathsBelow();
    }
    const run = () => {
      let given = inputs;
      if (this.#preHooks) for (const hook of [...this.#preHooks]) given = hook(this, given) ?? given;
      let output = implementation.apply(this, given as Any[]);
      if (this.#hooks) for (const hook of [...this.#hooks]) output = hook(this, given, output) ?? output;
      return output;
    };
    try {
      return path === '' ? run() : withScope(path, run);
    } finally {
      callPaths = outer;
    }
  }

  #pathsBelow(): ReadonlyMap<Module, string> {
    if (this.#paths?.made === modulesMade) return this.#paths.below;
    const paths = new Map<Module, string>();
    for (const [path, module] of this.namedModules()) {
      paths.set(module, path);
      for (const [name, tensor] of ownTensors(module)) nameStorage(tensor, path === '' ? name : `${path}.${name}`);
    }
    this.#paths = { below: paths, made: modulesMade };
    return paths;
  }

  // —— walking ——

  /** The modules directly inside, by field name (`blocks.0` for the entries of an array). */
  *namedChildren(): Generator<[string, Module]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Module) yield [name, value];
      else if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) if (value[i] instanceof Module) yield [`${name}.${i}`, value[i]];
      }
    }
  }

  children(): Module[] {
    return Array.from(this.namedChildren(), ([, child]) => child);
  }

  /** This module (path '') and all below it, parents first. One that is reachable twice comes once, under its first path. */
  *namedModules(prefix = '', seen: Set<Module> = new Set()): Generator<[string, Module]> {
    if (seen.has(this)) return;
    seen.add(this);
    yield [prefix, this];
    for (const [name, child] of this.namedChildren())
      yield* child.namedModules(prefix === '' ? name : `${prefix}.${name}`, seen);
  }

  modules(): Module[] {
    return Array.from(this.namedModules(), ([, module]) => module);
  }

  /** Trained tensors by path; one that is shared comes once, under its first path. */
  *namedParameters(): Generator<[string, Parameter]> {
    for (const [path, tensor] of this.#namedTensors()) if (tensor instanceof Parameter) yield [path, tensor];
  }

  parameters(): Parameter[] {
    return Array.from(this.namedParameters(), ([, parameter]) => parameter);
  }

  /** Saved tensors that are not trained, such as running statistics. */
  *namedBuffers(): Generator<[string, Tensor]> {
    for (const [path, tensor] of this.#namedTensors()) if (!(tensor instanceof Parameter)) yield [path, tensor];
  }

  buffers(): Tensor[] {
    return Array.from(this.namedBuffers(), ([, buffer]) => buffer);
  }

  *#namedTensors(): Generator<[string, Tensor]> {
    const seen = new Set<Tensor>();
    for (const [path, module] of this.namedModules()) {
      module.requireReady(path);
      for (const [name, tensor] of ownTensors(module)) {
        if (seen.has(tensor)) continue;
        seen.add(tensor);
        yield [path === '' ? name : `${path}.${name}`, tensor];
      }
    }
  }

  /** Throws where parameters do not exist yet (lazy layers). */
  protected requireReady(_path: string): void {}

  /** The module at `path`. @throws {ConfigError} that suggests the nearest path there is. */
  get(path: string): Module {
    for (const [name, module] of this.namedModules()) if (name === path) return module;
    throw unknownPath(this, path);
  }

  /** How many numbers are trained (or, with `trainable: false`, stored in parameters at all). */
  parameterCount({ trainable = false }: { trainable?: boolean } = {}): number {
    let count = 0;
    for (const p of this.parameters()) if (!trainable || p.requiresGrad) count += p.size;
    return count;
  }

  // —— state ——

  /** Parameters and buffers by path, live: they are the module's own tensors, not copies. Tied parameters appear once. */
  stateDict(): StateDict {
    return Object.fromEntries(this.#namedTensors());
  }

  /**
   * Takes over the values of `state`. Any path of a tied parameter will do. Returns what did not fit when `strict` is false.
   * @throws {ConfigError} listing every missing, unexpected and wrongly shaped entry with the nearest name; then nothing was changed.
   */
  loadStateDict(state: State, options: { strict?: boolean; ignoreShapes?: boolean } = {}): StateProblems {
    return loadSlots(this.constructor.name, this.stateSlots(), state, options);
  }

  /** @internal Every tensor that a state holds, with all its paths. */
  stateSlots(): StateSlot[] {
    const slots = new Map<Tensor, { tensor: Tensor; paths: string[]; optional: boolean }>();
    const walk = (module: Module, prefix: string, above: readonly Module[]) => {
      const optional = module.optionalState();
      for (const [name, tensor] of ownTensors(module)) {
        const slot = slots.get(tensor) ?? { tensor, paths: [], optional: optional.includes(name) };
        slot.paths.push(prefix + name);
        slots.set(tensor, slot);
      }
      for (const [name, child] of module.namedChildren()) {
        if (!above.includes(child)) walk(child, `${prefix}${name}.`, [...above, child]);
      }
    };
    walk(this, '', [this]);
    return [...slots.values()];
  }

  /** Names of own tensors a state may lack without being refused. */
  optionalState(): readonly string[] {
    return [];
  }

  // —— modes ——

  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Turns gradients of all parameters below on or off: `requiresGrad(false)` freezes them. */
  requiresGrad(flag = true): this {
    for (const p of this.parameters()) p.requiresGrad = flag;
    return this;
  }

  /** Drops the gradients of all parameters below. */
  zeroGrad(): void {
    for (const p of this.parameters()) p.grad = null;
  }

  /** Calls `fn` on every module below and then on this one. */
  apply(fn: (module: Module) => void): this {
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }

  // —— looking inside ——

  registerForwardHook(hook: ForwardHook): HookHandle {
    this.#hooks ??= new Set();
    return register(this.#hooks, hook);
  }

  registerForwardPreHook(hook: ForwardPreHook): HookHandle {
    this.#preHooks ??= new Set();
    return register(this.#preHooks, hook);
  }

  /**
   * Runs the module on `input` (an array gives several inputs) and returns the outputs of the modules at `paths`, by path; all modules
   * when left out. '' is this module itself. A module called more than once shows its last output. The tensors are part of the graph:
   * `grad(score, [acts.layer4])` is the gradient at one, frozen weights or not.
   */
  activations<T = Tensor>(input: Tensor | readonly unknown[], paths?: readonly string[]): Record<string, T> {
    const all = new Map(this.namedModules());
    const outputs: Record<string, T> = {};
    const handles: HookHandle[] = [];
    try {
      for (const path of paths ?? all.keys()) {
        const module = all.get(path);
        if (module === undefined) throw unknownPath(this, path);
        handles.push(module.registerForwardHook((_module, _inputs, output) => void (outputs[path] = output)));
      }
      this.forward(...(input instanceof Tensor ? [input] : input));
    } finally {
      for (const handle of handles) handle.remove();
    }
    for (const path of paths ?? []) {
      if (!(path in outputs))
        throw new ConfigError(`activations: ${this.constructor.name} never called ${path} for this input.`);
    }
    return outputs;
  }

  // —— printing ——

  /** The options shown between the parentheses of `toString()`. */
  extraRepr(): string {
    return '';
  }

  /** The tree of modules, as PyTorch prints it. */
  toString(): string {
    const children = [...this.namedChildren()];
    const head = `${this.constructor.name}(${this.extraRepr()}`;
    if (children.length === 0) return `${head})`;
    const lines = children.map(([name, child]) => `  (${name}): ${child.toString().replaceAll('\n', '\n  ')}`);
    return `${head}\n${lines.join('\n')}\n)`;
  }
}

/** Runs `body` with `module` in evaluation mode and without recording gradients, then puts every module's mode back. */
export function inEvalMode<T>(module: Module, body: () => T): T {
  const modes = module.modules().map((m) => [m, m.training] as const);
  module.eval();
  try {
    return noGrad(body);
  } finally {
    for (const [m, mode] of modes) m.training = mode;
  }
}

/** The tensors a module holds itself, parameters before buffers as PyTorch orders them. */
export function ownTensors(module: Module): [string, Tensor][] {
  const parameters: [string, Tensor][] = [];
  const buffers: [string, Tensor][] = [];
  const add = (name: string, value: unknown) => {
    if (value instanceof Parameter) parameters.push([name, value]);
    else if (value instanceof Tensor) buffers.push([name, value]);
  };
  for (const [name, value] of Object.entries(module)) {
    if (Array.isArray(value)) value.forEach((entry, i) => void add(`${name}.${i}`, entry));
    else add(name, value);
  }
  return [...parameters, ...buffers];
}

function register<H>(hooks: Set<H>, hook: H): HookHandle {
  hooks.add(hook);
  return { remove: () => void hooks.delete(hook) };
}

function unknownPath(root: Module, path: string): ConfigError {
  const names = Array.from(root.namedModules(), ([name]) => name).filter((name) => name !== '');
  const near = suggest(path, names);
  const inside =
    root.children().length === 0
      ? 'it has no modules inside'
      : `it has ${[...root.namedChildren()].map(([n]) => n).join(', ')}`;
  return new ConfigError(
    `${root.constructor.name} has no module ${path}: ${near === null ? inside : `did you mean ${near}?`}`,
  );
}

/** A storage is named by the longest path it was reached by: that of the outermost module. */
function nameStorage(tensor: Tensor, path: string): void {
  const { storage } = tensor;
  if (storage && (storage.name === null || path.length > storage.name.length)) storage.name = path;
}
