/**
 * Loading a state: every entry is checked against the module before any value is taken, and what does not fit is listed at once with the
 * nearest name, so that a wrong checkpoint is understood from one message.
 */

import { Tensor } from '../tensor/index.js';
import { allocate, type TypedArray } from '../util/dtype.js';
import { ConfigError, suggest } from '../util/errors.js';
import { formatShape, numel, type Shape, sameShape } from '../util/shape.js';

/** A value to load: a tensor, or plain row-major data with its shape as a checkpoint file gives it. */
export type StateEntry = Tensor | { readonly shape: Shape; readonly data: ArrayLike<number> };

/** What a state and a module did not agree on. */
export interface StateProblems {
  /** In the module, not in the state. */
  missing: string[];
  /** In the state, not in the module. */
  unexpected: string[];
  /** In both, with different shapes. */
  mismatched: string[];
}

/** A tensor of the module, the paths it can be saved under (several when tied), and whether a state may lack it. */
export interface StateSlot {
  readonly tensor: Tensor;
  readonly paths: readonly string[];
  readonly optional: boolean;
}

/** @throws {ConfigError} unless everything fits (or the options forgive it); then nothing was changed. */
export function loadSlots(
  name: string,
  slots: readonly StateSlot[],
  state: Readonly<Record<string, StateEntry>> | ReadonlyMap<string, StateEntry>,
  { strict = true, ignoreShapes = false }: { strict?: boolean; ignoreShapes?: boolean } = {},
): StateProblems {
  const entries = state instanceof Map ? new Map(state) : new Map(Object.entries(state));
  const unused = new Set<string>(entries.keys());
  const problems: StateProblems = { missing: [], unexpected: [], mismatched: [] };
  const shapeLines: string[] = [];
  const missingSlots: StateSlot[] = [];
  const fits: [Tensor, StateEntry][] = [];
  for (const slot of slots) {
    const path = slot.paths.find((p) => entries.has(p));
    for (const p of slot.paths) unused.delete(p);
    if (path === undefined) {
      if (!slot.optional) missingSlots.push(slot);
      continue;
    }
    const entry = entries.get(path)!;
    if (sameShape(entry.shape, slot.tensor.shape)) fits.push([slot.tensor, entry]);
    else {
      problems.mismatched.push(path);
      shapeLines.push(
        `${path}: the model has ${formatShape(slot.tensor.shape)}, the state has ${formatShape(entry.shape)}`,
      );
    }
  }
  problems.missing = missingSlots.map((slot) => slot.paths[0]);
  problems.unexpected = [...unused];

  const badNames = strict && problems.missing.length + problems.unexpected.length > 0;
  const badShapes = !ignoreShapes && problems.mismatched.length > 0;
  if (badNames || badShapes) {
    const lines = [`loadStateDict: the state does not fit ${name}`];
    if (badNames) {
      lines.push(
        ...list(
          'missing',
          missingSlots.map((slot) => `${slot.paths[0]} ${formatShape(slot.tensor.shape)}`),
        ),
      );
      lines.push(
        ...list(
          'unexpected',
          problems.unexpected.map((p) => describeUnexpected(p, entries.get(p)!, problems.missing)),
        ),
      );
    }
    if (badShapes) lines.push(...list('other shape', shapeLines));
    lines.push(`  ${advice(problems, slots, badShapes)}`);
    throw new ConfigError(lines.join('\n'));
  }
  for (const [tensor, entry] of fits) takeValue(tensor, entry);
  return problems;
}

function describeUnexpected(path: string, entry: StateEntry, missing: readonly string[]): string {
  const near = suggest(path, missing);
  return `${path} ${formatShape(entry.shape)}${near === null ? '' : `, did you mean ${near}?`}`;
}

const shown = 8;

function list(label: string, entries: readonly string[]): string[] {
  const lines = entries.slice(0, shown).map((entry, i) => `  ${(i === 0 ? label : '').padEnd(12)}${entry}`);
  if (entries.length > shown) lines.push(`  ${' '.repeat(12)}and ${entries.length - shown} more`);
  return lines;
}

function advice(problems: StateProblems, slots: readonly StateSlot[], badShapes: boolean): string {
  const names = new Set(slots.flatMap((slot) => slot.paths));
  for (const path of problems.unexpected) {
    const prefix = path.slice(0, path.indexOf('.') + 1);
    if (
      prefix !== '' &&
      names.has(path.slice(prefix.length)) &&
      problems.unexpected.every((p) => p.startsWith(prefix))
    ) {
      return `The state's names begin with '${prefix}': remove that prefix from them.`;
    }
  }
  if (badShapes)
    return 'Build the model with the sizes of the state, or pass { strict: false, ignoreShapes: true } to load what fits.';
  return 'Pass { strict: false } to load what fits.';
}

/** Gives `target` the value of `entry`, converted to its dtype. */
export function takeValue(target: Tensor, entry: StateEntry): void {
  if (entry instanceof Tensor) {
    target.assign(entry.to(target.dtype));
    return;
  }
  const data: TypedArray = allocate(target.dtype, numel(target.shape));
  if (entry.data.length !== data.length) {
    throw new ConfigError(
      `loadStateDict: ${formatShape(entry.shape)} needs ${data.length} values, its data has ${entry.data.length}`,
    );
  }
  data.set(entry.data);
  target.assign(data);
}
