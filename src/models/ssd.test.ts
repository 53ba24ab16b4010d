/** Anchors, coding, matching and what is found in the end, against torchvision: script and data under test/golden. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Digest, digest, filled } from '../../test/golden/counter.js';
import { decodeBoxes, encodeBoxes } from '../nn/index.js';
import { manualSeed, rand, type Tensor, tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import type { Shape } from '../util/shape.js';
import {
  defaultBoxes,
  detections,
  detectorTargets,
  multiboxLoss,
  ssdlite320_mobilenet_v3_large,
  ssdWeights,
} from './index.js';

interface Shown {
  readonly shape: Shape;
  readonly digest: Digest;
}

interface Golden {
  readonly anchors: Shown;
  readonly smallAnchors: Shown;
  readonly decoded: Shown;
  readonly encoded: Shown;
  readonly found: readonly { labels: number[]; scores: number[]; boxes: number[][] }[];
}

const golden: Golden = JSON.parse(
  readFileSync(new URL('../../test/golden/data/detection.json', import.meta.url), 'utf8'),
);
const model = ssdlite320_mobilenet_v3_large({ numClasses: 5 });
const small = model.anchors([64, 48]);
const count = small.length / 4;
const asTensor = (boxes: Float32Array) => tensor(boxes, { shape: [boxes.length / 4, 4] });

async function expectDigest(y: Tensor, wanted: Shown): Promise<void> {
  expect(y.shape).toEqual(wanted.shape);
  const [norm, probe] = digest(await y.data(), y.shape);
  expect(Math.abs(norm - wanted.digest[0]) / wanted.digest[0]).toBeLessThan(1e-6);
  expect(Math.abs(probe - wanted.digest[1]) / wanted.digest[0]).toBeLessThan(1e-6);
}

describe('default boxes', () => {
  it("are torchvision's, map by map, row by row", async () => {
    await expectDigest(asTensor(model.anchors([320, 320])), golden.anchors);
    await expectDigest(asTensor(small), golden.smallAnchors);
  });

  it('stand around the middle of their pixel, none larger than the picture', () => {
    const boxes = defaultBoxes({ imageSize: [40, 80], mapSizes: [[1, 2]], scales: [0.5, 2], aspectRatios: [4] });
    const left = [
      [0, 10, 40, 30], // half the picture
      [-20, 0, 60, 40], // the geometric mean of 0.5 and 2
      [-20, 15, 60, 25], // 1 × ¼
      [10, 0, 30, 40], // ¼ × 1
    ];
    const right = left.map(([x1, y1, x2, y2]) => [x1 + 40, y1, x2 + 40, y2]);
    expect([...boxes]).toEqual([...left, ...right].flat());
  });
});

describe('coding', () => {
  const flipped = asTensor(
    Float32Array.from({ length: small.length }, (_, i) => small[(count - 1 - (i >> 2)) * 4 + (i & 3)]),
  );

  it('equals torchvision both ways', async () => {
    const deltas = tensor(filled('deltas', [2, count, 4], { scale: 3 }).subarray(0, small.length), {
      shape: [count, 4],
    });
    await expectDigest(decodeBoxes(deltas, asTensor(small), ssdWeights), golden.decoded);
    await expectDigest(encodeBoxes(flipped, asTensor(small), ssdWeights), golden.encoded);
  });

  it('gives the box back', async () => {
    const there = encodeBoxes(flipped, asTensor(small), ssdWeights);
    const back = (await decodeBoxes(there, asTensor(small), ssdWeights).data()) as Float32Array;
    for (const [i, v] of ((await flipped.data()) as Float32Array).entries())
      expect(Math.abs(back[i] - v)).toBeLessThan(1e-4);
  });
});

describe('detections', () => {
  it("are torchvision's: the same boxes, classes and order", async () => {
    const output = {
      boxes: tensor(filled('deltas', [2, count, 4], { scale: 3 }), { shape: [2, count, 4] }),
      scores: tensor(filled('logits', [2, count, 5], { scale: 4 }), { shape: [2, count, 5] }),
      anchors: asTensor(small),
    };
    const found = await detections(output, [64, 48]);
    for (const [image, { labels, scores, boxes }] of golden.found.entries()) {
      expect(found[image].labels).toEqual(labels);
      for (const [i, score] of scores.entries()) expect(Math.abs(found[image].scores[i] - score)).toBeLessThan(1e-6);
      for (const [i, box] of boxes.entries()) {
        for (const [side, v] of box.entries()) expect(Math.abs(found[image].boxes[i][side] - v)).toBeLessThan(1e-4);
      }
    }
  });

  it('come from pictures, each box inside its picture, the surest first', async () => {
    manualSeed(2);
    const [{ boxes, labels, scores }] = await model.detect(rand([1, 3, 64, 48]), { most: 20 });
    expect(model.training).toBe(true);
    expect([boxes.length, labels.length, scores.length]).toEqual([20, 20, 20]);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    for (const [x1, y1, x2, y2] of boxes) {
      expect(Math.min(x1, y1, x2 - x1, y2 - y1, 48 - x2, 64 - y2)).toBeGreaterThanOrEqual(0);
    }
  });
});

describe('targets and loss', () => {
  it('give each box at least the anchor that fits it best, and the background to all others', async () => {
    const boxes = [...small.subarray(4 * 7, 4 * 8), 1, 1, 3, 2]; // an anchor itself, and one too small for any
    const targets = detectorTargets(small, [
      { boxes, labels: [3, 4] },
      { boxes: [], labels: [] },
    ]);
    const labels = (await targets.labels.data()) as Int32Array;
    expect(labels[7]).toBe(3);
    expect(labels.slice(0, count).filter((label) => label === 4).length).toBe(1);
    expect(labels.slice(count).every((label) => label === 0)).toBe(true);
    const wanted = (await targets.boxes.data()) as Float32Array;
    expect([...wanted.subarray(4 * 7, 4 * 8)]).toEqual(boxes.slice(0, 4));
    expect(wanted.subarray(4 * count)).toEqual(small);
  });

  it('count three backgrounds for each anchor with a box: those that look most like something', async () => {
    const anchors = Float32Array.from([0, 10, 20, 30, 40, 50, 60, 70].flatMap((x) => [x, 0, x + 10, 10]));
    const targets = detectorTargets(anchors, [{ boxes: [0, 0, 10, 10], labels: [1] }]);
    const logits = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((surprise) => [0, surprise]);
    const output = {
      boxes: tensor(new Float32Array(32), { shape: [1, 8, 4] }),
      scores: tensor(logits, { shape: [1, 8, 2] }),
      anchors: asTensor(anchors),
    };
    const { boxes, scores } = multiboxLoss(output, targets);
    const softplus = (v: number) => Math.log(1 + Math.exp(v));
    expect(await boxes.item()).toBe(0);
    expect(await scores.item()).toBeCloseTo(softplus(-0) + softplus(5) + softplus(6) + softplus(7), 5);
  });

  it('refuse boxes without labels', () => {
    expect(() => detectorTargets(small, [{ boxes: [0, 0, 1, 1], labels: [] }])).toThrow(
      new ConfigError('detectorTargets: picture 0 has 0 labels, which needs 0 numbers of boxes; got 4'),
    );
  });
});
