/** What is said of samples that a model does not take. */

import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../io/index.js';
import { findModel } from '../../models/index.js';
import { UsageError } from '../usage.js';
import { checkFit, misfit } from './fit.js';

const refusal = (
  name: string,
  shape: readonly number[],
  asked: { size?: number; frames?: number } = {},
  options: JsonObject = { inChannels: shape[0] },
) => {
  try {
    checkFit({ build: findModel(name), options, numClasses: 3 }, shape, asked);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
};

describe('checkFit', () => {
  it.each([
    ['classic', [3, 32, 32], { size: 32 }, 'classic takes pictures of 28 × 28: leave --size out, or --size 28.'],
    ['lenet5', [1, 12, 12], { size: 12 }, 'lenet5 takes pictures of 28 × 28: leave --size out, or --size 28.'],
    [
      'vit_tiny_patch16_224',
      [3, 228, 228],
      { size: 228 },
      'vit_tiny_patch16_224 takes pictures of 16 × 16 up in steps of 16: leave --size out, or --size 224.',
    ],
    ['alexnet', [3, 32, 32], { size: 32 }, 'alexnet takes pictures of 63 × 63 up: leave --size out, or --size 224.'],
    [
      'lenet5',
      [3, 32, 32],
      {},
      'lenet5 takes pictures of 28 × 28; these have 32 × 32. These sizes fit mobilenet_v2 and resnet18: --model mobilenet_v2',
    ],
  ] as const)('%s on %j: the size that it takes', (name, shape, asked, message) => {
    expect(refusal(name, shape, asked)).toBe(message);
  });

  it('says of clips whether it is the frames or the size', () => {
    const small = { width: 1, hidden: 8 };
    const size = refusal('c3d', [3, 16, 32, 32], { size: 32 }, small);
    expect(size).toMatch(/^c3d takes clips of 16 frames of .*: leave --size out, or --size 112\.$/);
    const frames = refusal('c3d', [3, 4, 112, 112], { frames: 4 }, small);
    expect(frames).toMatch(/^c3d takes clips of 16 frames of .*: leave --frames out, or --frames 16\.$/);
  });

  it('keeps quiet where they fit, and shows the shapes where they are of another kind', () => {
    expect(refusal('resnet18', [3, 32, 32], { size: 32 }, { stem: 'cifar' })).toBeNull();
    expect(misfit({ build: findModel('lenet5'), options: {}, numClasses: 2 }, [1, 28, 28])).toBeNull();
    expect(refusal('lenet5', [1, 64])).toContain(
      'lenet5 is made for pictures of [1, 28, 28]; these have [1, 64], which it cannot take',
    );
  });
});
