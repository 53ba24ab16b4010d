/** Overlap, matching and suppression of boxes, against the plainest way to say what they are. */

import { describe, expect, it } from 'vitest';
import { filled } from '../../test/golden/counter.js';
import { tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { batchedNms, iou, matchAnchors, nms, suppress } from './boxes.js';

const numbers = (stream: string, count: number) => Array.from(filled(stream, [count]));

/** Boxes of whole pixels in a picture of 12 × 12. */
function someBoxes(stream: string, count: number): number[] {
  return numbers(stream, count * 4).flatMap((_, i, u) => {
    if (i % 4 !== 0) return [];
    const [x, y, w, h] = u.slice(i, i + 4).map((v) => Math.floor((v + 1) * 4));
    return [x, y, x + w + 1, y + h + 1];
  });
}

/** Counts pixels. */
function overlapOf(a: number[], i: number, b: number[], j: number): number {
  const covers = (boxes: number[], k: number, x: number, y: number) =>
    x >= boxes[4 * k] && x < boxes[4 * k + 2] && y >= boxes[4 * k + 1] && y < boxes[4 * k + 3];
  let [both, either] = [0, 0];
  for (let x = 0; x < 24; x++) {
    for (let y = 0; y < 24; y++) {
      const [inA, inB] = [covers(a, i, x, y), covers(b, j, x, y)];
      if (inA && inB) both++;
      if (inA || inB) either++;
    }
  }
  return both / either;
}

describe('iou', () => {
  it('is the share of pixels that two boxes have in common', () => {
    const [a, b] = [someBoxes('a', 12), someBoxes('b', 12)];
    for (let i = 0; i < 12; i++)
      for (let j = 0; j < 12; j++) expect(iou(a, i, b, j)).toBeCloseTo(overlapOf(a, i, b, j), 12);
  });

  it('is 0 for boxes that touch, and for empty ones', () => {
    expect(iou([0, 0, 2, 2], 0, [2, 0, 4, 2], 0)).toBe(0);
    expect(iou([1, 1, 1, 1], 0, [1, 1, 1, 1], 0)).toBe(0);
  });
});

describe('matching', () => {
  it('gives an anchor the box it overlaps most, and every box an anchor', () => {
    const anchors = [0, 0, 4, 4, 0, 0, 8, 8, 20, 20, 24, 24];
    expect([...matchAnchors(anchors, [0, 0, 4, 5, 1, 1, 8, 8, 21, 21, 22, 22])]).toEqual([0, 1, 2]);
    expect([...matchAnchors(anchors, [0, 0, 4, 5], 0.5)]).toEqual([0, -1, -1]);
    expect([...matchAnchors(anchors, [])]).toEqual([-1, -1, -1]);
  });
});

describe('non-maximum suppression', () => {
  const boxes = someBoxes('boxes', 60);
  const scores = numbers('scores', 60);
  const classes = numbers('classes', 60).map((v) => Math.floor((v + 1) * 1.5));
  const shaped = tensor(boxes, { shape: [60, 4] });

  /** What stays overlaps no surer one that stays; what goes overlaps one. */
  function expectSuppressed(kept: number[], rivals: (i: number, j: number) => boolean): void {
    const surer = (i: number, j: number) => scores[j] > scores[i] && rivals(i, j) && iou(boxes, i, boxes, j) > 0.3;
    for (const i of scores.keys())
      expect(
        kept.some((j) => surer(i, j)),
        `box ${i}`,
      ).toBe(!kept.includes(i));
    expect(kept).toEqual([...kept].sort((i, j) => scores[j] - scores[i]));
  }

  it('keeps the surest of the boxes that overlap', async () => {
    const kept = await nms(shaped, tensor(scores), 0.3);
    expect(kept.length).toBeLessThan(40);
    expectSuppressed(kept, () => true);
  });

  it('of several classes treats each by itself', async () => {
    const kept = await batchedNms(shaped, tensor(scores), tensor(classes, { dtype: 'int32' }), 0.3);
    expectSuppressed(kept, (i, j) => classes[i] === classes[j]);
  });

  it('keeps the first of equals, and boxes that overlap just as much as is allowed', () => {
    expect(suppress([0, 0, 2, 2, 0, 0, 2, 2], [1, 1], 0.5)).toEqual([0]);
    expect(suppress([0, 0, 2, 2, 0, 0, 2, 1], [1, 2], 0.5)).toEqual([1, 0]);
    expect(suppress([], [], 0.5)).toEqual([]);
  });

  it('refuses lists of different lengths', () => {
    expect(() => suppress([0, 0, 2, 2], [1, 2], 0.5)).toThrow(
      new ConfigError('nms: takes four numbers, a score for each box; got 4 numbers, 2 scores'),
    );
  });
});
