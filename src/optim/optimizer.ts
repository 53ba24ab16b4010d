/**
 * What all optimisers share: parameter groups, state tensors, one program for each step, saving. An optimiser only writes its formula
 * (`next`): new value and new state from old ones, as graph. Learning rates and everything else that may change from step to step enter
 * the graph as data (`scalar`), never as constants, so every step after the first is the same graph and runs the compiled program.
 */

import type { Node } from '../graph/node.js';
import { buffer, full, noGrad, Parameter, realize, type Tensor, tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, sameShape } from '../util/shape.js';

/** Options every optimiser takes. */
export interface OptimizerOptions {
  /** Learning rate. */
  lr?: number;
  /** How strongly weights are drawn to zero. */
  weightDecay?: number;
  /** Goes up the gradient instead of down. */
  maximize?: boolean;
}

/** Parameters that share options. Assigning to an option takes effect with the next step. */
export type ParamGroup<O> = Required<O> & { params: Parameter[]; initialLr?: number };

/** Parameters as a list, as [name, parameter] pairs, or in groups with options of their own. */
export type ParamsOrGroups<O> = Iterable<
  Parameter | readonly [string, Parameter] | (O & { params: Iterable<Parameter> })
>;

export interface StepOptions {
  /** Tensors to compute in the same program, such as predictions to be counted. The loss is computed anyway. */
  also?: readonly Tensor[];
}

/** Everything a checkpoint needs: tensors by name (`0.exp_avg` is the first parameter's), and plain data. */
export interface OptimizerState {
  state: Record<string, Tensor>;
  /** Steps each parameter has taken. */
  steps: number[];
  paramGroups: Record<string, unknown>[];
}

/** Old or new state tensors of a parameter, by name. */
export type Slots = Record<string, Tensor>;

/** What a formula may use besides the parameter, its gradient and its state. */
export interface StepContext<O> {
  readonly group: Readonly<Required<O>>;
  /** 1 in a parameter's first step. */
  readonly step: number;
  /** A number as data: `name` tells it apart from the formula's others. */
  scalar(name: string, value: number): Tensor;
}

interface ParameterState {
  step: number;
  slots: Slots;
}

export abstract class Optimizer<O extends OptimizerOptions = OptimizerOptions> {
  readonly paramGroups: ParamGroup<O>[] = [];
  readonly #states = new Map<Parameter, ParameterState>();
  /** Gradients already used, to notice that zeroGrad was forgotten. */
  #used = new WeakSet<Node>();
  #warned = false;

  constructor(
    params: ParamsOrGroups<O>,
    private readonly defaults: Required<O>,
  ) {
    this.check(defaults);
    const loose: Parameter[] = [];
    for (const entry of params) {
      if (entry instanceof Parameter) loose.push(entry);
      else if (Array.isArray(entry)) loose.push((entry as readonly [string, Parameter])[1]);
      else this.addParamGroup(entry as O & { params: Iterable<Parameter> });
    }
    if (loose.length > 0) this.addParamGroup({ params: loose } as unknown as O & { params: Iterable<Parameter> });
    if (this.paramGroups.length === 0) {
      throw new ConfigError(
        `${this.constructor.name}: got no parameters. Pass model.parameters(), or groups { params, lr }.`,
      );
    }
  }

  /** State tensors for a parameter that takes its first step, by name, with the value they start from. */
  protected abstract slots(group: Required<O>): Record<string, number>;

  /** The formula: the parameter's next value and its next state. */
  protected abstract next(
    p: Tensor,
    gradient: Tensor,
    slots: Slots,
    context: StepContext<O>,
  ): { value: Tensor; slots: Slots };

  /** @throws {ConfigError} for options outside their range. */
  protected check(options: Required<O>): void {
    const name = this.constructor.name;
    if (!(options.lr! >= 0)) throw new ConfigError(`${name}: lr must be at least 0; got ${options.lr}`);
    if (!(options.weightDecay! >= 0))
      throw new ConfigError(`${name}: weightDecay must be at least 0; got ${options.weightDecay}`);
  }

  /** More parameters, with options that differ from the optimiser's: a freshly thawed backbone with a smaller rate, say. */
  addParamGroup({ params, ...options }: O & { params: Iterable<Parameter> }): void {
    const group = { ...this.defaults, ...options, params: [...params] } as unknown as ParamGroup<O>;
    this.check(group);
    const known = new Set(this.paramGroups.flatMap((g) => g.params));
    for (const p of group.params) {
      if (!(p instanceof Parameter))
        throw new ConfigError(`${this.constructor.name}: params must be Parameters; got ${typeof p}`);
      if (known.has(p)) {
        throw new ConfigError(
          `${this.constructor.name}: parameter ${p.storage?.name ?? formatShape(p.shape)} is given twice; it can be in one group only.`,
        );
      }
      known.add(p);
    }
    this.paramGroups.push(group);
  }

  /** Forgets all gradients; call it before the next `backward()`. */
  zeroGrad(): void {
    for (const group of this.paramGroups) for (const p of group.params) p.grad = null;
  }

  /** One step: computes the loss, the gradients, the new parameters and state, all in one program. */
  async step({ also = [] }: StepOptions = {}): Promise<void> {
    this.update();
    await realize(...also);
  }

