/**
 * All transforms of pictures by name, and lists of them as JSON: how a run's folder remembers its augmentation, and how workers are told.
 */

import type { JsonObject } from '../../io/schema.js';
import { ConfigError, FormatError, suggest } from '../../util/errors.js';
import { autoAugment, randAugment, trivialAugmentWide } from './auto-augment.js';
import * as colors from './colors.js';
import * as crops from './crops.js';
import { isObject, maxSteps, type PictureFactory, type PictureTransform, pipeline } from './picture.js';
import { probability, real } from './rules.js';
import * as warps from './warps.js';

/** Each is `{ name, options }`. */
export type TransformJson = { name: string; options: JsonObject };

export function toJson(list: readonly PictureTransform[]): TransformJson[] {
  return list.map(({ name, options }) => ({ name, options }));
}

/**
 * The transforms that `toJson` wrote. Reads files nobody has checked: what is not a known transform with options it takes is refused.
 * @throws {FormatError} for what is no list of transforms. @throws {ConfigError} for options that do not fit
 */
export function fromJson(json: unknown): PictureTransform[] {
  return readList(json, 'transforms', 0);
}

/** All of `transforms` with probability p, or none. */
export const randomApply: PictureFactory<[transforms: readonly PictureTransform[], options?: { readonly p?: number }]> =
  Object.assign(
    (transforms: readonly PictureTransform[], { p = 0.5 }: { readonly p?: number } = {}): PictureTransform => {
      probability(p, 'randomApply: p');
      const all = pipeline(transforms);
      return {
        name: 'randomApply',
        options: { transforms: toJson(transforms), p },
        apply: (picture, random) => (random.chance(p) ? all.apply(picture, random) : picture),
      };
    },
    {
      transformName: 'randomApply',
      read: (options: unknown, read: ReadList) => {
        const { transforms, ...rest } = fieldsOf('randomApply', options, ['transforms', 'p']);
        return randomApply(read(transforms, 'randomApply: transforms'), rest as { p?: number });
      },
    },
  );

/** One of `transforms`, each as likely as its share of the weights `p`; all alike where none are given. */
export const randomChoice: PictureFactory<
  [transforms: readonly PictureTransform[], options?: { readonly p?: readonly number[] | null }]
> = Object.assign(
  (
    transforms: readonly PictureTransform[],
    { p = null }: { readonly p?: readonly number[] | null } = {},
  ): PictureTransform => {
    const weights = weightsOf('randomChoice', transforms.length, p);
    return {
      name: 'randomChoice',
      options: { transforms: toJson(transforms), p: p === null ? null : [...p] },
      apply: (picture, random) => {
        const chosen = pick(weights, random.uniform());
        return transforms[chosen].apply(picture, random.fork(chosen));
      },
    };
  },
  {
    transformName: 'randomChoice',
    read: (options: unknown, read: ReadList) => {
      const { transforms, ...rest } = fieldsOf('randomChoice', options, ['transforms', 'p']);
      return randomChoice(read(transforms, 'randomChoice: transforms'), rest as { p?: number[] });
    },
  },
);

type ReadList = (json: unknown, where: string) => PictureTransform[];

/** By name; for listings, and what `fromJson` knows. */
export const factories: readonly PictureFactory[] = [
  ...Object.values(crops),
  ...Object.values(warps),
  ...Object.values(colors),
  randAugment,
  trivialAugmentWide,
  autoAugment,
  randomApply,
  randomChoice,
];

const maxDepth = 4;

function readList(json: unknown, where: string, depth: number): PictureTransform[] {
  if (!Array.isArray(json)) throw new FormatError(`${where}: a list of transforms, not ${shown(json)}`);
  if (json.length > maxSteps) throw new FormatError(`${where}: at most ${maxSteps} transforms, not ${json.length}`);
  if (depth > maxDepth) throw new FormatError(`${where}: lists in lists, more than ${maxDepth} deep`);
  return json.map((item: unknown, i) => {
    const place = `${where}[${i}]`;
    if (!isObject(item) || typeof item.name !== 'string') {
      throw new FormatError(`${place}: { name, options }, not ${shown(item)}`);
    }
    const { name, options = {}, ...rest } = item;
    const unknown = Object.keys(rest)[0];
    if (unknown !== undefined) throw new FormatError(`${place}: { name, options } has no '${unknown}'`);
    const factory = factories.find(({ transformName }) => transformName === name);
    if (factory === undefined) {
      const near = suggest(
        name,
        factories.map(({ transformName }) => transformName),
      );
      const hint = near === null ? '' : `. Did you mean '${near}'?`;
      throw new FormatError(`${place}: there is no transform '${name.slice(0, 60)}'${hint}`);
    }
    return factory.read(options, (inner, at) => readList(inner, `${place}: ${at}`, depth + 1));
  });
}

function fieldsOf(name: string, options: unknown, known: readonly string[]): Record<string, unknown> {
  if (!isObject(options)) throw new ConfigError(`${name}: options are an object, not ${shown(options)}`);
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new ConfigError(`${name}: there is no option '${unknown}'; it takes ${known.join(', ')}`);
  }
  return options;
}

/** Of each, their sum up to it: the last is 1. @throws {ConfigError} */
export function weightsOf(name: string, count: number, p: readonly number[] | null): number[] {
  if (count === 0) throw new ConfigError(`${name}: there is nothing to choose from`);
  if (p !== null && (!Array.isArray(p) || p.length !== count)) {
    throw new ConfigError(`${name}: p is a weight for each of ${count}, not ${shown(p)}`);
  }
  const weights = p ?? new Array<number>(count).fill(1);
  let sum = 0;
  const sums = weights.map((weight, i) => {
    sum += real({ min: 0 })(weight, `${name}: p[${i}]`);
    return sum;
  });
  if (sum === 0) throw new ConfigError(`${name}: all weights p are 0`);
  return sums.map((s) => s / sum);
}

/** Which of the running sums holds u of [0, 1). */
export function pick(sums: readonly number[], u: number): number {
  const found = sums.findIndex((s) => u < s);
  return found < 0 ? sums.length - 1 : found;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
