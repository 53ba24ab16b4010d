/**
 * Normalisation: subtract a mean, divide by a standard deviation, rescale by learned weights. The layers differ in what they average over:
 * the batch and space (BatchNorm), one sample's channels (LayerNorm), groups of channels (GroupNorm), space alone (InstanceNorm).
 */

import { scopeSuffix } from '../graph/node.js';
import type { PadWidth, Parameter, Tensor } from '../tensor/index.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape, numel, type Shape } from '../util/shape.js';
import { ones } from './init.js';
import { requireCount } from './linear.js';
import { Module } from './module.js';
import { buffer, parameter } from './parameter.js';

export interface BatchNormOptions {
  /** Added to the variance. */
  readonly eps?: number;
  /** Share of a batch in the running statistics; null makes them the average of all batches so far. */
  readonly momentum?: number | null;
  /** Learn a weight and bias for each channel. */
  readonly affine?: boolean;
  /** Keep running statistics for evaluation; without them, batches are normalised by their own in evaluation too. */
  readonly trackRunningStats?: boolean;
}

/** Shared by batch and instance normalisation: weights, running statistics, and how both are used. */
abstract class StatisticsNorm extends Module {
  readonly weight: Parameter | null; // [C]
  readonly bias: Parameter | null; // [C]
  readonly running_mean: Tensor | null; // [C]
  readonly running_var: Tensor | null; // [C]
  readonly num_batches_tracked: Tensor | null; // []
  readonly eps: number;
  readonly momentum: number | null;
  /** Normalises by the running statistics, and leaves them alone, in training too. Set by `freeze`. */
  frozen = false;

  constructor(
    readonly numFeatures: number,
    protected readonly ranks: readonly number[],
    { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true }: BatchNormOptions,
  ) {
    super();
    requireCount(this, 'numFeatures', numFeatures);
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? ones(parameter([numFeatures])) : null;
    this.bias = affine ? parameter([numFeatures]) : null;
    this.running_mean = trackRunningStats ? buffer([numFeatures]) : null;
    this.running_var = trackRunningStats ? buffer([numFeatures], 1) : null;
    this.num_batches_tracked = trackRunningStats ? buffer([], 0, 'int32') : null;
  }

  /** Checkpoints from before 2018 lack it. */
  override optionalState(): readonly string[] {
    return ['num_batches_tracked'];
  }

  /** Whether running statistics normalise, instead of the input's own. */
  protected get isSettled(): boolean {
    return this.running_mean !== null && (!this.training || this.frozen);
  }

  protected check(x: Tensor): void {
    if (this.ranks.includes(x.shape.length) && x.shape[1] === this.numFeatures) return;
    const letters = { 2: '[N, C]', 3: '[N, C, L]', 4: '[N, C, H, W]', 5: '[N, C, D, H, W]' } as Record<number, string>;
    throw new ShapeError(
      `${this.constructor.name}: the input does not fit${scopeSuffix()}\n  x  ${formatShape(x.shape)}\n` +
        `  It takes ${this.ranks.map((r) => letters[r]).join(' or ')} with C = ${this.numFeatures}.`,
    );
  }

  /** Normalises by the statistics over `axes`; `track` also takes them into the running ones. */
  protected byOwnStatistics(x: Tensor, axes: readonly number[], track: boolean): Tensor {
    const { mean, variance, off, drift } = moments(x, axes, track ? channels(this.running_mean!, x) : null);
    if (track) this.track(mean, variance, numel(axes.map((a) => x.shape[a])));
    // off · scale + shift: backwards, two sums over x (Σ dy and Σ dy · off) serve every gradient; the rest is one number a channel.
    const inverse = variance.add(this.eps).rsqrt();
    const scale = this.weight === null ? inverse : inverse.mul(channels(this.weight, x));
    const shift = drift.mul(scale).neg();
    return off.mul(scale).add(this.bias === null ? shift : shift.add(channels(this.bias, x)));
  }

  /** One multiplication and one addition, with everything else folded into their operands. */
  protected byRunningStatistics(x: Tensor): Tensor {
    const inverse = this.running_var!.add(this.eps).rsqrt();
    const scale = this.weight === null ? inverse : inverse.mul(this.weight);
    const shift = this.running_mean!.mul(scale).neg();
    return x.mul(channels(scale, x)).add(channels(this.bias === null ? shift : shift.add(this.bias), x));
  }

  /** How much of the running statistics a batch replaces; counts the batch. */
  protected share(): number | Tensor {
    const batches = this.num_batches_tracked!.add(1);
    this.num_batches_tracked!.assign(batches);
    return this.momentum ?? batches.to('float32').reciprocal();
  }

