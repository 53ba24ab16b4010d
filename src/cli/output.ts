/** What commands print: tables and numbers for people, one JSON object a line for programs. */

import pc from 'picocolors';

/** One line of `--json` output. */
export function printJson(record: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(record)}\n`);
}

export function print(text = ''): void {
  process.stdout.write(`${text}\n`);
}

/** A name or a reason that comes from a file, on one line: what would break that or steer the terminal becomes a visible mark. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

export interface Column {
  readonly head: string;
  readonly align?: 'left' | 'right';
}

/** A table without a frame: columns, a rule under the head. */
export async function table(columns: readonly Column[], rows: readonly (readonly string[])[]): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const border = '';
  const made = new Table({
    head: columns.map((column) => pc.bold(column.head)),
    colAligns: columns.map((column) => column.align ?? 'left'),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: {
      top: border,
      'top-mid': border,
      'top-left': border,
      'top-right': border,
      bottom: border,
      'bottom-mid': border,
      'bottom-left': border,
      'bottom-right': border,
      left: border,
      'left-mid': border,
      right: border,
      'right-mid': border,
      mid: border,
      'mid-mid': border,
      middle: border,
    },
  });
  made.push(...rows.map((row) => [...row]));
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

export function percent(share: number, digits = 2): string {
  return `${(100 * share).toFixed(digits)} %`;
}

export function shape(sizes: readonly number[]): string {
  return `[${sizes.join(', ')}]`;
}

/** 4815162 → 4.82 MB */
export function bytes(count: number): string {
  for (const [unit, size] of [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (count >= size) return `${(count / size).toPrecision(3)} ${unit}`;
  }
  return `${count} B`;
}

/** 4321.5 s → 1:12:02; under a minute 42.1 s. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)} min`;
}
