/**
 * Plots as SVG text, drawn by Observable Plot without a browser. They take their colours from the page: lines of text are `currentColor`, series are
 * `--plot-1` … `--plot-4` (with values of their own, should a plot stand alone), so that they can be read in light and in dark. Axes have no words:
 * the page says in its languages what they are.
 */

import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { CalibrationBin } from '../train/index.js';
import { ConfigError } from '../util/errors.js';
import { escapeHtml } from './html.js';

export interface Point {
  readonly x: number;
  /** What is not finite leaves a gap. */
  readonly y: number;
}

export interface Axis {
  readonly log?: boolean;
  /** Values are shares: 0.5 is written 50%. */
  readonly percent?: boolean;
  /** Left out: from the least value to the largest. */
  readonly domain?: readonly [low: number, high: number];
  /** Words at the axis, for plots that stand alone. */
  readonly label?: string;
  /** Whole numbers only, such as epochs. */
  readonly whole?: boolean;
}

export interface Size {
  readonly width?: number;
  readonly height?: number;
  /** What it shows, for those who hear the page. */
  readonly title?: string;
  /** Adds the namespace that a file of its own needs. */
  readonly standalone?: boolean;
}

export interface Series {
  readonly points: readonly Point[];
  /** 1 … 4. Left out: in turn. */
  readonly color?: number;
  readonly dashed?: boolean;
  /** A thin line in the background, for what is noisy. */
  readonly faint?: boolean;
  /** Marks each point, and shows its values when pointed at. */
  readonly dots?: boolean;
}

export interface LineChart extends Size {
  readonly series: readonly Series[];
  readonly x?: Axis;
  readonly y?: Axis;
  /** Upright dashed lines, such as the learning rate that was chosen. */
  readonly marks?: readonly number[];
}

const palette = ['#3b6fd8', '#e07a2f', '#2f9e77', '#9a5bd0'];

/** The colour of a series: 1 … 4. */
export function plotColor(n: number): string {
  const i = (n - 1) % palette.length;
  return `var(--plot-${i + 1}, ${palette[i]})`;
}

export function lineChart({ series, x = {}, y = {}, marks = [], ...size }: LineChart): string {
  const drawn = series.map((s, i) => ({
    ...s,
    stroke: plotColor(s.color ?? i + 1),
    points: s.points.map(finite(x, y)),
  }));
  return svg(size, {
    x: scaleOf(x),
    y: { ...scaleOf(y), grid: true },
    marks: [
      ...drawn.map(({ points, stroke, dashed, faint }) =>
        Plot.line(points, {
          x: 'x',
          y: 'y',
          stroke,
          strokeWidth: faint ? 1 : 2,
          strokeOpacity: faint ? 0.35 : 1,
          strokeDasharray: dashed ? '4 3' : undefined,
        }),
      ),
      ...drawn
        .filter(({ dots, points }) => dots || points.length === 1)
        .map(({ points, stroke }) =>
          Plot.dot(points, { x: 'x', y: 'y', fill: stroke, r: 2.5, title: (p: Point) => `${p.x}: ${label(p.y, y)}` }),
        ),
      Plot.ruleX(marks, { strokeDasharray: '3 3', strokeOpacity: 0.6 }),
    ],
  });
}

export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly color?: number;
}

/** Bars from left to right, their labels before them. */
export function barChart({
  bars,
  value = {},
  ...size
}: Size & { readonly bars: readonly Bar[]; readonly value?: Axis }): string {
  // By place, not by label: two classes may have names that look alike.
  const widest = Math.max(0, ...bars.map((bar) => bar.label.length));
  return svg(
    { height: 26 * bars.length + 34, ...size },
    {
      marginLeft: Math.min(180, 16 + 7 * widest),
      marginRight: 48,
      x: { ...scaleOf(value), grid: true },
      y: { label: null, tickSize: 0, tickFormat: (i: number) => bars[i].label },
      marks: [
        Plot.barX(bars, {
          x: 'value',
          y: (_: Bar, i: number) => i,
          fill: (bar: Bar) => plotColor(bar.color ?? 1),
          rx: 2,
        }),
        Plot.text(bars, {
          x: 'value',
          y: (_: Bar, i: number) => i,
          text: (bar: Bar) => label(bar.value, value),
          textAnchor: 'start',
          dx: 5,
        }),
      ],
    },
  );
}

