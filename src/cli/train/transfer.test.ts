/** What `fovea train --weights` makes of weights to begin from. */

import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { models } from '../../index.js';
import { saveWeights } from '../../io/all.node.js';
import { manualSeed } from '../../tensor/index.js';
import type { Flags } from './flags.js';
import { makeModel } from './new-model.js';
import { settleTransfer } from './optimizer.js';

const digits = Array.from({ length: 10 }, (_, i) => String(i));
const clothes = digits.map((digit) => `piece ${digit}`);

describe('weights to begin from', () => {
  let out: string;
  beforeEach(() => {
    out = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += text;
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const settled = (given: Partial<Flags>, samples: number) => {
    const flags = { epochs: 10, weights: 'a.safetensors', ...given } as Flags;
    settleTransfer(flags, samples);
    return [flags.headEpochs, flags.backboneRate];
  };

  it('let the head learn alone for a fifth of the training at most, and count for less the more pictures there are', () => {
    expect(settled({}, 200)).toEqual([1, 0.1]);
    expect(settled({ epochs: 5 }, 5000)).toEqual([1, 0.1]);
    expect(settled({ epochs: 4 }, 25_000)).toEqual([0, 0.5]);
    expect(settled({ epochs: 2 }, 54_000)).toEqual([0, 1]);
    expect(settled({ epochs: 2, headEpochs: 1, backboneRate: 0.2 }, 54_000)).toEqual([1, 0.2]);
    expect(settled({ weights: undefined }, 54_000)).toEqual([undefined, undefined]);
  });

  it('keep their head for the same classes only, by number and by name', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'fovea-transfer-')), 'digits.safetensors');
    manualSeed(1);
    const known = models.classic();
    await saveWeights(known, path, { classes: digits });
    const from = async (classes: readonly string[]) => {
      const { model } = await makeModel(models.classic, 1, classes, { weights: path, option: {}, seed: 7 } as never);
      const equal = async (name: string) => {
        const [a, b] = [known.stateDict()[name], model.stateDict()[name]];
        return a.shape.join() === b.shape.join() && (await a.data()).join() === (await b.data()).join();
      };
      return [await equal('conv1.weight'), await equal('fc2.weight')];
    };
    expect(await from(digits)).toEqual([true, true]);
    expect(await from(clothes)).toEqual([true, false]);
    expect(await from(clothes.slice(3))).toEqual([true, false]);
    expect(out).toContain('fc2');
  });
});
