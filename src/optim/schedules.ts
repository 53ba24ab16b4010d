/**
 * Learning-rate schedules under PyTorch's names. A schedule is a function of the number of steps alone (`lrAt`), so resuming needs only
 * that number and schedules combine by calling each other; the values equal PyTorch's recursive ones. The optimiser feeds the rate to the
 * compiled step as data: changing it never compiles anything again.
 */

import { ConfigError } from '../util/errors.js';

/** What a schedule drives: any optimiser, or a stand-in. */
export interface Scheduled {
  readonly paramGroups: readonly ScheduledGroup[];
}

export interface ScheduledGroup {
  lr: number;
  /** The rate the schedule started from; set by the first schedule that is attached. */
  initialLr?: number;
  momentum?: number;
  betas?: readonly [number, number];
}

/** Plain numbers: goes through JSON unchanged. */
export interface ScheduleState {
  stepCount: number;
  baseLrs: number[];
  [extra: string]: unknown;
}

export abstract class LRScheduler {
  /** Calls of `step()` so far. */
  stepCount = 0;
  protected baseLrs: number[];

  constructor(readonly optimizer: Scheduled) {
    this.baseLrs = optimizer.paramGroups.map((group) => (group.initialLr ??= group.lr));
  }

  /** The rate after `step` steps of a group that started from `base`. */
  abstract lrAt(step: number, base: number, group: number): number;

  /** Call once after each `optimizer.step()` (or each epoch, if that is what the schedule counts). */
  step(): void {
    this.stepCount++;
    this.update();
  }

  /** The groups' rates now. */
  get lastLr(): number[] {
    return this.optimizer.paramGroups.map((group) => group.lr);
  }

  stateDict(): ScheduleState {
    return { stepCount: this.stepCount, baseLrs: [...this.baseLrs] };
  }

  loadStateDict(state: ScheduleState): void {
    if (state.baseLrs.length !== this.baseLrs.length) {
      throw new ConfigError(
        `${this.constructor.name}: the state is for ${state.baseLrs.length} parameter groups, the optimiser has ${this.baseLrs.length}.`,
      );
    }
    this.stepCount = state.stepCount;
    this.baseLrs = [...state.baseLrs];
    this.update();
  }

  /** Writes the rates of the current step into the optimiser's groups. Constructors call it last. */
  protected update(): void {
    this.optimizer.paramGroups.forEach((group, i) => {
      group.lr = this.lrAt(this.stepCount, this.baseLrs[i], i);
    });
  }
}

/** base · fn(step). The function itself is not saved. */
export class LambdaLR extends LRScheduler {
  constructor(
    optimizer: Scheduled,
    private readonly factor: (step: number) => number,
  ) {
    super(optimizer);
    this.update();
  }

  lrAt(step: number, base: number): number {
    return base * this.factor(step);
  }
}

/** Each step times `factor(step)`. The function itself is not saved. */
export class MultiplicativeLR extends LRScheduler {
  constructor(
    optimizer: Scheduled,
    private readonly factor: (step: number) => number,
  ) {
    super(optimizer);
    this.update();
  }

  lrAt(step: number, base: number): number {
    let lr = base;
    for (let i = 1; i <= step; i++) lr *= this.factor(i);
    return lr;
  }
}

/** Times `gamma` every `stepSize` steps. */
export class StepLR extends LRScheduler {
  private readonly gamma: number;
  constructor(
    optimizer: Scheduled,
    private readonly stepSize: number,
    { gamma = 0.1 }: { gamma?: number } = {},
  ) {
    super(optimizer);
    requirePositive('StepLR', 'stepSize', stepSize);
    this.gamma = gamma;
    this.update();
  }

  lrAt(step: number, base: number): number {
    return base * this.gamma ** Math.floor(step / this.stepSize);
  }
}

/** Times `gamma` at each of `milestones`. */
export class MultiStepLR extends LRScheduler {
  private readonly gamma: number;
  constructor(
    optimizer: Scheduled,
    private readonly milestones: readonly number[],
    { gamma = 0.1 }: { gamma?: number } = {},
  ) {
    super(optimizer);
    this.gamma = gamma;
    this.update();
  }

