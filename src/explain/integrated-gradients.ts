/**
 * Integrated gradients: the gradient averaged along the straight way from a baseline to the picture, times the difference of the two. The attributions
 * add up to the difference of the scores; `delta` says how far the sum over few steps misses it.
 */

import type { Module } from '../nn/index.js';
import { concat, realize, type Tensor, tensor, zeros } from '../tensor/index.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape, sameShape } from '../util/shape.js';
import {
  type AskOptions,
  asking,
  checkPictures,
  classTensor,
  type Explanation,
  resolveClasses,
  scoresOf,
} from './ask.js';
import { pixelGradients } from './gradients.js';
import { pixelHeat } from './heat.js';

export interface IntegratedGradientsOptions extends AskOptions {
  /** Where the way begins, of x's shape; default zeros, which for a normalised picture is the mean colour. */
  readonly baseline?: Tensor;
  /** Points on the way, default 50. */
  readonly steps?: number;
  /** Where they lie: Gauss–Legendre's nodes (exact for polynomials of degree 2·steps − 1; Captum's default), or the middles of equal parts. */
  readonly rule?: 'gauss-legendre' | 'riemann-middle';
  /** How many pictures go through the model at once, default 16. */
  readonly batchSize?: number;
}

export interface IntegratedGradients extends Explanation {
  /** Σ raw − (score(x) − score(baseline)) for each picture; 0 for an exact integral. */
  readonly delta: Float32Array;
}

/**
 * x [N, C, H, W] → `raw` of that shape, with signs; `maps` [N, H, W] show the channels' sum. @throws {ShapeError} for another baseline's shape
 * Source: Sundararajan, Taly and Yan 2017, arXiv:1703.01365.
 */
export async function integratedGradients(
  model: Module,
  x: Tensor,
  {
    target,
    baseline = zeros(x.shape),
    steps = 50,
    rule = 'gauss-legendre',
    batchSize = 16,
    onProgress,
  }: IntegratedGradientsOptions = {},
): Promise<IntegratedGradients> {
  checkPictures('integratedGradients', x);
  if (!sameShape(baseline.shape, x.shape)) {
    throw new ShapeError(
      `integratedGradients: the baseline must have the pictures' shape\n  x         ${formatShape(x.shape)}\n  baseline  ${formatShape(baseline.shape)}`,
    );
  }
  if (!(Number.isInteger(steps) && steps >= 1))
    throw new ConfigError(`integratedGradients: steps must be 1 or more, not ${steps}`);
  const classes = await resolveClasses(model, x, target);
  const points = rule === 'gauss-legendre' ? gaussLegendre(steps) : riemannMiddle(steps);
  const count = x.shape[0];
  const away = x.sub(baseline);
  await realize(away);
  const total = points.positions.length * count;
  const together = Math.max(1, Math.floor(batchSize / count)); // points of the way in one run
  let sum = zeros(x.shape);
  for (let from = 0; from < steps; from += together) {
    const share = {
      positions: points.positions.slice(from, from + together),
      weights: points.weights.slice(from, from + together),
    };
    // A last run that is not full looks at points of weight 0, so that all runs are one program.
    while (from > 0 && share.positions.length < together) {
      share.positions.push(0.5);
      share.weights.push(0);
    }
    sum = sum.add(weightedGradients(model, { baseline, away }, share, { classes, target }));
    await realize(sum);
    sum = sum.detach();
    onProgress?.(Math.min(total, (from + together) * count), total);
  }
  const raw = away.mul(sum);
  const [atPicture, atBaseline] = asking(model, () =>
    [x, baseline].map((at) => scoresOf(model.forward(at), classTensor(classes), target)),
  );
  const delta = raw.sum([1, 2, 3]).sub(atPicture.sub(atBaseline));
  await realize(raw, delta);
  return {
    maps: await pixelHeat(raw, 'sum'),
    raw: raw.detach(),
    classes,
    delta: Float32Array.from(await delta.data()),
  };
}

interface Points {
  readonly positions: number[];
  readonly weights: number[];
}

/** Σ weight · gradient over points of the way, all of them in one run. */
function weightedGradients(
  model: Module,
  { baseline, away }: { baseline: Tensor; away: Tensor },
  { positions, weights }: Points,
  { classes, target }: { classes: Int32Array | null; target: IntegratedGradientsOptions['target'] },
): Tensor {
  const count = away.shape[0];
  const rank = [positions.length, 1, 1, 1, 1];
  const at = tensor(positions, { shape: rank });
  const way = baseline.unsqueeze(0).add(away.unsqueeze(0).mul(at)).flatten(0, 1); // [points · N, C, H, W]
  const asked = classes === null ? null : concat(positions.map(() => classTensor(classes)!));
  const gradients = pixelGradients(model, way, { classes: asked, target });
  return gradients
    .reshape([positions.length, count, ...away.shape.slice(1)])
    .mul(tensor(weights, { shape: rank }))
    .sum(0);
}

function riemannMiddle(steps: number): Points {
  return {
    positions: Array.from({ length: steps }, (_, i) => (i + 0.5) / steps),
    weights: new Array<number>(steps).fill(1 / steps),
  };
}

/** Nodes and weights on 0 … 1: the roots of Legendre's polynomial, by Newton's method from Tricomi's guess. */
export function gaussLegendre(steps: number): Points {
  const positions: number[] = [];
  const weights: number[] = [];
  for (let i = 1; i <= steps; i++) {
    let z = Math.cos((Math.PI * (i - 0.25)) / (steps + 0.5));
    let slope = 0;
    for (let round = 0; round < 100; round++) {
      let [before, value] = [0, 1];
      for (let n = 1; n <= steps; n++) [before, value] = [value, ((2 * n - 1) * z * value - (n - 1) * before) / n];
      slope = (steps * (z * value - before)) / (z * z - 1);
      const step = value / slope;
      z -= step;
      if (Math.abs(step) < 1e-15) break;
    }
    positions.push((1 - z) / 2);
    weights.push(1 / ((1 - z * z) * slope * slope));
  }
  return { positions, weights };
}
