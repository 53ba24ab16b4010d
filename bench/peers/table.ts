/** What was measured, as plain lines: the same for the terminal, for Markdown and, kept whole, for the saved file. */

import { type Aim, meets, relativeSpread } from '../statistics.js';
import type { EpochResult } from './epoch.js';
import type { Absent, MemoryResult, SpeedResult, StartResult } from './measure.js';
import { epochAim, memoryAim, type PeerName, type SpeedRow, startAim } from './workloads.js';

export interface TableLine {
  readonly name: string;
  /** Measured value with its unit; empty for one who takes no part. */
  readonly value: string;
  readonly spread: string;
  /** Time of the tenth of the steps that were fastest. */
  readonly best: string;
  readonly ratio: string;
  /** The ratio of the best times. */
  readonly bestRatio: string;
  readonly aim: string;
  /** Whether the aim is met; null without one. */
  readonly met: boolean | null;
  readonly remark: string;
}

export interface TableRow {
  readonly what: string;
  readonly lines: readonly TableLine[];
  /** Something broke, rather than came out slow. */
  readonly failed: boolean;
}

/** Outputs of the same network with the same weights may differ by this much. */
const mostDifference = 1e-4;
/** Idle contestants that use more than this share of a core spoil a measurement. */
const mostIdle = 0.05;

export function speedTable({ what, aims }: SpeedRow, result: SpeedResult): TableRow {
  let differs = false;
  const lines = result.timings.map((t): TableLine => {
    const least = aims[t.name as PeerName];
    const aim: Aim | null = t.ratio === undefined || least === undefined ? null : { kind: 'at least', value: least };
    const remarks: string[] = [];
    if (t.beside !== undefined) remarks.push(`beside ${t.beside}`);
    if (t.difference !== undefined) {
      const wrong = !(t.difference <= mostDifference);
      differs ||= wrong;
      remarks.push(
        `${wrong ? 'NOT THE SAME NETWORK: ' : ''}output ± ${t.difference.toExponential(0)} of ${result.reference}'s`,
      );
    }
    return {
      ...empty(t.name),
      value: time(t.milliseconds.median),
      spread: t.milliseconds.samples > 1 ? `±${(100 * relativeSpread(t.milliseconds)).toFixed(0)} %` : '',
      best: time(t.best),
      ratio: t.ratio === undefined ? '' : times(t.ratio.median),
      bestRatio: t.bestRatio === undefined ? '' : times(t.bestRatio),
      ...judged(aim, t.ratio?.median, (x) => times(x)),
      remark: remarks.join('; '),
    };
  });
  const counts = new Set(result.timings.flatMap((t) => (t.params === undefined ? [] : [t.params])));
  const remarks = [
    ...(counts.size > 1 ? [`NOT THE SAME NETWORK: ${[...counts].join(', ')} parameters`] : []),
    ...(result.idleShare !== null && result.idleShare > mostIdle
      ? [`those who waited used ${(100 * result.idleShare).toFixed(0)} % of a core meanwhile`]
      : []),
  ].map((remark) => ({ ...empty(''), remark }));
  return row(what, [...lines, ...result.absent.map(absentLine), ...remarks], result.absent, differs || counts.size > 1);
}

export function memoryTable({ what }: SpeedRow, { growth, absent, ratio }: MemoryResult): TableRow {
  const lines = growth.map(({ name, bytes }, i) => ({
    ...empty(name),
    value: `${(bytes / 2 ** 20).toFixed(0)} MiB`,
    ...(i === 0 && ratio !== null
      ? { ratio: times(ratio), ...judged(memoryAim, ratio, times), remark: `of ${growth[1].name}'s` }
      : {}),
  }));
  return row(memoryTitle(what), [...lines, ...absent.map(absentLine)], absent);
}

export function memoryTitle(what: string): string {
  return `peak memory, ${what}`;
}

