/** How the command line is misused, and the readers of option values that say so. */

import { InvalidArgumentError } from 'commander';
import type { JsonObject } from '../io/index.js';
import { suggest } from '../util/errors.js';

/** A wrong call of the command: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The user ended the command, which has said all there is to say. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  constructor(readonly exitCode: number) {
    super('interrupted');
  }
}

export const exitCodes = { ok: 0, failure: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

export function wholeNumber(least = 1, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (text.trim() !== '' && Number.isSafeInteger(n) && n >= least && n <= most) return n;
    const range = most === Number.MAX_SAFE_INTEGER ? `${least} up` : `${least} to ${most}`;
    throw new InvalidArgumentError(`It is a whole number from ${range}.`);
  };
}

export function decimal({
  above,
  below = Infinity,
}: {
  above?: number;
  below?: number;
} = {}): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (text.trim() !== '' && n > (above ?? -Number.MIN_VALUE) && n < below) return n;
    const least = above === undefined ? 'of at least 0' : `above ${above}`;
    throw new InvalidArgumentError(`It is a number ${least}${below === Infinity ? '' : ` and below ${below}`}.`);
  };
}

/** 500kB, 10MB, 50M: a number with a unit of thousands. */
export function amount(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?) *([kMG]?)B?$/i.exec(text.trim()) ?? [];
  const n = Math.round(Number(digits) * ({ '': 1, k: 1e3, m: 1e6, g: 1e9 }[unit?.toLowerCase()] ?? Number.NaN));
  if (Number.isSafeInteger(n) && n >= 1) return n;
  throw new InvalidArgumentError('It is a number such as 500kB, 10MB or 50M.');
}

/** 500ms, 10s, 2min as milliseconds; a bare number is seconds. */
export function milliseconds(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?) *(ms|s|min)?$/.exec(text.trim()) ?? [];
  const n = Math.round(Number(digits) * { ms: 1, s: 1000, min: 60_000 }[(unit ?? 's') as 'ms' | 's' | 'min']);
  if (Number.isSafeInteger(n) && n >= 1 && n < 2 ** 31) return n;
  throw new InvalidArgumentError('It is a time such as 500ms, 10s or 2min.');
}

/** One of a few words. */
export function oneOf<const Name extends string>(names: readonly Name[]): (text: string) => Name {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return found;
    const near = suggest(text, names);
    throw new InvalidArgumentError(near === null ? `There are ${names.join(', ')}.` : `Did you mean ${near}?`);
  };
}

/** `name=value` added to those before it; a value is a number, true, false, or else text. */
export function modelOption(text: string, before: JsonObject): JsonObject {
  const [, name, value] = /^([a-zA-Z]\w*)=(.+)$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError('It is name=value, such as stem=cifar.');
  if (value === 'true' || value === 'false') return { ...before, [name]: value === 'true' };
  return { ...before, [name]: value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : value };
}

/** An option that may be given several times. */
export function several(text: string, before: readonly string[]): string[] {
  return [...before, text];
}
