/**
 * Other libraries' names for the same weights, as tables: a pattern, the name it has here, and what happens to the values where the layout
 * differs too. A table belongs to the model whose names it maps onto and stands in that family's file.
 */

import { ConfigError } from '../util/errors.js';
import { formatShape, numel, type Shape } from '../util/shape.js';

/** A stored value: row-major, with its shape. */
export interface Stored {
  readonly shape: Shape;
  readonly data: ArrayLike<number>;
}

export interface RemapRule {
  /** Matched against the whole name in the file: write ^ and $ where it matters. */
  readonly from: RegExp;
  /** The name here, $1 … for the groups, or a function of the match; null drops the entry (buffers that are computed here). */
  readonly to: string | null | ((match: RegExpExecArray) => string | null);
  /** Changes the layout of the value. */
  readonly transform?: (value: Stored) => Stored;
}

export interface RemapTable {
  /** Who writes these names: 'torchvision', 'timm', 'the original repository'. */
  readonly source: string;
  /** A name that only files of this source have: the table is used when some name in the file matches. */
  readonly when: RegExp;
  /** The first rule whose pattern matches decides; a name that none matches stays as it is. */
  readonly rules: readonly RemapRule[];
}

/** The name `path` has here by `table`, null if the entry is dropped, with the rule that said so. */
export function remapName(path: string, table: RemapTable): { path: string | null; rule: RemapRule | null } {
  for (const rule of table.rules) {
    const match = rule.from.exec(path);
    if (match === null) continue;
    if (rule.to === null) return { path: null, rule };
    if (typeof rule.to === 'function') return { path: rule.to(match), rule };
    return { path: path.replace(rule.from, rule.to), rule };
  }
  return { path, rule: null };
}

/** The table of `tables` that the names call for: the first of which some name matches `when`. */
export function remapFor(names: Iterable<string>, tables: readonly RemapTable[]): RemapTable | null {
  const all = [...names];
  return tables.find((table) => all.some((name) => table.when.test(name))) ?? null;
}

/** Every entry under its name here. @throws {ConfigError} where two entries would get one name. */
export function remap<T extends Stored>(
  state: ReadonlyMap<string, T>,
  table: RemapTable | null,
): Map<string, T | Stored> {
  if (table === null) return new Map(state);
  const out = new Map<string, T | Stored>();
  const origin = new Map<string, string>();
  for (const [name, value] of state) {
    const { path, rule } = remapName(name, table);
    if (path === null) continue;
    if (out.has(path)) {
      throw new ConfigError(
        `The names of ${table.source} do not map one to one: ${origin.get(path)} and ${name} are both ${path}`,
      );
    }
    origin.set(path, name);
    out.set(path, rule?.transform?.(value) ?? value);
  }
  return out;
}

// —— transforms that tables share ——

/** The same values with other axes: `reshaped((shape) => [shape[0], -1])`; one −1 stands for what is left. */
export function reshaped(to: (shape: Shape) => Shape): (value: Stored) => Stored {
  return ({ shape, data }) => {
    const wanted = to(shape);
    const known = wanted.reduce((product, n) => (n === -1 ? product : product * n), 1);
    const made = wanted.map((n) => (n === -1 ? numel(shape) / known : n));
    if (numel(made) !== numel(shape)) {
      throw new ConfigError(`a value of ${formatShape(shape)} cannot become ${formatShape(made)}`);
    }
    return { shape: made, data };
  };
}

/** [O, I, 1, 1] of a 1×1 convolution ↔ [O, I] of a linear layer; [C, 1, 1] of a scale → [C]. */
export const squeezed = reshaped((shape) => shape.filter((n, i) => i < 1 || n !== 1));
