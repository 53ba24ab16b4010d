/** `fovea robustness RUN PICTURE…`: how far a model's answers hold when pictures are shifted, turned, zoomed, cut, blurred, noisy, darker or brighter. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { type Perturbation, perturbations, type Robustness, type RobustnessRow, robustness } from '../explain/index.js';
import { decodeImage, type Picture, writeFileAtomic } from '../io/all.node.js';
import { type Html, html, nameHtml, shortName, trusted } from '../report/html.js';
import { lineChart } from '../report/plot.js';
import { style } from '../report/style.js';
import { type Classifier, openClassifier, type RunWeights } from '../train/all.node.js';
import { suggest } from '../util/errors.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { percent, print, printJson, table } from './output.js';
import { pictureFiles } from './picture-files.js';
import { withProgress } from './task-progress.js';
import { oneOf, UsageError, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags {
  out?: string;
  only?: readonly Perturbation[];
  seed: number;
  weights?: RunWeights;
  model?: string;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'robustness',
    'Measures how answers move when pictures are shifted, turned, zoomed, cut, blurred, noisy, darker or brighter.',
    'fovea robustness runs/pets photos',
    'fovea robustness runs/pets photos/*.jpg --out robustness.html',
    'fovea robustness runs/pets cat.jpg --only shift,rotation --json',
  )
    .argument('<run>', 'the folder of a run, or a file of weights: .safetensors, .pth, .pt')
    .argument('<picture...>', 'PNG, JPEG, WebP … files, folders of them, patterns in quotes')
    .option(
      '--only <names>',
      `some of ${perturbations.map((p) => p.name).join(', ')}, with commas between`,
      perturbationsNamed,
    )
    .option('--out <file>', 'write the plots: .html, .svg or .png')
    .option('--seed <n>', 'of the noise', wholeNumber(0), 0)
    .option('--weights <which>', 'of a run: model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--model <name>', 'of a file of weights: which model it is for, where that cannot be told');
  return withJson(withDevice(made)).action(async (path: string, given: string[], flags: Flags) => {
    if (flags.out !== undefined && !/\.(html|svg|png)$/i.test(flags.out)) {
      throw new UsageError(`--out writes .html, .svg or .png, not '${flags.out}'.`);
    }
    const files = await pictureFiles(given);
    const seer = await openClassifier(path, flags);
    await onDevice(flags, async () => {
      const pictures: Picture[] = [];
      for (const file of files)
        pictures.push(await seer.prepare(await decodeImage(await file.read(), { channels: seer.channels })));
      const live = !flags.json && process.stderr.isTTY === true;
      const found = await withProgress('disturbing pictures', live, (onProgress) =>
        robustness((many) => probabilities(seer, many), pictures, {
          perturbations: flags.only,
          seed: flags.seed,
          onProgress,
        }),
      );
      await tell(found, flags);
      if (flags.out === undefined) return;
      await writeFileAtomic(flags.out, await drawn(found, seer, flags.out));
      if (flags.json) printJson({ event: 'saved', file: flags.out });
      else print(pc.dim(`saved ${flags.out}`));
    });
  });
}

async function probabilities({ predict, classes }: Classifier, pictures: readonly Picture[]): Promise<Float32Array> {
  const rows = await predict(pictures, {});
  const out = new Float32Array(rows.length * classes.length);
  for (const [i, row] of rows.entries())
    for (const { index, probability } of row) out[i * classes.length + index] = probability;
  return out;
}

async function tell(found: Robustness, { json }: Flags): Promise<void> {
  if (json) {
    printJson({ event: 'robustness', pictures: found.pictures, probability: rounded(found.probability) });
    for (const { perturbation, level, count, kept, probability, change } of found.rows) {
      const numbers = { kept: rounded(kept), probability: rounded(probability), change: rounded(change) };
      printJson({ event: 'perturbation', name: perturbation.name, level, unit: perturbation.unit, count, ...numbers });
    }
    return;
  }
  print(
    `${found.pictures} ${found.pictures === 1 ? 'picture' : 'pictures'}, undisturbed ${percent(found.probability, 1)} sure on average\n`,
  );
  const lines = found.rows.map((row, i) => {
    const first = found.rows[i - 1]?.perturbation !== row.perturbation;
    const change = `${row.change >= 0 ? '+' : '−'}${Math.abs(100 * row.change).toFixed(1)}`;
    return [first ? row.perturbation.title : '', levelOf(row), coloured(row.kept), change];
  });
  const columns = [
    { head: 'disturbed by' },
    { head: 'how much', align: 'right' },
    { head: 'class stays', align: 'right' },
    { head: 'probability, points', align: 'right' },
  ] as const;
  print(await table(columns, lines));
  print(`\n${findings(found).join('\n')}`);
}

function coloured(kept: number): string {
  const text = percent(kept, 1);
  return kept >= 0.95 ? pc.green(text) : kept >= 0.8 ? pc.yellow(text) : pc.red(text);
}

function levelOf({ level, perturbation: { name, unit } }: RobustnessRow): string {
  if (name === 'shift' || name === 'rotation') return `±${level}${unit === '°' ? '' : ' '}${unit}`;
  return unit === '×' ? `× ${level}` : `${level} ${unit}`;
}

/** What the numbers say, plainly. */
function findings({ rows, pictures }: Robustness): string[] {
  const lines: string[] = [];
  const shifts = rows.filter((row) => row.perturbation.name === 'shift');
  if (shifts.length > 0) {
    const worst = shifts.reduce((a, b) => (b.kept < a.kept ? b : a));
    const first = shifts[0];
    lines.push(
      worst.kept === 1
        ? `No shift of up to ${shifts.at(-1)!.level} px changed a class; probabilities still moved, by ${Math.abs(100 * worst.change).toFixed(1)} points at ${worst.level} px.`
        : `Translation invariance has limits: a shift by ${first.level} px changed the class in ${percent(1 - first.kept, 1)} of the cases, one by ${worst.level} px in ${percent(1 - worst.kept, 1)}.`,
      'Convolutions answer alike wherever a pattern stands; strides, pooling and borders do not. Shifted copies in training (augmentation) help most.',
    );
  }
  const weakest = rows
    .filter((row) => row.perturbation.name !== 'shift')
    .reduce<RobustnessRow | null>((a, b) => (a === null || b.kept < a.kept ? b : a), null);
  if (weakest !== null && weakest.kept < 0.95) {
    lines.push(
      `Weakest: ${weakest.perturbation.title.toLowerCase()} ${levelOf(weakest)}, where ${percent(weakest.kept, 1)} keep their class.`,
    );
  }
  if (pictures < 20)
    lines.push(
      `${pictures === 1 ? 'One picture says' : `${pictures} pictures say`} little about a model: a hundred say more.`,
    );
  return lines;
}

