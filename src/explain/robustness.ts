/**
 * How far a model's answers hold when pictures are disturbed as cameras and people disturb them. Convolutions answer alike wherever a pattern stands, but
 * strides, pooling and borders break that: a shift by one pixel may already change a class. This measures by how much.
 * Sources: Azulay and Weiss 2019, arXiv:1805.12177; Hendrycks and Dietterich 2019, arXiv:1903.12261.
 */

import { type Planes, Random, resize } from '../data/index.js';
import { functional } from '../data/transforms/index.js';
import { ConfigError } from '../util/errors.js';

export interface Perturbation {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  /** From weak to strong, or from less to more. */
  readonly levels: readonly number[];
  /** The level at which nothing changes. */
  readonly neutral: number;
  /** The picture disturbed, in each way there is at this level: a shift goes four ways. Same shape. */
  apply(picture: Planes, level: number, random: Random): Planes[];
}

/** What is tried where nothing else is asked for. What a shift or a turn uncovers shows the border's pixels. */
export const perturbations: readonly Perturbation[] = [
  {
    name: 'shift',
    title: 'Shift',
    unit: 'px',
    levels: [1, 2, 3, 4, 6, 8],
    neutral: 0,
    apply: (picture, px) =>
      [
        [px, 0],
        [-px, 0],
        [0, px],
        [0, -px],
      ].map(([dy, dx]) => shifted(picture, dy, dx)),
  },
  {
    name: 'rotation',
    title: 'Rotation',
    unit: '°',
    levels: [3, 6, 10, 15, 20, 30, 45],
    neutral: 0,
    apply: (picture, degrees) => [rotated(picture, degrees), rotated(picture, -degrees)],
  },
  {
    name: 'zoom',
    title: 'Zoom',
    unit: '×',
    levels: [0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 2],
    neutral: 1,
    apply: (picture, factor) => [zoomed(picture, factor)],
  },
  {
    name: 'crop',
    title: 'Corner crop',
    unit: 'of the side',
    levels: [0.95, 0.9, 0.8, 0.7, 0.6],
    neutral: 1,
    apply: (picture, share) => cornerCrops(picture, share),
  },
  {
    name: 'noise',
    title: 'Noise',
    unit: 'grey levels',
    levels: [5, 10, 20, 30, 45, 60],
    neutral: 0,
    apply: ({ data, shape }, sigma, random) => [
      { data: Uint8Array.from(data, (v) => clipped(v + random.normal(0, sigma))), shape },
    ],
  },
  {
    name: 'blur',
    title: 'Blur',
    unit: 'px',
    levels: [0.5, 1, 1.5, 2, 3, 4],
    neutral: 0,
    apply: (picture, sigma) => [functional.gaussianBlur(picture, 2 * Math.ceil(3 * sigma) + 1, sigma)],
  },
  {
    name: 'brightness',
    title: 'Brightness',
    unit: '×',
    levels: [0.3, 0.5, 0.7, 0.85, 1.2, 1.5, 2],
    neutral: 1,
    apply: (picture, factor) => [functional.adjustBrightness(picture, factor)],
  },
];

export interface RobustnessRow {
  readonly perturbation: Perturbation;
  readonly level: number;
  /** Disturbed pictures looked at. */
  readonly count: number;
  /** Share of them whose class is that of the undisturbed picture. */
  readonly kept: number;
  /** Mean probability of that class. */
  readonly probability: number;
  /** Mean of its change. */
  readonly change: number;
  /** The pictures of `Robustness.samples`, in the first of the ways there are at this level. */
  readonly samples: readonly RobustnessSample[];
}

/** One picture as the model saw it, and what it said. */
export interface RobustnessSample {
  /** Which of the pictures. */
  readonly index: number;
  readonly picture: Planes;
  /** The likeliest class, by number, and how likely it was found. */
  readonly best: number;
  readonly confidence: number;
  /** Of the class that the undisturbed picture was given. */
  readonly probability: number;
}

export interface Robustness {
  readonly pictures: number;
  /** Mean probability of the likeliest class of the undisturbed pictures. */
  readonly probability: number;
  /** How many different classes the undisturbed pictures were given: of a model that says one thing only, answers hold well. */
  readonly classes: number;
  readonly rows: readonly RobustnessRow[];
  /** Undisturbed. Those asked for, spread evenly over all pictures. */
  readonly samples: readonly RobustnessSample[];
}

