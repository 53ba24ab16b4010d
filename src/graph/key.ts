/** Keys of plain data — numbers, strings, booleans, null, arrays and objects of these: equal keys, equal meaning. */

/** As text. JSON alone would take NaN, ∞ and null for one another, and −0 for 0. */
export function attrsKey(attrs: unknown): string {
  if (attrs === null || attrs === undefined) return '';
  for (const _ in attrs as object) return textOf(attrs);
  return '';
}

function textOf(value: unknown): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : `${value}`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? '';
  if (Array.isArray(value)) return `[${value.map(textOf).join()}]`;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  return `{${entries.map(([name, v]) => `${name}:${textOf(v)}`).join()}}`;
}

/**
 * A long key as a row of numbers: many times faster than text to write and to compare, which counts where a training step writes thousands.
 * Each value says what it is before it says itself, so rows of different data differ.
 */
export class RowKey {
  private readonly row: number[] = [];

  /** A whole number whose meaning follows from its place. */
  count(n: number): void {
    this.row.push(n);
  }

  /** Any plain data. */
  data(value: unknown): void {
    const { row } = this;
    if (typeof value === 'number') {
      row.push(Tag.number, value);
    } else if (typeof value === 'string') {
      row.push(Tag.string, nameId(value));
    } else if (Array.isArray(value)) {
      row.push(Tag.array, value.length);
      for (let i = 0; i < value.length; i++) this.data(value[i]);
    } else if (typeof value === 'object' && value !== null) {
      for (const name in value) {
        row.push(Tag.field, nameId(name));
        this.data((value as Record<string, unknown>)[name]);
      }
      row.push(Tag.end);
    } else {
      row.push(value === true ? Tag.true : value === false ? Tag.false : value === null ? Tag.null : Tag.undefined);
    }
  }

  /** A number that stands for this row, the same whenever an equal row comes (as long as it is one of the last few hundred). */
  id(): number {
    const { row } = this;
    let hash = row.length;
    for (let i = 0; i < row.length; i++) hash = Math.imul(hash ^ row[i], 0x01000193);
    const known = rows.get(hash)?.find((other) => sameRow(other.row, row));
    if (known !== undefined) return known.id;
    if (nextRow % mostRows === 0) rows.clear();
    const made = { row, id: nextRow++ };
    rows.set(hash, [...(rows.get(hash) ?? []), made]);
    return made.id;
  }
}

const Tag = { number: 0, string: 1, array: 2, field: 3, end: 4, true: 5, false: 6, null: 7, undefined: 8 } as const;

const rows = new Map<number, { readonly row: readonly number[]; readonly id: number }[]>();
const mostRows = 512;
let nextRow = 1;

function sameRow(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

const names = new Map<string, number>();

function nameId(name: string): number {
  let id = names.get(name);
  if (id === undefined) {
    id = names.size;
    names.set(name, id);
  }
  return id;
}
