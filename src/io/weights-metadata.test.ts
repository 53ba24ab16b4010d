import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Preprocessing, preprocessing } from '../models/index.js';
import { FormatError } from '../util/errors.js';
import { type RunConfig, RunFolder } from './run-folder.node.js';
import { readFacts, writeFacts } from './weights-metadata.js';

const nothing = { model: null, classes: null };

describe('preprocessing in metadata', () => {
  it.each<[string, Preprocessing]>([
    ['a shorter side', preprocessing(224, { resize: 232 })],
    ['both sides', preprocessing(320, { resize: [320, 400], statistics: 'symmetric' })],
  ])('comes back: %s', (_, wanted) => {
    expect(readFacts(writeFacts({ ...nothing, preprocessing: wanted })).preprocessing).toEqual(wanted);
  });

  it.each<[unknown, string]>([
    [[320], 'metadata fovea.preprocessing: resize must be a list of 2, is [320]'],
    [[320, 0], 'resize[1] must be an integer from 1 to 16384, is 0'],
    [1e9, 'resize must be an integer from 1 to 16384, is 1000000000'],
    ['big', 'resize must be an integer from 1 to 16384, is "big"'],
  ])('is refused where it resizes to %o', (resize, message) => {
    const text = JSON.stringify({ ...preprocessing(8), resize });
    const read = () => readFacts({ 'fovea.preprocessing': text });
    expect(read).toThrow(FormatError);
    expect(read).toThrow(message);
  });
});

it("a run's config.json keeps a size to stretch to, and hands it to the file of weights", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-run-'));
  try {
    const config: RunConfig = {
      format: 'fovea-run',
      version: 1,
      model: { name: 'lenet5', options: {} },
      input: { shape: [3, 24, 32], mean: [0, 0, 0], std: [1, 1, 1], resize: [24, 36], interpolation: 'bicubic' },
      classes: ['a', 'b'],
      seed: 0,
      training: {},
    };
    await RunFolder.create(join(folder, 'run'), config);
    const run = await RunFolder.open(join(folder, 'run'));
    expect(run.preprocessing).toEqual({
      resize: [24, 36],
      crop: [24, 32],
      interpolation: 'bicubic',
      mean: [0, 0, 0],
      std: [1, 1, 1],
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
