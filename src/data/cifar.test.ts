import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cifar, isCifar } from './cifar.node.js';

const picture = 3 * 32 * 32;

/** Records whose pixels are the number of the record plus the colour. */
function records(labels: readonly number[], labelBytes = 1): Uint8Array {
  const out = new Uint8Array(labels.length * (labelBytes + picture));
  for (const [i, label] of labels.entries()) {
    const at = i * (labelBytes + picture);
    out[at + labelBytes - 1] = label;
    for (let c = 0; c < 3; c++) out.fill(10 * i + c, at + labelBytes + c * 1024, at + labelBytes + (c + 1) * 1024);
  }
  return out;
}

describe('cifar', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fovea-cifar-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const write = async (files: Record<string, Uint8Array | string>) => {
    await rm(folder, { recursive: true });
    await mkdir(folder);
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  };

  it('reads CIFAR-10: all training files in order, colours as planes, named classes', async () => {
    const names = 'airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n';
    await write({
      'data_batch_2.bin': records([7]),
      'data_batch_1.bin': records([9, 0]),
      'test_batch.bin': records([3]),
      'batches.meta.txt': names,
    });
    const { train, test } = await cifar(folder);
    expect([train.length, test.length, train.shape]).toEqual([3, 1, [3, 32, 32]]);
    expect([...train.labels]).toEqual([9, 0, 7]);
    expect(train.classes[train.labels[0]]).toBe('truck');
    const { inputs } = train.batch([1]);
    expect([inputs[0], inputs[1024], inputs[2048], inputs[3071]]).toEqual([10, 11, 12, 12]);
  });

  it('reads CIFAR-100 by its fine labels, numbered where names are missing', async () => {
    await write({ 'train.bin': records([99, 42], 2), 'test.bin': records([1], 2) });
    const { train, test } = await cifar(folder);
    expect([...train.labels, ...test.labels]).toEqual([99, 42, 1]);
    expect(train.classes.length).toBe(100);
    expect(train.classes[42]).toBe('42');
  });

  it('says what is missing or wrong, and where', async () => {
    await write({ 'data_batch_1.bin': records([1]) });
    await expect(cifar(folder)).rejects.toThrow('"binary version"');
    await write({ 'data_batch_1.bin': records([1, 10]), 'test_batch.bin': records([1]) });
    await expect(cifar(folder)).rejects.toThrow(/data_batch_1\.bin: label 10, but there are 10 classes.*3073/s);
    await write({ 'data_batch_1.bin': records([1]).subarray(1), 'test_batch.bin': records([1]) });
    await expect(cifar(folder)).rejects.toThrow('3072 bytes are not a whole number of records of 3073');
    await write({ 'data_batch_1.bin': records([1]), 'test_batch.bin': records([1]), 'batches.meta.txt': 'cat\ndog\n' });
    await expect(cifar(folder)).rejects.toThrow('2 names, there should be 10');
    await expect(cifar(join(folder, 'none'))).rejects.toThrow('ENOENT');
  });

  it('is told from MNIST by its files', () => {
    expect(isCifar(['data_batch_1.bin', 'test_batch.bin', 'readme.html'])).toBe(true);
    expect(isCifar(['train-images-idx3-ubyte', 'train.bin'])).toBe(false);
  });
});