  private track(mean: Tensor, variance: Tensor, count: number): void {
    const share = this.share();
    const take = (running: Tensor, now: Tensor) => running.assign(running.add(now.sub(running).mul(share)));
    // One value for each channel: batch statistics are [1, C, 1, …], instance statistics [N, C, 1, …] averaged over the samples.
    const perChannel = (s: Tensor) => (s.shape[0] === 1 ? s : s.mean(0)).reshape([this.numFeatures]);
    take(this.running_mean!, perChannel(mean));
    take(this.running_var!, perChannel(variance).mul(count / (count - 1))); // unbiased, as PyTorch keeps it
  }

  override extraRepr(): string {
    return (
      `${this.numFeatures}, eps=${this.eps}, momentum=${this.momentum}, affine=${this.weight !== null}, ` +
      `trackRunningStats=${this.running_mean !== null}`
    );
  }
}

abstract class BatchNorm extends StatisticsNorm {
  override forward(x: Tensor): Tensor {
    this.check(x);
    if (this.isSettled) return this.byRunningStatistics(x);
    const axes = x.shape.map((_, i) => i).filter((i) => i !== 1);
    const count = numel(axes.map((a) => x.shape[a]));
    if (this.training && count < 2) {
      throw new ShapeError(
        `${this.constructor.name}: one value for each channel has no variance${scopeSuffix()}\n  x  ${formatShape(x.shape)}\n` +
          '  Training needs two values or more for each channel: use a larger batch (drop a last batch of 1), or call eval().',
      );
    }
    return this.byOwnStatistics(x, axes, this.training && this.running_mean !== null);
  }
}

/** Batch normalisation of [N, C] or [N, C, L]; see `BatchNorm2d`. */
export class BatchNorm1d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super(numFeatures, [2, 3], options);
  }
}

/**
 * Batch normalisation of [N, C, H, W]: each channel to mean 0 and variance 1 over the batch (training) or by running statistics
 * (evaluation), then weight · y + bias. Weights start at 1, biases at 0. Ioffe and Szegedy 2015, arXiv:1502.03167.
 */
export class BatchNorm2d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super(numFeatures, [4], options);
  }
}

/** Batch normalisation of [N, C, D, H, W]; see `BatchNorm2d`. */
export class BatchNorm3d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super(numFeatures, [5], options);
  }
}

abstract class InstanceNorm extends StatisticsNorm {
  constructor(
    numFeatures: number,
    rank: number,
    { affine = false, trackRunningStats = false, ...rest }: BatchNormOptions,
  ) {
    super(numFeatures, [rank], { affine, trackRunningStats, ...rest });
  }

  /** PyTorch counts no batches here, and momentum null leaves the statistics alone. */
  protected override share(): number {
    return this.momentum ?? 0;
  }

  override forward(x: Tensor): Tensor {
    this.check(x);
    if (this.isSettled) return this.byRunningStatistics(x);
    const axes = x.shape.map((_, i) => i).slice(2);
    if (this.training && numel(x.shape.slice(2)) < 2) {
      throw new ShapeError(
        `${this.constructor.name}: one value for each channel has no variance${scopeSuffix()}\n  x  ${formatShape(x.shape)}\n` +
          '  Training needs two spatial elements or more.',
      );
    }
    return this.byOwnStatistics(x, axes, this.training && this.running_mean !== null);
  }
}

/** Instance normalisation of [N, C, L]; see `InstanceNorm2d`. */
export class InstanceNorm1d extends InstanceNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super(numFeatures, 3, options);
  }
}

/** Each channel of each sample of [N, C, H, W] to mean 0 and variance 1 over space. Ulyanov et al. 2016, arXiv:1607.08022. */
export class InstanceNorm2d extends InstanceNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super(numFeatures, 4, options);
  }
}

/** Instance normalisation of [N, C, D, H, W]; see `InstanceNorm2d`. */
export class InstanceNorm3d extends InstanceNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super(numFeatures, 5, options);
  }
}

/** Normalises over the last axes, those of `normalizedShape`, then weight · y + bias. Ba et al. 2016, arXiv:1607.06450. */
export class LayerNorm extends Module {
  readonly weight: Parameter | null; // normalizedShape
  readonly bias: Parameter | null; // normalizedShape
  readonly normalizedShape: Shape;
  readonly eps: number;

  constructor(
    normalizedShape: number | Shape,
    {
      eps = 1e-5,
      elementwiseAffine = true,
      bias = true,
    }: { eps?: number; elementwiseAffine?: boolean; bias?: boolean } = {},
  ) {
    super();
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
    this.eps = eps;
    this.weight = elementwiseAffine ? ones(parameter(this.normalizedShape)) : null;
    this.bias = elementwiseAffine && bias ? parameter(this.normalizedShape) : null;
  }

