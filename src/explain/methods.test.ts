/** The methods against golden values (test/golden/explain.py), against networks that can be explained by hand, and as a registry. */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devicesHere } from '../../test/devices-here.js';
import { type Digest, digest, filled, initial } from '../../test/golden/counter.js';
import { CompiledTarget } from '../compile/compiled-target.js';
import { resnet18, SwinTransformer, VisionTransformer } from '../models/index.js';
import { AdaptiveAvgPool2d, Conv2d, Flatten, GraphModule, Linear, Module, ReLU, Sequential } from '../nn/index.js';
import { fromOwned, ones, setDevice, type Tensor, tensor } from '../tensor/index.js';
import {
  compareByCka,
  effectiveReceptiveField,
  gradCam,
  guidedBackprop,
  hiResCam,
  inputXGradient,
  integratedGradients,
  layerCam,
  mapLayerPaths,
  methods,
  occlusion,
  principalComponents,
  saliency,
  smoothGrad,
} from './index.js';
import { gaussLegendre } from './integrated-gradients.js';
import { mapForm, toMaps } from './layers.js';
import { riseWith } from './rise.js';
import { smoothed } from './smooth-grad.js';

interface Shown {
  readonly shape: readonly number[];
  readonly values?: readonly number[];
  readonly digest?: Digest;
}

interface Net {
  readonly input: readonly number[];
  readonly layer: string;
  readonly classes: readonly number[];
  readonly top: readonly number[];
  readonly cams: Readonly<Record<string, { raw: Shown; maps: Shown }>>;
  readonly saliency: Shown;
  readonly 'input-x-gradient': Shown;
  readonly 'guided-backprop': Shown;
  readonly 'integrated-gradients': { raw: Shown; delta: Shown };
  readonly 'smooth-grad': Shown;
  readonly occlusion: Shown;
  readonly rise: Shown;
}

const golden: {
  small: Net;
  resnet18: Net;
  cka: number[][];
  effectiveField: Shown;
  pca: Record<'components' | 'scores' | 'variances' | 'shares', Shown>;
} = JSON.parse(readFileSync(new URL('../../test/golden/data/explain.json', import.meta.url), 'utf8'));

const widest = devicesHere[devicesHere.length - 1];
let target: CompiledTarget;
beforeAll(async () => {
  target = new CompiledTarget(await widest.create({ threads: 1 }));
  setDevice(target);
});
afterAll(() => target.dispose());

function small(): Module {
  return new Sequential(
    new Conv2d(3, 8, 3, { padding: 1 }),
    new ReLU(),
    new Conv2d(8, 16, 3, { stride: 2, padding: 1 }),
    new ReLU(),
    new AdaptiveAvgPool2d(2),
    new Flatten(),
    new Linear(64, 5),
  );
}

function withWeights(model: Module): Module {
  for (const [path, t] of Object.entries(model.stateDict())) t.assign(initial(path, t.shape));
  return model; // in training mode: to explain is to evaluate
}

const pictures = (name: string, shape: readonly number[], scale = 1.5) =>
  fromOwned(filled(name, shape, { scale }), shape, 'float32');

async function expectShown(
  actual: Tensor | Float32Array,
  { shape, values, digest: wanted }: Shown,
  tolerance = 1e-4,
): Promise<void> {
  const data = actual instanceof Float32Array ? actual : await actual.data();
  if (!(actual instanceof Float32Array)) expect(actual.shape).toEqual(shape);
  if (values !== undefined) {
    const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    let worst = 0;
    for (let i = 0; i < values.length; i++) worst = Math.max(worst, Math.abs(data[i] - values[i]));
    expect(worst).toBeLessThanOrEqual(tolerance * most);
    return;
  }
  const [norm, probe] = digest(data, shape);
  expect(Math.abs(norm - wanted![0])).toBeLessThanOrEqual(tolerance * wanted![0]);
  expect(Math.abs(probe - wanted![1])).toBeLessThanOrEqual(tolerance * wanted![0]);
}