export function startTable(what: string, { timings, absent }: StartResult): TableRow {
  const lines = timings.map(({ name, seconds, parts }, i) => ({
    ...empty(name),
    value: `${seconds.median.toFixed(2)} s`,
    spread: `±${(100 * relativeSpread(seconds)).toFixed(0)} %`,
    ...(name.startsWith('fovea')
      ? judged(startAim, seconds.median, (x) => `${x} s`)
      : {
          ratio: timings[0].name.startsWith('fovea') && i > 0 ? times(seconds.median / timings[0].seconds.median) : '',
        }),
    remark: Object.entries(parts ?? {})
      .map(([part, ms]) => `${part.replace(/Ms$/, '')} ${ms.toFixed(0)} ms`)
      .join(', '),
  }));
  return row(what, [...lines, ...absent.map(absentLine)], absent);
}

export function epochTable(what: string, { epochs, absent }: EpochResult): TableRow {
  const lines = epochs.map(({ name, seconds, testAccuracy }, i) => ({
    ...empty(name),
    value: `${seconds.toFixed(1)} s`,
    ...(name.startsWith('fovea') ? judged(epochAim, seconds, (x) => `${x} s`) : {}),
    ...(i > 0 && epochs[0].name.startsWith('fovea') ? { ratio: times(seconds / epochs[0].seconds) } : {}),
    remark: `${(100 * testAccuracy).toFixed(2)} % of the test pictures right`,
  }));
  return row(what, [...lines, ...absent.map(absentLine)], absent);
}

function row(what: string, lines: readonly TableLine[], absent: readonly Absent[], failed = false): TableRow {
  return { what, lines, failed: failed || absent.some((a) => a.failed) };
}

function empty(name: string): TableLine {
  return { name, value: '', spread: '', best: '', ratio: '', bestRatio: '', aim: '', met: null, remark: '' };
}

function absentLine({ name, reason }: Absent): TableLine {
  return { ...empty(name), value: '–', remark: reason };
}

function judged(
  aim: Aim | null,
  value: number | undefined,
  text: (x: number) => string,
): { aim: string; met: boolean | null } {
  if (aim === null || value === undefined) return { aim: '', met: null };
  return { aim: `${aim.kind === 'at least' ? '≥' : '≤'} ${text(aim.value)}`, met: meets(aim, value) };
}

function time(ms: number): string {
  return ms >= 10_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

function times(x: number): string {
  return `${x >= 10 ? x.toFixed(0) : x.toFixed(2)}×`;
}

const columns = ['', 'median', '', 'best', 'ratio', 'of best', 'aim', '', ''] as const;
const widths = [18, 9, 6, 9, 7, 7, 8, 5, 0];
const toTheRight = [false, true, true, true, true, true, true, false, false];

function cells({ name, value, spread, best, ratio, bestRatio, aim, met, remark }: TableLine): string[] {
  return [name, value, spread, best, ratio, bestRatio, aim, met === null ? '' : met ? 'ok' : 'SHORT', remark];
}

export function tableHead(): string {
  return `  ${aligned(columns)}`.trimEnd();
}

export function formatRow({ what, lines }: TableRow): string {
  return [what, ...lines.map((line) => `  ${aligned(cells(line))}`.trimEnd())].join('\n');
}

function aligned(texts: readonly string[]): string {
  return texts.map((t, i) => (toTheRight[i] ? t.padStart(widths[i]) : t.padEnd(widths[i]))).join(' ');
}

/** The lines that stay short of their aim, by row and peer. */
export function shortOf(rows: readonly TableRow[]): string[] {
  return rows.flatMap(({ what, lines }) => lines.filter((l) => l.met === false).map((l) => `${what}: ${l.name}`));
}

export function toMarkdown(title: string, preface: readonly string[], rows: readonly TableRow[]): string {
  const out = [`# ${title}`, '', ...preface, ''];
  for (const { what, lines } of rows) {
    out.push(`## ${what}`, '', `| ${columns.join(' | ')} |`);
    out.push(`| ${toTheRight.map((right) => (right ? '---:' : '---')).join(' | ')} |`);
    for (const line of lines) out.push(`| ${cells(line).join(' | ')} |`);
    out.push('');
  }
  return `${out.join('\n').trimEnd()}\n`;
}
