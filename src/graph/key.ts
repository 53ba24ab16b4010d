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
  private row = spare ?? new Float64Array(1024);
  private length = 0;

  constructor() {
    spare = null;
  }

  /** A whole number whose meaning follows from its place. */
  count(n: number): void {
    if (this.length === this.row.length) this.grow();
    this.row[this.length++] = n;
  }

  /** Any plain data. */
  data(value: unknown): void {
    if (typeof value === 'number') {
      this.count(Tag.number);
      this.count(value);
    } else if (typeof value === 'string') {
      this.count(Tag.string);
      this.count(nameId(value));
    } else if (Array.isArray(value)) {
      this.count(Tag.array);
      this.count(value.length);
      for (let i = 0; i < value.length; i++) this.data(value[i]);
    } else if (typeof value === 'object' && value !== null) {
      for (const name in value) {
        this.count(Tag.field);
        this.count(nameId(name));
        this.data((value as Record<string, unknown>)[name]);
      }
      this.count(Tag.end);
    } else {
      this.count(value === true ? Tag.true : value === false ? Tag.false : value === null ? Tag.null : Tag.undefined);
    }
  }

  /**
   * A number that stands for this row, the same whenever an equal row comes (as long as it is one of the last few hundred).
   * Ends the key: the next one writes into its memory.
   */
  id(): number {
    const row = this.row.subarray(0, this.length);
    spare = this.row;
    let hash = row.length;
    for (let i = 0; i < row.length; i++) hash = Math.imul(hash ^ row[i], 0x01000193);
    const known = rows.get(hash)?.find((other) => sameRow(other.row, row));
    if (known !== undefined) return known.id;
    if (nextRow % mostRows === 0) rows.clear();
    const made = { row: row.slice(), id: nextRow++ };
    rows.set(hash, [...(rows.get(hash) ?? []), made]);
    return made.id;
  }

  private grow(): void {
    const larger = new Float64Array(2 * this.row.length);
    larger.set(this.row);
    this.row = larger;
  }
}

/** The memory of a key that has ended. */
let spare: Float64Array | null = null;

const Tag = { number: 0, string: 1, array: 2, field: 3, end: 4, true: 5, false: 6, null: 7, undefined: 8 } as const;

const rows = new Map<number, { readonly row: Float64Array; readonly id: number }[]>();
const mostRows = 512;
let nextRow = 1;

function sameRow(a: Float64Array, b: Float64Array): boolean {
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