describe.each([
  ['small', small],
  ['resnet18', () => resnet18({ numClasses: 10 })],
] as const)('golden values of %s', (name, build) => {
  const net = golden[name];
  const { layer, classes } = net;
  const x = () => pictures('pictures', net.input);
  const model = withWeights(build());

  it('takes the likeliest class where none is asked for', async () => {
    expect([...(await gradCam(model, x(), { layer })).classes!]).toEqual(net.top);
  });

  it.each(methods.filter((m) => m.family === 'cam').map((m) => [m.name, m] as const))('%s', async (id, method) => {
    const { raw, maps } = await method.explain(model, x(), { target: classes, layer });
    await expectShown(raw, net.cams[id].raw);
    await expectShown(maps, net.cams[id].maps);
  });

  it.each(['saliency', 'input-x-gradient', 'guided-backprop'] as const)('%s', async (id) => {
    const { raw } = await methods.find((m) => m.name === id)!.explain(model, x(), { target: classes });
    await expectShown(raw, net[id]);
  });

  it('integrated-gradients, whatever the size of a run', async () => {
    const baseline = pictures('baseline', net.input, 0.3);
    for (const batchSize of [40, 6]) {
      const options = { target: classes, baseline, steps: 20, batchSize };
      const { raw, delta } = await integratedGradients(model, x(), options);
      await expectShown(raw, net['integrated-gradients'].raw);
      const scale = 1e-4 * Math.max(1, ...(net['integrated-gradients'].delta.values ?? []).map(Math.abs));
      for (let i = 0; i < delta.length; i++) {
        expect(Math.abs(delta[i] - net['integrated-gradients'].delta.values![i])).toBeLessThan(scale);
      }
    }
  });

  it('smooth-grad', async () => {
    const noise = pictures('noise', [6, ...net.input], 0.5);
    let drawn = 0;
    const draw = (copies: number) => {
      drawn += copies;
      return noise.narrow(0, drawn - copies, copies);
    };
    const { raw } = await smoothed(model, x(), { samples: 6, draw, batchSize: 8, target: classes });
    await expectShown(raw, net['smooth-grad']);
  });

  it('occlusion', async () => {
    const options = { target: classes, window: [5, 4], stride: [3, 2], baseline: 0.25, batchSize: 10 } as const;
    await expectShown((await occlusion(model, x(), options)).raw, net.occlusion);
  });

  it('rise', async () => {
    const [, , height, width] = net.input;
    const size = height * width;
    const masks = filled('masks', [10, 1, height, width], { scale: 0.5, offset: 0.5 });
    const write = (into: Float32Array, i: number) => into.set(masks.subarray(i * size, (i + 1) * size));
    const { raw } = await riseWith(model, x(), { count: 10, keep: 0.5, write, target: classes, batchSize: 4 });
    await expectShown(raw, net.rise);
  });
});

describe('golden values of comparisons', () => {
  it('linear CKA', async () => {
    const model = withWeights(small());
    const layers = ['1', '3', '6'];
    const { matrix } = await compareByCka(model, model, pictures('cka', [8, 3, 12, 12]), {
      layers,
      otherLayers: layers,
    });
    for (const [i, row] of matrix.entries()) {
      for (const [j, value] of row.entries()) expect(value).toBeCloseTo(golden.cka[i][j], 4);
    }
  });

  it('the effective receptive field', async () => {
    const { map } = await effectiveReceptiveField(withWeights(small()), pictures('cka', [8, 3, 12, 12]), '2');
    await expectShown(map, golden.effectiveField);
  });

  it('principal components', async () => {
    const points = filled('points', [40, 12]).map(
      (v, i) => Math.fround(v * Math.fround(2 + ((i % 12) * (0.2 - 2)) / 11)) + 1,
    );
    const found = principalComponents(points, [40, 12], 4);
    for (const key of ['components', 'scores', 'variances', 'shares'] as const) {
      await expectShown(Float32Array.from(found[key]), golden.pca[key]);
    }
  });
});

