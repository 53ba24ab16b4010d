/**
 * Transforms of one picture: a name, options that are plain JSON, and a function that draws what chance decides from the `Random` it is
 * given. So they can be written into a file, sent to a worker, and repeated to the bit.
 */

import type { JsonObject } from '../../io/schema.js';
import { ConfigError, suggest } from '../../util/errors.js';
import { formatShape, numel } from '../../util/shape.js';
import { Random } from '../random.js';
import type { Planes } from '../resize.js';
import type { Transform } from './batch.js';
import type { Rule } from './rules.js';

export interface PictureTransform {
  readonly name: string;
  /** All of them, also those that were left out. */
  readonly options: JsonObject;
  /** A new picture [C, H, W], or the same; never the old one changed. */
  apply(picture: Planes, random: Random): Planes;
}

/** Makes a transform from its arguments (in code) or from its options (in a file). */
export interface PictureFactory<Arguments extends readonly unknown[] = readonly never[]> {
  (...args: Arguments): PictureTransform;
  readonly transformName: string;
  /** Lists of transforms among the options are read by `readList`. @throws {ConfigError} naming what is wrong */
  read(options: unknown, readList: (json: unknown, where: string) => PictureTransform[]): PictureTransform;
}

/** More than a pipeline needs, and as many as `Random.fork` tells apart. */
export const maxSteps = 63;

/** One after the other. Each draws its own numbers: putting a step at the end changes nothing of those before it. */
export function pipeline(list: readonly PictureTransform[]): {
  apply(picture: Planes, random: Random): Planes;
} {
  if (list.length > maxSteps) throw new ConfigError(`pipeline: at most ${maxSteps} transforms, not ${list.length}`);
  return {
    apply: (picture, random) =>
      list.reduce((current, transform, i) => transform.apply(current, random.fork(i)), picture),
  };
}

/**
 * The pictures of a batch [N, C, H, W] of bytes, each through the list with the numbers of (seed, epoch, its index in the data set): what a
 * data set of files does while it reads, for one in memory. @throws {ConfigError} where the results have different sizes
 */
export function onPictures(list: readonly PictureTransform[]): Transform {
  const all = pipeline(list);
  return (batch, { seed, epoch, indices }) => {
    const { inputs, shape } = batch;
    if (!(inputs instanceof Uint8Array) || shape.length !== 4) {
      const kind = inputs instanceof Uint8Array ? 'bytes' : 'numbers';
      throw new ConfigError(
        `onPictures: takes pictures of bytes, [N, C, H, W]; got ${kind} ${formatShape(shape)}. Put it before normalize`,
      );
    }
    const [count, channels, height, width] = shape;
    const length = channels * height * width;
    let out = new Uint8Array(0);
    let made: Planes['shape'] | null = null;
    for (let i = 0; i < count; i++) {
      const picture = {
        data: inputs.subarray(i * length, (i + 1) * length),
        shape: [channels, height, width] as const,
      };
      const result = all.apply(picture, new Random(seed, epoch, indices[i]));
      if (made === null) {
        made = result.shape;
        out = new Uint8Array(count * numel(made));
      }
      if (result.shape.some((size, axis) => size !== made?.[axis])) {
        throw new ConfigError(
          `onPictures: pictures of one batch come out at different sizes, ${formatShape(made)} and ${formatShape(result.shape)}; end the list with a resize or crop to one`,
        );
      }
      out.set(result.data, i * result.data.length);
    }
    return made === null ? batch : { ...batch, inputs: out, shape: [count, ...made] };
  };
}

/** One option: what it may be, and its value when left out (undefined where it must be given). */
export interface Field<Value, Given> {
  readonly rule: Rule<Value, Given>;
  readonly needed: boolean;
  readonly fallback?: Given;
}
type NeededField<Value, Given> = Field<Value, Given> & { readonly needed: true };

export function needed<Value, Given = Value>(rule: Rule<Value, Given>): NeededField<Value, Given> {
  return { rule, needed: true };
}

export function left<Value, Given = Value>(
  rule: Rule<Value, Given>,
  fallback: Given,
): Field<Value, Given> & { readonly needed: false } {
  return { rule, needed: false, fallback };
}

// biome-ignore lint/suspicious/noExplicitAny: the fields of a transform have types of their own
export type Fields = Readonly<Record<string, Field<any, any>>>;
type Values<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer Value, unknown> ? Value : never };
type GivenOf<F> = F extends { readonly rule: Rule<infer Value, infer Given> }
  ? unknown extends Given
    ? Value
    : Given
  : never;
export type Options<F extends Fields> = {
  readonly [K in keyof F as F[K]['needed'] extends true ? K : never]: GivenOf<F[K]>;
} & { readonly [K in keyof F as F[K]['needed'] extends true ? never : K]?: GivenOf<F[K]> };

type Apply = PictureTransform['apply'];

/** A transform whose options all have names: `colorJitter({ hue: 0.1 })`. `prepare` is asked once for each transform made. */
export function define<F extends Fields>(
  name: string,
  fields: F,
  prepare: (options: Values<F>) => Apply,
): PictureFactory<[options?: Options<F>]> {
  const read = reader(name, fields, prepare);
  return Object.assign((options?: Options<F>) => read(options ?? {}), { transformName: name, read });
}

/** A transform whose first option comes before the others: `randomCrop(32, { padding: 4 })`. */
export function defineOf<K extends string, F extends Fields & Readonly<Record<K, unknown>>>(
  name: string,
  first: K,
  fields: F,
  prepare: (options: Values<F>) => Apply,
): PictureFactory<[first: GivenOf<F[K]>, options?: Omit<Options<F>, K>]> {
  const read = reader(name, fields, prepare);
  return Object.assign((value: GivenOf<F[K]>, options?: Omit<Options<F>, K>) => read({ ...options, [first]: value }), {
    transformName: name,
    read,
  });
}

function reader<F extends Fields>(name: string, fields: F, prepare: (options: Values<F>) => Apply) {
  return (given: unknown): PictureTransform => {
    const options = checked(name, fields, given);
    return { name, options: options as JsonObject, apply: prepare(options) };
  };
}

function checked<F extends Fields>(name: string, fields: F, given: unknown): Values<F> {
  if (!isObject(given)) throw new ConfigError(`${name}: options are an object, not ${JSON.stringify(given)}`);
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(fields, key)) continue;
    const near = suggest(key, Object.keys(fields));
    const hint = near === null ? `; it takes ${Object.keys(fields).join(', ') || 'none'}` : `; did you mean '${near}'?`;
    throw new ConfigError(`${name}: there is no option '${key}'${hint}`);
  }
  const values = Object.entries(fields).map(([key, field]) => {
    const value = Object.hasOwn(given, key) && given[key] !== undefined ? given[key] : field.fallback;
    if (value === undefined) throw new ConfigError(`${name}: ${key} is missing`);
    return [key, field.rule(value, `${name}: ${key}`)];
  });
  return Object.fromEntries(values);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
