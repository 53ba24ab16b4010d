/**
 * Chooses the kernels of a convolution and of its two gradients. Each function returns the ways to compute it, best first, never none:
 *
 *   convLowerings(x, w, params, target)                  inputs (x, w)   → y   [N, O, spatial…]
 *   convInputGradLowerings(dy, w, xShape, params, target)  inputs (dy, w)  → dx  xShape
 *   convWeightGradLowerings(dy, x, wShape, params, target) inputs (dy, x)  → dw  wShape
 *
 * Shapes are logical, in PyTorch's order; all sizes are at least 1. Activations are blocked on channels (a first layer also takes its picture
 * plain), weights lie as `forwardWeights` or, for the gradient by data, `backwardWeights`; the gradient by weight comes out as `forwardWeights`.
 */

import { blocked, blockedChannels, type Layout, plain } from '../graph/layout.js';
import type { Epilogue, Lowering, TargetInfo } from '../graph/op.js';
import type { KernelBuilder } from '../ir/index.js';
import type { Shape } from '../util/shape.js';
import { type Direct, directKernel, directScratch, type Narrow } from './conv-direct.js';
import { generalConvKernel, generalWeightGradKernel } from './conv-general.js';
import { directFits, tilePixels } from './conv-plan.js';
import {
  backwardColumns,
  backwardRows,
  type Columns,
  type ConvParams,
  type ConvSizes,
  convSizes,
  forwardColumns,
  forwardRows,
  inputPixels,
  outputPixels,
  type RowWindow,
  sizesKey,
  tapCount,
} from './conv-shape.js';
import { weightGradKernel, weightGradParts, weightGradScratch, weightGradSum } from './conv-weight-grad.js';
import { type Depthwise, depthwiseKernel } from './depthwise.js';
import {
  depthwiseWeightKernel,
  depthwiseWeightParts,
  depthwiseWeightScratch,
  depthwiseWeightSum,
} from './depthwise-weight-grad.js';

export type { ConvParams } from './conv-shape.js';

/** Weights as the forward pass reads them: O/b I taps… b. */
export function forwardWeights(rank: number, block: number): Layout {
  return blocked([0, 1, ...taps(rank)], 0, block);
}

/** Weights as the gradient by data reads them: I/b O taps… b. */
export function backwardWeights(rank: number, block: number): Layout {
  return blocked([1, 0, ...taps(rank)], 1, block);
}

const taps = (rank: number): number[] => Array.from({ length: rank - 2 }, (_, i) => i + 2);

/** Pictures of at most this many channels are read in plain layout. */
const pictureChannels = 4;

export function convLowerings(x: Shape, w: Shape, p: ConvParams, target: TargetInfo): Lowering[] {
  const b = target.block;
  const sizes = flattened(convSizes(x, w, p), target);
  const kind = kindOf(sizes, target);
  const activations = blockedChannels(x.length, b);
  const windows = forwardWindows(sizes);
  const coords = [sizes.images, Math.ceil(sizes.filters / b), outputPixels(sizes), b];
  const name = (way: string) => `conv_${way}_${sizesKey(sizes)}`;
  const weights = forwardWeights(w.length, b);
  const ways: Lowering[] = [];
  if (kind === 'depthwise') {
    const c: Depthwise = { name: name('depthwise'), images: sizes.images, channels: sizes.channels, ...windows };
    ways.push(
      lowering(c.name, [activations, weights], activations, coords, (k, e) => depthwiseKernel(k, c, target, e)),
    );
  } else if (kind !== 'general') {
    const summed = sizes.channels / sizes.groups;
    const panel = tapCount(sizes) * summed * b;
    const base = directBase(sizes, kind, target, windows, sizes.filters, summed);
    const c: Direct = {
      ...base,
      name: name(kind),
      sourceChannels: sizes.channels,
      plainSource: false,
      weightGroup: base.blocks * panel,
      weightBlock: panel,
      vectorWeight: (v) => v * target.lanes,
      narrow: narrowGroups(summed, kind, target, 0),
    };
    const fits = directFits(c, target);
    if (fits && sizes.groups === 1 && sizes.channels <= pictureChannels) {
      const first: Direct = { ...c, name: name('first'), plainSource: true };
      ways.push(directLowering(first, target, [plain, weights], activations, coords));
    }
    if (fits) ways.push(directLowering(c, target, [activations, weights], activations, coords));
  }
  if (ways.length === 0) {
    const title = name('general');
    ways.push(
      lowering(title, [activations, plain], activations, coords, (k, e) =>
        generalConvKernel(k, title, sizes, 'forward', target, e),
      ),
    );
  }
  return ways;
}