/** score_k = Σ w_k · x: everything about it is known. */
class LinearNet extends Module {
  readonly fc: Linear;
  constructor(weights: readonly number[][]) {
    super();
    this.fc = new Linear(weights[0].length, weights.length);
    this.fc.weight.assign(Float32Array.from(weights.flat()));
    this.fc.bias!.assign(new Float32Array(weights.length));
  }
  override forward(x: Tensor): Tensor {
    return this.fc.forward(x.flatten(1));
  }
}

describe('by hand', () => {
  const weights = [
    [1, -2, 3, 0],
    [0, 5, 0, -1],
  ];
  const x = tensor([2, 3, -1, 4], { shape: [1, 1, 2, 2] });

  it('a linear model: gradients are its weights, attributions weight times input', async () => {
    const model = new LinearNet(weights);
    const values = async (t: Tensor) => [...(await t.data())];
    expect(await values((await saliency(model, x, { target: 0 })).raw)).toEqual([1, 2, 3, 0]);
    expect(await values((await inputXGradient(model, x, { target: 0 })).raw)).toEqual([2, -6, -3, 0]);
    const smooth = await values((await smoothGrad(model, x, { target: 1, samples: 5 })).raw);
    expect(smooth).toEqual([0, 5, 0, -1]);
    const { raw, delta } = await integratedGradients(model, x, { target: 0, steps: 3 });
    for (const [i, v] of (await values(raw)).entries()) expect(v).toBeCloseTo([2, -6, -3, 0][i], 5);
    expect(Math.abs(delta[0])).toBeLessThan(1e-5);
  });

  it('a linear model: occlusion by single pixels is weight times input', async () => {
    const { raw, maps } = await occlusion(new LinearNet(weights), x, { target: 1, window: 1 });
    expect([...(await raw.data())]).toEqual([0, 15, 0, -4]);
    expect([...(await maps.data())]).toEqual([0, 1, 0, 0]);
  });

  it('one convolution, the mean, one linear layer: the maps weighted by the linear layer', async () => {
    const model = new Sequential(
      new Conv2d(1, 2, 1),
      new ReLU(),
      new AdaptiveAvgPool2d(1),
      new Flatten(),
      new Linear(2, 2),
    );
    const state = model.stateDict();
    state['0.weight'].assign(Float32Array.of(1, -1));
    state['0.bias'].assign(Float32Array.of(0, 1));
    state['4.weight'].assign(Float32Array.of(2, 1, -1, 3));
    state['4.bias'].assign(Float32Array.of(0, 0));
    // A_0 = relu(x) = 2 3 0 4, A_1 = relu(1 − x) = 0 0 2 0; each gradient is the weight / 4. Class 0: (2·A_0 + A_1) / 4
    const expected = [1, 1.5, 0.5, 2];
    for (const method of [gradCam, hiResCam, layerCam]) {
      const { raw, maps, layer } = await method(model, x, { target: 0 });
      expect(layer).toBe('1');
      expect([...(await raw.data())]).toEqual(expected);
      const drawn = await maps.data();
      expected.forEach((v, i) => void expect(drawn[i]).toBeCloseTo((v - 0.5) / 1.5, 5));
    }
    const signed = await gradCam(model, x, { target: 1 }); // (−A_0 + 3·A_1) / 4
    expect([...(await signed.raw.data())]).toEqual([-0.5, -0.75, 1.5, -1]);
  });

  it('explains the score before softmax where the model ends in it', async () => {
    class Sure extends LinearNet {
      override forward(pixels: Tensor): Tensor {
        return super.forward(pixels.mul(100)).logSoftmax(1);
      }
    }
    const { raw } = await saliency(new Sure(weights), x, { target: 1 });
    expect([...(await raw.data())]).toEqual([0, 500, 0, 100]);
  });

  it('guides relus that are called as functions, and leaves the model as it was', async () => {
    class Net extends LinearNet {
      override forward(pixels: Tensor): Tensor {
        return super.forward(pixels.relu());
      }
    }
    const model = new Net(weights);
    expect([...(await (await guidedBackprop(model, x, { target: 0 })).raw.data())]).toEqual([1, 0, 0, 0]);
    expect([...(await (await saliency(model, x, { target: 0 })).raw.data())]).toEqual([1, 2, 0, 0]);
    expect(model.training).toBe(true);
    expect(model.parameters().every((p) => p.grad === null)).toBe(true);
  });

  it("Gauss and Legendre's rule is exact for polynomials of degree 2n − 1", () => {
    const { positions, weights: w } = gaussLegendre(5);
    for (let degree = 0; degree <= 9; degree++) {
      const sum = positions.reduce((total, p, i) => total + w[i] * p ** degree, 0);
      expect(sum).toBeCloseTo(1 / (degree + 1), 13);
    }
  });
});

