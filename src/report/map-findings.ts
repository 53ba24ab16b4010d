/** What follows from the map of a data set: on its page, and in the terminal in English. */

import type { Neighbours } from '../explain/index.js';
import { percent } from './format.js';
import type { Finding } from './parts.js';
import { type Both, both } from './text.js';

const few = 100;
export const mostStrangers = 12;

export interface MapNumbers {
  /** Means over the samples that were asked. */
  readonly sameClass: number;
  readonly sameClassOnMap: number;
  readonly kept: number;
}

export function mapNumbers({ sameClass, sameClassOnMap, kept }: Neighbours): MapNumbers {
  return { sameClass: mean(sameClass), sameClassOnMap: mean(sameClassOnMap), kept: mean(kept) };
}

export function mapFindings(near: Neighbours, count: number, classes: number): { text: Both; kind: Finding['kind'] }[] {
  const { sameClass, kept } = mapNumbers(near);
  const values = { k: near.k, share: percent(sameClass) };
  const found: { text: Both; kind: Finding['kind'] }[] = [];
  if (classes > 1) {
    if (sameClass >= 0.9) found.push({ text: both('findApart', values), kind: 'good' });
    else if (sameClass >= 0.5) found.push({ text: both('findPartly', values), kind: 'plain' });
    else found.push({ text: both('findMixedMap', values), kind: 'bad' });
  }
  const share = percent(kept);
  if (kept >= 0.5) found.push({ text: both('findFaithful', { share }), kind: 'good' });
  else found.push({ text: both('findUnfaithful', { share }), kind: 'plain' });
  if (count < few) found.push({ text: both('findFewPoints', { count }), kind: 'plain' });
  return found;
}

/** Samples none of whose nearest are of their class, though most are of one other: the most crowded-in first. */
export function strangersOf(
  near: Neighbours,
  labels: ArrayLike<number>,
  most: number,
): { index: number; among: number }[] {
  return near.queries
    .map((index, row) => ({ index, among: near.majority[row], same: near.sameClass[row] }))
    .filter(({ index, among, same }) => same === 0 && among !== labels[index])
    .slice(0, most)
    .map(({ index, among }) => ({ index, among }));
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return values.length === 0 ? 0 : sum / values.length;
}