export function convInputGradLowerings(
  dy: Shape,
  w: Shape,
  xShape: Shape,
  p: ConvParams,
  target: TargetInfo,
): Lowering[] {
  const b = target.block;
  const sizes = flattened(convSizes(xShape, w, p), target);
  const kind = kindOf(sizes, target);
  const activations = blockedChannels(dy.length, b);
  const coords = [sizes.images, Math.ceil(sizes.channels / b), inputPixels(sizes), b];
  const windows = backwardWindows(sizes);
  const name = (way: string) => `conv_input_grad_${way}_${sizesKey(sizes)}`;
  if (windows !== null && kind === 'depthwise') {
    const c: Depthwise = { name: name('depthwise'), images: sizes.images, channels: sizes.channels, ...windows };
    const inputs = [activations, forwardWeights(w.length, b)];
    return [lowering(c.name, inputs, activations, coords, (k, e) => depthwiseKernel(k, c, target, e))];
  }
  if (windows !== null && kind !== 'general') {
    const summed = sizes.filters / sizes.groups;
    const base = directBase(sizes, kind, target, windows, sizes.channels, summed);
    // Weights of all groups follow each other; narrow groups of one block do within it.
    const narrow = sizes.channels / sizes.groups;
    const channel = tapCount(sizes) * b;
    const c: Direct = {
      ...base,
      name: name(kind),
      sourceChannels: sizes.filters,
      plainSource: false,
      weightGroup: summed * channel,
      weightBlock: kind === 'diagonal' ? b * channel : sizes.filters * channel,
      vectorWeight: (v) =>
        kind === 'diagonal'
          ? Math.floor((v * target.lanes) / narrow) * summed * channel + ((v * target.lanes) % narrow)
          : v * target.lanes,
      // A row of weights holds one group: what belongs into its lanes starts that much before it.
      narrow: narrowGroups(narrow, kind, target, narrow * channel - narrow),
    };
    if (directFits(c, target)) {
      const inputs = [activations, backwardWeights(w.length, b)];
      return [directLowering(c, target, inputs, activations, coords)];
    }
  }
  const title = name('general');
  return [
    lowering(title, [activations, plain], activations, coords, (k, e) =>
      generalConvKernel(k, title, sizes, 'backward', target, e),
    ),
  ];
}

export function convWeightGradLowerings(
  dy: Shape,
  x: Shape,
  wShape: Shape,
  p: ConvParams,
  target: TargetInfo,
): Lowering[] {
  const b = target.block;
  const sizes = flattened(convSizes(x, wShape, p), target);
  const kind = kindOf(sizes, target);
  const activations = blockedChannels(dy.length, b);
  const weights = forwardWeights(wShape.length, b);
  const coords = [Math.ceil(sizes.filters / b), sizes.channels / sizes.groups, tapCount(sizes), b];
  const name = (way: string) => `conv_weight_grad_${way}_${sizesKey(sizes)}`;
  if (kind === 'general') {
    const title = name('general');
    return [
      lowering(title, [activations, activations], weights, coords, (k, e) =>
        generalWeightGradKernel(k, title, sizes, target, e),
      ),
    ];
  }
  if (kind === 'depthwise') {
    const title = name(kind);
    const inputs = [activations, activations];
    const scratchBytes = depthwiseWeightScratch(sizes, target);
    const build = depthwiseWeightParts(sizes, target) === 1 ? depthwiseWeightKernel : depthwiseWeightSum;
    const tapCoords = [coords[0], coords[2], 1, b];
    const way = lowering(title, inputs, weights, tapCoords, (k, e) => build(k, title, sizes, target, e));
    if (build === depthwiseWeightKernel) return [{ ...way, scratchBytes }];
    return [{ ...way, scratchBytes, before: (k) => depthwiseWeightKernel(k, title, sizes, target, null) }];
  }
  const way = (plainSource: boolean): Lowering => {
    const c = {
      name: name(plainSource ? 'first' : kind),
      sizes,
      plainSource,
      diagonal: kind === 'diagonal',
    };
    const inputs = [activations, plainSource ? plain : activations];
    const scratchBytes = weightGradScratch(c, target);
    const build = weightGradParts(c, target) === 1 ? weightGradKernel : weightGradSum;
    const way = lowering(c.name, inputs, weights, coords, (k, e) => build(k, c, target, e));
    if (build === weightGradKernel) return { ...way, scratchBytes };
    return { ...way, scratchBytes, before: (k) => weightGradKernel(k, c, target, null) };
  };
  return sizes.groups === 1 && sizes.channels <= pictureChannels ? [way(true), way(false)] : [way(false)];
}

