/**
 * What options of transforms may be. A rule turns what somebody wrote (in code, or in a file nobody has checked) into the value itself, or
 * says what it must be. Sizes have a limit: a file that asks for pictures of a gigapixel is broken, or means harm.
 */

import { ConfigError } from '../../util/errors.js';

/** Gives the value, or refuses it. `Given` is what code may write for it. */
export interface Rule<Value, Given = Value> {
  /** @throws {ConfigError} naming `where` */
  (value: unknown, where: string): Value;
  /** Of the type only: never there. */
  readonly given?: Given;
}

/** Of a picture's height or width, and of what is added to them. */
export const maxSide = 4096;

export type Pair = readonly [first: number, second: number];

export function real({ min = -Infinity, max = Infinity } = {}): Rule<number> {
  return (value, where) =>
    typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max
      ? value
      : refuse(where, `a number${range(min, max)}`, value);
}

export function whole({ min = -Infinity, max = Infinity } = {}): Rule<number> {
  return (value, where) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? (value as number)
      : refuse(where, `a whole number${range(min, max)}`, value);
}

export const odd: Rule<number> = (value, where) =>
  Number.isInteger(value) && (value as number) % 2 === 1 && (value as number) > 0 && (value as number) <= 255
    ? (value as number)
    : refuse(where, 'an odd number from 1 to 255', value);

export const probability = real({ min: 0, max: 1 });
export const side = whole({ min: 1, max: maxSide });

export const flag: Rule<boolean> = (value, where) =>
  typeof value === 'boolean' ? value : refuse(where, 'true or false', value);

export function oneOf<const T extends string>(...allowed: readonly T[]): Rule<T> {
  return (value, where) =>
    allowed.includes(value as T) ? (value as T) : refuse(where, allowed.map((a) => `'${a}'`).join(' or '), value);
}

/** Left out, or what `rule` says. */
export function orNull<Value, Given>(rule: Rule<Value, Given>): Rule<Value | null, Given | null> {
  return (value, where) => (value === null ? null : rule(value, where));
}

export function either<A, GivenA, B, GivenB>(
  isFirst: (value: unknown) => boolean,
  first: Rule<A, GivenA>,
  second: Rule<B, GivenB>,
): Rule<A | B, GivenA | GivenB> {
  return (value, where) => (isFirst(value) ? first(value, where) : second(value, where));
}

export function pairOf(rule: Rule<number>): Rule<Pair> {
  return (value, where) => {
    if (!Array.isArray(value) || value.length !== 2) return refuse(where, 'a list of 2 numbers', value);
    return [rule(value[0], `${where}[0]`), rule(value[1], `${where}[1]`)];
  };
}

/** One number for both, or a pair. */
export function same(rule: Rule<number>): Rule<Pair, number | Pair> {
  return (value, where) =>
    Array.isArray(value) ? pairOf(rule)(value, where) : [rule(value, where), rule(value, where)];
}

/** [least, most]. */
export function interval(rule: Rule<number>): Rule<Pair> {
  return (value, where) => {
    const [least, most] = pairOf(rule)(value, where);
    return least <= most ? [least, most] : refuse(where, 'the smaller number first', value);
  };
}

/** a: from −a to a; or [least, most]. */
export const around: Rule<Pair, number | Pair> = (value, where) => {
  if (Array.isArray(value)) return interval(real())(value, where);
  const most = real({ min: 0 })(value, where);
  return [-most, most];
};

/** [height, width], or one number for both. */
export const size: Rule<Pair, number | Pair> = same(side);

/** 'constant', … with a byte for every channel or one for all. */
export const fill: Rule<number | readonly number[]> = (value, where) => {
  const byte = real({ min: 0, max: 255 });
  if (!Array.isArray(value)) return byte(value, where);
  if (value.length < 1 || value.length > 64) return refuse(where, 'a number, or one for each channel', value);
  return value.map((v, i) => byte(v, `${where}[${i}]`));
};

export function refuse(where: string, rule: string, value: unknown): never {
  const text = JSON.stringify(value) ?? String(value);
  throw new ConfigError(`${where} must be ${rule}, is ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`);
}

function range(min: number, max: number): string {
  if (min === -Infinity && max === Infinity) return '';
  if (max === Infinity) return ` of at least ${min}`;
  return min === -Infinity ? ` of at most ${max}` : ` from ${min} to ${max}`;
}
