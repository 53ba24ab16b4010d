/** A small problem that training tests share, and what they compare runs by. */

import { ArrayDataset } from '../src/data/index.js';
import { BatchNorm1d, Dropout, Flatten, Linear, type Module, ReLU, Sequential } from '../src/nn/index.js';
import { manualSeed, type Tensor } from '../src/tensor/index.js';
import type { EpochReport } from '../src/train/callbacks.js';
import type { TrainerState } from '../src/train/trainer.js';

/** Pictures [1, 2, 2] of two classes that a line can tell apart: class 1 is bright on the left. */
export function stripes(count: number): ArrayDataset {
  const labels = Int32Array.from({ length: count }, (_, i) => ((i * 7) % 3) & 1);
  const inputs = new Uint8Array(count * 4);
  labels.forEach((label, i) => {
    inputs.set(label === 1 ? [200 + (i % 50), 30, 180, i % 60] : [i % 60, 210, 20, 190 + (i % 40)], 4 * i);
  });
  return new ArrayDataset({ inputs, labels, shape: [1, 2, 2], classes: ['right', 'left'] });
}

/** With everything that has a state or draws numbers. */
export function network(seed = 3): Sequential {
  manualSeed(seed);
  return new Sequential(
    new Flatten(),
    new Linear(4, 6),
    new BatchNorm1d(6),
    new ReLU(),
    new Dropout(0.3),
    new Linear(6, 2),
  );
}

/** Every picture's part in the loss is its own here. */
export function plainNetwork(seed = 3): Sequential {
  manualSeed(seed);
  return new Sequential(new Flatten(), new Linear(4, 6), new ReLU(), new Linear(6, 2));
}

export async function weights(model: Pick<Module, 'stateDict'>): Promise<Record<string, number[]>> {
  const entries = Object.entries(model.stateDict()).map(
    async ([name, t]: [string, Tensor]) => [name, Array.from<number>(await t.data())] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

export function untimed({ seconds: _, ...rest }: EpochReport) {
  return rest;
}

/** Through JSON and back, as a checkpoint's state goes; tensors copied. */
export function throughJson({ tensors, state }: TrainerState): TrainerState {
  const copies = [...tensors].map(([name, t]) => [name, { ...t, data: t.data.slice() }] as const);
  return { tensors: new Map(copies), state: JSON.parse(JSON.stringify(state)) };
}