/** Squares, darker for larger values: row-major [rows][columns]. Values that are not finite stay empty. */
export function heatMap({
  rows,
  columns,
  values,
  value = {},
  color = 1,
  ...size
}: Size & {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly values: ArrayLike<number>;
  readonly value?: Axis;
  readonly color?: number;
}): string {
  if (values.length !== rows.length * columns.length) {
    throw new ConfigError(`heatMap: ${rows.length} rows of ${columns.length} columns, and ${values.length} values`);
  }
  const cells = Array.from(values, (v, i) => ({ row: Math.floor(i / columns.length), column: i % columns.length, v }));
  const known = cells.filter(({ v }) => Number.isFinite(v));
  const [low, high] = value.domain ?? [Math.min(...known.map((c) => c.v)), Math.max(...known.map((c) => c.v))];
  const share = (v: number) => (high > low ? Math.min(1, Math.max(0, (v - low) / (high - low))) : 1);
  const widest = Math.max(0, ...rows.map((row) => row.length));
  return svg(
    { height: 30 * rows.length + 40, ...size },
    {
      marginLeft: Math.min(180, 16 + 7 * widest),
      x: {
        label: null,
        tickSize: 0,
        padding: 0.03,
        type: 'band',
        domain: indices(columns),
        tickFormat: (i: number) => columns[i],
      },
      y: {
        label: null,
        tickSize: 0,
        padding: 0.06,
        type: 'band',
        domain: indices(rows),
        tickFormat: (i: number) => rows[i],
      },
      marks: [
        Plot.cell(known, {
          x: 'column',
          y: 'row',
          fill: plotColor(color),
          fillOpacity: ({ v }: { v: number }) => 0.08 + 0.72 * share(v),
          inset: 1,
          rx: 2,
        }),
        Plot.text(known, { x: 'column', y: 'row', text: ({ v }: { v: number }) => label(v, value) }),
      ],
    },
  );
}

/** How often answers of a confidence were right, beside how often they should be: the diagonal. Below it, how many answers there are of each. */
export function reliabilityDiagram({ bins, ...size }: Size & { readonly bins: readonly CalibrationBin[] }): string {
  const used = bins.filter((bin) => bin.count > 0);
  const total = used.reduce((sum, bin) => sum + bin.count, 0);
  // What rests on a handful of answers is shown, but pale.
  const weight = ({ count }: CalibrationBin) => Math.min(1, 0.25 + (0.75 * count) / Math.max(10, 0.02 * total));
  const x = { ...scaleOf({ percent: true, domain: [0, 1] }), ticks: [0, 0.2, 0.4, 0.6, 0.8, 1] };
  return svg(
    { width: 380, height: 320, ...size },
    {
      x,
      y: { ...scaleOf({ percent: true, domain: [0, 1] }), grid: true, ticks: [0, 0.2, 0.4, 0.6, 0.8, 1] },
      marks: [
        Plot.rect(used, {
          x1: 'low',
          x2: 'high',
          y1: 0,
          y2: (b: CalibrationBin) => Math.min(b.accuracy, b.confidence),
          fill: plotColor(1),
          fillOpacity: weight,
          insetLeft: 1,
          insetRight: 1,
        }),
        Plot.rect(used, {
          x1: 'low',
          x2: 'high',
          y1: (b: CalibrationBin) => Math.min(b.accuracy, b.confidence),
          y2: (b: CalibrationBin) => Math.max(b.accuracy, b.confidence),
          fill: plotColor(2),
          fillOpacity: (b: CalibrationBin) => 0.5 * weight(b),
          insetLeft: 1,
          insetRight: 1,
          title: (b: CalibrationBin) =>
            `${label(b.accuracy, { percent: true })} / ${label(b.confidence, { percent: true })} (${b.count})`,
        }),
        // What was right: the upper edge of the gap where answers were too modest, the lower one where they were too sure.
        Plot.link(used, {
          x1: 'low',
          x2: 'high',
          y1: 'accuracy',
          y2: 'accuracy',
          stroke: plotColor(1),
          strokeWidth: 3,
          strokeOpacity: weight,
        }),
        Plot.line(
          [
            { x: 0, y: 0 },
            { x: 1, y: 1 },
          ],
          { x: 'x', y: 'y', strokeDasharray: '4 4', strokeOpacity: 0.7 },
        ),
      ],
    },
  );
}

