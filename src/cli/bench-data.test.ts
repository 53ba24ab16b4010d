/** `fovea bench-data`: numbers for every stage, a sentence about the limit, and clear refusals. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { classFolders, folderOf } from '../../test/pictures.js';
import { run } from './program.js';

describe('fovea bench-data', () => {
  let out: string;
  let errors: string;

  beforeEach(() => {
    out = '';
    errors = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += text;
      return true;
    });
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      errors += text;
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('prints one object with the rate of every stage and of the model', async () => {
    const folder = folderOf(await classFolders({ a: 4, b: 3 }, { format: 'jpeg', width: 48, height: 40 }));
    const flags = ['--size', '28', '--seconds', '1', '--workers', '1', '--batch', '4', '--json'];
    expect(await run(['bench-data', folder, '--model', 'classic', ...flags])).toBe(0);
    const { event, workers, limit, jpegs, ...rates } = JSON.parse(out);
    expect([event, workers]).toEqual(['data', 1]);
    expect(['libjpeg-turbo', 'sharp']).toContain(jpegs);
    expect(['model', 'read', 'decode', 'resize', 'transform']).toContain(limit);
    expect(Object.keys(rates)).toEqual(['read', 'decode', 'resize', 'transform', 'batches', 'cached', 'step']);
    for (const rate of Object.values(rates)) expect(rate).toBeGreaterThan(1);
  });

  it('prints a table and what to do about the slowest stage', async () => {
    const folder = folderOf(await classFolders({ a: 3, b: 3 }));
    expect(await run(['bench-data', folder, '--size', '16', '--seconds', '1', '--augment', 'none'])).toBe(0);
    expect(out).toContain('6 pictures of 2 classes, to 16 × 16');
    expect(out).toMatch(/decode it +[\d,]+ +\d+\.\d\d/);
    expect(out).toMatch(/is the limit|are the limit/);
  });

  it('refuses what holds no pictures, and models that take none', async () => {
    expect(await run(['bench-data', folderOf({ 'a.txt': '' })])).toBe(1);
    expect(errors).toContain('has no pictures in it');
    const folder = folderOf(await classFolders({ a: 1 }));
    expect(await run(['bench-data', folder, '--model', 'textcnn'])).toBe(2);
    expect(errors).toContain('takes no pictures');
    expect(await run(['bench-data', folder, '--augment', 'litght'])).toBe(2);
    expect(errors).toContain('Did you mean light?');
  });
});
