/** Data sets that are whole in memory: MNIST and what is laid out like it, CIFAR. */

import { cifar, type Dataset, mnist, split, take } from '../../data/all.node.js';
import type { Normalization } from '../../train/index.js';
import type { DataChoice, DataFormat } from './choice.js';
import type { OpenedData } from './opened.js';
import { pictureStatistics } from './statistics.js';

/** What comes whole, and divided into training and test. */
export type MemoryFormat = 'mnist' | 'idx' | 'cifar';

/** `normalize`: of the run that these belong to; null for the statistics of the training pictures. */
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

function statistics(data: Dataset, format: DataFormat): Normalization | Promise<Normalization> {
  return format === 'mnist' ? { mean: [0.1307], std: [0.3081] } : pictureStatistics(data); // MNIST's are the numbers everybody uses
}
