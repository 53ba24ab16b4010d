/** Data sets that are whole in memory: MNIST and what is laid out like it, CIFAR. */

import {
  type Batch,
  cifar,
  contain,
  type Dataset,
  mnist,
  split,
  type TransformContext,
  take,
} from '../../data/all.node.js';
import type { Normalization } from '../../train/index.js';
import type { DataChoice, DataFormat } from './choice.js';
import type { OpenedData } from './opened.js';
import { pictureStatistics } from './statistics.js';

/** What comes whole, and divided into training and test. */
export type MemoryFormat = 'mnist' | 'idx' | 'cifar';

export interface WholeParts {
  readonly train: Dataset;
  readonly test: Dataset;
}

interface MemoryOptions {
  readonly seed: number;
  /** Of the run that these belong to; null for the statistics of the training pictures. */
  readonly normalize: Normalization | null;
  /** What pictures of other sizes are brought to. */
  readonly size: readonly [height: number, width: number];
}

export async function openMemory(
  choice: DataChoice,
  format: MemoryFormat,
  options: MemoryOptions,
): Promise<OpenedData> {
  return divideMemory(await readMemory(choice.source, format), choice, format, options);
}

/** As the files have them. */
export function readMemory(source: string, format: MemoryFormat): Promise<WholeParts> {
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

export async function divideMemory(
  whole: WholeParts,
  { limit, testLimit, validation }: DataChoice,
  format: MemoryFormat,
  { seed, normalize, size }: MemoryOptions,
): Promise<OpenedData> {
  const all = { train: sized(whole.train, size), test: sized(whole.test, size) };
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

function sized(dataset: Dataset, [height, width]: MemoryOptions['size']): Dataset {
  const [, ownHeight, ownWidth] = dataset.shape;
  return ownHeight === height && ownWidth === width ? dataset : new Resized(dataset, [height, width]);
}

/** Pictures of another data set, each shown whole at one size when it is asked for, as `predict` shows them; they stay in memory as small as they are. */
class Resized implements Dataset {
  readonly shape: readonly [channels: number, height: number, width: number];

  constructor(
    readonly dataset: Dataset,
    [height, width]: MemoryOptions['size'],
  ) {
    this.shape = [dataset.shape[0], height, width];
  }

  get length(): number {
    return this.dataset.length;
  }

  get classes(): readonly string[] {
    return this.dataset.classes;
  }

  get labels(): Int32Array {
    return this.dataset.labels;
  }

  async batch(indices: ArrayLike<number>, context?: TransformContext): Promise<Batch> {
    const { inputs, labels } = await this.dataset.batch(indices, context);
    const [channels, height, width] = this.shape;
    const [, fromHeight, fromWidth] = this.dataset.shape;
    const [from, to] = [channels * fromHeight * fromWidth, channels * height * width];
    const [mean, std] = [new Array<number>(channels).fill(0), new Array<number>(channels).fill(1)];
    const crop = [height, width] as const;
    const preprocessing = { resize: crop, crop, interpolation: 'bilinear', mean, std } as const;
    const out = new Uint8Array(indices.length * to);
    for (let i = 0; i < indices.length; i++) {
      const data = inputs.subarray(i * from, (i + 1) * from) as Uint8Array; // these formats are of bytes
      out.set(contain({ data, shape: [channels, fromHeight, fromWidth] }, preprocessing).data, i * to);
    }
    return { inputs: out, labels, shape: [indices.length, ...this.shape] };
  }
}

function statistics(data: Dataset, format: DataFormat): Normalization | Promise<Normalization> {
  return format === 'mnist' ? { mean: [0.1307], std: [0.3081] } : pictureStatistics(data); // MNIST's are the numbers everybody uses
}
