/** A matrix of likenesses in 0 … 1 as coloured squares, with the names of rows and columns beside it. */

import * as Plot from '@observablehq/plot';
import { plotColor, type Size, svg } from './plot.js';

/** With more of them there is no room for numbers in the squares, nor for every name. */
const mostNumbers = 12;
const mostNames = 40;

export interface SimilarityPlot extends Size {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly values: readonly (readonly number[])[];
}

export interface DrawnPlot {
  readonly svg: string;
  readonly width: number;
  readonly height: number;
}

/** Rows from top to bottom as they are; squares as large as `width` lets them be, within reason. */
export function similarityPlot({ rows, columns, values, width: most = 760, ...size }: SimilarityPlot): DrawnPlot {
  const left = Math.min(210, 18 + 6.7 * longest(rows));
  const foot = Math.min(190, 18 + 6.7 * longest(columns));
  const side = Math.min(64, (most - left - 14) / columns.length);
  const height = Math.ceil(10 + foot + Math.max(side, 10) * rows.length);
  const width = Math.ceil(left + 14 + side * columns.length);
  const cells = values.flatMap((line, row) => line.map((v, column) => ({ row, column, v })));
  const step = (count: number) => Math.ceil(count / mostNames);
  const numbers = columns.length <= mostNumbers && rows.length <= 2 * mostNumbers;
  const gap = columns.length > 24 ? 0 : 1;
  const ticks = (names: readonly string[]) => names.map((_, i) => i).filter((i) => i % step(names.length) === 0);
  const drawn = svg(
    { ...size, width, height },
    {
      marginLeft: left,
      marginRight: 14,
      marginBottom: foot,
      x: {
        type: 'band',
        domain: columns.map((_, i) => i),
        label: null,
        tickSize: 0,
        tickRotate: -90,
        ticks: ticks(columns),
        tickFormat: (i: number) => cut(columns[i]),
        padding: 0,
      },
      y: {
        type: 'band',
        domain: rows.map((_, i) => i),
        label: null,
        tickSize: 0,
        ticks: ticks(rows),
        tickFormat: (i: number) => cut(rows[i]),
        padding: 0,
      },
      marks: [
        Plot.cell(cells, {
          x: 'column',
          y: 'row',
          fill: plotColor(1),
          fillOpacity: ({ v }: { v: number }) => 0.03 + 0.87 * Math.min(1, Math.max(0, v)) ** 1.5,
          inset: gap,
          rx: gap === 0 ? 0 : 2,
          title: ({ row, column, v }: { row: number; column: number; v: number }) =>
            `${rows[row]} · ${columns[column]}: ${v.toFixed(3)}`,
        }),
        ...(numbers
          ? [
              Plot.text(cells, {
                x: 'column',
                y: 'row',
                text: ({ v }: { v: number }) => v.toFixed(2),
                fill: ({ v }: { v: number }) => (v > 0.78 ? 'var(--on-plot, #1d2027)' : 'var(--ink, #1d2027)'),
              }),
            ]
          : []),
      ],
    },
  );
  return { svg: drawn, width, height };
}

function longest(names: readonly string[]): number {
  return Math.max(1, ...names.map((name) => cut(name).length));
}

/** The end of a path tells more than its beginning. */
function cut(name: string): string {
  return name.length > 28 ? `…${name.slice(-27)}` : name;
}
