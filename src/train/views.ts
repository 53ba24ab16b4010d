/**
 * Test-time augmentation: a model looks at several views of a picture and its probabilities are averaged, as Krizhevsky et al. 2012 (section 4.1) did with
 * five cuts and their mirror images. Views here are of the size the model takes: the picture, its mirror image, and both moved a little.
 */

import type { Batch, Samples } from '../data/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import type { Views } from './evaluate.js';

export const viewKinds = ['flip', 'shifts', 'flip-shifts'] as const;

/**
 * `flip`: two views, not for pictures whose mirror image is something else, such as digits. `shifts`: five, moved by a 16th of the sides.
 * `flip-shifts`: ten.
 */
export type ViewKind = (typeof viewKinds)[number];

/** For `evaluate`'s `views`. Samples are pictures [C, H, W] or clips [C, D, H, W]. */
export function testTimeViews(kind: ViewKind): Views {
  return (batch) => {
    const { shape } = batch;
    if (shape.length < 4) {
      throw new ConfigError(`testTimeViews: views are of pictures, [N, C, H, W]; this batch is ${formatShape(shape)}`);
    }
    const flipped = kind === 'shifts' ? [batch] : [batch, mirrored(batch)];
    if (kind === 'flip') return flipped;
    const [height, width] = shape.slice(-2);
    const [dy, dx] = [height, width].map((size) => Math.max(1, Math.round(size / 16)));
    const moves = [
      [0, 0],
      [dy, 0],
      [-dy, 0],
      [0, dx],
      [0, -dx],
    ] as const;
    return flipped.flatMap((view) => moves.map(([down, right]) => shifted(view, down, right)));
  };
}

/** Left and right exchanged. */
export function mirrored(batch: Batch): Batch {
  const width = batch.shape.at(-1)!;
  return remapped(
    batch,
    (y) => y,
    (x) => width - 1 - x,
  );
}

/** Moved by so many pixels; what was at the edge fills what comes free. */
export function shifted(batch: Batch, down: number, right: number): Batch {
  const [height, width] = batch.shape.slice(-2);
  const within = (i: number, size: number) => Math.min(size - 1, Math.max(0, i));
  return remapped(
    batch,
    (y) => within(y - down, height),
    (x) => within(x - right, width),
  );
}

/** Each pixel from the row and column that the two functions name. */
function remapped(batch: Batch, rowOf: (y: number) => number, columnOf: (x: number) => number): Batch {
  const [height, width] = batch.shape.slice(-2);
  const columns = Int32Array.from({ length: width }, (_, x) => columnOf(x));
  const inputs = batch.inputs.slice() as Samples;
  for (let row = 0; row < inputs.length / width; row++) {
    const y = row % height;
    const from = (row - y + rowOf(y)) * width;
    for (let x = 0; x < width; x++) inputs[row * width + x] = batch.inputs[from + columns[x]];
  }
  return { ...batch, inputs };
}
