/**
 * Loading a state: every entry is checked against the module before any value is taken, and what does not fit is listed at once with the
 * nearest name, so that a wrong checkpoint is understood from one message.
 */

import { Tensor } from '../tensor/index.js';
import { deferValue } from '../tensor/runtime.js';
import { allocate, type TypedArray } from '../util/dtype.js';
import { ConfigError, suggest } from '../util/errors.js';
import { formatShape, numel, type Shape, sameShape } from '../util/shape.js';

/**
 * A value to load: a tensor, or plain row-major data with its shape as a checkpoint file gives it. `data` may be a getter that reads the file: it is
 * read once, after all shapes were compared. `owned` data has no other user: the module may keep the very array.
 */
export type StateEntry = Tensor | { readonly shape: Shape; readonly data: ArrayLike<number>; readonly owned?: boolean };

export type State = Readonly<Record<string, StateEntry>> | ReadonlyMap<string, StateEntry>;

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

/** A state laid beside a module: the pairs that fit, and what does not. */
export interface StateMatch {
  readonly slots: readonly StateSlot[];
  readonly entries: ReadonlyMap<string, StateEntry>;
  /** Path in the state, the module's tensor, the value. */
  readonly fits: readonly (readonly [path: string, tensor: Tensor, entry: StateEntry])[];
  readonly problems: StateProblems;
  /** Those of `problems.missing`, and of `problems.mismatched`. */
  readonly missing: readonly StateSlot[];
  readonly mismatched: readonly StateSlot[];
}

export function matchState(slots: readonly StateSlot[], state: State): StateMatch {
  const entries: ReadonlyMap<string, StateEntry> = state instanceof Map ? state : new Map(Object.entries(state));
  const unused = new Set<string>(entries.keys());
  const fits: [string, Tensor, StateEntry][] = [];
  const missing: StateSlot[] = [];
  const mismatched: StateSlot[] = [];
  const mismatchedPaths: string[] = [];
  for (const slot of slots) {
    const path = slot.paths.find((p) => entries.has(p));
    for (const p of slot.paths) unused.delete(p);
    if (path === undefined) {
      if (!slot.optional) missing.push(slot);
      continue;
    }
    const entry = entries.get(path)!;
    if (sameShape(entry.shape, slot.tensor.shape)) fits.push([path, slot.tensor, entry]);
    else {
      mismatched.push(slot);
      mismatchedPaths.push(path);
    }
  }
  const problems = {
    missing: missing.map((slot) => slot.paths[0]),
    unexpected: [...unused],
    mismatched: mismatchedPaths,
  };
  return { slots, entries, fits, problems, missing, mismatched };
}

/** Lines that name what does not fit, each with its shape and the nearest name. `what` the values come from: 'state', 'file'. */
export function describeProblems(
  { entries, problems, missing, mismatched }: StateMatch,
  { names = true, shapes = true, what = 'state' } = {},
): string[] {
  const missingLines = missing.map((slot) => `${slot.paths[0]} ${formatShape(slot.tensor.shape)}`);
  const unexpectedLines = () =>
    problems.unexpected.slice(0, shown).map((p) => describeUnexpected(p, entries.get(p)!, problems.missing));
  const shapeLines = mismatched.map((slot, i) => {
    const path = problems.mismatched[i];
    const theirs = formatShape(entries.get(path)!.shape);
    return `${path}: the model has ${formatShape(slot.tensor.shape)}, the ${what} has ${theirs}`;
  });
  return [
    ...(names ? list('missing', missingLines) : []),
    ...(names ? list('unexpected', unexpectedLines(), problems.unexpected.length) : []),
    ...(shapes ? list('other shape', shapeLines) : []),
  ];
}

/** Gives the module's tensors the values that fit. They are all read first: where one cannot be, nothing was changed. */
export function takeFits({ fits }: StateMatch): void {
  const values = fits.map(([, tensor, entry]) => (entry instanceof Tensor ? entry : ownValue(tensor, entry)));
  for (const [i, [, tensor]] of fits.entries()) give(tensor, values[i]);
}

/** @throws {ConfigError} unless everything fits (or the options forgive it); then nothing was changed. */
export function loadSlots(
  name: string,
  slots: readonly StateSlot[],
  state: State,
  { strict = true, ignoreShapes = false }: { strict?: boolean; ignoreShapes?: boolean } = {},
): StateProblems {
  const match = matchState(slots, state);
  const { problems } = match;
  const badNames = strict && problems.missing.length + problems.unexpected.length > 0;
  const badShapes = !ignoreShapes && problems.mismatched.length > 0;
  if (badNames || badShapes) {
    throw new ConfigError(
      [
        `loadStateDict: the state does not fit ${name}`,
        ...describeProblems(match, { names: badNames, shapes: badShapes }),
        `  ${advice(problems, slots, badShapes)}`,
      ].join('\n'),
    );
  }
  takeFits(match);
  return problems;
}

function describeUnexpected(path: string, entry: StateEntry, missing: readonly string[]): string {
  const near = suggest(path, missing);
  return `${path} ${formatShape(entry.shape)}${near === null ? '' : `, did you mean ${near}?`}`;
}

const shown = 8;

function list(label: string, entries: readonly string[], total = entries.length): string[] {
  const lines = entries.slice(0, shown).map((entry, i) => `  ${(i === 0 ? label : '').padEnd(12)}${entry}`);
  if (total > shown) lines.push(`  ${' '.repeat(12)}and ${total - shown} more`);
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

function give(target: Tensor, value: Tensor | TypedArray): void {
  if (value instanceof Tensor) target.assign(value.to(target.dtype));
  else deferValue(target, () => value); // assign would copy the array once more
}

/** The entry's data in an array that only `target` will have. */
function ownValue(target: Tensor, entry: Exclude<StateEntry, Tensor>): TypedArray {
  const { data: given } = entry;
  const size = numel(target.shape);
  if (given.length !== size) {
    throw new ConfigError(
      `loadStateDict: ${formatShape(entry.shape)} needs ${size} values, its data has ${given.length}`,
    );
  }
  if (entry.owned && given.constructor === allocate(target.dtype, 0).constructor) return given as TypedArray;
  const own = allocate(target.dtype, size);
  own.set(given);
  return own;
}
