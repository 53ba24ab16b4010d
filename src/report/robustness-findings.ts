/** What the numbers of a robustness measurement say, plainly: sentences that the page shows in both languages, and the terminal in English. */

import type { Perturbation, Robustness, RobustnessRow } from '../explain/index.js';
import { percent } from './format.js';
import { type Both, both, type Word } from './text.js';

export interface RobustnessFinding {
  readonly kind: 'good' | 'bad' | 'plain';
  readonly text: Both;
}

export function robustnessFindings({ rows, pictures, classes }: Robustness): RobustnessFinding[] {
  const found: RobustnessFinding[] = [];
  const add = (kind: RobustnessFinding['kind'], word: Word, values: Parameters<typeof both>[1] = {}) =>
    found.push({ kind, text: both(word, values) });
  const shifts = rows.filter(isShift);
  if (shifts.length > 0) {
    const [first, last, worst] = [shifts[0], shifts.at(-1)!, weakestOf(shifts)];
    const values = { first: first.level, level: worst.level, some: changed(first), most: changed(worst) };
    const moved = shifts.reduce((a, b) => (Math.abs(b.change) > Math.abs(a.change) ? b : a));
    const still = { level: last.level, at: moved.level, change: Math.abs(100 * moved.change).toFixed(1) };
    if (worst.kept === 1) add('good', 'findShiftNone', still);
    else add('bad', worst === first ? 'findShiftOne' : 'findShift', values);
    add('plain', 'findShiftHow');
  }
  const others = rows.filter((row) => !isShift(row));
  if (others.length > 0) {
    const weakest = weakestOf(others);
    const values = { what: inSentence(titleOf(weakest.perturbation)), level: levelOf(weakest) };
    const word = shifts.length > 0 ? 'findWeakestOther' : 'findWeakestAt';
    if (weakest.kept < 0.95) add('bad', word, { ...values, kept: percent(weakest.kept) });
    else if (weakest.kept < 1) add('good', 'findRobust', { changed: changed(weakest) });
    else add('good', 'findRobustAll');
  }
  if (pictures > 1 && classes === 1) add('bad', 'findOneClass');
  if (pictures === 1) add('plain', 'findFewOne');
  else if (pictures < 20) add('plain', 'findFew', { count: pictures });
  return found;
}

/** Of several rows, the first where the fewest classes stay. */
export function weakestOf(rows: readonly RobustnessRow[]): RobustnessRow {
  return rows.reduce((a, b) => (b.kept < a.kept ? b : a));
}

/** What was disturbed and how: ours have names in both languages, those of others in the language they came in. */
export function titleOf({ name, title }: Perturbation): Both {
  return isOurs(name) ? both(name) : { en: title, zh: title };
}

/** Not at the beginning of a sentence. */
export function inSentence({ en, zh }: Both): Both {
  return { en: en.toLowerCase(), zh };
}

/** How it is done; of ours only. */
export function hintOf({ name }: Perturbation): Both | null {
  return isOurs(name) ? both(`${name}How`) : null;
}

/** What a plot's horizontal axis is. */
export function axisOf({ unit }: Perturbation): Both {
  const word = axes.get(unit);
  return word === undefined ? { en: unit, zh: unit } : both(word);
}

/** ±2 px, × 1.5, 0.9 of the side. */
export function levelOf({ level, perturbation }: RobustnessRow): Both {
  const { name, unit } = perturbation;
  const word = levels.get(name === 'shift' ? '±' : unit);
  return word === undefined ? both('levelOther', { level, unit }) : both(word, { level });
}

const ours = ['shift', 'rotation', 'zoom', 'crop', 'noise', 'blur', 'brightness'] as const satisfies Word[];
const axes = new Map<string, Word>([
  ['px', 'axisPixels'],
  ['°', 'axisDegrees'],
  ['×', 'axisTimes'],
  ['of the side', 'axisSide'],
  ['grey levels', 'axisGrey'],
]);
const levels = new Map<string, Word>([
  ['±', 'levelShift'],
  ['px', 'levelPixels'],
  ['°', 'levelDegrees'],
  ['×', 'levelTimes'],
  ['of the side', 'levelSide'],
  ['grey levels', 'levelGrey'],
]);

function isOurs(name: string): name is (typeof ours)[number] {
  return (ours as readonly string[]).includes(name);
}

function isShift({ perturbation }: RobustnessRow): boolean {
  return perturbation.name === 'shift';
}

function changed({ kept }: RobustnessRow): string {
  return percent(1 - kept);
}