type Kind = 'direct' | 'diagonal' | 'depthwise' | 'general';

/**
 * direct: groups are whole blocks (or there is one); diagonal: equally many channels in and out per group, several groups to a block;
 * depthwise: one channel per group; general: the rest.
 */
function kindOf(s: ConvSizes, target: TargetInfo): Kind {
  if (s.groups === 1) return 'direct';
  const input = s.channels / s.groups;
  const output = s.filters / s.groups;
  if (input === 1 && output === 1) return 'depthwise';
  if (input % target.block === 0 && output % target.block === 0) return 'direct';
  if (input === output && target.block % input === 0 && s.channels % target.block === 0) return 'diagonal';
  return 'general';
}

interface Windows {
  readonly depth: RowWindow;
  readonly height: RowWindow;
  readonly columns: readonly Columns[];
  readonly columnTaps: number;
  readonly sourceWidth: number;
  readonly resultWidth: number;
}

function forwardWindows({ depth, height, width }: ConvSizes): Windows {
  return {
    depth: forwardRows(depth),
    height: forwardRows(height),
    columns: forwardColumns(width),
    columnTaps: width.kernel,
    sourceWidth: width.input,
    resultWidth: width.output,
  };
}

function backwardWindows({ depth, height, width }: ConvSizes): Windows | null {
  const [deep, high] = [backwardRows(depth), backwardRows(height)];
  if (deep === null || high === null) return null;
  return {
    depth: deep,
    height: high,
    columns: backwardColumns(width),
    columnTaps: width.kernel,
    sourceWidth: width.output,
    resultWidth: width.input,
  };
}

function directBase(
  s: ConvSizes,
  kind: Kind,
  { block, lanes }: TargetInfo,
  windows: Windows,
  results: number,
  summed: number,
) {
  const diagonal = kind === 'diagonal';
  return {
    ...windows,
    images: s.images,
    groups: diagonal ? 1 : s.groups,
    blocks: diagonal ? results / block : Math.ceil(results / s.groups / block),
    summed,
    sourceGroup: diagonal || s.groups === 1 ? 0 : summed / block,
    sourceBlockStep: diagonal ? 1 : 0,
    vectorSource: (v: number) => (diagonal ? Math.floor((v * lanes) / summed) * summed : 0),
  };
}

/** How groups of `channels` channels share a vector, if they do. */
function narrowGroups(channels: number, kind: Kind, { lanes }: TargetInfo, weights: number): Narrow | null {
  return kind === 'diagonal' && channels < lanes ? { groups: lanes / channels, source: channels, weights } : null;
}

/** A 1×1 convolution sees pixels only: its rows may be cut anew, into lengths that tiles fill well. */
function flattened(s: ConvSizes, target: TargetInfo): ConvSizes {
  const axes = [s.depth, s.height, s.width];
  if (axes.some((a) => a.kernel !== 1 || a.stride !== 1 || a.before !== 0 || a.output !== a.input)) return s;
  const pixels = inputPixels(s);
  const most = tilePixels(target.registers, 2);
  // What a row costs beside full tiles.
  const waste = (width: number) => (Math.ceil(width / most) * most) / width;
  // Where several do, long rows have the least to do besides, but there should be enough of them to share.
  const rank = (width: number) => (pixels / width >= 14 ? -width : width);
  let width = pixels;
  for (let w = 24; w <= Math.min(256, pixels); w++) {
    if (pixels % w !== 0) continue;
    const better = width > 256 || waste(w) < waste(width) || (waste(w) === waste(width) && rank(w) < rank(width));
    if (better) width = w;
  }
  const axis = (size: number) => ({ ...s.width, input: size, output: size });
  return { ...s, depth: axis(1), height: axis(pixels / width), width: axis(width) };
}

function directLowering(
  c: Direct,
  target: TargetInfo,
  inputs: readonly Layout[],
  output: Layout,
  coords: readonly number[],
): Lowering {
  const scratchBytes = directScratch(c, target);
  return { ...lowering(c.name, inputs, output, coords, (k, e) => directKernel(k, c, target, e)), scratchBytes };
}

function lowering(
  key: string,
  inputs: readonly Layout[],
  output: Layout,
  coords: readonly number[],
  build: (k: KernelBuilder, epilogue: Epilogue) => ReturnType<Lowering['build']>,
): Lowering {
  return { key, inputs, output, coords, epilogue: true, build };
}