  /**
   * Records the step without running it: parameters read from now on have their new values, and the next realisation computes them.
   * Parameters without a gradient stay as they are.
   */
  update(): void {
    const used = new WeakSet<Node>();
    noGrad(() => {
      this.paramGroups.forEach((group) => {
        const scalars = new Map<string, Tensor>();
        for (const p of group.params) {
          if (p.grad === null || !p.requiresGrad) continue;
          this.noticeForgottenZeroGrad(p.grad.node);
          used.add(p.grad.node);
          this.updateOne(p, p.grad, group, scalars);
        }
      });
    });
    this.#used = used;
  }

  private updateOne(p: Parameter, gradient: Tensor, group: ParamGroup<O>, scalars: Map<string, Tensor>): void {
    const state = this.stateOf(p, group);
    state.step++;
    const scalar = (name: string, value: number) => {
      const key = `${name} ${state.step}`;
      const known = scalars.get(key) ?? tensor(value);
      scalars.set(key, known);
      return known;
    };
    const { value, slots } = this.next(p, group.maximize ? gradient.neg() : gradient, state.slots, {
      group,
      step: state.step,
      scalar,
    });
    for (const name of Object.keys(state.slots)) state.slots[name].assign(slots[name]);
    p.assign(value);
  }

  private stateOf(p: Parameter, group: ParamGroup<O>): ParameterState {
    let state = this.#states.get(p);
    if (state === undefined) {
      const slots: Slots = {};
      for (const [name, start] of Object.entries(this.slots(group))) {
        slots[name] = buffer(full(p.shape, start), { name: `${p.storage?.name ?? 'parameter'}.${name}` });
      }
      state = { step: 0, slots };
      this.#states.set(p, state);
    }
    return state;
  }

  /** A gradient that adds to one already used: without zeroGrad, every step repeats all steps before it. */
  private noticeForgottenZeroGrad(gradient: Node): void {
    if (this.#warned) return;
    const recent = [gradient, ...gradient.inputs, ...gradient.inputs.flatMap((input) => input.inputs)];
    if (!recent.some((node) => this.#used.has(node))) return;
    this.#warned = true;
    console.warn(
      `${this.constructor.name}: this step uses gradients of the step before again. Call opt.zeroGrad() before each backward(), ` +
        'or step only after the last of several backward() calls to accumulate.',
    );
  }

  /** The live state by name; with `loadStateDict` training goes on as if it had never stopped. */
  stateDict(): OptimizerState {
    const state: Record<string, Tensor> = {};
    const steps: number[] = [];
    const paramGroups: Record<string, unknown>[] = [];
    let index = 0;
    for (const group of this.paramGroups) {
      const first = index;
      for (const p of group.params) {
        const known = this.#states.get(p);
        steps.push(known?.step ?? 0);
        for (const [name, value] of Object.entries(known?.slots ?? {})) state[`${index}.${name}`] = value;
        index++;
      }
      paramGroups.push({ ...group, params: group.params.map((_, i) => first + i) });
    }
    return { state, steps, paramGroups };
  }

  /** Takes over a saved state: the same groups of parameters in the same order. @throws {ConfigError} if they differ; then nothing was changed. */
  loadStateDict(saved: {
    state: Readonly<Record<string, Tensor | { readonly shape: readonly number[]; readonly data: ArrayLike<number> }>>;
    steps: readonly number[];
    paramGroups: readonly Readonly<Record<string, unknown>>[];
  }): void {
    const name = this.constructor.name;
    const sizes = (groups: readonly { params?: unknown }[]) =>
      groups.map((g) => (g.params as unknown[]).length).join(' + ');
    if (sizes(saved.paramGroups) !== sizes(this.paramGroups)) {
      throw new ConfigError(
        `${name}: the state is for ${sizes(saved.paramGroups)} parameters (by group), this optimiser has ${sizes(this.paramGroups)}.`,
      );
    }
    const params = this.paramGroups.flatMap((group) => group.params.map((p) => ({ p, group })));
    params.forEach(({ p, group }, i) => {
      for (const slot of Object.keys(this.slots(group))) {
        const entry = saved.state[`${i}.${slot}`];
        if (saved.steps[i] > 0 && (entry === undefined || !sameShape(entry.shape, p.shape))) {
          const got = entry === undefined ? 'nothing' : formatShape(entry.shape);
          throw new ConfigError(
            `${name}: parameter ${i} has shape ${formatShape(p.shape)}; the state holds ${got} for its ${slot}.`,
          );
        }
      }
    });
    params.forEach(({ p, group }, i) => {
      this.#states.delete(p);
      if (saved.steps[i] === 0) return;
      const state = this.stateOf(p, group);
      state.step = saved.steps[i];
      for (const slot of Object.keys(state.slots)) {
        const entry = saved.state[`${i}.${slot}`];
        state.slots[slot].assign(
          'data' in entry && typeof entry.data !== 'function' ? Float32Array.from(entry.data) : (entry as Tensor),
        );
      }
    });
    this.paramGroups.forEach((group, i) => {
      const { params: _, ...options } = saved.paramGroups[i];
      Object.assign(group, options);
    });
  }
}