async function drawn(found: Robustness, { modelName }: Classifier, out: string): Promise<string | Uint8Array> {
  if (/\.html$/i.test(out)) return page(found, modelName).markup;
  const picture = poster(found, modelName);
  if (/\.svg$/i.test(out)) return picture;
  const { default: sharp } = await import('sharp');
  return new Uint8Array(await sharp(Buffer.from(picture), { density: 144 }).png({ compressionLevel: 9 }).toBuffer());
}

interface Chart {
  readonly perturbation: Perturbation;
  readonly svg: string;
}

const chartSize = { width: 360, height: 210 };

/** Per perturbation: the share of classes that stay (solid) and the mean probability of the first class (dashed). */
function charts({ rows, probability }: Robustness): Chart[] {
  return [...new Set(rows.map((row) => row.perturbation))].map((perturbation) => {
    const own = rows.filter((row) => row.perturbation === perturbation);
    const still = { level: perturbation.neutral, kept: 1, probability };
    const points = [...own, still].sort((a, b) => a.level - b.level);
    const levels = points.map(({ level }) => level);
    const svg = lineChart({
      ...chartSize,
      title: `${perturbation.title}: share of pictures whose class stays`,
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

function page(found: Robustness, modelName: string): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="fovea">
<title>Robustness of ${shortName(modelName)}</title>
<link rel="icon" href="data:,">
<style>${trusted(style)}
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 18px; margin: 18px 0; }
.charts figure { margin: 0; padding: 14px; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.charts figcaption { font-weight: 600; margin-bottom: 6px; } .charts figcaption span { font-weight: 400; color: var(--soft); }
.charts svg { width: 100%; height: auto; } .key { color: var(--soft); } .key b { color: var(--plot-1); } .key i { color: var(--plot-2); font-style: normal; font-weight: 600; }
</style>
</head>
<body>
<header><div class="wrap">
<h1>${nameHtml(modelName)} <small>robustness</small></h1>
<p>${found.pictures} ${found.pictures === 1 ? 'picture' : 'pictures'}, undisturbed ${percent(found.probability, 1)} sure on average.</p>
${findings(found).map((line) => html`<p>${line}</p>`)}
<p class="key"><b>──</b> share of pictures whose class stays &nbsp;&nbsp; <i>- - -</i> mean probability of the first class</p>
</div></header>
<main class="wrap"><div class="charts">
${charts(found).map(({ perturbation, svg }) => html`<figure><figcaption>${perturbation.title} <span>${perturbation.unit}</span></figcaption>${trusted(svg)}</figure>\n`)}
</div></main>
</body>
</html>
`;
}

/** All plots in one SVG that needs no style sheet. */
function poster(found: Robustness, modelName: string): string {
  const all = charts(found);
  const [columns, cellWidth, cellHeight, top] = [
    Math.min(3, all.length),
    chartSize.width + 24,
    chartSize.height + 44,
    96,
  ];
  const rows = Math.ceil(all.length / columns);
  const [width, height] = [columns * cellWidth + 24, top + rows * cellHeight + 12];
  const cells = all.map(({ perturbation: { title, unit }, svg }, i) => {
    const [x, y] = [24 + (i % columns) * cellWidth, top + Math.floor(i / columns) * cellHeight];
    // The colours' variables have no page to come from, and many readers of SVG know none.
    const placed = svg.replace('<svg ', `<svg x="${x}" y="${y + 8}" `).replaceAll(/var\(--[\w-]+, (#\w+)\)/g, '$1');
    return `<text x="${x + 4}" y="${y}" font-size="15" font-weight="600">${html`${title}`.markup} <tspan font-weight="400" fill="#667085">${unit}</tspan></text>${placed}`;
  });
  const words = 'solid: share of pictures whose class stays · dashed: mean probability of the first class';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="'Helvetica Neue', 'Liberation Sans', Arial, 'DejaVu Sans', sans-serif" color="#1d2027" fill="#1d2027">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="28" y="40" font-size="22" font-weight="700">Robustness of ${html`${shortName(modelName)}`.markup}</text>
<text x="28" y="63" font-size="13" fill="#667085">${found.pictures} pictures · ${words}</text>
${cells.join('\n')}
</svg>
`;
}

function perturbationsNamed(text: string): readonly Perturbation[] {
  return text.split(',').map((part) => {
    const name = part.trim();
    const found = perturbations.find((p) => p.name === name);
    if (found !== undefined) return found;
    const names = perturbations.map((p) => p.name);
    const near = suggest(name, names);
    throw new UsageError(
      `There is no '${name}'. ${near === null ? `There are ${names.join(', ')}.` : `Did you mean ${near}?`}`,
    );
  });
}

function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