  lrAt(step: number, base: number): number {
    return base * this.gamma ** this.milestones.filter((m) => m <= step).length;
  }
}

/** Times `gamma` every step. */
export class ExponentialLR extends LRScheduler {
  constructor(
    optimizer: Scheduled,
    private readonly gamma: number,
  ) {
    super(optimizer);
    this.update();
  }

  lrAt(step: number, base: number): number {
    return base * this.gamma ** step;
  }
}

/** base · factor for `totalIters` steps, then base. */
export class ConstantLR extends LRScheduler {
  private readonly factor: number;
  private readonly totalIters: number;
  constructor(optimizer: Scheduled, { factor = 1 / 3, totalIters = 5 }: { factor?: number; totalIters?: number } = {}) {
    super(optimizer);
    this.factor = factor;
    this.totalIters = totalIters;
    this.update();
  }

  lrAt(step: number, base: number): number {
    return step < this.totalIters ? base * this.factor : base;
  }
}

/** From base · startFactor straight to base · endFactor in `totalIters` steps: a warm-up when it rises. */
export class LinearLR extends LRScheduler {
  private readonly startFactor: number;
  private readonly endFactor: number;
  private readonly totalIters: number;
  constructor(
    optimizer: Scheduled,
    {
      startFactor = 1 / 3,
      endFactor = 1,
      totalIters = 5,
    }: { startFactor?: number; endFactor?: number; totalIters?: number } = {},
  ) {
    super(optimizer);
    this.startFactor = startFactor;
    this.endFactor = endFactor;
    this.totalIters = totalIters;
    this.update();
  }

  lrAt(step: number, base: number): number {
    const done = this.totalIters === 0 ? 1 : Math.min(step / this.totalIters, 1);
    return base * (this.startFactor + (this.endFactor - this.startFactor) * done);
  }
}

/** base · (1 − step / totalIters)^power, then 0. */
export class PolynomialLR extends LRScheduler {
  private readonly power: number;
  constructor(
    optimizer: Scheduled,
    private readonly totalIters: number,
    { power = 1 }: { power?: number } = {},
  ) {
    super(optimizer);
    requirePositive('PolynomialLR', 'totalIters', totalIters);
    this.power = power;
    this.update();
  }

  lrAt(step: number, base: number): number {
    return base * (1 - Math.min(step, this.totalIters) / this.totalIters) ** this.power;
  }
}

/** Half a cosine from base to `etaMin` in `tMax` steps (and back up if it goes on). Loshchilov and Hutter 2016, arXiv:1608.03983. */
export class CosineAnnealingLR extends LRScheduler {
  private readonly etaMin: number;
  constructor(
    optimizer: Scheduled,
    private readonly tMax: number,
    { etaMin = 0 }: { etaMin?: number } = {},
  ) {
    super(optimizer);
    requirePositive('CosineAnnealingLR', 'tMax', tMax);
    this.etaMin = etaMin;
    this.update();
  }

  lrAt(step: number, base: number): number {
    return cosine(base, this.etaMin, step / this.tMax);
  }
}

/** Cosine annealing that starts again after t0 steps, then t0·tMult, t0·tMult², … */
export class CosineAnnealingWarmRestarts extends LRScheduler {
  private readonly tMult: number;
  private readonly etaMin: number;
  constructor(
    optimizer: Scheduled,
    private readonly t0: number,
    { tMult = 1, etaMin = 0 }: { tMult?: number; etaMin?: number } = {},
  ) {
    super(optimizer);
    requirePositive('CosineAnnealingWarmRestarts', 't0', t0);
    requirePositive('CosineAnnealingWarmRestarts', 'tMult', tMult);
    this.tMult = tMult;
    this.etaMin = etaMin;
    this.update();
  }

  lrAt(step: number, base: number): number {
    let [start, length] = [0, this.t0];
    if (this.tMult === 1) start = Math.floor(step / length) * length;
    else {
      while (step >= start + length) {
        start += length;
        length *= this.tMult;
      }
    }
    return cosine(base, this.etaMin, (step - start) / length);
  }
}

