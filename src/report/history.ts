/** The course of a training, read back from the lines of its metrics.jsonl, for curves. Lines of other kinds, and what is broken, are passed over. */

import type { EpochReport } from '../train/index.js';
import type { Point } from './plot.js';

export type EpochLine = EpochReport;

export interface StepLine {
  readonly step: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly lr: number;
}

export interface History {
  readonly epochs: readonly EpochLine[];
  readonly steps: readonly StepLine[];
}

export function parseHistory(jsonLines: string): History {
  const epochs: EpochLine[] = [];
  const steps: StepLine[] = [];
  for (const text of jsonLines.split('\n')) {
    const line = parsed(text);
    if (line === null || !hasNumbers(line, ['step', 'lr'])) continue;
    if (line.event === 'epoch' && hasNumbers(line, ['epoch', 'trainLoss', 'trainAccuracy', 'seconds'])) {
      epochs.push({ ...line, loss: numberOr(line.loss), accuracy: numberOr(line.accuracy) } as unknown as EpochLine);
    } else if (line.event === 'step' && hasNumbers(line, ['loss', 'accuracy'])) {
      steps.push(line as unknown as StepLine);
    }
  }
  return { epochs, steps };
}

/** Steps as a curve over epochs: their values averaged to at most `most` points, so that a long training stays a small file. */
export function stepCurve({ epochs, steps }: History, pick: (line: StepLine) => number, most = 160): Point[] {
  if (epochs.length === 0 || steps.length === 0) return [];
  const stepsPerEpoch = epochs[0].step / (epochs[0].epoch + 1);
  const each = Math.ceil(steps.length / most);
  const points: Point[] = [];
  for (let from = 0; from < steps.length; from += each) {
    const bucket = steps.slice(from, from + each);
    const mean = (of: (line: StepLine) => number) => bucket.reduce((sum, line) => sum + of(line), 0) / bucket.length;
    points.push({ x: mean((line) => line.step) / stepsPerEpoch, y: mean(pick) });
  }
  return points;
}

type Line = Record<string, unknown>;

function parsed(text: string): Line | null {
  if (text.trim() === '') return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Line) : null;
  } catch {
    return null; // the last line of a killed process may be cut short
  }
}

function hasNumbers(line: Line, names: readonly string[]): boolean {
  return names.every((name) => typeof line[name] === 'number' && Number.isFinite(line[name]));
}

function numberOr(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
