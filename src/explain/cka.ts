/**
 * Linear centred kernel alignment: how alike two layers are, of one network or of two, whatever the order, rotation and scale of their channels.
 * 1: the same up to those; 0: nothing in common.
 */

import type { Module } from '../nn/index.js';
import { realize, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { type Answer, listen } from './ask.js';

export interface CkaOptions {
  /** Layers of each model, by path; default all that hold parameters. */
  readonly layers?: readonly string[];
  readonly otherLayers?: readonly string[];
  /** What the other model sees, where it takes pictures of another size or scale: the same pictures in the same order. */
  readonly otherInputs?: Tensor;
  /** Called as layers of both models are done. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Cka {
  readonly layers: readonly string[];
  readonly otherLayers: readonly string[];
  /** [layers][otherLayers], each in 0 … 1. */
  readonly matrix: readonly (readonly number[])[];
}

/**
 * Compares layers of `model` and `other` by what they answer to the same pictures x [N, C, H, W], all at once; a few hundred pictures tell enough.
 * tr(KcLc) / √(tr(KcKc) tr(LcLc)) for the Gram matrices K = X Xᵀ, L = Y Yᵀ of the layers' outputs, centred. @throws {ConfigError} for fewer than 3 pictures
 * Source: Kornblith et al. 2019, arXiv:1905.00414.
 */
export async function compareByCka(model: Module, other: Module, x: Tensor, options: CkaOptions = {}): Promise<Cka> {
  const count = x.shape[0];
  if (count < 3)
    throw new ConfigError(`compareByCka: ${count} pictures tell nothing; pass at least 3, better a hundred`);
  const same = model === other && options.otherInputs === undefined && options.otherLayers === options.layers;
  const rows = grams(model, x, options.layers);
  const columns = same ? [] : grams(other, options.otherInputs ?? x, options.otherLayers);
  const total = rows.length + columns.length;
  const left = await read(rows, (done) => options.onProgress?.(done, total));
  const right = same ? left : await read(columns, (done) => options.onProgress?.(rows.length + done, total));
  const matrix = left.map(({ gram: a, norm: p }) =>
    right.map(({ gram: b, norm: q }) => (p * q > 0 ? dot(a, b) / (p * q) : 0)),
  );
  return { layers: left.map((l) => l.path), otherLayers: right.map((l) => l.path), matrix };
}

interface Gram {
  readonly path: string;
  readonly gram: Tensor;
}

/** Centred Gram matrices [N, N] of layers, in the graph: of the layers themselves nothing is read. */
function grams(model: Module, x: Tensor, paths: readonly string[] | undefined): Gram[] {
  const { answers } = listen(model, x);
  const latest = new Map<string, Answer>(answers.map((a) => [a.path, a]));
  const chosen = paths ?? [...latest.values()].filter(hasParameters).map((a) => a.path);
  return chosen.map((path) => {
    const answer = latest.get(path);
    if (answer === undefined || answer.output.shape[0] !== x.shape[0]) {
      throw new ConfigError(
        `compareByCka: ${path} gives nothing for each picture; layers: ${[...latest.keys()].join(', ')}`,
      );
    }
    const rows = answer.output.flatten(1);
    const centered = rows.sub(rows.mean(0, { keepDims: true }));
    return { path, gram: centered.matmul(centered.transpose(0, 1)) };
  });
}

/** In a few rounds, so that one sees how far it is: layers that many layers lie before are computed again in each. */
const rounds = 6;

async function read(
  list: readonly Gram[],
  onDone: (done: number) => void,
): Promise<{ path: string; gram: Float32Array; norm: number }[]> {
  const size = Math.ceil(list.length / rounds);
  for (let from = 0; from < list.length; from += size) {
    await realize(...list.slice(from, from + size).map(({ gram }) => gram));
    onDone(Math.min(from + size, list.length));
  }
  return Promise.all(
    list.map(async ({ path, gram }) => {
      const values = (await gram.data()) as Float32Array;
      return { path, gram: values, norm: Math.sqrt(dot(values, values)) };
    }),
  );
}

function hasParameters({ module, path }: Answer): boolean {
  return path !== '' && module.children().length === 0 && module.parameters().length > 0;
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