  override forward(x: Tensor): Tensor {
    const { normalizedShape } = this;
    if (normalizedShape.some((n, i) => x.shape[x.shape.length - normalizedShape.length + i] !== n)) {
      throw new ShapeError(
        `LayerNorm: the input does not fit${scopeSuffix()}\n  x  ${formatShape(x.shape)}\n  Its last axes must be ${formatShape(normalizedShape)}.`,
      );
    }
    const y = standardized(
      x,
      normalizedShape.map((_, i) => i - normalizedShape.length),
      this.eps,
    );
    const scaled = this.weight === null ? y : y.mul(this.weight);
    return this.bias === null ? scaled : scaled.add(this.bias);
  }

  override extraRepr(): string {
    return `${formatShape(this.normalizedShape)}, eps=${this.eps}, elementwiseAffine=${this.weight !== null}`;
  }
}

/** Layer normalisation over the channels of [N, C, H, W], at each place by itself: the channels-first form that ConvNeXt uses. */
export class LayerNorm2d extends Module {
  readonly weight: Parameter; // [C]
  readonly bias: Parameter; // [C]
  readonly eps: number;

  constructor(
    readonly numChannels: number,
    { eps = 1e-6 }: { eps?: number } = {},
  ) {
    super();
    requireCount(this, 'numChannels', numChannels);
    this.eps = eps;
    this.weight = ones(parameter([numChannels]));
    this.bias = parameter([numChannels]);
  }

  override forward(x: Tensor): Tensor {
    if (x.shape[1] !== this.numChannels) {
      throw new ShapeError(
        `LayerNorm2d: the input does not fit${scopeSuffix()}\n  x  ${formatShape(x.shape)}\n  It takes [N, C, …] with C = ${this.numChannels}.`,
      );
    }
    return standardized(x, [1], this.eps).mul(channels(this.weight, x)).add(channels(this.bias, x));
  }

  override extraRepr(): string {
    return `${this.numChannels}, eps=${this.eps}`;
  }
}

/**
 * Global response normalisation of maps: each channel is scaled by its norm over all pixels beside the mean norm of all channels, so that
 * channels compete; x + weight · scaled + bias. Both start at 0: the identity. Woo et al. 2023 (ConvNeXt V2), arXiv:2301.00808; names are timm's.
 */
export class GlobalResponseNorm extends Module {
  readonly weight: Parameter; // [C]
  readonly bias: Parameter; // [C]
  readonly eps: number;
  readonly channelsLast: boolean;

  constructor(
    readonly numChannels: number,
    {
      eps = 1e-6,
      channelsLast = false,
    }: { eps?: number /** [N, H, W, C] instead of [N, C, H, W]. */; channelsLast?: boolean } = {},
  ) {
    super();
    requireCount(this, 'numChannels', numChannels);
    this.eps = eps;
    this.channelsLast = channelsLast;
    this.weight = parameter([numChannels]);
    this.bias = parameter([numChannels]);
  }

  override forward(x: Tensor): Tensor {
    const axis = this.channelsLast ? 3 : 1;
    if (x.shape.length !== 4 || x.shape[axis] !== this.numChannels) {
      throw new ShapeError(
        `GlobalResponseNorm: the input does not fit${scopeSuffix()}\n  x  ${formatShape(x.shape)}\n` +
          `  It takes ${this.channelsLast ? '[N, H, W, C]' : '[N, C, H, W]'} with C = ${this.numChannels}.`,
      );
    }
    const perChannel = (p: Parameter) => (this.channelsLast ? p : channels(p, x));
    const norm = x.norm(2, this.channelsLast ? [1, 2] : [2, 3], { keepDims: true });
    const share = norm.div(norm.mean(axis, { keepDims: true }).add(this.eps));
    return x.mul(share.mul(perChannel(this.weight)).add(1)).add(perChannel(this.bias));
  }

  override extraRepr(): string {
    return `${this.numChannels}, eps=${this.eps}${this.channelsLast ? ', channelsLast=true' : ''}`;
  }
}

/** x / √(mean of x² over the last axes) · weight. Zhang and Sennrich 2019, arXiv:1910.07467. */
export class RMSNorm extends Module {
  readonly weight: Parameter | null; // normalizedShape
  readonly normalizedShape: Shape;
  readonly eps: number;

  constructor(
    normalizedShape: number | Shape,
    { eps = 2 ** -23, elementwiseAffine = true }: { eps?: number; elementwiseAffine?: boolean } = {},
  ) {
    super();
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
    this.eps = eps;
    this.weight = elementwiseAffine ? ones(parameter(this.normalizedShape)) : null;
  }

  override forward(x: Tensor): Tensor {
    const axes = this.normalizedShape.map((_, i) => i - this.normalizedShape.length);
    const y = x.mul(x.mul(x).mean(axes, { keepDims: true }).add(this.eps).rsqrt());
    return this.weight === null ? y : y.mul(this.weight);
  }

