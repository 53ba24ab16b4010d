/**
 * Checks JSON that somebody may have edited by hand: a schema is a function from an unknown value to a typed one, and every refusal names
 * the place (`config.json: classes[3]`), the rule and what was found.
 */

import { FormatError, suggest } from '../util/errors.js';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** @throws {FormatError} naming `where` */
export type Schema<T> = (value: unknown, where: string) => T;

export type Checked<S> = S extends Schema<infer T> ? T : never;

/** Text → checked value. `file` opens every message. @throws {FormatError} */
export function parseJson<T>(text: string, schema: Schema<T>, file: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError(`${file}: not valid JSON: ${(error as Error).message}`);
  }
  return schema(value, `${file}:`);
}

export const string: Schema<string> = (value, where) =>
  typeof value === 'string' ? value : refuse(where, 'a string', value);

export const boolean: Schema<boolean> = (value, where) =>
  typeof value === 'boolean' ? value : refuse(where, 'true or false', value);

export function number({ min = -Infinity, max = Infinity }: { min?: number; max?: number } = {}): Schema<number> {
  return (value, where) =>
    typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max
      ? value
      : refuse(where, `a number${range(min, max)}`, value);
}

export function integer({ min = -Infinity, max = Infinity }: { min?: number; max?: number } = {}): Schema<number> {
  return (value, where) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
      ? (value as number)
      : refuse(where, `an integer${range(min, max)}`, value);
}

export function literal<const T extends string | number>(...allowed: T[]): Schema<T> {
  return (value, where) =>
    allowed.includes(value as T)
      ? (value as T)
      : refuse(where, allowed.map((a) => JSON.stringify(a)).join(' or '), value);
}

export function array<T>(item: Schema<T>, { length }: { length?: number } = {}): Schema<T[]> {
  return (value, where) => {
    if (!Array.isArray(value)) return refuse(where, 'a list', value);
    if (length !== undefined && value.length !== length) return refuse(where, `a list of ${length}`, value);
    return value.map((v, i) => item(v, `${where}[${i}]`));
  };
}

export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return (value, where) => (value === null ? null : schema(value, where));
}

/** An object whose content is somebody else's business. */
export const anyObject: Schema<JsonObject> = (value, where) =>
  isObject(value) ? (value as JsonObject) : refuse(where, 'an object', value);

/** Exactly these fields; those of `optional` may be missing. */
export function object<
  R extends Record<string, Schema<unknown>>,
  O extends Record<string, Schema<unknown>> = Record<never, never>,
>(required: R, optional: O = {} as O): Schema<{ [K in keyof R]: Checked<R[K]> } & { [K in keyof O]?: Checked<O[K]> }> {
  const fields = new Map(Object.entries({ ...required, ...optional }));
  return (value, where) => {
    if (!isObject(value)) return refuse(where, 'an object', value);
    for (const key of Object.keys(value)) {
      if (fields.has(key)) continue;
      const near = suggest(key, fields.keys());
      throw new FormatError(
        `${path(where, key)} is not a known field${near === null ? '' : `; did you mean '${near}'?`}`,
      );
    }
    const entries: [string, unknown][] = [];
    for (const [key, schema] of fields) {
      if (Object.hasOwn(value, key)) entries.push([key, schema(value[key], path(where, key))]);
      else if (Object.hasOwn(required, key)) throw new FormatError(`${path(where, key)} is missing`);
    }
    return Object.fromEntries(entries) as { [K in keyof R]: Checked<R[K]> } & { [K in keyof O]?: Checked<O[K]> };
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function path(where: string, key: string): string {
  return where.endsWith(':') ? `${where} ${key}` : `${where}.${key}`;
}

function range(min: number, max: number): string {
  if (min === -Infinity && max === Infinity) return '';
  if (max === Infinity) return ` of at least ${min}`;
  return min === -Infinity ? ` of at most ${max}` : ` from ${min} to ${max}`;
}

function refuse(where: string, rule: string, value: unknown): never {
  const text = JSON.stringify(value) ?? String(value);
  const place = where.endsWith(':') ? `${where} the content` : where;
  throw new FormatError(`${place} must be ${rule}, is ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`);
}
