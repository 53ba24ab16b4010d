/** The names in torchvision's files of DenseNet. */

import { describe, expect, it } from 'vitest';
import { densenet121 } from './densenet.js';
import { remap, remapFor } from './remap.js';

describe('densenet', () => {
  it("reads torchvision's files, whose layers have dots in their names", () => {
    const wanted = Object.entries(densenet121().stateDict()).map(([name, { shape }]) => [name, shape] as const);
    // The files are older than num_batches_tracked.
    const stored = wanted
      .filter(([name]) => !name.endsWith('num_batches_tracked'))
      .map(([name, shape]) => [name.replace(/(denselayer\d+\.\w+)(\d)\./, '$1.$2.'), { shape, data: [] }] as const);
    expect(stored.map(([name]) => name)).toContain('features.denseblock3.denselayer24.conv.2.weight');
    const table = remapFor(
      stored.map(([name]) => name),
      densenet121.remaps!,
    );
    const read = remap(new Map(stored), table);
    expect([...read].map(([name, { shape }]) => [name, shape])).toEqual(
      wanted.filter(([name]) => !name.endsWith('num_batches_tracked')),
    );
  });

  it('leaves names alone that are as they should be', () => {
    expect(remapFor(Object.keys(densenet121().stateDict()), densenet121.remaps!)).toBeNull();
  });
});