  override extraRepr(): string {
    return `${formatShape(this.normalizedShape)}, eps=${this.eps}`;
  }
}

/** Normalises each of `numGroups` groups of channels of [N, C, …] in each sample, then weight · y + bias for each channel. Wu and He 2018, arXiv:1803.08494. */
export class GroupNorm extends Module {
  readonly weight: Parameter | null; // [C]
  readonly bias: Parameter | null; // [C]
  readonly eps: number;

  constructor(
    readonly numGroups: number,
    readonly numChannels: number,
    { eps = 1e-5, affine = true }: { eps?: number; affine?: boolean } = {},
  ) {
    super();
    requireCount(this, 'numGroups', numGroups);
    requireCount(this, 'numChannels', numChannels);
    if (numChannels % numGroups !== 0) {
      throw new ConfigError(`GroupNorm: numGroups = ${numGroups} must divide numChannels = ${numChannels}`);
    }
    this.eps = eps;
    this.weight = affine ? ones(parameter([numChannels])) : null;
    this.bias = affine ? parameter([numChannels]) : null;
  }

  override forward(x: Tensor): Tensor {
    if (x.shape.length < 2 || x.shape[1] !== this.numChannels) {
      throw new ShapeError(
        `GroupNorm: the input does not fit${scopeSuffix()}\n  x  ${formatShape(x.shape)}\n  It takes [N, C, …] with C = ${this.numChannels}.`,
      );
    }
    const grouped = x.reshape([x.shape[0], this.numGroups, -1]);
    const y = standardized(grouped, [2], this.eps).reshape(x.shape);
    const scaled = this.weight === null ? y : y.mul(channels(this.weight, y));
    return this.bias === null ? scaled : scaled.add(channels(this.bias, y));
  }

  override extraRepr(): string {
    return `${this.numGroups}, ${this.numChannels}, eps=${this.eps}, affine=${this.weight !== null}`;
  }
}

/**
 * x / (k + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels: the normalisation of AlexNet (Krizhevsky et al. 2012) and
 * GoogLeNet. x is [N, C, …].
 */
export class LocalResponseNorm extends Module {
  readonly alpha: number;
  readonly beta: number;
  readonly k: number;

  constructor(
    readonly size: number,
    { alpha = 1e-4, beta = 0.75, k = 1 }: { alpha?: number; beta?: number; k?: number } = {},
  ) {
    super();
    requireCount(this, 'size', size);
    this.alpha = alpha;
    this.beta = beta;
    this.k = k;
  }

  override forward(x: Tensor): Tensor {
    const { size, alpha, beta, k } = this;
    const count = x.shape[1];
    const padded = x
      .mul(x)
      .pad(
        x.shape
          .slice(1)
          .map((_, i): PadWidth => (i === 0 ? [Math.floor(size / 2), Math.floor((size - 1) / 2)] : [0, 0])),
      );
    let sum = padded.narrow(1, 0, count);
    for (let i = 1; i < size; i++) sum = sum.add(padded.narrow(1, i, count));
    return x.div(
      sum
        .mul(alpha / size)
        .add(k)
        .pow(beta),
    );
  }

  override extraRepr(): string {
    return `${this.size}, alpha=${this.alpha}, beta=${this.beta}, k=${this.k}`;
  }
}

function standardized(x: Tensor, axes: readonly number[], eps: number): Tensor {
  const { mean, variance } = moments(x, axes);
  return x.sub(mean).mul(variance.add(eps).rsqrt());
}

/** [C] shaped to broadcast over [N, C, …]. */
function channels(values: Tensor, like: Tensor): Tensor {
  return values.reshape(like.shape.slice(1).map((_, i) => (i === 0 ? values.size : 1)));
}

/**
 * Mean and variance over `axes`, kept with size 1. The variance is taken about a constant c: E(x − c)² − (E x − c)², which is the variance, with
 * its derivatives of every order, for any c. With c = `pivot`, a guess at the mean (batch norm's running mean), one pass over x gives both; the
 * nearer the guess, the fewer digits the subtraction costs (Chan, Golub, LeVeque 1983). Without one, c is the mean itself: two passes.
 */
function moments(x: Tensor, axes: readonly number[], pivot: Tensor | null = null): Moments {
  const mean = x.mean(axes, { keepDims: true });
  const centre = (pivot ?? mean).detach();
  const off = x.sub(centre);
  const drift = mean.sub(centre);
  const variance = off.mul(off).mean(axes, { keepDims: true }).sub(drift.mul(drift));
  // Rounding may leave a constant channel below 0.
  return { mean, variance: pivot === null ? variance : variance.clamp(0), off, drift };
}

interface Moments {
  readonly mean: Tensor;
  readonly variance: Tensor;
  /** x − c. */
  readonly off: Tensor;
  /** mean − c. */
  readonly drift: Tensor;
}