/** How many answers there are of each confidence. */
export function confidenceHistogram({ bins, ...size }: Size & { readonly bins: readonly CalibrationBin[] }): string {
  return svg(
    { width: 380, height: 110, ...size },
    {
      x: { ...scaleOf({ percent: true, domain: [0, 1] }), ticks: [0, 0.2, 0.4, 0.6, 0.8, 1] },
      y: { ...scaleOf({}), ticks: (size.height ?? 110) > 200 ? 5 : 2, grid: true },
      marks: [
        Plot.rect(bins, {
          x1: 'low',
          x2: 'high',
          y1: 0,
          y2: 'count',
          fill: plotColor(1),
          fillOpacity: 0.6,
          inset: 1,
          title: (b: CalibrationBin) => String(b.count),
        }),
      ],
    },
  );
}

function indices(list: readonly unknown[]): number[] {
  return list.map((_, i) => i);
}

/** Logarithms know no zero: such a point is a gap too. */
function finite(x: Axis, y: Axis): (point: Point) => Point {
  const seen = (v: number, axis: Axis) => (Number.isFinite(v) && (!axis.log || v > 0) ? v : Number.NaN);
  return (point) => ({ x: seen(point.x, x), y: seen(point.y, y) });
}

function scaleOf({ log, percent, domain, label: words, whole }: Axis): Plot.ScaleOptions {
  return {
    type: log ? 'log' : 'linear',
    label: words ?? null,
    tickSize: 0,
    tickPadding: 6,
    ...(domain === undefined ? {} : { domain: [...domain] }),
    ...(log ? { tickFormat: power, ticks: 6 } : {}),
    ...(percent ? { tickFormat: '.0%' } : {}),
    ...(whole ? { interval: 1, tickFormat: 'd', type: 'linear' } : {}),
    nice: !log && domain === undefined && !whole,
  };
}

/** 0.001 → 1e-3; between the powers of ten nothing. */
function power(value: number): string {
  const exponent = Math.log10(value);
  if (Math.abs(exponent - Math.round(exponent)) > 1e-9) return '';
  return exponent >= -2 && exponent <= 3 ? String(Number(value.toPrecision(1))) : `1e${Math.round(exponent)}`;
}

function label(value: number, { percent }: Axis): string {
  if (percent) return `${(100 * value).toFixed(1)}%`;
  return Number.isInteger(value) ? value.toLocaleString('en-US') : String(Number(value.toPrecision(4)));
}

/** A plot by its options, with our sizes and colours. */
export function svg({ width = 380, height = 230, title, standalone }: Size, options: Plot.PlotOptions): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const drawn = Plot.plot({
    document,
    className: 'plot',
    width,
    height,
    marginLeft: 46,
    marginTop: 10,
    marginRight: 22,
    marginBottom: 28,
    style: { fontSize: '12px' },
    ...options,
  });
  drawn.setAttribute('role', 'img');
  if (standalone) drawn.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  const text = drawn.outerHTML.replace(coordinates, (attribute) =>
    attribute.replace(/-?\d+\.\d{3,}(?:e-\d+)?/g, (n) => String(Number(Number(n).toFixed(2)))),
  );
  // linkedom leaves < in attributes as it is: right in HTML, but a plot that stands alone is XML.
  return title === undefined ? text : text.replace('<svg', () => `<svg aria-label="${escapeHtml(title)}"`);
}

/** Attributes of geometry: 16 digits of a place on the screen are 14 too many. */
const coordinates = / (?:d|transform|fill-opacity|stroke-opacity|x|y|x1|x2|y1|y2|cx|cy|width|height)="[^"]*"/g;
