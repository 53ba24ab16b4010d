/** What follows from comparing two models by CKA: on the page, and in the terminal in English. */

import type { Cka } from '../explain/index.js';
import type { Finding } from './parts.js';
import { type Both, both } from './text.js';

const few = 50;

export interface LayerMatch {
  readonly layer: string;
  /** The most alike layer of the other model, and how alike. */
  readonly other: string;
  readonly cka: number;
  /** With the layer of the same name; null where there is none. */
  readonly samePlace: number | null;
}

/** For each layer of the first model, its match in the second one. Names count where most are shared: a `conv1` in both alone says nothing. */
export function layerMatches({ layers, otherLayers, matrix }: Cka): LayerMatch[] {
  const related = 2 * layers.filter((layer) => otherLayers.includes(layer)).length > layers.length;
  return layers.map((layer, row) => {
    const values = matrix[row];
    const best = values.indexOf(Math.max(...values));
    const same = otherLayers.indexOf(layer);
    return {
      layer,
      other: otherLayers[best],
      cka: values[best],
      samePlace: same < 0 || !related ? null : values[same],
    };
  });
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
}

export function comparisonFindings(found: Cka, count: number): { text: Both; kind: Finding['kind'] }[] {
  const matches = layerMatches(found);
  const same = matches.flatMap(({ samePlace }) => (samePlace === null ? [] : [samePlace]));
  const least = matches.reduce((a, b) => (b.cka < a.cka ? b : a));
  const list: { text: Both; kind: Finding['kind'] }[] = [];
  if (same.length === matches.length && same.every((v) => v > 1 - 1e-6)) {
    list.push({ text: both('findSame'), kind: 'good' });
  } else {
    if (same.length > 0) {
      const mean = meanOf(same);
      list.push({
        text: both(mean >= 0.7 ? 'findAlike' : 'findUnlike', { cka: written(mean) }),
        kind: mean >= 0.7 ? 'good' : 'bad',
      });
      const [first, last] = [same[0], same[same.length - 1]];
      if (same.length > 2 && first - last > 0.1) {
        list.push({ text: both('findFalls', { first: written(first), last: written(last) }), kind: 'plain' });
      }
    }
    const values = { cka: written(meanOf(matches.map((m) => m.cka))), layer: least.layer, least: written(least.cka) };
    list.push({ text: both('findBest', values), kind: 'plain' });
  }
  if (count < few) list.push({ text: both('findFewSamples', { count }), kind: 'plain' });
  return list;
}

/** As people read it. */
export function written(cka: number): string {
  return cka.toFixed(2);
}
