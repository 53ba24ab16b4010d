/** How training went: loss, accuracy and learning rate over the epochs, and the learning-rate test where there was one. */

import { grouped } from '../util/counts.js';
import { duration, percent } from './format.js';
import { type EpochLine, type History, stepCurve } from './history.js';
import { type Html, html } from './html.js';
import type { PageInput } from './input.js';
import { colorKey, figure } from './parts.js';
import { lineChart, type Point, type Series } from './plot.js';
import { plain, t, type Word } from './text.js';

export function trainingSection({ history, watched = 'validation', learningRates }: PageInput): Html | null {
  const curves = history && history.epochs.length > 0 ? curvesOf(history, watched) : [];
  if (learningRates !== undefined && learningRates.points.length > 1) {
    const { points, suggestion } = learningRates;
    const chart = lineChart({
      title: plain('lrFinder'),
      x: { log: true },
      series: [{ points: points.map(({ lr, loss }) => ({ x: lr, y: loss })) }],
      marks: suggestion === undefined ? [] : [suggestion],
    });
    curves.push(figure(t('lrFinder'), [], chart, t('learningRate')));
  }
  if (curves.length === 0) return null;
  return html`<h2>${t('training')}</h2><p class="how">${history && best(history)}</p><div class="plots">${curves}</div>`;
}

function best({ epochs }: History): Html | null {
  const seconds = epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  const accuracyOf = (epoch: EpochLine) => epoch.accuracy ?? epoch.trainAccuracy;
  const [top] = [...epochs].sort((a, b) => accuracyOf(b) - accuracyOf(a));
  if (top === undefined) return null;
  const values = { epochs: grouped(epochs.length), time: duration(seconds), epoch: top.epoch + 1 };
  return t('bestEpoch', { ...values, accuracy: percent(accuracyOf(top), 2) });
}

function curvesOf(history: History, watched: 'validation' | 'test'): Html[] {
  const { epochs, steps } = history;
  const at = (pick: (line: EpochLine) => number | null): Point[] =>
    epochs.map((line) => ({ x: line.epoch + 1, y: pick(line) ?? Number.NaN }));
  const watchedWord: Word = watched === 'test' ? 'watchedTest' : 'watched';
  const hasWatched = epochs.some(({ accuracy }) => accuracy !== null);
  const keys = [colorKey('train', 1), ...(hasWatched ? [colorKey(watchedWord, 2)] : [])];
  const series = (trained: Series['points'], seen: Series['points'], each: Series['points']): Series[] => [
    { points: each, color: 1, faint: true },
    { points: trained, color: 1, dots: true },
    ...(hasWatched ? [{ points: seen, color: 2, dots: true }] : []),
  ];
  const lr = steps.length > 0 ? stepCurve(history, (line) => line.lr, 300) : at((line) => line.lr);
  const x = { domain: [0, epochs.at(-1)!.epoch + 1] } as const;
  return [
    figure(
      t('lossCurve'),
      keys,
      lineChart({
        title: plain('lossCurve'),
        x,
        series: series(
          at((line) => line.trainLoss),
          at((line) => line.loss),
          stepCurve(history, (line) => line.loss),
        ),
      }),
      t('epoch'),
    ),
    figure(
      t('accuracyCurve'),
      keys,
      lineChart({
        title: plain('accuracyCurve'),
        x,
        y: { percent: true },
        series: series(
          at((line) => line.trainAccuracy),
          at((line) => line.accuracy),
          stepCurve(history, (line) => line.accuracy),
        ),
      }),
      t('epoch'),
    ),
    figure(t('lrCurve'), [], lineChart({ title: plain('lrCurve'), x, series: [{ points: lr, color: 3 }] }), t('epoch')),
  ];
}
