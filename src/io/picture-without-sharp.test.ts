/** Where the optional package sharp is not installed, whoever decodes is told how to get it. */

import { describe, expect, it, vi } from 'vitest';
import { DecodePool } from '../data/pictures/pool.node.js';
import { ConfigError } from '../util/errors.js';
import { decodeImage, encodePng, readPictureHeader } from './picture.node.js';

vi.mock('sharp', () => {
  throw new Error("Cannot find package 'sharp'");
});

describe('without sharp', () => {
  it('pictures are refused with the command that installs it', async () => {
    const attempts = [
      () => decodeImage(new Uint8Array(9)),
      () => readPictureHeader(new Uint8Array(9)),
      () => encodePng({ data: new Uint8Array(1), shape: [1, 1, 1] }),
      () => {
        const pool = new DecodePool({ workers: 1 });
        const preprocessing = { resize: 8, crop: [8, 8], interpolation: 'bilinear', mean: [0], std: [1] } as const;
        const spec = pool.addSpec({ channels: 1, preprocessing, augment: [] });
        return pool.run(spec, 'read', [{ name: 'x', source: { kind: 'file', path: 'x' }, draw: null, cached: null }]);
      },
    ];
    for (const attempt of attempts) {
      await expect(attempt()).rejects.toThrow(ConfigError);
      await expect(attempt()).rejects.toThrow('Install it with: npm install sharp');
    }
  });
});
