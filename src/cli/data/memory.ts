/** Data sets that are whole in memory: MNIST and what is laid out like it, CIFAR. */

import { cifar, computeMeanStd, type Dataset, mnist, split, take } from '../../data/all.node.js';
import type { Normalization } from '../../train/index.js';
import type { DataChoice, DataFormat } from './choice.js';
import type { OpenedData } from './opened.js';

/** What comes whole, and divided into training and test. */
export type MemoryFormat = 'mnist' | 'idx' | 'cifar';

/** `normalize`: what weights to begin from want; left out, the statistics of the training pictures. */
export async function openMemory(
  choice: DataChoice,
  format: MemoryFormat,
  { seed, normalize }: { seed: number; normalize: Normalization | null },
): Promise<OpenedData> {
  const { source, limit, testLimit, validation } = choice;
  const all = await read(source, format);
  const most = limit === undefined ? all.train : take(all.train, limit);
  const [train, held] =
    validation === undefined ? [most] : split(most, [1 - validation, validation], { seed, stratified: true });
  const fits = normalize !== null && normalize.mean.length === train.shape[0];
  const { mean, std } = fits ? normalize : await statistics(all.train, format);
  return {
    train,
    validation: held ?? null,
    test: testLimit === undefined ? all.test : take(all.test, testLimit),
    input: { shape: [...train.shape], mean: [...mean], std: [...std] },
    summary: null,
    parts: null,
    close: async () => {},
  };
}

function read(source: string, format: MemoryFormat): Promise<{ train: Dataset; test: Dataset }> {
  switch (format) {
    case 'mnist':
      return mnist();
    case 'idx':
      return mnist({ folder: source });
    case 'cifar':
      return cifar(source);
    default:
      return format satisfies never;
  }
}

async function statistics(data: Dataset, format: DataFormat): Promise<Normalization> {
  if (format === 'mnist') return { mean: [0.1307], std: [0.3081] }; // the numbers everybody uses
  const { mean, std } = await computeMeanStd(data);
  const four = (values: readonly number[]) => values.map((v) => Number(v.toFixed(4)));
  return { mean: four(mean), std: four(std).map((s) => s || 1) };
}
