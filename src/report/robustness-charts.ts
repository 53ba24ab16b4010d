/** The curves of a robustness measurement, one plot for each disturbance: on the page, and together as a picture of their own. */

import type { Perturbation, Robustness } from '../explain/index.js';
import { html, shortName } from './html.js';
import { lineChart } from './plot.js';
import { titleOf } from './robustness-findings.js';
import { both } from './text.js';

export interface RobustnessChart {
  readonly perturbation: Perturbation;
  readonly svg: string;
}

const chartSize = { width: 360, height: 210 };

/** Per disturbance: the share of classes that stay (solid) and the mean probability of the first class (dashed). */
export function robustnessCharts({ rows, probability }: Robustness): RobustnessChart[] {
  return [...new Set(rows.map((row) => row.perturbation))].map((perturbation) => {
    const own = rows.filter((row) => row.perturbation === perturbation);
    const still = { level: perturbation.neutral, kept: 1, probability };
    const points = [...own, still].sort((a, b) => a.level - b.level);
    const levels = points.map(({ level }) => level);
    const [title, what] = [titleOf(perturbation), both('keyKept')];
    const svg = lineChart({
      ...chartSize,
      title: `${title.en}: ${what.en} · ${title.zh}：${what.zh}`,
      series: [
        { points: points.map(({ level, kept }) => ({ x: level, y: kept })), dots: true },
        { points: points.map((p) => ({ x: p.level, y: p.probability })), dashed: true },
      ],
      x: { domain: [Math.min(...levels), Math.max(...levels)] },
      y: { percent: true, domain: [0, 1] },
      standalone: true,
    });
    return { perturbation, svg };
  });
}

/** All plots in one SVG that needs no style sheet. */
export function robustnessPoster(found: Robustness, modelName: string): string {
  const all = robustnessCharts(found);
  const [columns, cellWidth, cellHeight, top] = [
    Math.min(3, all.length),
    chartSize.width + 24,
    chartSize.height + 44,
    96,
  ];
  const rows = Math.ceil(all.length / columns);
  const [width, height] = [Math.max(620, columns * cellWidth + 24), top + rows * cellHeight + 12];
  const cells = all.map(({ perturbation: { title, unit }, svg }, i) => {
    const [x, y] = [24 + (i % columns) * cellWidth, top + Math.floor(i / columns) * cellHeight];
    // The colours' variables have no page to come from, and many readers of SVG know none.
    const placed = svg.replace('<svg ', `<svg x="${x}" y="${y + 8}" `).replaceAll(/var\(--[\w-]+, (#\w+)\)/g, '$1');
    return `<text x="${x + 4}" y="${y}" font-size="15" font-weight="600">${html`${title}`.markup} <tspan font-weight="400" fill="#667085">${html`${unit}`.markup}</tspan></text>${placed}`;
  });
  const pictures = `${found.pictures} ${found.pictures === 1 ? 'picture' : 'pictures'}`;
  const said = 'solid: share of pictures whose class stays · dashed: mean probability of the first class';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="'Helvetica Neue', 'Liberation Sans', Arial, 'DejaVu Sans', sans-serif" color="#1d2027" fill="#1d2027">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="28" y="40" font-size="22" font-weight="700">Robustness of ${html`${shortName(modelName)}`.markup}</text>
<text x="28" y="63" font-size="13" fill="#667085">${pictures} · ${said}</text>
${cells.join('\n')}
</svg>
`;
}
