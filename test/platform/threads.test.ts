/** Layers as networks have them give the same bits with any number of threads: how sums are cut must not depend on who computes them. */

import { afterAll, describe, expect, test } from 'vitest';
import type { CompiledTarget } from '../../src/compile/compiled-target.js';
import * as nn from '../../src/nn/index.js';
import { compile, manualSeed, openDevice, rand, setDevice, type Tensor } from '../../src/tensor/index.js';
import { devicesHere } from '../devices-here.js';

type Layer = readonly [title: string, input: readonly number[], build: () => (x: Tensor) => Tensor];

const conv = (...args: ConstructorParameters<typeof nn.Conv2d>) => {
  const layer = new nn.Conv2d(...args);
  return (x: Tensor) => layer.forward(x);
};

/** Narrow maps of many channels are where work is hardest to share out. */
const layers: readonly Layer[] = [
  ['3×3 on 14×14', [1, 256, 14, 14], () => conv(256, 256, 3, { padding: 1 })],
  ['3×3 of stride 2', [1, 128, 14, 14], () => conv(128, 256, 3, { padding: 1, stride: 2 })],
  ['3×3 on 7×7', [1, 512, 7, 7], () => conv(512, 512, 3, { padding: 1 })],
  ['1×1 that widens', [1, 160, 7, 7], () => conv(160, 960, 1)],
  ['1×1 that narrows', [2, 960, 7, 7], () => conv(960, 320, 1)],
  ['1×1 of stride 2', [1, 256, 14, 14], () => conv(256, 512, 1, { stride: 2 })],
  ['1×1 on one pixel', [1, 1152, 1, 1], () => conv(1152, 48, 1)],
  ['a first layer', [2, 3, 64, 64], () => conv(3, 64, 7, { padding: 3, stride: 2 })],
  ['grouped', [1, 128, 14, 14], () => conv(128, 128, 3, { padding: 1, groups: 32 })],
  ['depthwise', [1, 144, 28, 28], () => conv(144, 144, 5, { padding: 2, groups: 144 })],
  ['linear', [1, 2048], () => linear(2048, 1000)],
  ['linear, a batch', [33, 500], () => linear(500, 120)],
  ['batch norm', [4, 40, 15, 15], () => batchNorm(40)],
];

function linear(from: number, to: number): (x: Tensor) => Tensor {
  const layer = new nn.Linear(from, to);
  return (x) => layer.forward(x);
}

function batchNorm(channels: number): (x: Tensor) => Tensor {
  const layer = new nn.BatchNorm2d(channels, { trackRunningStats: false });
  return (x) => layer.forward(x);
}

/** The output, the output of the compiled function, and the gradient by the input, on a device with so many threads. */
async function valuesWith(target: CompiledTarget, [, shape, build]: Layer): Promise<Int32Array[]> {
  setDevice(target);
  manualSeed(5);
  const layer = build();
  const x = rand(shape as number[], { requiresGrad: true });
  const y = layer(x);
  y.mul(y).sum().backward();
  const values = [await y.data(), await x.grad!.data(), await (await compile(layer)(x.detach())).data()];
  return values.map((v) => new Int32Array(v.buffer.slice(0)));
}

describe.each(devicesHere)('on $name', ({ name }) => {
  const targets: Promise<CompiledTarget>[] = [1, 2, 3].map(
    async (threads) => (await openDevice(name, { threads })).target as CompiledTarget,
  );
  afterAll(async () => {
    for (const target of targets) await (await target).dispose();
  });

  test.each(layers.map((layer) => [layer[0], layer] as const))(
    '%s: 1, 2 and 3 threads give the same bits',
    async (_, layer) => {
      const [one, two, three] = await Promise.all(targets);
      const alone = await valuesWith(one, layer);
      for (const target of [two, three]) {
        const together = await valuesWith(target, layer);
        expect(together.map((v, i) => different(v, alone[i]))).toEqual([0, 0, 0]);
      }
    },
  );
});

function different(a: Int32Array, b: Int32Array): number {
  return a.reduce((count, v, i) => count + Number(v !== b[i]), 0);
}
