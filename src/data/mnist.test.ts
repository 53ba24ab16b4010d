/** The real MNIST from its package, and small copies of it in folders, whole and broken. */

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { take } from './dataset.js';
import { mnist } from './mnist.node.js';
import { computeMeanStd } from './transforms/index.js';

describe('the package', () => {
  it('holds the data set whose mean and deviation everybody knows', async () => {
    const { train, test } = await mnist();
    expect([train.length, test.length, train.shape]).toEqual([60_000, 10_000, [1, 28, 28]]);
    expect([...train.labels.subarray(0, 10)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    const { mean, std } = await computeMeanStd(train);
    expect([mean[0].toFixed(4), std[0].toFixed(4)]).toEqual(['0.1307', '0.3081']);
    const perClass = train.classes.map((_, c) => train.labels.reduce((n, label) => n + Number(label === c), 0));
    expect(perClass).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    expect(drawing(take(test, 1).batch([0]) as { inputs: Uint8Array })).toMatchInlineSnapshot(`
      "····························
      ····························
      ····························
      ·······▄▄▄··················
      ······▀▀▀▀███████████▄······
      ···················██·······
      ·················▄██········
      ················▄██·········
      ················██··········
      ··············▄██···········
      ·············██▀············
      ···········▄██··············
      ···········███··············
      ···········▀▀···············"
    `);
  });
});

describe('a folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fovea-mnist-'));
    for (const [prefix, n] of [
      ['train', 3],
      ['t10k', 2],
    ] as const) {
      writeFileSync(join(folder, `${prefix}-images-idx3-ubyte.gz`), gzipSync(idx([n, 2, 2], n * 4)));
      writeFileSync(join(folder, `${prefix}-labels.idx1-ubyte`), idx([n], n));
    }
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('may hold plain and gzipped files under either spelling', async () => {
    const { train, test } = await mnist({ folder, classes: ['a', 'b', 'c'] });
    expect([train.length, test.length, train.shape, [...train.labels]]).toEqual([3, 2, [1, 2, 2], [0, 1, 2]]);
    expect([...train.batch([1]).inputs]).toEqual([4, 5, 6, 7]);
  });

  it('says which file is missing', async () => {
    rmSync(join(folder, 't10k-images-idx3-ubyte.gz'));
    await expect(mnist({ folder })).rejects.toThrow(
      `${folder} has no t10k-images-idx3-ubyte (nor t10k-images-idx3-ubyte.gz): MNIST is four files, images and labels of train and t10k`,
    );
    await expect(mnist({ folder: join(folder, 'nowhere') })).rejects.toThrow(
      `cannot read ${folder}/nowhere: there is no such file or folder (ENOENT)`,
    );
  });

  it('says which file is wrong, and where', async () => {
    const labels = join(folder, 'train-labels.idx1-ubyte');
    await expect(mnist({ folder, classes: ['a', 'b'] })).rejects.toThrow(
      `${labels}: label 2, but there are 2 classes (at byte 10)`,
    );
    writeFileSync(labels, idx([5], 5));
    await expect(mnist({ folder })).rejects.toThrow(
      `${folder}/train-images-idx3-ubyte.gz has 3 pictures, ${labels} has 5 labels`,
    );
    copyFileSync(join(folder, 'train-images-idx3-ubyte.gz'), labels);
    await expect(mnist({ folder })).rejects.toThrow(
      `${labels}: idx: expected bytes with 1 axes, found uint8 with 3 (at byte 2)`,
    );
    writeFileSync(labels, 'not idx at all');
    await expect(mnist({ folder })).rejects.toThrow(
      `${labels}: idx: the magic number must begin with 00 00, found 6e 6f 74 20`,
    );
  });
});

function idx(shape: number[], count: number): Uint8Array {
  const header = [0, 0, 8, shape.length, ...shape.flatMap((n) => [0, 0, 0, n])];
  return Uint8Array.from([...header, ...Array.from({ length: count }, (_, i) => i)]);
}

/** A picture as text, two rows a line. */
function drawing({ inputs }: { inputs: Uint8Array }): string {
  return Array.from({ length: 14 }, (_, y) =>
    Array.from({ length: 28 }, (_, x) => {
      const [top, bottom] = [inputs[2 * y * 28 + x] > 127, inputs[(2 * y + 1) * 28 + x] > 127];
      return top ? (bottom ? '█' : '▀') : bottom ? '▄' : '·';
    }).join(''),
  ).join('\n');
}
