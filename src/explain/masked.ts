/**
 * Asking a model about pictures with parts taken away: what occlusion, RISE, Score-CAM and the insertion and deletion curves do. The masks of a picture
 * go through the model in runs of equal size, so that thousands of them, for any number of pictures, are one program.
 */

import type { Module } from '../nn/index.js';
import { compile, fromOwned, type Tensor } from '../tensor/index.js';
import { asking, rowsOf, scoresOf, type Target } from './ask.js';

/** What is asked for: the score before softmax, or the probability. Of a target function, what it returns. */
export type Asked = 'score' | 'probability';

/** Puts masks [B, …] on a picture [1, C, H, W]: the pictures to ask about [B, C, H, W]. */
export type ApplyMasks = (x: Tensor, masks: Tensor) => Tensor;

/** `count` masks of one shape; `fill` writes those from `from` on into the (zeroed) memory of as many as it is given. */
export interface Masks {
  readonly count: number;
  readonly shape: readonly number[];
  fill(into: Float32Array, from: number, size: number): void;
}

/** What the model says of one picture [1, C, H, W] under each of the masks, about the class `wanted` (null where the target is a function). */
export type MaskedModel = (
  x: Tensor,
  masks: Masks,
  wanted: number | null,
  onProgress?: (done: number) => void,
) => Promise<Float32Array>;

/** x where a mask [B, 1, H, W] is 1, `baseline` where it is 0. */
export function keepWhere(baseline: number): ApplyMasks {
  if (baseline === 0) return (x, masks) => x.mul(masks);
  return (x, masks) => x.sub(baseline).mul(masks).add(baseline);
}

/** Prepares a model to be asked. `batchSize`: how many masks go through it at once. */
export function maskedModel(
  model: Module,
  apply: ApplyMasks,
  { target, ask, batchSize }: { target: Target | undefined; ask: Asked; batchSize: number },
): MaskedModel {
  const say = (outputs: unknown, classes: Tensor): Tensor => {
    if (typeof target === 'function') return scoresOf(outputs, null, target);
    const rows = ask === 'score' ? rowsOf(outputs) : rowsOf(outputs).softmax(1);
    return rows.gather(1, classes.reshape([classes.size, 1])).reshape([classes.size]);
  };
  const run = compile((x: Tensor, masks: Tensor, classes: Tensor) =>
    asking(model, () => say(model.forward(apply(x, masks)), classes)),
  );
  return async (x, { count, shape, fill }, wanted, onProgress) => {
    const size = Math.min(batchSize, count);
    const perMask = shape.reduce((a, b) => a * b, 1);
    const answers = new Float32Array(count);
    for (let from = 0; from < count; from += size) {
      const here = Math.min(size, count - from);
      const masks = new Float32Array(size * perMask); // what a last run has too much stays 0
      fill(masks.subarray(0, here * perMask), from, here);
      const classes = new Int32Array(size).fill(wanted ?? 0);
      const said = await run(x, fromOwned(masks, [size, ...shape], 'float32'), fromOwned(classes, [size], 'int32'));
      answers.set((await said.data()).subarray(0, here), from);
      onProgress?.(from + here);
    }
    return answers;
  };
}
