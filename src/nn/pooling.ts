/** Pooling layers over 1, 2 or 3 spatial axes. They have no parameters. */

import type { AdaptiveSize } from '../ops/pool.js';
import type { Padding, PerAxis } from '../ops/window.js';
import { F, type Tensor, type ValuesAndIndices } from '../tensor/index.js';
import { Module } from './module.js';

export interface MaxPoolLayerOptions<Indices extends boolean = boolean> {
  /** Defaults to kernelSize. */
  readonly stride?: PerAxis;
  readonly padding?: Padding;
  readonly dilation?: PerAxis;
  /** Rounds the output size up instead of down. */
  readonly ceilMode?: boolean;
  /** Makes `forward` return { values, indices }: int32 positions in the spatial plane. */
  readonly returnIndices?: Indices;
}

/** What a max-pooling layer returns. */
export type MaxPoolOutput<Indices extends boolean> = Indices extends true ? ValuesAndIndices : Tensor;

export interface AvgPoolLayerOptions {
  /** Defaults to kernelSize. */
  readonly stride?: PerAxis;
  readonly padding?: Padding;
  /** Rounds the output size up instead of down. */
  readonly ceilMode?: boolean;
  /** Whether padding counts as elements of a window. */
  readonly countIncludePad?: boolean;
  /** Divides by this instead of the number of elements. */
  readonly divisorOverride?: number;
}

function reprOf(first: unknown, options: object): string {
  const shown = Object.entries(options).filter(([, v]) => v !== undefined);
  return JSON.stringify(first) + shown.map(([k, v]) => `, ${k}=${JSON.stringify(v)}`).join('');
}

abstract class WindowPool<O extends object> extends Module {
  constructor(
    readonly kernelSize: PerAxis,
    readonly options: O = {} as O,
  ) {
    super();
  }
  override extraRepr(): string {
    return reprOf(this.kernelSize, this.options);
  }
}

abstract class AdaptivePool extends Module {
  constructor(readonly outputSize: AdaptiveSize) {
    super();
  }
  override extraRepr(): string {
    return JSON.stringify(this.outputSize);
  }
}

/** The largest value of each window: [N, C, L] → [N, C, L']. */
export class MaxPool1d<Indices extends boolean = false> extends WindowPool<MaxPoolLayerOptions<Indices>> {
  override forward(x: Tensor): MaxPoolOutput<Indices> {
    const { returnIndices, ...window } = this.options;
    const y = returnIndices ? F.maxPool1dWithIndices(x, this.kernelSize, window) : x.maxPool1d(this.kernelSize, window);
    return y as MaxPoolOutput<Indices>;
  }
}

/** The largest value of each window: [N, C, H, W] → [N, C, H', W'], H' = ⌊(H + 2·padding − dilation·(kH − 1) − 1) / stride⌋ + 1. */
export class MaxPool2d<Indices extends boolean = false> extends WindowPool<MaxPoolLayerOptions<Indices>> {
  override forward(x: Tensor): MaxPoolOutput<Indices> {
    const { returnIndices, ...window } = this.options;
    const y = returnIndices ? F.maxPool2dWithIndices(x, this.kernelSize, window) : x.maxPool2d(this.kernelSize, window);
    return y as MaxPoolOutput<Indices>;
  }
}

/** The largest value of each window: [N, C, D, H, W] → [N, C, D', H', W']. */
export class MaxPool3d<Indices extends boolean = false> extends WindowPool<MaxPoolLayerOptions<Indices>> {
  override forward(x: Tensor): MaxPoolOutput<Indices> {
    const { returnIndices, ...window } = this.options;
    const y = returnIndices ? F.maxPool3dWithIndices(x, this.kernelSize, window) : x.maxPool3d(this.kernelSize, window);
    return y as MaxPoolOutput<Indices>;
  }
}

/** The mean of each window: [N, C, L] → [N, C, L']. */
export class AvgPool1d extends WindowPool<AvgPoolLayerOptions> {
  override forward(x: Tensor): Tensor {
    return x.avgPool1d(this.kernelSize, this.options);
  }
}

/** The mean of each window: [N, C, H, W] → [N, C, H', W']. */
export class AvgPool2d extends WindowPool<AvgPoolLayerOptions> {
  override forward(x: Tensor): Tensor {
    return x.avgPool2d(this.kernelSize, this.options);
  }
}

/** The mean of each window: [N, C, D, H, W] → [N, C, D', H', W']. */
export class AvgPool3d extends WindowPool<AvgPoolLayerOptions> {
  override forward(x: Tensor): Tensor {
    return x.avgPool3d(this.kernelSize, this.options);
  }
}

/** Means over as many windows as `outputSize` says, whatever the input's size: [N, C, L] → [N, C, outputSize]. */
export class AdaptiveAvgPool1d extends AdaptivePool {
  override forward(x: Tensor): Tensor {
    return x.adaptiveAvgPool1d(this.outputSize);
  }
}

/** Means over as many windows as `outputSize` says: [N, C, H, W] → [N, C, …outputSize]; null keeps an axis as it is. */
export class AdaptiveAvgPool2d extends AdaptivePool {
  override forward(x: Tensor): Tensor {
    return x.adaptiveAvgPool2d(this.outputSize);
  }
}

/** Means over as many windows as `outputSize` says: [N, C, D, H, W] → [N, C, …outputSize]. */
export class AdaptiveAvgPool3d extends AdaptivePool {
  override forward(x: Tensor): Tensor {
    return x.adaptiveAvgPool3d(this.outputSize);
  }
}

/** Maxima over as many windows as `outputSize` says: [N, C, L] → [N, C, outputSize]. */
export class AdaptiveMaxPool1d extends AdaptivePool {
  override forward(x: Tensor): Tensor {
    return x.adaptiveMaxPool1d(this.outputSize);
  }
}

/** Maxima over as many windows as `outputSize` says: [N, C, H, W] → [N, C, …outputSize]. */
export class AdaptiveMaxPool2d extends AdaptivePool {
  override forward(x: Tensor): Tensor {
    return x.adaptiveMaxPool2d(this.outputSize);
  }
}

/** Maxima over as many windows as `outputSize` says: [N, C, D, H, W] → [N, C, …outputSize]. */
export class AdaptiveMaxPool3d extends AdaptivePool {
  override forward(x: Tensor): Tensor {
    return x.adaptiveMaxPool3d(this.outputSize);
  }
}

abstract class GlobalAvgPool extends Module {
  /** `keepDims: false` drops the spatial axes: [N, C]. */
  constructor(readonly keepDims = true) {
    super();
  }
  protected pool(x: Tensor, rank: number): Tensor {
    const axes = Array.from({ length: rank }, (_, i) => i - rank);
    return x.mean(axes, { keepDims: this.keepDims });
  }
}

/** The mean of each channel: [N, C, L] → [N, C, 1]. */
export class GlobalAvgPool1d extends GlobalAvgPool {
  override forward(x: Tensor): Tensor {
    return this.pool(x, 1);
  }
}

/** The mean of each channel: [N, C, H, W] → [N, C, 1, 1]. */
export class GlobalAvgPool2d extends GlobalAvgPool {
  override forward(x: Tensor): Tensor {
    return this.pool(x, 2);
  }
}

/** The mean of each channel: [N, C, D, H, W] → [N, C, 1, 1, 1]. */
export class GlobalAvgPool3d extends GlobalAvgPool {
  override forward(x: Tensor): Tensor {
    return this.pool(x, 3);
  }
}
