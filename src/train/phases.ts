/**
 * Training in phases: which parameters learn, how fast, for how many epochs. Transfer learning has two of them, the new head alone and then the whole
 * network. Which phase an epoch belongs to follows from its number, so that a resumed run finds its phase by itself; what the optimiser
 * keeps for a parameter stays while it is frozen.
 */

import { rememberFrozen } from '../nn/freeze.js';
import { freeze, type Module, type PathPattern, unfreeze } from '../nn/index.js';
import type { LRScheduler, Optimizer, Scheduled } from '../optim/index.js';
import { ConfigError } from '../util/errors.js';

/** Any optimiser will do, whatever options its groups have. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyOptimizer = Optimizer<any> & Scheduled;

/** Makes a schedule for so many steps of the optimiser. */
export type ScheduleBuilder = (optimizer: Scheduled, steps: number) => LRScheduler;

export interface Phase {
  /** How long it lasts; the last phase lasts to the end of training. */
  readonly epochs: number;
  /** Only these learn; batch norms outside keep their statistics. */
  readonly train?: PathPattern | readonly PathPattern[];
  /** These do not. What was frozen before training stays frozen in every phase that does not name it in `train`. */
  readonly freeze?: PathPattern | readonly PathPattern[];
  /** Rate of the fastest parameter group; the others keep their ratio to it. Left out, the rates the optimiser was made with. */
  readonly lr?: number;
  /** The rate over the steps of this phase. */
  readonly schedule?: ScheduleBuilder;
}

/** Of a training that begins from weights, how long the head is usually trained alone: for one epoch, or none where that would be more than a fifth of it. */
export function usualHeadEpochs(epochs: number): number {
  return epochs >= 5 ? 1 : 0;
}

/**
 * The phases of transfer learning: the new head alone for `headEpochs`, so that its first, wild gradients do not spoil what the rest knows, then everything.
 * Left out, that is what `usualHeadEpochs` says. Use it with `paramGroups` and `rates` that let the rest learn more
 * slowly than the head.
 */
export function transferPhases({
  epochs,
  heads,
  headEpochs = usualHeadEpochs(epochs),
  ...common
}: Pick<Phase, 'lr' | 'schedule'> & {
  readonly epochs: number;
  /** Paths of the head: `heads` of a model's builder. */
  readonly heads: readonly PathPattern[];
  readonly headEpochs?: number;
}): Phase[] {
  if (!(headEpochs >= 0 && headEpochs < epochs)) {
    throw new ConfigError(`transferPhases: headEpochs lies within 0 … epochs − 1; got ${headEpochs} of ${epochs}`);
  }
  const all: Phase = { ...common, epochs: epochs - headEpochs };
  return headEpochs === 0 ? [all] : [{ ...common, epochs: headEpochs, train: heads }, all];
}

/** Whether the phases decide the rate, so that nothing else may. */
export function driveRates(phases: readonly Phase[]): boolean {
  return phases.some(({ lr, schedule }) => lr !== undefined || schedule !== undefined);
}

/** What a schedule may change in a parameter group. */
interface Rates {
  lr: number;
  initialLr?: number;
  momentum?: number;
  betas?: readonly [number, number];
}

export class Phases {
  /** Of the phase under way; null where its rate is constant. */
  scheduler: LRScheduler | null = null;
  readonly #model: Module;
  readonly #optimizer: AnyOptimizer;
  readonly #phases: readonly Phase[];
  readonly #ends: readonly number[];
  readonly #stepsPerEpoch: number;
  readonly #bringBack: () => void;
  readonly #rates: readonly Rates[];
  #current = -1;

  constructor(
    model: Module,
    optimizer: AnyOptimizer,
    phases: readonly Phase[],
    { epochs, stepsPerEpoch }: { epochs: number; stepsPerEpoch: number },
  ) {
    this.#model = model;
    this.#optimizer = optimizer;
    this.#phases = phases;
    this.#stepsPerEpoch = stepsPerEpoch;
    this.#ends = endsOf(phases, epochs);
    this.#bringBack = rememberFrozen(model);
    this.#rates = optimizer.paramGroups.map(({ lr, initialLr, momentum, betas }): Rates => {
      return { lr: initialLr ?? lr, ...(momentum === undefined ? {} : { momentum }), ...(betas && { betas }) };
    });
    for (const phase of phases) this.#check(phase);
    this.enter(0);
  }

  /** Makes the phase of this epoch the one under way; within it, nothing changes. */
  enter(epoch: number): void {
    const last = this.#phases.length - 1;
    const found = this.#ends.findIndex((end) => epoch < end);
    const index = found < 0 ? last : found;
    if (index === this.#current) return;
    this.#current = index;
    const phase = this.#phases[index];
    this.#bringBack();
    this.#setTraining(phase);
    if (!driveRates(this.#phases)) return;
    this.#setRates(phase);
    const begin = index === 0 ? 0 : this.#ends[index - 1];
    this.scheduler = phase.schedule?.(this.#optimizer, (this.#ends[index] - begin) * this.#stepsPerEpoch) ?? null;
  }

  #setTraining({ train, freeze: frozen }: Phase): void {
    if (train !== undefined) {
      freeze(this.#model, '**');
      unfreeze(this.#model, train);
    }
    if (frozen !== undefined) freeze(this.#model, frozen);
  }

  #setRates({ lr }: Phase): void {
    const fastest = Math.max(...this.#rates.map((own) => own.lr));
    const factor = lr === undefined ? 1 : lr / fastest;
    this.#rates.forEach((own, i) => {
      Object.assign(this.#optimizer.paramGroups[i], own, { lr: own.lr * factor, initialLr: undefined });
    });
  }

  /** Finds patterns that name nothing now, not after the epochs before. */
  #check(phase: Phase): void {
    const { lr } = phase;
    if (lr !== undefined && !(lr > 0 && lr < Infinity)) throw new ConfigError(`phases: lr is above 0, not ${lr}`);
    try {
      this.#setTraining(phase);
      if (this.#optimizer.paramGroups.every(({ params }) => params.every((p) => !p.requiresGrad))) {
        throw new ConfigError(`phases: phase ${this.#phases.indexOf(phase)} leaves the optimiser nothing to train`);
      }
    } finally {
      this.#bringBack();
    }
  }
}

/** The epoch after the last one of each phase. */
function endsOf(phases: readonly Phase[], epochs: number): number[] {
  if (phases.length === 0) throw new ConfigError('phases: at least one is needed');
  let end = 0;
  const ends = phases.map((phase, i) => {
    if (!(Number.isInteger(phase.epochs) && phase.epochs >= 0)) {
      throw new ConfigError(`phases: epochs is a whole number from 0 up, not ${phase.epochs} (phase ${i})`);
    }
    end += phase.epochs;
    return end;
  });
  ends[ends.length - 1] = Math.max(epochs, ends[ends.length - 2] ?? 0);
  return ends;
}
