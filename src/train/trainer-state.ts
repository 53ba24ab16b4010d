/** What a checkpoint holds besides tensors, and whether a training can go on from it. */

import type { HostTensor, JsonObject } from '../io/index.js';
import type { Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import type { EpochReport } from './callbacks.js';

/** Plain JSON. */
export interface SavedState {
  version: number;
  seed: number;
  step: number;
  epoch: number;
  batch: number;
  batches: number;
  /** Older states lack it: their steps have one batch. */
  accumulate?: number;
  sums: { loss: number; correct: number; count: number };
  seconds: number;
  epochSeconds: number;
  history: EpochReport[];
  optimizer: { steps: number[]; paramGroups: Record<string, unknown>[] };
  scheduler: unknown;
  ema?: { updates: number } | null;
  callbacks: JsonObject;
}

/** What must be the same for a training to go on as it began. */
type Identity = Pick<SavedState, 'seed' | 'batches' | 'accumulate'> & { readonly averages: boolean };

/** @throws {ConfigError} when the state belongs to another training */
export function checkSaved(saved: SavedState, own: Identity): void {
  if (saved.version !== 1)
    throw new ConfigError(`Trainer: this state has version ${saved.version}; this fovea reads 1`);
  if (saved.seed !== own.seed || saved.batches !== own.batches) {
    throw new ConfigError(
      `Trainer: the state is from seed ${saved.seed} and ${saved.batches} batches an epoch, this training has seed ${own.seed} and ` +
        `${own.batches}: it would not go on as it began.`,
    );
  }
  if ((saved.accumulate ?? 1) !== own.accumulate) {
    throw new ConfigError(
      `Trainer: the state is from steps of ${saved.accumulate ?? 1} batches, this training takes ${own.accumulate} a step (accumulate): it ` +
        'would not go on as it began.',
    );
  }
  if (((saved.ema ?? null) !== null) === own.averages) return;
  throw new ConfigError(
    `Trainer: the state ${own.averages ? 'has no' : 'has an'} average of the weights, this training ${own.averages ? 'keeps one' : 'keeps none'} (ema)`,
  );
}

/** The values of tensors by name, each under `prefix`. */
export async function hostTensors(
  prefix: string,
  state: Readonly<Record<string, Tensor>>,
): Promise<[string, HostTensor][]> {
  const out: [string, HostTensor][] = [];
  for (const [name, t] of Object.entries(state)) {
    out.push([`${prefix}${name}`, { dtype: t.dtype, shape: t.shape, data: await t.data() }]);
  }
  return out;
}

/** The tensors whose names begin with `prefix`, by what follows it. */
export function underPrefix(tensors: ReadonlyMap<string, HostTensor>, prefix: string): Map<string, HostTensor> {
  return new Map(
    [...tensors].filter(([name]) => name.startsWith(prefix)).map(([name, t]) => [name.slice(prefix.length), t]),
  );
}