export interface OneCycleOptions {
  /** Steps of the whole cycle; or give `epochs` and `stepsPerEpoch`. */
  readonly totalSteps?: number;
  readonly epochs?: number;
  readonly stepsPerEpoch?: number;
  /** Part of the cycle in which the rate rises. */
  readonly pctStart?: number;
  readonly annealStrategy?: 'cos' | 'linear';
  /** Start = maxLr / divFactor; end = start / finalDivFactor. */
  readonly divFactor?: number;
  readonly finalDivFactor?: number;
  readonly threePhase?: boolean;
  /** Moves momentum (or β₁) against the rate. */
  readonly cycleMomentum?: boolean;
  readonly baseMomentum?: number;
  readonly maxMomentum?: number;
}

/** Up to `maxLr` and down far below the start within one cycle. Smith and Topin 2017, arXiv:1708.07120. */
export class OneCycleLR extends LRScheduler {
  private readonly phases: { end: number; from: Corner; to: Corner }[];
  private readonly options: Required<Omit<OneCycleOptions, 'totalSteps' | 'epochs' | 'stepsPerEpoch'>>;

  constructor(
    optimizer: Scheduled,
    /** One for all groups, or one for each. */
    private readonly maxLr: number | readonly number[],
    options: OneCycleOptions,
  ) {
    super(optimizer);
    const total = options.totalSteps ?? (options.epochs ?? Number.NaN) * (options.stepsPerEpoch ?? Number.NaN);
    if (!(total > 1))
      throw new ConfigError(
        `OneCycleLR: pass totalSteps > 1, or epochs and stepsPerEpoch; got ${JSON.stringify(options)}`,
      );
    const {
      pctStart = 0.3,
      annealStrategy = 'cos',
      divFactor = 25,
      finalDivFactor = 1e4,
      threePhase = false,
    } = options;
    const { cycleMomentum = true, baseMomentum = 0.85, maxMomentum = 0.95 } = options;
    this.options = {
      pctStart,
      annealStrategy,
      divFactor,
      finalDivFactor,
      threePhase,
      cycleMomentum,
      baseMomentum,
      maxMomentum,
    };
    const up = pctStart * total - 1;
    this.phases = threePhase
      ? [
          { end: up, from: 'start', to: 'max' },
          { end: 2 * up, from: 'max', to: 'start' },
          { end: total - 1, from: 'start', to: 'min' },
        ]
      : [
          { end: up, from: 'start', to: 'max' },
          { end: total - 1, from: 'max', to: 'min' },
        ];
    this.update();
  }

  lrAt(step: number, _base: number, group: number): number {
    const max = typeof this.maxLr === 'number' ? this.maxLr : this.maxLr[group];
    const start = max / this.options.divFactor;
    return this.at(step, { start, max, min: start / this.options.finalDivFactor });
  }

  private at(step: number, corners: Record<Corner, number>): number {
    let begin = 0;
    for (const [i, { end, from, to }] of this.phases.entries()) {
      if (step > end && i < this.phases.length - 1) {
        begin = end;
        continue;
      }
      const done = Math.min((step - begin) / (end - begin), 1);
      return this.options.annealStrategy === 'cos'
        ? cosine(corners[from], corners[to], done)
        : corners[from] + (corners[to] - corners[from]) * done;
    }
    return corners.min;
  }

  protected override update(): void {
    super.update();
    const { cycleMomentum, baseMomentum, maxMomentum } = this.options;
    if (!cycleMomentum) return;
    const momentum = this.at(this.stepCount, { start: maxMomentum, max: baseMomentum, min: maxMomentum });
    setMomentum(this.optimizer, momentum);
  }
}

type Corner = 'start' | 'max' | 'min';

export interface CyclicOptions {
  /** Steps from the lowest rate to the highest, and back; `stepSizeDown` left out is `stepSizeUp`. */
  readonly stepSizeUp?: number;
  readonly stepSizeDown?: number;
  /** Cycles of one height; each half as high as the one before; or lower by `gamma` with each step. */
  readonly mode?: 'triangular' | 'triangular2' | 'exp_range';
  readonly gamma?: number;
  /** Moves momentum (or β₁) against the rate. */
  readonly cycleMomentum?: boolean;
  readonly baseMomentum?: number;
  readonly maxMomentum?: number;
}

