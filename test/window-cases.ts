/** Random convolutions and pooling windows that fit, in 1 to 3 dimensions, small enough for brute force. For fast-check. */

import fc from 'fast-check';
import { type ConvParams, type Pair, spanOf, type Window, windowCount } from '../src/ops/window.js';

export interface ConvCase {
  readonly xShape: readonly number[];
  readonly wShape: readonly number[];
  readonly yShape: readonly number[];
  readonly p: ConvParams;
}

export interface PoolCase {
  readonly xShape: readonly number[];
  readonly yShape: readonly number[];
  readonly w: Window;
}

interface Axis {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padding: Pair;
  readonly out: number;
}

const upTo = (max: number, min = 1) => fc.integer({ min, max });

/** One spatial axis: any kernel, stride, dilation and [lo, hi] padding (limited to `halfWindow` for pooling), and a size that fits. */
function axis(halfWindow: boolean): fc.Arbitrary<Axis> {
  return fc
    .record({ kernel: upTo(4), stride: upTo(3), dilation: upTo(3), lo: upTo(3, 0), hi: upTo(3, 0), more: upTo(4, 0) })
    .map(({ kernel, stride, dilation, lo, hi, more }) => {
      const span = spanOf(kernel, dilation);
      const limit = halfWindow ? Math.floor(span / 2) : Infinity;
      const padding: Pair = [Math.min(lo, limit), Math.min(hi, limit)];
      const size = Math.max(1, span - padding[0] - padding[1]) + more;
      return { size, kernel, stride, dilation, padding, out: windowCount(size, padding, kernel, stride, dilation) };
    });
}

function axes(halfWindow: boolean): fc.Arbitrary<Axis[]> {
  // Three axes of six elements with 4³ taps are the largest case; most are far smaller.
  return fc.array(axis(halfWindow), { minLength: 1, maxLength: 3, size: 'max' });
}

export function convCases(): fc.Arbitrary<ConvCase> {
  return fc
    .record({ batch: upTo(2), groups: upTo(3), inPerGroup: upTo(2), outPerGroup: upTo(2), spatial: axes(false) })
    .map(({ batch, groups, inPerGroup, outPerGroup, spatial }) => ({
      xShape: [batch, groups * inPerGroup, ...spatial.map((a) => a.size)],
      wShape: [groups * outPerGroup, inPerGroup, ...spatial.map((a) => a.kernel)],
      yShape: [batch, groups * outPerGroup, ...spatial.map((a) => a.out)],
      p: {
        stride: spatial.map((a) => a.stride),
        padding: spatial.map((a) => a.padding),
        dilation: spatial.map((a) => a.dilation),
        groups,
      },
    }));
}

export function poolCases(): fc.Arbitrary<PoolCase> {
  return fc.record({ batch: upTo(2), channels: upTo(2), spatial: axes(true) }).map(({ batch, channels, spatial }) => ({
    xShape: [batch, channels, ...spatial.map((a) => a.size)],
    yShape: [batch, channels, ...spatial.map((a) => a.out)],
    w: {
      kernelSize: spatial.map((a) => a.kernel),
      stride: spatial.map((a) => a.stride),
      padding: spatial.map((a) => a.padding),
      dilation: spatial.map((a) => a.dilation),
    },
  }));
}