describe('layers', () => {
  it('takes the last layer that still knows where things are', async () => {
    const model = resnet18({ numClasses: 4 }).eval();
    expect(mapLayerPaths(model, ones([1, 3, 64, 64])).at(-1)).toBe('layer4');
    expect(mapLayerPaths(model, ones([1, 3, 32, 32])).at(-1)).toBe('layer3');
  });

  it('passes over a layer that only enlarges what came before', () => {
    const model = new Sequential(
      new Conv2d(1, 2, 3),
      new Conv2d(2, 2, 2, { stride: 2 }),
      new AdaptiveAvgPool2d(7),
      new Flatten(),
    );
    expect(mapLayerPaths(model, ones([1, 1, 5, 5]))).toEqual(['0']); // then 1 × 1, then 7 × 7 of the same number
  });

  it('takes the norm before the last attention of a transformer that answers by its class token', async () => {
    const model = new VisionTransformer({
      imageSize: 32,
      patchSize: 8,
      dim: 24,
      depth: 2,
      numHeads: 3,
      numClasses: 4,
      inChannels: 3,
    });
    const { layer, raw, maps } = await gradCam(model, pictures('vit', [2, 3, 32, 32]));
    expect(layer).toBe('blocks.1.norm1');
    expect(raw.shape).toEqual([2, 4, 4]);
    expect(maps.shape).toEqual([2, 32, 32]);
  });

  it('names the layers there are when the one asked for has no maps', async () => {
    await expect(gradCam(small(), pictures('x', [1, 3, 12, 12]), { layer: '6' })).rejects.toThrow(
      'layer: 6 gives [1, 5], which is no map; layers with maps: 0, 1, 2, 3, 4',
    );
  });
});