/** Up from `baseLr` to `maxLr` in a straight line, down again, and so on. Smith 2015, arXiv:1506.01186. */
export class CyclicLR extends LRScheduler {
  private readonly options: Required<CyclicOptions>;

  constructor(
    optimizer: Scheduled,
    /** One for all groups, or one for each. */
    private readonly baseLr: number | readonly number[],
    private readonly maxLr: number | readonly number[],
    options: CyclicOptions = {},
  ) {
    super(optimizer);
    const { stepSizeUp = 2000, stepSizeDown = stepSizeUp, mode = 'triangular', gamma = 1 } = options;
    const { cycleMomentum = true, baseMomentum = 0.8, maxMomentum = 0.9 } = options;
    requirePositive('CyclicLR', 'stepSizeUp', stepSizeUp);
    requirePositive('CyclicLR', 'stepSizeDown', stepSizeDown);
    this.options = { stepSizeUp, stepSizeDown, mode, gamma, cycleMomentum, baseMomentum, maxMomentum };
    this.update();
  }

  lrAt(step: number, _base: number, group: number): number {
    const [low, high] = [this.baseLr, this.maxLr].map((lr) => (typeof lr === 'number' ? lr : lr[group]));
    return low + (high - low) * this.heightAt(step);
  }

  /** 0 at the foot of a cycle, 1 (or less, in later cycles) at its top. */
  private heightAt(step: number): number {
    const { stepSizeUp, stepSizeDown, mode, gamma } = this.options;
    const cycle = Math.floor(step / (stepSizeUp + stepSizeDown));
    const within = step - cycle * (stepSizeUp + stepSizeDown);
    const height = within <= stepSizeUp ? within / stepSizeUp : 1 - (within - stepSizeUp) / stepSizeDown;
    return height * (mode === 'triangular2' ? 0.5 ** cycle : mode === 'exp_range' ? gamma ** step : 1);
  }

  protected override update(): void {
    super.update();
    const { cycleMomentum, baseMomentum, maxMomentum } = this.options;
    if (!cycleMomentum) return;
    setMomentum(this.optimizer, maxMomentum - (maxMomentum - baseMomentum) * this.heightAt(this.stepCount));
  }
}

/** Runs each schedule until the next of `milestones`; every one counts its steps from its own beginning. */
export class SequentialLR extends LRScheduler {
  constructor(
    optimizer: Scheduled,
    private readonly schedules: readonly LRScheduler[],
    private readonly milestones: readonly number[],
  ) {
    super(optimizer);
    if (milestones.length !== schedules.length - 1) {
      throw new ConfigError(
        `SequentialLR: ${schedules.length} schedules need ${schedules.length - 1} milestones; got ${milestones.length}`,
      );
    }
    this.update();
  }

  lrAt(step: number, base: number, group: number): number {
    const i = this.milestones.filter((m) => m <= step).length;
    return this.schedules[i].lrAt(step - (i === 0 ? 0 : this.milestones[i - 1]), base, group);
  }
}

/** All schedules at once: their factors multiply. */
export class ChainedScheduler extends LRScheduler {
  constructor(private readonly schedules: readonly LRScheduler[]) {
    if (schedules.length === 0) throw new ConfigError('ChainedScheduler: needs at least one schedule');
    super(schedules[0].optimizer);
    this.update();
  }

  lrAt(step: number, base: number, group: number): number {
    return this.schedules.reduce((lr, schedule) => lr * (schedule.lrAt(step, base, group) / base), base);
  }
}

export interface PlateauOptions {
  readonly mode?: 'min' | 'max';
  readonly factor?: number;
  /** Steps without improvement that are waited for. */
  readonly patience?: number;
  readonly threshold?: number;
  readonly thresholdMode?: 'rel' | 'abs';
  /** Steps after a reduction during which nothing is counted. */
  readonly cooldown?: number;
  readonly minLr?: number;
  /** Smaller changes of the rate are not made. */
  readonly eps?: number;
}

