import { describe, expect, it } from 'vitest';
import { ConfigError } from '../util/errors.js';
import { RegNet, regnetStages } from './index.js';

describe('regnetStages', () => {
  it('gives the stages that the paper lists: RegNetX-200MF and RegNetY-32GF', () => {
    const small = regnetStages({ depth: 13, initialWidth: 24, slope: 36.44, multiplier: 2.49, groupWidth: 8 });
    expect(small.map(({ width, depth }) => [width, depth])).toEqual([
      [24, 1],
      [56, 1],
      [152, 4],
      [368, 7],
    ]);
    const large = regnetStages({ depth: 20, initialWidth: 232, slope: 115.89, multiplier: 2.53, groupWidth: 232 });
    expect(large.map(({ width, depth, groupWidth }) => [width, depth, groupWidth])).toEqual([
      [232, 2, 232],
      [696, 5, 232],
      [1392, 12, 232],
      [3712, 1, 232],
    ]);
  });

  it('rounds widths to whole groups to the nearest, or as torchvision does never more than a tenth below', () => {
    const design = { depth: 22, initialWidth: 24, slope: 24.48, multiplier: 2.54, groupWidth: 16 };
    const widths = (roundsLike: 'timm' | 'torchvision') => regnetStages({ ...design, roundsLike }).map((s) => s.width);
    expect(widths('timm')).toEqual([32, 64, 160, 384]);
    expect(widths('torchvision')).toEqual([32, 64, 160, 400]);
  });

  it('refuses numbers that are no line', () => {
    const design = { depth: 13, initialWidth: 20, slope: 36.44, multiplier: 2.49, groupWidth: 8 };
    expect(() => regnetStages(design)).toThrow(
      new ConfigError(
        'regnetStages: initialWidth must be a positive multiple of 8, slope at least 0 and multiplier above 1; got 20, 36.44 and 2.49',
      ),
    );
    const short = { ...design, initialWidth: 24, depth: 2 };
    expect(() => new RegNet(short, { numClasses: 10, inChannels: 3 })).toThrow(
      'RegNet: a network has four stages; these widths make 2',
    );
  });
});
