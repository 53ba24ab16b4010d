/**
 * What single-shot detectors have in common: boxes of a few sizes and shapes around every pixel of maps of several sizes, and the loss that
 * teaches a network how to move them and what is inside. Liu, Anguelov, Erhan, Szegedy, Reed, Fu and Berg 2016, "SSD: single shot multibox
 * detector", arXiv:1512.02325. Numbers agree with torchvision's.
 */

import { type BoxList, type BoxWeights, encodeBoxes, matchAnchors } from '../nn/index.js';
import { crossEntropy, smoothL1 } from '../nn/loss.js';
import { type Tensor, tensor, where } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';

/** What a detector says about N pictures with A anchors each. */
export interface DetectorOutput {
  /** [N, A, 4]: how to move each anchor, see `encodeBoxes`. */
  readonly boxes: Tensor;
  /** [N, A, classes]: class 0 is the background. */
  readonly scores: Tensor;
  /** [A, 4]: x1, y1, x2, y2 in pixels of the pictures given. */
  readonly anchors: Tensor;
}

/** What is to be found in a picture. */
export interface GroundTruth {
  /** x1, y1, x2, y2 in pixels, four numbers for each box. */
  readonly boxes: BoxList;
  /** 1 and above; 0 is the background. */
  readonly labels: ArrayLike<number>;
}

/** `GroundTruth` of N pictures as each anchor should see it. */
export interface DetectorTargets {
  /** [N, A, 4]: the box to find; the anchor itself where there is none. */
  readonly boxes: Tensor;
  /** [N, A], int32: its class, 0 where there is none. */
  readonly labels: Tensor;
}

/** The weights that SSD's deltas are coded with. */
export const ssdWeights: BoxWeights = [10, 10, 5, 5];

export interface DefaultBoxOptions {
  /** Height and width of the pictures. */
  readonly imageSize: readonly [height: number, width: number];
  /** Height and width of each map. */
  readonly mapSizes: readonly (readonly [height: number, width: number])[];
  /** Size of each map's boxes as a share of the picture, and one more beyond the last. */
  readonly scales: readonly number[];
  /** Width to height of the boxes that are not square; each stands on either side. */
  readonly aspectRatios: readonly number[];
}

/**
 * The anchors [A, 4], x1, y1, x2, y2 in pixels: map by map, row by row, around the middle of each pixel a square of the map's scale, one of
 * the geometric mean with the next scale, and for each ratio a lying and a standing box.
 */
export function defaultBoxes({ imageSize, mapSizes, scales, aspectRatios }: DefaultBoxOptions): Float32Array {
  const [imageHeight, imageWidth] = imageSize;
  const boxes: number[] = [];
  for (const [level, [height, width]] of mapSizes.entries()) {
    const scale = scales[level];
    const between = Math.sqrt(scale * scales[level + 1]);
    const rectangles = aspectRatios.flatMap((ratio) => {
      const [long, short] = [scale * Math.sqrt(ratio), scale / Math.sqrt(ratio)];
      return [
        [long, short],
        [short, long],
      ];
    });
    const sizes = [[scale, scale], [between, between], ...rectangles].map((size) => size.map((n) => Math.min(n, 1)));
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const [x, y] = [(column + 0.5) / width, (row + 0.5) / height];
        for (const [w, h] of sizes) {
          boxes.push(
            (x - w / 2) * imageWidth,
            (y - h / 2) * imageHeight,
            (x + w / 2) * imageWidth,
            (y + h / 2) * imageHeight,
          );
        }
      }
    }
  }
  return Float32Array.from(boxes);
}

/** What each anchor should find in each picture; `anchors` as `defaultBoxes` gives them. */
export function detectorTargets(anchors: BoxList, truths: readonly GroundTruth[], threshold = 0.5): DetectorTargets {
  const count = anchors.length / 4;
  const boxes = new Float32Array(truths.length * count * 4);
  const labels = new Int32Array(truths.length * count);
  for (const [n, truth] of truths.entries()) {
    if (truth.boxes.length !== 4 * truth.labels.length) {
      throw new ConfigError(
        `detectorTargets: picture ${n} has ${truth.labels.length} labels, which needs ${4 * truth.labels.length} numbers of boxes; got ${truth.boxes.length}`,
      );
    }
    for (const [anchor, match] of matchAnchors(anchors, truth.boxes, threshold).entries()) {
      const [source, from] = match < 0 ? [anchors, anchor] : [truth.boxes, match];
      for (let side = 0; side < 4; side++) boxes[(n * count + anchor) * 4 + side] = source[from * 4 + side];
      if (match >= 0) labels[n * count + anchor] = truth.labels[match];
    }
  }
  const shape = [truths.length, count];
  return { boxes: tensor(boxes, { shape: [...shape, 4] }), labels: tensor(labels, { shape, dtype: 'int32' }) };
}

/**
 * The losses of boxes and of classes, to be added up: smooth L1 of the deltas of anchors with a box, cross entropy of those and of the
 * backgrounds that look most like something (`negatives` for each anchor with a box: there are thousands that are easily told). Both are sums
 * over the batch divided by the number of anchors with a box.
 */
export function multiboxLoss(
  output: DetectorOutput,
  targets: DetectorTargets,
  { negatives = 3 }: { negatives?: number } = {},
): { boxes: Tensor; scores: Tensor } {
  const [n, count, classes] = output.scores.shape;
  const found = targets.labels.gt(0);
  const positive = found.to('float32');
  const total = positive.sum().clamp(1);

  const wanted = encodeBoxes(targets.boxes, output.anchors, ssdWeights);
  const off = smoothL1(output.boxes, wanted, { reduction: 'none' }).sum(2);

  const labels = targets.labels.reshape([n * count]);
  const flat = crossEntropy(output.scores.reshape([n * count, classes]), labels, { reduction: 'none' });
  const surprise = flat.reshape([n, count]);
  // Its place among the picture's backgrounds, the most surprising first; what has a box comes last, for no loss is below 0.
  const place = where(found, -1, surprise.detach()).argsort(1, { descending: true }).argsort(1);
  const hard = place.lt(positive.sum(1, { keepDims: true }).mul(negatives)).to('float32');

  return {
    boxes: off.mul(positive).sum().div(total),
    scores: surprise.mul(positive.maximum(hard)).sum().div(total),
  };
}