/** Times `factor` when a metric has stopped improving. `step` takes the metric. */
export class ReduceLROnPlateau {
  stepCount = 0;
  private best: number;
  private badSteps = 0;
  private cooldownLeft = 0;
  private readonly options: Required<PlateauOptions>;

  constructor(
    readonly optimizer: Scheduled,
    options: PlateauOptions = {},
  ) {
    const {
      mode = 'min',
      factor = 0.1,
      patience = 10,
      threshold = 1e-4,
      thresholdMode = 'rel',
      cooldown = 0,
      minLr = 0,
      eps = 1e-8,
    } = options;
    if (!(factor < 1)) throw new ConfigError(`ReduceLROnPlateau: factor must be below 1; got ${factor}`);
    this.options = { mode, factor, patience, threshold, thresholdMode, cooldown, minLr, eps };
    this.best = mode === 'min' ? Infinity : -Infinity;
  }

  step(metric: number): void {
    this.stepCount++;
    const { factor, patience, cooldown, minLr, eps } = this.options;
    if (this.isBetter(metric)) {
      this.best = metric;
      this.badSteps = 0;
    } else this.badSteps++;
    if (this.cooldownLeft > 0) {
      this.cooldownLeft--;
      this.badSteps = 0;
    }
    if (this.badSteps <= patience) return;
    for (const group of this.optimizer.paramGroups) {
      const lr = Math.max(group.lr * factor, minLr);
      if (group.lr - lr > eps) group.lr = lr;
    }
    this.cooldownLeft = cooldown;
    this.badSteps = 0;
  }

  get lastLr(): number[] {
    return this.optimizer.paramGroups.map((group) => group.lr);
  }

  stateDict(): Record<string, unknown> {
    const { stepCount, badSteps, cooldownLeft } = this;
    return { stepCount, badSteps, cooldownLeft, best: Number.isFinite(this.best) ? this.best : null, lrs: this.lastLr };
  }

  loadStateDict(state: Record<string, unknown>): void {
    const s = state as {
      stepCount: number;
      badSteps: number;
      cooldownLeft: number;
      best: number | null;
      lrs: number[];
    };
    this.stepCount = s.stepCount;
    this.badSteps = s.badSteps;
    this.cooldownLeft = s.cooldownLeft;
    this.best = s.best ?? (this.options.mode === 'min' ? Infinity : -Infinity);
    this.optimizer.paramGroups.forEach((group, i) => {
      group.lr = s.lrs[i];
    });
  }

  private isBetter(metric: number): boolean {
    const { mode, threshold, thresholdMode } = this.options;
    const sign = mode === 'min' ? -1 : 1;
    if (!Number.isFinite(this.best)) return sign * metric > sign * this.best;
    const margin = thresholdMode === 'rel' ? this.best * threshold : threshold;
    return sign * metric > sign * (this.best + sign * margin);
  }
}

/** Linear warm-up for `warmup` steps, then half a cosine down to `etaMin` at step `total`: what most recipes of the last years use. */
export function warmupCosine(
  optimizer: Scheduled,
  {
    warmup,
    total,
    startFactor = 0.01,
    etaMin = 0,
  }: { warmup: number; total: number; startFactor?: number; etaMin?: number },
): LRScheduler {
  if (!(warmup >= 0 && warmup < total))
    throw new ConfigError(`warmupCosine: needs 0 ≤ warmup < total; got ${warmup} and ${total}`);
  const rise = new LinearLR(optimizer, { startFactor, totalIters: warmup });
  return new SequentialLR(optimizer, [rise, new CosineAnnealingLR(optimizer, total - warmup, { etaMin })], [warmup]);
}

/** What Adam and its kin call β₁. */
function setMomentum({ paramGroups }: Scheduled, momentum: number): void {
  for (const group of paramGroups) {
    if (group.betas !== undefined) group.betas = [momentum, group.betas[1]];
    else group.momentum = momentum;
  }
}

function cosine(from: number, to: number, done: number): number {
  return to + ((from - to) * (1 + Math.cos(Math.PI * done))) / 2;
}

function requirePositive(schedule: string, name: string, value: number): void {
  if (!(value > 0)) throw new ConfigError(`${schedule}: ${name} must be above 0; got ${value}`);
}