describe.each(methods.map((m) => [m.name, m] as const))('contract of %s', (_name, method) => {
  const model = withWeights(small());

  it('gives a heat map for each picture, and says how far it is', async () => {
    const x = pictures('contract', [3, 3, 16, 12]);
    const seen: number[] = [];
    let total = 0;
    const onProgress = (done: number, all: number) => {
      seen.push(done);
      total = all;
    };
    const few = { masks: 20, samples: 4, steps: 4 };
    const { maps, raw, classes } = await method.explain(model, x, { ...few, target: 2, onProgress } as object);
    expect(maps.shape).toEqual([3, 16, 12]);
    expect([...classes!]).toEqual([2, 2, 2]);
    const heat = await maps.data();
    expect(heat.every((v: number) => v >= 0 && v <= 1)).toBe(true);
    // Where anything speaks for the class, the strongest place is hot.
    const speaks = (await raw.data()).some((v: number) => v > 0);
    expect(heat.some((v: number) => v > 0.9)).toBe(speaks);
    if (method.long) expect(seen.at(-1)).toBe(total);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('explains each picture for itself', async () => {
    const x = pictures('contract', [2, 3, 12, 12]);
    const few = { masks: 20, samples: 1, steps: 4, noise: 0 };
    const both = await (await method.explain(model, x, { ...few, target: 1 } as object)).maps.data();
    const second = await (await method.explain(model, x.narrow(0, 1, 1), { ...few, target: 1 } as object)).maps.data();
    second.forEach((v: number, i: number) => void expect(both[144 + i]).toBeCloseTo(v, 4));
  });

  it('takes a function of the outputs as its target', async () => {
    const x = pictures('contract', [1, 3, 12, 12]);
    const few = { masks: 20, samples: 2, steps: 4 };
    const byFunction = await method.explain(model, x, { ...few, target: (y: Tensor) => y.select(1, 3) } as object);
    expect(byFunction.classes).toBeNull();
    if (method.name === 'rise') return; // asks for a probability where a class is given
    const byClass = await method.explain(model, x, { ...few, target: 3 } as object);
    expect([...(await byFunction.maps.data())]).toEqual([...(await byClass.maps.data())]);
  });
});

describe('imported graphs', () => {
  it('are explained like any other module', async () => {
    const conv = new Conv2d(1, 2, 3, { padding: 1 });
    const fc = new Linear(2, 2);
    const model = new GraphModule({
      inputs: ['x'],
      outputs: ['y'],
      steps: [
        { name: 'conv', inputs: ['x'], outputs: ['a'], run: conv },
        { name: 'relu', inputs: ['a'], outputs: ['b'], run: (a) => a!.relu() },
        { name: 'mean', inputs: ['b'], outputs: ['c'], run: (b) => b!.mean([2, 3]) },
        { name: 'fc', inputs: ['c'], outputs: ['y'], run: fc },
      ],
    });
    const { layer, maps } = await gradCam(model, pictures('graph', [1, 1, 6, 6]), { target: 1 });
    expect(layer).toBe('conv');
    expect(maps.shape).toEqual([1, 6, 6]);
  });
});

describe('forms of maps', () => {
  const input = [2, 3, 32, 48];

  it.each([
    [[2, 64, 4, 6], { kind: 'channels first', channels: 64, height: 4, width: 6, extra: 0 }],
    [[2, 4, 6, 64], { kind: 'channels last', channels: 64, height: 4, width: 6, extra: 0 }],
    [[2, 24, 64], { kind: 'tokens', channels: 64, height: 4, width: 6, extra: 0 }],
    [[2, 25, 64], { kind: 'tokens', channels: 64, height: 4, width: 6, extra: 1 }],
    [[2, 64], null],
    [[12, 4, 4, 64], null], // windows: not one for each picture
    [[2, 23, 64], null],
  ] as const)('%j', (shape, form) => {
    expect(mapForm(shape, input)).toEqual(form);
  });

  it('are laid out with channels in front', async () => {
    const values = Float32Array.from({ length: 2 * 5 * 2 }, (_, i) => i); // [N 2, T 1 + 4, C 2]
    const form = mapForm([2, 5, 2], [2, 3, 8, 8])!;
    const maps = toMaps(fromOwned(values, [2, 5, 2], 'float32'), form);
    expect(await maps.toArray()).toEqual([
      [
        [
          [2, 4],
          [6, 8],
        ],
        [
          [3, 5],
          [7, 9],
        ],
      ],
      [
        [
          [12, 14],
          [16, 18],
        ],
        [
          [13, 15],
          [17, 19],
        ],
      ],
    ]);
    const last = toMaps(fromOwned(values.subarray(0, 8), [1, 2, 2, 2], 'float32'), {
      kind: 'channels last',
      channels: 2,
      height: 2,
      width: 2,
      extra: 0,
    });
    expect(await last.toArray()).toEqual([
      [
        [
          [0, 2],
          [4, 6],
        ],
        [
          [1, 3],
          [5, 7],
        ],
      ],
    ]);
  });

  it('of Swin are its last stage', async () => {
    const model = new SwinTransformer({
      patchSize: 4,
      dim: 12,
      depths: [2, 2],
      numHeads: [2, 2],
      windowSize: 4,
      numClasses: 3,
      inChannels: 3,
      imageSize: 32,
    });
    const { layer, raw } = await gradCam(model, pictures('swin', [1, 3, 32, 32]));
    expect([layer, raw.shape]).toEqual(['norm', [1, 4, 4]]);
  });
});
