/**
 * Boxes in pictures, for detectors: rows of x1, y1, x2, y2 in pixels, x2 and y2 beyond the box. Coding and decoding are tensor operations, and
 * train. Matching and suppression run here, on plain numbers, one box after the other: what a box does depends on what became of those
 * before it, and how many are left is known only then, while a tensor's shape is known before anything is computed.
 */

import { stack, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';

/** How much offsets count beside logarithms of sizes: x, y, width, height. */
export type BoxWeights = readonly [number, number, number, number];

/** A network's deltas for a box that grows more than e^this many times are cut off, as in torchvision. */
const largestGrowth = Math.log(1000 / 16);

/**
 * Boxes [*, 4] as deltas [*, 4] from anchors [*, 4]: offsets of the centres in anchor sizes, logarithms of the ratios of the sizes, all times
 * `weights`. Girshick et al. 2014, arXiv:1311.2524, appendix C.
 */
export function encodeBoxes(boxes: Tensor, anchors: Tensor, weights: BoxWeights = [1, 1, 1, 1]): Tensor {
  const to = centred(boxes);
  const from = centred(anchors);
  const deltas = [
    to.x.sub(from.x).div(from.width),
    to.y.sub(from.y).div(from.height),
    to.width.div(from.width).log(),
    to.height.div(from.height).log(),
  ];
  return stack(
    deltas.map((d, i) => d.mul(weights[i])),
    -1,
  );
}

/** The inverse of `encodeBoxes`: deltas [*, 4] and anchors [*, 4] → boxes [*, 4]. */
export function decodeBoxes(deltas: Tensor, anchors: Tensor, weights: BoxWeights = [1, 1, 1, 1]): Tensor {
  const [dx, dy, dWidth, dHeight] = deltas.unbind(-1).map((d, i) => d.div(weights[i]));
  const from = centred(anchors);
  const x = dx.mul(from.width).add(from.x);
  const y = dy.mul(from.height).add(from.y);
  const halfWidth = dWidth.clamp(null, largestGrowth).exp().mul(from.width).div(2);
  const halfHeight = dHeight.clamp(null, largestGrowth).exp().mul(from.height).div(2);
  return stack([x.sub(halfWidth), y.sub(halfHeight), x.add(halfWidth), y.add(halfHeight)], -1);
}

function centred(boxes: Tensor) {
  const [x1, y1, x2, y2] = boxes.unbind(-1);
  const width = x2.sub(x1);
  const height = y2.sub(y1);
  return { x: x1.add(width.div(2)), y: y1.add(height.div(2)), width, height };
}

/** Numbers of boxes in a row, four for each. */
export type BoxList = ArrayLike<number>;

/** Common area of box `i` of `a` and box `j` of `b`, as a share of the area they cover together (0 for two empty boxes). */
export function iou(a: BoxList, i: number, b: BoxList, j: number): number {
  const [p, q] = [4 * i, 4 * j];
  const width = Math.min(a[p + 2], b[q + 2]) - Math.max(a[p], b[q]);
  const height = Math.min(a[p + 3], b[q + 3]) - Math.max(a[p + 1], b[q + 1]);
  if (width <= 0 || height <= 0) return 0;
  const common = width * height;
  return common / (area(a, p) + area(b, q) - common);
}

function area(boxes: BoxList, p: number): number {
  return (boxes[p + 2] - boxes[p]) * (boxes[p + 3] - boxes[p + 1]);
}

/**
 * For each anchor the index of the box it should find, −1 where that is none: the one it overlaps most, if that is `threshold` or more; and
 * for each box the anchor that overlaps it most, whatever the overlap. Liu et al. 2016, arXiv:1512.02325, section 2.2.
 */
export function matchAnchors(anchors: BoxList, boxes: BoxList, threshold = 0.5): Int32Array {
  const matches = new Int32Array(anchors.length / 4).fill(-1);
  const count = boxes.length / 4;
  const best = new Float64Array(count).fill(-1);
  const bestAnchor = new Int32Array(count);
  for (let anchor = 0; anchor < matches.length; anchor++) {
    let most = -1;
    for (let box = 0; box < count; box++) {
      const overlap = iou(boxes, box, anchors, anchor);
      if (overlap > best[box]) {
        best[box] = overlap;
        bestAnchor[box] = anchor;
      }
      if (overlap > most) {
        most = overlap;
        matches[anchor] = overlap >= threshold ? box : -1;
      }
    }
  }
  for (let box = 0; box < count; box++) matches[bestAnchor[box]] = box;
  return matches;
}

/**
 * Non-maximum suppression: indices of the boxes that stay, by falling score. A box goes if it overlaps one that stays by more than
 * `iouThreshold`; with `classes`, only boxes of the same class suppress each other. Equal scores keep their order.
 */
export function suppress(
  boxes: BoxList,
  scores: ArrayLike<number>,
  iouThreshold: number,
  classes?: ArrayLike<number>,
): number[] {
  if (boxes.length !== 4 * scores.length || (classes !== undefined && classes.length !== scores.length)) {
    throw new ConfigError(
      `nms: takes four numbers, a score${classes === undefined ? '' : ' and a class'} for each box; ` +
        `got ${boxes.length} numbers, ${scores.length} scores${classes === undefined ? '' : ` and ${classes.length} classes`}`,
    );
  }
  const order = Array.from({ length: scores.length }, (_, i) => i).sort((i, j) => scores[j] - scores[i]);
  const kept: number[] = [];
  const keptOfClass = new Map<number, number[]>();
  for (const i of order) {
    const rivals = keptOfClass.get(classes?.[i] ?? 0) ?? [];
    if (rivals.some((j) => iou(boxes, i, boxes, j) > iouThreshold)) continue;
    kept.push(i);
    rivals.push(i);
    keptOfClass.set(classes?.[i] ?? 0, rivals);
  }
  return kept;
}

/** `suppress` of boxes [n, 4] with scores [n]. */
export async function nms(boxes: Tensor, scores: Tensor, iouThreshold: number): Promise<number[]> {
  const [b, s] = await Promise.all([boxes.data(), scores.data()]);
  return suppress(b as Float32Array, s as Float32Array, iouThreshold);
}

/** `suppress` of boxes [n, 4] with scores [n] and classes [n]: each class for itself. */
export async function batchedNms(
  boxes: Tensor,
  scores: Tensor,
  classes: Tensor,
  iouThreshold: number,
): Promise<number[]> {
  const [b, s, c] = await Promise.all([boxes.data(), scores.data(), classes.data()]);
  return suppress(b as Float32Array, s as Float32Array, iouThreshold, c as Int32Array);
}
