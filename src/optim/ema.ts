/**
 * Exponential moving average of a model's weights: often better than the weights themselves. Polyak and Juditsky 1992; as in timm's ModelEmaV3,
 * buffers of floats (running statistics) are averaged too and the others are copied.
 */

import { loadSlots, type State } from '../nn/state.js';
import { buffer, noGrad, realize, type Tensor, tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';

/** A module, or anything with a state. */
export interface Averaged {
  stateDict(): Record<string, Tensor>;
}

export interface EMAOptions {
  /** Share of the old average that is kept at each update. */
  decay?: number;
  /** Starts with a smaller decay, (1 + n) / (10 + n) in update n, so that the first weights do not linger. */
  warmup?: boolean;
}

export class EMA {
  /** Updates so far. */
  updates = 0;
  readonly decay: number;
  readonly warmup: boolean;
  /** The model's tensors: looking for them takes longer than recording their average. */
  readonly #live: readonly (readonly [name: string, value: Tensor])[];
  readonly #average: Record<string, Tensor> = {};
  #swapped = false;

  constructor(model: Averaged, { decay = 0.999, warmup = false }: EMAOptions = {}) {
    if (!(decay >= 0 && decay < 1)) throw new ConfigError(`EMA: decay must lie in 0 … 1 (1 excluded); got ${decay}`);
    this.#live = Object.entries(model.stateDict());
    this.decay = decay;
    this.warmup = warmup;
    for (const [name, value] of this.#live) {
      this.#average[name] = buffer(value, { name: `ema.${name}` });
    }
  }

  /** Takes the weights as they are now into the average. Call it after `opt.step()`; it runs with the next realisation, at no extra pass. */
  update(): void {
    if (this.#swapped) throw new ConfigError('EMA: the model holds the average; call swap() again before update().');
    const n = this.updates++;
    const decay = tensor(this.warmup ? Math.min(this.decay, (1 + n) / (10 + n)) : this.decay);
    noGrad(() => {
      for (const [name, value] of this.#live) {
        const average = this.#average[name];
        average.assign(value.dtype === 'float32' ? value.add(average.sub(value).mul(decay)) : value);
      }
    });
  }

  /** Exchanges the model's weights with the average; again, and they are back. */
  async swap(): Promise<void> {
    for (const [name, value] of this.#live) {
      const average = this.#average[name];
      const held = average.detach(); // the value before the assignment below
      average.assign(value);
      value.assign(held);
    }
    await realize();
    this.#swapped = !this.#swapped;
  }

  /** Runs `body` with the average in the model. */
  async use<T>(body: () => Promise<T>): Promise<T> {
    await this.swap();
    try {
      return await body();
    } finally {
      await this.swap();
    }
  }

  /** The average by the model's names, live. */
  stateDict(): Record<string, Tensor> {
    return { ...this.#average };
  }

  /** @throws {ConfigError} for a state that lacks something, or has it in another shape; then nothing was changed. */
  loadStateDict(state: State, updates = 0): void {
    const slots = Object.entries(this.#average).map(([name, tensor]) => ({ tensor, paths: [name], optional: false }));
    loadSlots('EMA', slots, state);
    this.updates = updates;
  }
}
