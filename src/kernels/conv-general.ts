/**
 * Convolution of any kind, for what the fast kernels do not take: groups that cut across blocks, strides meeting dilations by data.
 * Each lane of a result vector may belong to another group, so its source channel is fetched by itself; weights stay in plain layout.
 *
 *   x, dy, dx  [N, C/b, D·H·W, b]     w  [O, I, taps] plain     dw  [O/b, I, taps, b]
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import { affine, type I32, type Index, type Kernel, type KernelBuilder, type Ptr, type VF } from '../ir/index.js';
import { type ConvAxis, type ConvSizes, inputPixels, outputPixels, tapCount } from './conv-shape.js';
import { unravel } from './nest.js';

/** Pixels of a row that share one fetch of weights. */
const tile = 4;

export type Direction = 'forward' | 'backward';

/** Forward: y from x and w. Backward: dx from dy and w. */
export function generalConvKernel(
  k: KernelBuilder,
  name: string,
  s: ConvSizes,
  direction: Direction,
  target: TargetInfo,
  epilogue: Epilogue,
): Kernel {
  const x = k.param('x', 'f32');
  const w = k.param('w', 'f32');
  epilogue.params(k);
  const b = target.block;
  const forward = direction === 'forward';
  const perGroup = { input: s.channels / s.groups, output: s.filters / s.groups };
  const [results, summed] = forward ? [s.filters, perGroup.input] : [s.channels, perGroup.output];
  const [sources, sourcePlane] = forward ? [s.channels, inputPixels(s)] : [s.filters, outputPixels(s)];
  const size = (a: ConvAxis) => (forward ? a.output : a.input);
  const sourceSize = (a: ConvAxis) => (forward ? a.input : a.output);
  const rows = size(s.depth) * size(s.height);
  const width = size(s.width);
  const taps = tapCount(s);
  const blocks = Math.ceil(results / b);
  const vectors = b / k.lanes;

  k.tasks(s.images * blocks * rows, (task) => {
    const [image, block, row] = unravel(k, task, [s.images, blocks, rows]);
    const [deep, high] = unravel(k, row, [size(s.depth), size(s.height)]);
    const source = x.at(affine(image).times(Math.ceil(sources / b) * b * sourcePlane));
    for (let v = 0; v < vectors; v++) {
      // Lanes past the last channel repeat it: what they compute is not looked at, but they may not read elsewhere.
      const channels = Array.from({ length: k.lanes }, (_, l) =>
        block
          .mul(b)
          .add(v * k.lanes + l)
          .min(k.i32(results - 1)),
      );
      const columns = (start: I32, pixels: number) => {
        const sums = Array.from({ length: pixels }, () => k.zero());
        k.loop(summed, (i) => {
          const lanes = channels.map((channel) => {
            const group = forward ? channel.div(perGroup.output) : channel.div(perGroup.input);
            const from = group.mul(summed).add(i);
            const weight = forward
              ? affine(channel.mul(summed).add(i)).times(taps)
              : affine(from.mul(perGroup.input).add(channel.rem(perGroup.input))).times(taps);
            return { source: source.at(channelOffset(from, b, sourcePlane)), weights: w.at(weight) };
          });
          eachTap(k, s.depth, direction, deep, (kd, xd) =>
            eachTap(k, s.height, direction, high, (kh, xh) =>
              k.loop(s.width.kernel, (kw) => {
                const tap = kd.mul(s.height.kernel).add(kh).mul(s.width.kernel).add(kw);
                const weights = k.lanesOf(lanes.map((lane) => k.load(lane.weights, tap, 1)));
                sums.forEach((sum, j) => {
                  const { at, valid } = meeting(s.width, direction, start.add(j), kw);
                  k.if(valid, () => {
                    const line = xd.mul(sourceSize(s.height)).add(xh).mul(sourceSize(s.width));
                    const pixel = affine(line.add(at)).times(b);
                    sum.fma(k.lanesOf(lanes.map((lane) => k.load(lane.source, pixel, 1))), weights);
                  });
                });
              }),
            ),
          );
        });
        sums.forEach((sum, j) => {
          epilogue.emit(k, sum.value, [image, block, affine(row.mul(width)).plus(start).plus(j), v * k.lanes]);
        });
      };
      const whole = Math.floor(width / tile) * tile;
      k.loop({ to: whole, step: tile }, (start) => columns(start, tile));
      if (whole < width) columns(k.i32(whole), width - whole);
    }
  });
  return k.finish(`${name}_${epilogue.key}`);
}

