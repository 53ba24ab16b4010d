/**
 * Reads `shapes/*.txt`: one case a line, a name and then key=value pairs; `#` begins a comment. Values are numbers, shapes (16x64x56x56), words,
 * or aims: `65%` of the FMA peak, `1.5x` the time of a memcpy of the same bytes, `-` for a case that is measured without an aim; `65%|85%`
 * holds WebAssembly to the first and machine code to the second.
 */

export interface ShapeCase {
  readonly name: string;
  readonly values: ReadonlyMap<string, string>;
}

/** What a case is measured against. */
export interface ShapeAim {
  readonly against: 'peak' | 'memcpy';
  /** Share of the peak (at least), or multiple of the memcpy's time (at most); null without an aim. */
  readonly value: number | null;
}

/** @throws when a line cannot be read; the message names it. */
export function parseShapes(text: string, file: string): ShapeCase[] {
  const cases: ShapeCase[] = [];
  text.split('\n').forEach((raw, i) => {
    const words = raw.replace(/#.*/, '').trim().split(/\s+/);
    if (words[0] === '') return;
    const values = new Map<string, string>();
    for (const word of words.slice(1)) {
      const [key, value, ...rest] = word.split('=');
      if (!key || !value || rest.length > 0) throw new Error(`${file}:${i + 1}: "${word}" is not key=value`);
      values.set(key, value);
    }
    cases.push({ name: words[0], values });
  });
  return cases;
}

export function shapeOf({ name, values }: ShapeCase, key: string): number[] {
  const text = values.get(key);
  if (text === undefined || !/^\d+(x\d+)*$/.test(text))
    throw new Error(`${name}: ${key} must be a shape like 16x64x56x56; got ${text}`);
  return text.split('x').map(Number);
}

export function numberOf({ name, values }: ShapeCase, key: string, otherwise?: number): number {
  const text = values.get(key);
  if (text === undefined && otherwise !== undefined) return otherwise;
  const value = Number(text);
  if (text === undefined || !Number.isFinite(value)) throw new Error(`${name}: ${key} must be a number; got ${text}`);
  return value;
}

export type Code = 'wasm' | 'machine';

/** The aim under `key`, or null when the case does not ask for this measurement. `usual` says what `-` is measured against. */
export function aimOf(
  { name, values }: ShapeCase,
  key: string,
  usual: ShapeAim['against'] = 'peak',
  code: Code = 'wasm',
): ShapeAim | null {
  const [first, second, ...rest] = values.get(key)?.split('|') ?? [];
  if (rest.length > 0) throw new Error(`${name}: ${key} takes at most two aims, for WebAssembly and for machine code`);
  const text = code === 'wasm' ? first : (second ?? first);
  if (text === undefined) return null;
  if (text === '-') return { against: usual, value: null };
  const match = /^(\d+(?:\.\d+)?)([%x])$/.exec(text);
  if (match === null) throw new Error(`${name}: ${key} must be an aim like 65% or 1.5x, or -; got ${text}`);
  return match[2] === '%'
    ? { against: 'peak', value: Number(match[1]) / 100 }
    : { against: 'memcpy', value: Number(match[1]) };
}
