/** torchvision's names of MobileNets and EfficientNets: `python3 test/golden/zoo.py --others NAME` writes the lists. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { efficientNets, efficientNetV2s, findModel } from './index.js';
import { remap, remapFor, remapName } from './remap.js';

/** Names and shapes as torchvision has them. */
function torchvisionNames(model: string): (readonly [string, { shape: number[]; data: number[] }])[] {
  const url = new URL(`../../test/golden/data/zoo/remap/${model}.txt`, import.meta.url);
  const lines = readFileSync(url, 'utf8').trimEnd().split('\n');
  return lines.map((line) => {
    const [name, ...shape] = line.split(/[^\w.]+/).filter((word) => word !== '');
    return [name, { shape: shape.map(Number), data: [] }];
  });
}

describe("torchvision's names", () => {
  it.each(['mobilenet_v2', 'mobilenet_v3_large', 'mobilenet_v3_small', 'efficientnet_b0', 'efficientnet_v2_s'])(
    'of %s become ours one to one, with the right shapes',
    (name) => {
      const model = findModel(name);
      const stored = new Map(torchvisionNames(name));
      const read = remap(stored, remapFor(stored.keys(), model.remaps!));
      const wanted = Object.entries(model().stateDict()).map(([path, { shape }]) => [path, [...shape]]);
      expect(new Map([...read].map(([path, { shape }]) => [path, shape]))).toEqual(
        new Map(wanted as [string, number[]][]),
      );
    },
  );

  const scaled = [...efficientNets, ...efficientNetV2s].filter((model) => model.remaps !== undefined);
  it.each(scaled.map((model) => [model.modelName, model] as const))('reach every weight of %s', (_name, model) => {
    const [table] = model.remaps!;
    const ours = Object.keys(model().stateDict());
    const reached = new Set<string | null>();
    for (const layer of everyLayer()) {
      for (const entry of ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']) {
        reached.add(remapName(`${layer}.${entry}`, table).path);
      }
    }
    expect(ours.filter((path) => !reached.has(path))).toEqual([]);
  });

  it('stay as they are where they are ours', () => {
    for (const model of scaled)
      expect(remapFor(['conv_stem.weight', 'blocks.0.0.conv_dw.weight'], model.remaps!)).toBeNull();
  });
});

/** Whatever torchvision could call a layer of an EfficientNet of up to 8 stages of up to 30 blocks. */
function* everyLayer(): Generator<string> {
  yield 'classifier.1';
  for (let stage = 0; stage <= 9; stage++) {
    yield* [`features.${stage}.0`, `features.${stage}.1`];
    for (let block = 0; block < 30; block++) {
      for (let part = 0; part < 4; part++) {
        for (const layer of [0, 1, 'fc1', 'fc2']) yield `features.${stage}.${block}.block.${part}.${layer}`;
      }
    }
  }
}