export interface RobustnessOptions {
  readonly perturbations?: readonly Perturbation[];
  readonly seed?: number;
  /** Pictures are asked about in runs of this size. Default 32. */
  readonly batchSize?: number;
  /** How many of the pictures are kept as they look when disturbed. Default 0. */
  readonly samples?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Probabilities [N, classes] of N pictures of one shape. */
export type Classify = (pictures: readonly Planes[]) => Promise<ArrayLike<number>>;

/** Disturbs pictures as the model takes them (bytes of one shape) and compares its answers. @throws {ConfigError} without pictures */
export async function robustness(
  classify: Classify,
  pictures: readonly Planes[],
  { perturbations: tried = perturbations, seed = 0, batchSize = 32, samples = 0, onProgress }: RobustnessOptions = {},
): Promise<Robustness> {
  if (pictures.length === 0) throw new ConfigError('robustness: there are no pictures');
  const ask = inRuns(classify, batchSize);
  const before = await ask(pictures);
  const shown = spread(Math.min(samples, pictures.length), pictures.length);
  const sample = (index: number, picture: Planes, said: Answer): RobustnessSample => {
    const { best } = said;
    return { index, picture, best, confidence: said[best], probability: said[before[index].best] };
  };
  const steps = tried.flatMap((perturbation, p) =>
    perturbation.levels.map((level, l) => ({ perturbation, level, stream: 100 * p + l })),
  );
  const rows: RobustnessRow[] = [];
  for (const [done, { perturbation, level, stream }] of steps.entries()) {
    const disturbed = pictures.map((picture, i) => perturbation.apply(picture, level, new Random(seed, stream, i)));
    const after = await ask(disturbed.flat());
    const seen: RobustnessSample[] = [];
    let [k, kept, sum, change] = [0, 0, 0, 0];
    for (const [i, versions] of disturbed.entries()) {
      if (shown.includes(i)) seen.push(sample(i, versions[0], after[k]));
      for (let v = 0; v < versions.length; v++, k++) {
        const own = after[k][before[i].best];
        if (after[k].best === before[i].best) kept++;
        sum += own;
        change += own - before[i][before[i].best];
      }
    }
    const means = { kept: kept / k, probability: sum / k, change: change / k };
    rows.push({ perturbation, level, count: k, ...means, samples: seen });
    onProgress?.(done + 1, steps.length);
  }
  const sure = before.reduce((sum, row) => sum + row[row.best], 0) / before.length;
  const undisturbed = shown.map((i) => sample(i, pictures[i], before[i]));
  const classes = new Set(before.map(({ best }) => best)).size;
  return { pictures: pictures.length, probability: sure, classes, rows, samples: undisturbed };
}

/** `count` of the numbers below `total`, as far from each other as can be: neighbours are often of one class. */
function spread(count: number, total: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * total) / count));
}

type Answer = Float32Array & { best: number };

/** Runs of one size (the last one filled up with its last picture), so that all of them are one program. */
function inRuns(classify: Classify, batchSize: number): (pictures: readonly Planes[]) => Promise<Answer[]> {
  return async (pictures) => {
    const answers: Answer[] = [];
    for (let from = 0; from < pictures.length; from += batchSize) {
      const run = Array.from({ length: batchSize }, (_, i) => pictures[Math.min(from + i, pictures.length - 1)]);
      const probabilities = Float32Array.from(await classify(run));
      const classes = probabilities.length / batchSize;
      for (let i = 0; i < Math.min(batchSize, pictures.length - from); i++) {
        const row = probabilities.subarray(i * classes, (i + 1) * classes);
        const best = row.reduce((top, v, c) => (v > row[top] ? c : top), 0);
        answers.push(Object.assign(row, { best }));
      }
    }
    return answers;
  };
}

function shifted(picture: Planes, dy: number, dx: number): Planes {
  return functional.pad(picture, { top: dy, bottom: -dy, left: dx, right: -dx }, { mode: 'edge' });
}

function rotated(picture: Planes, degrees: number): Planes {
  const [, height, width] = picture.shape;
  const border = Math.ceil(Math.max(height, width) / 2);
  const wide = functional.pad(picture, { top: border, bottom: border, left: border, right: border }, { mode: 'edge' });
  const turned = functional.rotate(wide, degrees, { interpolation: 'bilinear' });
  return functional.crop(turned, { top: border, left: border, height, width });
}

function zoomed(picture: Planes, factor: number): Planes {
  const [, height, width] = picture.shape;
  const [h, w] = [Math.max(1, Math.round(height / factor)), Math.max(1, Math.round(width / factor))];
  const [top, left] = [Math.floor((height - h) / 2), Math.floor((width - w) / 2)];
  const part = functional.pad(
    picture,
    { top: -top, bottom: top + h - height, left: -left, right: left + w - width },
    { mode: 'edge' },
  );
  return resize(part, height, width);
}

function cornerCrops(picture: Planes, share: number): Planes[] {
  const [, height, width] = picture.shape;
  const [h, w] = [Math.max(1, Math.round(height * share)), Math.max(1, Math.round(width * share))];
  const corners = [
    [0, 0],
    [0, width - w],
    [height - h, 0],
    [height - h, width - w],
  ];
  return corners.map(([top, left]) =>
    resize(functional.crop(picture, { top, left, height: h, width: w }), height, width),
  );
}

function clipped(value: number): number {
  return Math.max(0, Math.min(255, Math.round(value)));
}
