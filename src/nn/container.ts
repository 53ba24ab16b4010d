/** Modules that hold modules: a chain, a list, a dictionary. Their entries are own fields, so paths are `0.weight`, `conv1.bias`. */

import type { Parameter, Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { Module } from './module.js';

/** Calls its modules one after another. Takes them in order, or as an object whose keys become their names. */
export class Sequential extends Module {
  [name: string | number]: unknown;

  constructor(...modules: Module[] | [Readonly<Record<string, Module>>] | [readonly Module[]]) {
    super();
    const [first] = modules;
    const named = modules.length === 1 && typeof first === 'object' && first !== null && !(first instanceof Module);
    const entries = named ? Object.entries(first) : modules.map((m, i) => [String(i), m] as const);
    for (const [name, module] of entries) this.add(module as Module, name);
  }

  /** Appends a module, under the next number unless a name is given. Returns this. */
  add(module: Module, name = String(this.length)): this {
    addChild(this, name, module);
    return this;
  }

  get length(): number {
    return this.children().length;
  }

  /** The module at `index`, counted from either end. */
  at(index: number): Module {
    return childAt(this, index);
  }

  /** A chain of the modules `start` … `end` − 1, the same ones, not copies. */
  slice(start?: number, end?: number): Sequential {
    return new Sequential(...this.children().slice(start, end));
  }

  [Symbol.iterator](): IterableIterator<Module> {
    return this.children()[Symbol.iterator]();
  }

  override forward(x: Tensor): Tensor {
    let y = x;
    for (const module of this.children()) y = module.forward(y);
    return y;
  }
}

/** A list of modules that a `forward` calls as it likes. */
export class ModuleList extends Module {
  [index: number]: Module;

  constructor(modules: Iterable<Module> = []) {
    super();
    for (const module of modules) this.append(module);
  }

  append(module: Module): this {
    addChild(this, String(this.length), module);
    return this;
  }

  get length(): number {
    return this.children().length;
  }

  /** The module at `index`, counted from either end. */
  at(index: number): Module {
    return childAt(this, index);
  }

  map<T>(fn: (module: Module, index: number) => T): T[] {
    return this.children().map(fn);
  }

  [Symbol.iterator](): IterableIterator<Module> {
    return this.children()[Symbol.iterator]();
  }
}

/** Modules by name, for a `forward` that calls them as it likes. */
export class ModuleDict extends Module {
  constructor(modules: Readonly<Record<string, Module>> = {}) {
    super();
    for (const [name, module] of Object.entries(modules)) addChild(this, name, module);
  }

  set(name: string, module: Module): this {
    addChild(this, name, module);
    return this;
  }

  has(name: string): boolean {
    return this.keys().includes(name);
  }

  keys(): string[] {
    return Array.from(this.namedChildren(), ([name]) => name);
  }

  override get(path: string): Module {
    return super.get(path);
  }
}

/** A list of parameters. */
export class ParameterList extends Module {
  [index: number]: Parameter;

  constructor(parameters: Iterable<Parameter> = []) {
    super();
    for (const [i, parameter] of [...parameters].entries()) this[i] = parameter;
  }
}

function addChild(parent: Module, name: string, module: unknown): void {
  const kind = parent.constructor.name;
  if (!(module instanceof Module)) {
    throw new ConfigError(
      `${kind}: entry ${name} is ${module === null ? 'null' : typeof module}, not a Module. Wrap a function in new nn.Lambda(fn); make layers with new.`,
    );
  }
  if (name === '' || name.includes('.'))
    throw new ConfigError(`${kind}: '${name}' is no name: names are not empty and have no dots`);
  if (
    name in parent &&
    !(Object.hasOwn(parent, name) && (parent as unknown as Record<string, unknown>)[name] instanceof Module)
  ) {
    throw new ConfigError(`${kind}: '${name}' is taken by ${kind} itself; choose another name`);
  }
  Object.defineProperty(parent, name, { value: module, enumerable: true, configurable: true, writable: true });
}

function childAt(parent: Module, index: number): Module {
  const child = parent.children().at(index);
  if (child === undefined)
    throw new ConfigError(
      `${parent.constructor.name}: there is no module ${index}; it has ${parent.children().length}`,
    );
  return child;
}