/** dw from dy and x: one tap, input channel and vector of output channels at a time. */
export function generalWeightGradKernel(
  k: KernelBuilder,
  name: string,
  s: ConvSizes,
  target: TargetInfo,
  epilogue: Epilogue,
): Kernel {
  const dy = k.param('dy', 'f32');
  const x = k.param('x', 'f32');
  epilogue.params(k);
  const b = target.block;
  const summed = s.channels / s.groups;
  const filters = s.filters / s.groups;
  const blocks = Math.ceil(s.filters / b);
  const [inPlane, outPlane] = [inputPixels(s), outputPixels(s)];

  k.tasks(blocks * summed * tapCount(s), (task) => {
    const [block, i, tap] = unravel(k, task, [blocks, summed, tapCount(s)]);
    const [kd, kh, kw] = unravel(k, tap, [s.depth.kernel, s.height.kernel, s.width.kernel]);
    for (let v = 0; v < b / k.lanes; v++) {
      const channels = Array.from({ length: k.lanes }, (_, l) =>
        block
          .mul(b)
          .add(v * k.lanes + l)
          .min(k.i32(s.filters - 1))
          .div(filters)
          .mul(summed)
          .add(i),
      );
      const sum = k.zero();
      k.loop(s.images, (image) => {
        const ys = dy.at(
          affine(image)
            .times(blocks * b * outPlane)
            .plus(affine(block).times(b * outPlane))
            .plus(v * k.lanes),
        );
        const xs = x.at(affine(image).times(Math.ceil(s.channels / b) * b * inPlane));
        const lanes = channels.map((channel) => xs.at(channelOffset(channel, b, inPlane)));
        const walk = (axis: ConvAxis, t: I32, body: (out: I32, at: I32) => void) =>
          k.loop(axis.output, (out) => {
            const { at, valid } = meeting(axis, 'forward', out, t);
            k.if(valid, () => body(out, at));
          });
        walk(s.depth, kd, (od, xd) =>
          walk(s.height, kh, (oh, xh) =>
            walk(s.width, kw, (ow, xw) => {
              const out = affine(od.mul(s.height.output).add(oh).mul(s.width.output).add(ow)).times(b);
              const at = affine(xd.mul(s.height.input).add(xh).mul(s.width.input).add(xw)).times(b);
              sum.fma(gather(k, lanes, at), k.load(ys, out));
            }),
          ),
        );
      });
      epilogue.emit(k, sum.value, [block, i, tap, v * k.lanes]);
    }
  });
  return k.finish(`${name}_${epilogue.key}`);
}

const gather = (k: KernelBuilder, lanes: readonly Ptr<'f32'>[], at: Index): VF =>
  k.lanesOf(lanes.map((lane) => k.load(lane, at, 1)));

/** Where a channel's plane starts in a blocked layout. */
const channelOffset = (channel: I32, block: number, plane: number) =>
  affine(channel.div(block))
    .times(block * plane)
    .plus(channel.rem(block));

/** The source position that pixel `at` of the result reads through tap `t`, and whether there is one. */
function meeting(a: ConvAxis, direction: Direction, pixel: I32, t: I32): { at: I32; valid: I32 } {
  if (direction === 'forward') {
    const at = pixel.mul(a.stride).add(t.mul(a.dilation)).sub(a.before);
    return { at, valid: at.ge(0).and(at.lt(a.input)) };
  }
  const spread = pixel.add(a.before).sub(t.mul(a.dilation));
  const at = spread.div(a.stride);
  return { at, valid: spread.ge(0).and(spread.rem(a.stride).eq(0)).and(at.lt(a.output)) };
}

/** Runs `body` for each tap of an axis that meets the source. */
function eachTap(
  k: KernelBuilder,
  a: ConvAxis,
  direction: Direction,
  pixel: I32,
  body: (t: I32, at: I32) => void,
): void {
  k.loop(a.kernel, (t) => {
    const { at, valid } = meeting(a, direction, pixel, t);
    k.if(valid, () => body(t, at));
  });
}
