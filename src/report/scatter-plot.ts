/** Points in a plane, coloured by class; of more than ten classes the shapes change too. */

import * as Plot from '@observablehq/plot';
import { type Html, html, trusted } from './html.js';
import { type Size, svg } from './plot.js';

export interface ScatterPoint {
  readonly x: number;
  readonly y: number;
  readonly label: number;
  /** Said when it is pointed at. */
  readonly title: string;
}

/** As style.ts has them in light. */
const colors = [
  '#3b6fd8',
  '#e07a2f',
  '#2f9e77',
  '#9a5bd0',
  '#d13f5b',
  '#0c94aa',
  '#a97f06',
  '#d04f9e',
  '#6b7280',
  '#738f1c',
];
const shapes = ['circle', 'triangle', 'square', 'diamond'] as const;
/** The shapes in a box of 12, for keys. */
const outlines = {
  circle: '<circle cx="6" cy="6" r="5"/>',
  triangle: '<path d="M6 .5 11.5 10.5H.5Z"/>',
  square: '<rect x="1.5" y="1.5" width="9" height="9"/>',
  diamond: '<path d="M6 0 10.5 6 6 12 1.5 6Z"/>',
};

/** The colour of a class: after ten classes they come again, in another shape. */
export function classColor(label: number): string {
  const i = label % colors.length;
  return `var(--class-${i + 1}, ${colors[i]})`;
}

function shapeOf(label: number): (typeof shapes)[number] {
  return shapes[Math.floor(label / colors.length) % shapes.length];
}

/** The mark of a class, for keys. */
export function classMark(label: number): Html {
  return html`<svg viewBox="0 0 12 12" aria-hidden="true" style="fill:${classColor(label)}">${trusted(outlines[shapeOf(label)])}</svg>`;
}

/** Marks stand in the order of the points. Axes without numbers where coordinates mean nothing. */
export function scatterPlot({
  points,
  numbers,
  ...size
}: Size & { readonly points: readonly ScatterPoint[]; readonly numbers: boolean }): string {
  const axis = numbers ? { label: null, grid: true, tickSize: 0, ticks: 8 } : { axis: null };
  const radius = points.length > 3000 ? 1.8 : points.length > 800 ? 2.6 : points.length > 150 ? 3.4 : 4.5;
  return svg(size, {
    ...(numbers ? {} : { margin: 8, marginTop: 8, marginLeft: 8, marginRight: 8, marginBottom: 8 }),
    x: { ...axis, nice: true },
    y: { ...axis, nice: true },
    marks: [
      Plot.dot(points, {
        x: 'x',
        y: 'y',
        r: radius,
        fill: ({ label }: ScatterPoint) => classColor(label),
        fillOpacity: 0.82,
        symbol: points.some(({ label }) => label >= colors.length)
          ? ({ label }: ScatterPoint) => shapeOf(label)
          : undefined,
        title: 'title',
        sort: null,
      }),
    ],
  });
}
