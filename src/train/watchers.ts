/**
 * Callbacks that look inside while a network trains: ReLU units that never fire, and how large gradients arrive at each layer. They measure in every
 * nth step, in its own program; that program is compiled beside the one of the other steps, once.
 */

import type { AnyOp } from '../graph/node.js';
import { topological } from '../graph/traverse.js';
import type { JsonObject } from '../io/index.js';
import { ownTensors } from '../nn/module.js';
import { reluOp } from '../ops/elementwise.js';
import { concat, noGrad, Parameter, stack, Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import type { Callback, EpochReport, StepReport } from './callbacks.js';
import type { RecordedStep } from './step.js';
import type { Trainer } from './trainer.js';

export interface WatchOptions {
  /** Steps from one measurement to the next. */
  readonly every?: number;
  /** Where warnings go. */
  readonly onWarning?: (text: string) => void;
}

/** Units of one ReLU: channels of [N, C, …]. */
export interface DeadUnitsOfLayer {
  /** Path of the module that applied it. */
  readonly layer: string;
  readonly units: number;
  /** Those that were 0 at every place of every picture looked at. */
  readonly dead: number;
}

/**
 * Finds dead units: ReLU channels that gave nothing but 0 in all batches of an epoch that were looked at. No gradient reaches what lies before them, so
 * they seldom come back. Warns after an epoch in which a layer has more than `share` of them. Maas et al. 2013.
 */
export class DeadUnits implements Callback {
  readonly name = 'deadUnits';
  /** Of the latest epoch. */
  latest: DeadUnitsOfLayer[] = [];
  readonly #every: number;
  readonly #share: number;
  readonly #warn: (text: string) => void;
  /** By layer, which units have fired in this epoch. */
  #fired = new Map<string, boolean[]>();
  #measured: { layers: [name: string, units: number][]; fired: Tensor } | null = null;

  constructor({ every = 50, share = 0.5, onWarning = console.warn }: WatchOptions & { share?: number } = {}) {
    this.#every = checkEvery('DeadUnits', every);
    if (!(share >= 0 && share <= 1)) throw new ConfigError(`DeadUnits: share lies within 0 … 1, not ${share}`);
    this.#share = share;
    this.#warn = onWarning;
  }

  onGradients({ step }: Trainer, { scores, compute }: RecordedStep): void {
    this.#measured = null;
    if (step % this.#every !== 0) return;
    const relus = topological([scores.node]).filter((node) => node.op === (reluOp as AnyOp) && node.shape.length >= 2);
    if (relus.length === 0) return;
    const names = uniqueNames(relus.map(({ scope }) => scope ?? 'the model'));
    const fired = noGrad(() =>
      relus.map((node) => {
        const others = node.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
        return new Tensor(node).amax(others).gt(0).to('float32');
      }),
    );
    this.#measured = { layers: relus.map((node, i) => [names[i], node.shape[1]]), fired: concat(fired, 0) };
    compute(this.#measured.fired);
  }

  async onStepEnd(): Promise<void> {
    if (this.#measured === null) return;
    const { layers, fired } = this.#measured;
    const values = await fired.data();
    let at = 0;
    for (const [name, units] of layers) {
      const known = this.#fired.get(name) ?? new Array<boolean>(units).fill(false);
      this.#fired.set(
        name,
        known.map((before, unit) => before || values[at + unit] !== 0),
      );
      at += units;
    }
    this.#measured = null;
  }

  onEpochEnd(_: Trainer, { epoch }: EpochReport): void {
    this.latest = Array.from(this.#fired, ([layer, fired]) => ({
      layer,
      units: fired.length,
      dead: fired.filter((f) => !f).length,
    }));
    this.#fired = new Map();
    const bad = this.latest.filter(({ dead, units }) => dead > this.#share * units);
    if (bad.length === 0) return;
    const list = bad.map(({ layer, dead, units }) => `${layer} (${dead} of ${units})`).join(', ');
    this.#warn(
      `dead units: in epoch ${epoch + 1}, ReLU units of ${list} gave 0 for every picture looked at. They hardly learn any more: a smaller ` +
        'learning rate, batch norms or LeakyReLU keep units alive.',
    );
  }

  stateDict(): JsonObject {
    return {
      fired: Object.fromEntries(Array.from(this.#fired, ([name, fired]) => [name, fired.map(Number).join('')])),
    };
  }

  loadStateDict({ fired }: JsonObject): void {
    const entries = Object.entries(fired as Record<string, string>);
    this.#fired = new Map(entries.map(([name, digits]) => [name, Array.from(digits, (digit) => digit === '1')]));
  }
}

/** Norms of gradients in one step, by layer. */
export interface GradientPoint {
  readonly step: number;
  /** √Σ g² over the parameters of each layer, in the order of the model; after clipping, where that is on. */
  readonly norms: Readonly<Record<string, number>>;
}

/**
 * Measures how large gradients are at each layer. Where they shrink from the last layers to the first by orders of magnitude, the first ones do not learn:
 * what saturating activations and depth without shortcuts do. Warns after an epoch in which no gradient at all arrived somewhere.
 */
export class GradientNorms implements Callback {
  readonly name = 'gradientNorms';
  /** Of this session, oldest first. */
  readonly points: GradientPoint[] = [];
  readonly #every: number;
  readonly #warn: (text: string) => void;
  readonly #onPoint: (point: GradientPoint) => void;
  /** The largest norms of the epoch. */
  #largest: Record<string, number> = {};
  #measured: { layers: string[]; norms: Tensor } | null = null;

  constructor({ every = 50, onWarning = console.warn, onPoint = () => {} }: GradientNormsOptions = {}) {
    this.#every = checkEvery('GradientNorms', every);
    this.#warn = onWarning;
    this.#onPoint = onPoint;
  }

  onGradients({ step, model }: Trainer, { compute }: RecordedStep): void {
    this.#measured = null;
    if (step % this.#every !== 0) return;
    const layers: string[] = [];
    const norms: Tensor[] = [];
    for (const [path, module] of model.namedModules()) {
      const own = ownTensors(module).flatMap(([, t]) => (t instanceof Parameter && t.grad !== null ? [t.grad] : []));
      if (own.length === 0) continue;
      layers.push(path === '' ? '(model)' : path);
      norms.push(noGrad(() => own.map((g) => g.square().sum()).reduce((a, b) => a.add(b)).sqrt())); // biome-ignore format: one thought
    }
    if (layers.length === 0) return;
    this.#measured = { layers, norms: stack(norms) };
    compute(this.#measured.norms);
  }

  async onStepEnd(_: Trainer, { step }: StepReport): Promise<void> {
    if (this.#measured === null) return;
    const { layers, norms } = this.#measured;
    const values = await norms.data();
    const point = { step, norms: Object.fromEntries(layers.map((layer, i) => [layer, values[i]])) };
    this.points.push(point);
    for (const layer of layers) {
      this.#largest[layer] = Math.max(this.#largest[layer] ?? 0, point.norms[layer]);
    }
    this.#onPoint(point);
    this.#measured = null;
  }

  onEpochEnd(_: Trainer, { epoch }: EpochReport): void {
    const silent = Object.keys(this.#largest).filter((layer) => this.#largest[layer] === 0);
    this.#largest = {};
    if (silent.length === 0) return;
    const list = `${silent.slice(0, 5).join(', ')}${silent.length > 5 ? ` and ${silent.length - 5} more` : ''}`;
    this.#warn(`gradients: in epoch ${epoch + 1}, every gradient of ${list} was 0: nothing is learned there.`);
  }

  stateDict(): JsonObject {
    return { largest: { ...this.#largest } };
  }

  loadStateDict({ largest }: JsonObject): void {
    this.#largest = { ...(largest as Record<string, number>) };
  }
}

export interface GradientNormsOptions extends WatchOptions {
  /** Called with each measurement: to log it, say. */
  readonly onPoint?: (point: GradientPoint) => void;
}

function checkEvery(name: string, every: number): number {
  if (Number.isInteger(every) && every >= 1) return every;
  throw new ConfigError(`${name}: every is a number of steps from 1 up, not ${every}`);
}

/** A module that applies several has them numbered. */
function uniqueNames(names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  return names.map((name) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return count === 1 ? name : `${name} #${count}`;
  });
}
