/** Which parameter gets which rate and decay: against timm's groups (test/golden/training.py), and by rules written out. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BatchNorm2d, Conv2d, Dropout, LayerNorm, Linear, Module, ReLU, Sequential } from '../nn/index.js';
import { ConfigError } from '../util/errors.js';
import { SGD } from './index.js';
import { paramGroups } from './param-groups.js';

const golden = JSON.parse(readFileSync(new URL('../../test/golden/data/training.json', import.meta.url), 'utf8'));

/** Path → [rate, decay]. */
function byPath(model: Module, options: Parameters<typeof paramGroups>[1]): Record<string, [number, number]> {
  const groups = paramGroups(model, options);
  const entries = [...model.namedParameters()].map(([path, parameter]) => {
    const own = groups.filter(({ params }) => params.includes(parameter));
    expect(own.length, path).toBe(1);
    return [path, [own[0].lr, own[0].weightDecay]] as const;
  });
  return Object.fromEntries(entries) as Record<string, [number, number]>;
}

class Net extends Module {
  readonly stem = new Conv2d(1, 2, 3);
  readonly layers = new Sequential(new Linear(4, 4), new ReLU(), new Linear(4, 4, { bias: false }));
  readonly dropout = new Dropout(0.5);
  readonly fc = new Linear(4, 3);
}

describe('paramGroups', () => {
  it('spares what timm spares from weight decay', () => {
    const model = new Sequential(new Conv2d(1, 2, 3), new BatchNorm2d(2), new LayerNorm([2, 2]), new Linear(8, 3));
    const found = byPath(model, { lr: 0.1, weightDecay: 0.05 });
    const wanted: Record<string, [number, number]> = {};
    for (const { names, weightDecay } of golden.groups) for (const name of names) wanted[name] = [0.1, weightDecay];
    expect(found).toEqual(wanted);
    expect(paramGroups(model, { lr: 0.1, weightDecay: 0.05 }).length).toBe(golden.groups.length);
  });

  it('takes rates by path, the first that fits, and spares more on request', () => {
    const rates = [
      ['fc', 1],
      [/^layers\.2/, 0.5],
      ['**', 0.125],
    ] as const;
    expect(byPath(new Net(), { lr: 2, weightDecay: 1, rates, noDecay: ['stem'] })).toEqual({
      'stem.weight': [0.25, 0],
      'stem.bias': [0.25, 0],
      'layers.0.weight': [0.25, 1],
      'layers.0.bias': [0.25, 0],
      'layers.2.weight': [1, 1],
      'fc.weight': [2, 1],
      'fc.bias': [2, 0],
    });
  });

  it('lowers the rate layer by layer towards the input', () => {
    expect(byPath(new Net(), { lr: 1, layerDecay: 0.5 })).toEqual({
      'stem.weight': [0.125, 0],
      'stem.bias': [0.125, 0],
      'layers.0.weight': [0.25, 0],
      'layers.0.bias': [0.25, 0],
      'layers.2.weight': [0.5, 0],
      'fc.weight': [1, 0],
      'fc.bias': [1, 0],
    });
  });

  it('makes groups that optimisers take, frozen parameters included', () => {
    const net = new Net();
    net.stem.requiresGrad(false);
    const groups = paramGroups(net, { lr: 0.1, rates: [['stem', 0.1]] });
    const optimizer = new SGD(groups, { momentum: 0.9 });
    expect(optimizer.paramGroups.flatMap((g) => g.params).length).toBe(net.parameters().length);
    expect(optimizer.paramGroups.map((g) => [g.lr, g.momentum])).toEqual(groups.map((g) => [g.lr, 0.9]));
  });

  it('refuses patterns that name nothing, and factors that are none', () => {
    expect(() => paramGroups(new Net(), { lr: 1, rates: [['head', 1]] })).toThrow(
      new ConfigError('paramGroups: head names no parameter of Net'),
    );
    expect(() => paramGroups(new Net(), { lr: 1, rates: [['fc', -1]] })).toThrow(
      new ConfigError('paramGroups: factors of the rate are not negative; got -1'),
    );
  });
});
