/** What a bench run found, as plain data, as a table for the terminal, and as Markdown. No paths and no host names: results are committed. */

import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { type Aim, meets, relativeSpread, type Spread } from './statistics.js';

export interface Line {
  readonly group: string;
  readonly what: string;
  readonly value: Spread;
  readonly unit: 'GFLOP/s' | 'GB/s' | 'pictures/s' | 'ms' | 's' | '%';
  /** How long one run takes. */
  readonly milliseconds?: Spread;
  /** What the same threads can do at most, measured in turns with the work; same unit. */
  readonly reference?: { readonly what: 'FMA peak' | 'memcpy'; readonly value: Spread };
  /** Share of the peak, or multiple of the memcpy's time. */
  readonly ratio?: Spread;
  readonly aim?: Aim & { readonly of: 'ratio' | 'value' };
  /** Kernels launched, parts of a sum, or what else explains the figure. */
  readonly details?: readonly string[];
}

export interface Results {
  readonly date: string;
  readonly machine: Machine;
  readonly lines: readonly Line[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly v8: string;
  readonly threads: number;
  readonly notes: readonly string[];
  /** How busy the machine was with other work when the run began. */
  readonly load: number;
}

export function describeMachine(device: { readonly threads: number; readonly notes: readonly string[] }): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    v8: process.versions.v8,
    threads: device.threads,
    notes: device.notes,
    load: Number(loadavg()[0].toFixed(2)),
  };
}

/** Whether a line meets its aim; null when it has none. */
export function verdict({ aim, ratio, value }: Line): boolean | null {
  if (aim === undefined) return null;
  return meets(aim, (aim.of === 'ratio' ? ratio! : value).median);
}

export function formatMachine(m: Machine): string {
  return `${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB · Node ${m.node} (V8 ${m.v8}) · ${m.threads} threads · load before the run ${m.load}\n${m.notes.join('; ')}`;
}

const columns = ['what', 'time', 'measured', '±', 'beside', 'ratio', '±', 'aim', ''] as const;
const alignRight = [false, true, true, true, true, true, true, true, false];

/** The cells of a line, one for each column. */
export function cells(line: Line): string[] {
  const { value, unit, milliseconds, reference, ratio, aim } = line;
  const ok = verdict(line);
  const asRatio = (x: number) => (reference?.what === 'memcpy' ? `${x.toFixed(2)}×` : `${(100 * x).toFixed(0)} %`);
  const bound = (a: Aim) => {
    const shown = line.aim?.of === 'ratio' ? asRatio(a.value) : `${a.value} ${unit}`;
    return `${a.kind === 'at least' ? '≥' : '≤'} ${shown}`;
  };
  return [
    line.what,
    milliseconds === undefined ? '' : `${number(milliseconds.median)} ms`,
    `${number(value.median)} ${unit}`,
    percent(value),
    reference === undefined
      ? ''
      : `${number(reference.value.median)} ${reference.what === 'memcpy' ? 'memcpy' : 'peak'}`,
    ratio === undefined ? '' : asRatio(ratio.median),
    ratio === undefined ? '' : percent(ratio),
    aim === undefined ? '' : bound(aim),
    ok === null ? '' : ok ? 'ok' : 'SHORT',
  ];
}

const widths = [34, 10, 17, 6, 13, 7, 6, 14, 5];

export function tableHead(): string {
  return row(columns);
}

export function tableRow(line: Line): string {
  return row(cells(line));
}

function row(texts: readonly string[]): string {
  return texts
    .map((text, i) => (alignRight[i] ? text.padStart(widths[i]) : text.padEnd(widths[i])))
    .join(' ')
    .trimEnd();
}

export function toMarkdown({ date, machine, lines }: Results): string {
  const out = [`# Bench of ${date}`, '', ...formatMachine(machine).split('\n'), ''];
  out.push(
    'Median of samples taken in turns with the reference; ± is half the distance between the quartiles. `npm run bench` makes this file.',
  );
  for (const group of new Set(lines.map((l) => l.group))) {
    out.push('', `## ${group}`, '', `| ${columns.join(' | ')} |`);
    out.push(`| ${alignRight.map((right) => (right ? '---:' : '---')).join(' | ')} |`);
    for (const line of lines) if (line.group === group) out.push(`| ${cells(line).join(' | ')} |`);
  }
  return `${out.join('\n')}\n`;
}

function number(x: number): string {
  return x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);
}

function percent(s: Spread): string {
  return s.samples > 1 ? `${(100 * relativeSpread(s)).toFixed(0)} %` : '';
}
