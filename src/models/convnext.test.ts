/** What golden files do not show of ConvNeXt: the names of the authors' checkpoints, and options. */

import { describe, expect, it } from 'vitest';
import { zeros } from '../tensor/index.js';
import { convnext_tiny, convnextv2_atto } from './convnext.js';
import type { ModelBuilder } from './define.js';
import { remap, remapFor, type Stored } from './remap.js';

const size = (shape: readonly number[]): Stored => ({ shape, data: [] });

/** The entries of one block and of all else in the authors' code, for a network of these widths. */
function original(widths: readonly number[], depths: readonly number[], version: 1 | 2): Map<string, Stored> {
  const state = new Map<string, Stored>();
  const layer = (path: string, weight: readonly number[]) => {
    state.set(`${path}.weight`, size(weight));
    state.set(`${path}.bias`, size([weight[0]]));
  };
  widths.forEach((c, i) => {
    if (i === 0) {
      layer('downsample_layers.0.0', [c, 3, 4, 4]);
      layer('downsample_layers.0.1', [c]);
    } else {
      layer(`downsample_layers.${i}.0`, [widths[i - 1]]);
      layer(`downsample_layers.${i}.1`, [c, widths[i - 1], 2, 2]);
    }
    for (let j = 0; j < depths[i]; j++) {
      const block = `stages.${i}.${j}`;
      layer(`${block}.dwconv`, [c, 1, 7, 7]);
      layer(`${block}.norm`, [c]);
      layer(`${block}.pwconv1`, [4 * c, c]);
      layer(`${block}.pwconv2`, [c, 4 * c]);
      if (version === 1) state.set(`${block}.gamma`, size([c]));
      else for (const name of ['gamma', 'beta']) state.set(`${block}.grn.${name}`, size([1, 1, 1, 4 * c]));
    }
  });
  layer('norm', [widths[3]]);
  layer('head', [1000, widths[3]]);
  return state;
}

describe('ConvNeXt', () => {
  it.each<[ModelBuilder, Map<string, Stored>]>([
    [convnext_tiny, original([96, 192, 384, 768], [3, 3, 9, 3], 1)],
    [convnextv2_atto, original([40, 80, 160, 320], [2, 2, 6, 2], 2)],
  ])('takes the names and shapes of the authors’ files one to one', (build, state) => {
    const renamed = remap(state, remapFor(state.keys(), build.remaps!));
    const shapes = (entries: Iterable<[string, { readonly shape: readonly number[] }]>) =>
      Array.from(entries, ([path, { shape }]) => `${path} [${shape}]`).sort();
    expect(shapes(renamed)).toEqual(shapes(Object.entries(build().stateDict())));
  });

  it('shrinks pictures 32 times, the first stage by 4', () => {
    const model = convnextv2_atto({ numClasses: 5 }).eval();
    const maps = model.activations(zeros([1, 3, 64, 96]), ['stages.0', 'stages.3', '']);
    expect(maps['stages.0'].shape).toEqual([1, 40, 16, 24]);
    expect(maps['stages.3'].shape).toEqual([1, 320, 2, 3]);
    expect(maps[''].shape).toEqual([1, 5]);
  });
});
