/** What layers see and whether explanations can be believed: networks made so that the answer is known, oracles, and trained ones. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devicesHere } from '../../test/devices-here.js';
import { filled, initial } from '../../test/golden/counter.js';
import { CompiledTarget } from '../compile/compiled-target.js';
import { ArrayDataset } from '../data/index.js';
import { resnet20 } from '../models/index.js';
import { AdaptiveAvgPool2d, Conv2d, Flatten, Linear, Module, ReLU, Sequential } from '../nn/index.js';
import { crossEntropy } from '../nn/loss.js';
import { Adam } from '../optim/index.js';
import { fromOwned, manualSeed, setDevice, type Tensor, tensor } from '../tensor/index.js';
import {
  colorize,
  colorMaps,
  colorTable,
  effectiveReceptiveField,
  embed,
  enlarge,
  featureMaps,
  filters,
  gradCam,
  insertionDeletion,
  maximizeActivations,
  methods,
  overlay,
  patchGrid,
  pictureGrid,
  principalComponents,
  receptiveField,
  sanityCheck,
  spearman,
  ssim,
  summarizeHeat,
  topPatches,
  tsne,
  umap,
} from './index.js';
import { symmetricEigen } from './pca.js';
import { gaussianBlur } from './similarity.js';

let target: CompiledTarget;
beforeAll(async () => {
  target = new CompiledTarget(await devicesHere[devicesHere.length - 1].create({ threads: 1 }));
  setDevice(target);
});
afterAll(() => target.dispose());

const pictures = (name: string, shape: readonly number[]) => fromOwned(filled(name, shape), shape, 'float32');

/** Pictures 16 × 16 of noise with a bright 4 × 4 square (class 1) or cross (class 0) at a random place. */
function shapes(count: number): ArrayDataset & { at: [number, number][] } {
  const noise = filled('shapes', [count, 256], { scale: 20, offset: 40 });
  const places = filled('places', [count, 2], { scale: 5.99, offset: 6 });
  const inputs = Uint8Array.from(noise);
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2);
  const at: [number, number][] = [];
  for (let i = 0; i < count; i++) {
    const [top, left] = [Math.floor(places[2 * i]), Math.floor(places[2 * i + 1])];
    at.push([top + 1.5, left + 1.5]);
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 4; x++) {
        const filledIn = labels[i] === 1 ? y === 0 || y === 3 || x === 0 || x === 3 : x === y || x === 3 - y;
        if (filledIn) inputs[i * 256 + (top + y) * 16 + left + x] = 230;
      }
    }
  }
  return Object.assign(new ArrayDataset({ inputs, labels, shape: [1, 16, 16], classes: ['cross', 'square'] }), { at });
}

async function trained(): Promise<Module> {
  manualSeed(3);
  const model = new Sequential(
    new Conv2d(1, 8, 3, { padding: 1 }),
    new ReLU(),
    new Conv2d(8, 16, 3, { padding: 1 }),
    new ReLU(),
    new AdaptiveAvgPool2d(1),
    new Flatten(),
    new Linear(16, 2),
  );
  const data = shapes(128);
  const x = fromOwned(
    Float32Array.from(data.inputs, (v) => v / 255),
    [128, 1, 16, 16],
    'float32',
  );
  const y = tensor(data.labels);
  const optimizer = new Adam(model.parameters(), { lr: 0.02 });
  for (let step = 0; step < 80; step++) {
    optimizer.zeroGrad();
    crossEntropy(model.forward(x), y).backward();
    await optimizer.step();
  }
  return model.eval();
}

describe('a trained network', () => {
  let model: Module;
  const data = shapes(8);
  const x = fromOwned(
    Float32Array.from(data.inputs, (v) => v / 255),
    [8, 1, 16, 16],
    'float32',
  );
  beforeAll(async () => {
    model = await trained();
  });

  it('is explained by the place of the shape', async () => {
    const { maps, classes } = await gradCam(model, x, { layer: '3' });
    expect([...classes!]).toEqual([...data.labels]);
    const heat = await maps.data();
    for (const [i, [top, left]] of data.at.entries()) {
      if (data.labels[i] === 0) continue; // a cross is told by what is missing, anywhere
      const { peak } = summarizeHeat(heat.subarray(i * 256, (i + 1) * 256), [16, 16]);
      expect(Math.hypot(peak.y - top, peak.x - left)).toBeLessThan(4);
    }
  });

  it('loses its class sooner along the map than along its contrary, and finds it sooner', async () => {
    const { maps } = await gradCam(model, x, { layer: '3' });
    const scores = async (map: Tensor) => {
      const curves = await insertionDeletion(model, x, map, { steps: 16, target: data.labels });
      const mean = (pick: (c: (typeof curves)[number]) => number) =>
        curves.reduce((sum, c) => sum + pick(c) / curves.length, 0);
      expect(curves[0].deletion.probabilities.length).toBe(17);
      return { deletion: mean((c) => c.deletion.auc), insertion: mean((c) => c.insertion.auc) };
    };
    const [right, wrong] = [await scores(maps), await scores(maps.neg().add(1))];
    expect(right.insertion).toBeGreaterThan(wrong.insertion);
  });

  it('has maps that follow the weights, and gets its weights back', async () => {
    const before = await Promise.all(model.parameters().map((p) => p.data()));
    const method = methods.find((m) => m.name === 'grad-cam')!;
    const steps = await sanityCheck(model, x, method, { layer: '3', seed: 1 });
    expect(steps.map((s) => s.layer)).toEqual(['6', '2', '0']);
    expect(steps.at(-1)!.ssim).toBeLessThan(0.9);
    const after = await Promise.all(model.parameters().map((p) => p.data()));
    expect(after).toEqual(before);
  });

  it('keeps its weights when the method fails half way', async () => {
    const before = await model.parameters()[0].data();
    let calls = 0;
    const method = {
      ...methods[0],
      explain: (...args: Parameters<(typeof methods)[0]['explain']>) => {
        if (++calls > 2) throw new Error('enough');
        return methods[0].explain(...args);
      },
    };
    await expect(sanityCheck(model, x, method)).rejects.toThrow('enough');
    expect(await model.parameters()[0].data()).toEqual(before);
  });

  it('embeds a data set by what goes into its classifier, whatever the batch', async () => {
    const all = shapes(30);
    const { features, shape, labels, layer } = await embed(model, all, { batchSize: 8 });
    expect([shape, layer, labels.length]).toEqual([[30, 16], '6', 30]);
    const { features: atOnce } = await embed(model, all, { batchSize: 64 });
    features.forEach((v, i) => void expect(v).toBeCloseTo(atOnce[i], 5));
    const named = await embed(model, all, { layer: '3' }); // maps: their mean, which is what the classifier gets here
    named.features.forEach((v, i) => void expect(v).toBeCloseTo(atOnce[i], 5));
    const { scores } = principalComponents(features, shape, 2);
    expect(scores.length).toBe(60);
  });
});

describe('activation maximisation', () => {
  it('makes the picture a linear unit asks for', async () => {
    const wanted = filled('wanted', [2, 64]);
    class Net extends Module {
      readonly fc = new Linear(64, 2);
      override forward(x: Tensor): Tensor {
        return this.fc.forward(x.flatten(1));
      }
    }
    const model = new Net();
    model.fc.weight.assign(wanted);
    const options = { inputShape: [1, 8, 8], channels: [1, 0], jitter: 0, blur: 0, variation: 0, steps: 60 } as const;
    const { pictures: made, before, after } = await maximizeActivations(model, options);
    const data = await made.data();
    for (const [n, k] of [1, 0].entries()) {
      const along = wanted.subarray(k * 64, (k + 1) * 64).reduce((sum, w, i) => sum + w * data[n * 64 + i], 0);
      const norms =
        Math.hypot(...data.subarray(n * 64, (n + 1) * 64)) * Math.hypot(...wanted.subarray(k * 64, (k + 1) * 64));
      expect(along / norms).toBeGreaterThan(0.98);
      expect(after[n]).toBeGreaterThan(before[n]);
    }
  });

  it('wakes a channel whose relu is closed', async () => {
    const conv = new Conv2d(1, 1, 3);
    conv.weight.assign(Float32Array.of(0, 1, 0, 1, 2, 1, 0, 1, 0));
    conv.bias!.assign(Float32Array.of(-3));
    const model = new Sequential(conv, new ReLU());
    const { before, after } = await maximizeActivations(model, { inputShape: [1, 8, 8], layer: '1', channels: [0] });
    expect(before[0]).toBe(0);
    expect(after[0]).toBeGreaterThan(1);
  });

  it('repeats itself for a seed, stays inside the limits, and says which channels there are', async () => {
    const model = new Sequential(new Conv2d(3, 4, 3), new ReLU());
    for (const [path, t] of Object.entries(model.stateDict())) t.assign(initial(path, t.shape));
    const limits = { low: [-1, -1, -2], high: [1, 0.5, 2] };
    const options = { inputShape: [3, 12, 12], layer: '0', channels: [2, 3], steps: 20, seed: 5, limits } as const;
    const first = await (await maximizeActivations(model, options)).pictures.data();
    expect(await (await maximizeActivations(model, options)).pictures.data()).toEqual(first);
    for (let i = 0; i < first.length; i++) {
      const channel = Math.floor(i / 144) % 3;
      expect(first[i]).toBeGreaterThanOrEqual(limits.low[channel]);
      expect(first[i]).toBeLessThanOrEqual(limits.high[channel]);
    }
    await expect(maximizeActivations(model, { ...options, channels: [4] })).rejects.toThrow(
      'maximizeActivations: 0 has channels 0 … 3; got 4',
    );
  });
});

describe('part detectors', () => {
  it('finds the places in the pictures that a filter was made for', async () => {
    const data = shapes(20);
    const conv = new Conv2d(1, 1, 4, { bias: false });
    // A square's frame: 12 pixels that count, 4 that speak against it.
    conv.weight.assign(Float32Array.from({ length: 16 }, (_, i) => ([5, 6, 9, 10].includes(i) ? -1 : 0.25)));
    const [{ patches }] = await topPatches(new Sequential(conv), data, {
      layer: '0',
      channels: [0],
      count: 5,
      batchSize: 8,
    });
    expect(patches.length).toBe(5);
    expect(patches.map((p) => p.activation)).toEqual(patches.map((p) => p.activation).sort((a, b) => b - a));
    for (const { index, box, picture } of patches) {
      expect(data.labels[index]).toBe(1);
      const [top, left] = data.at[index];
      expect(box).toEqual({ top: top - 1.5, left: left - 1.5, bottom: top + 1.5, right: left + 1.5 });
      expect(picture.shape).toEqual([1, 4, 4]);
      expect(picture.data[0]).toBe(230);
    }
    const grid = patchGrid([{ channel: 0, patches }], { size: 8, gap: 1 });
    expect(grid.shape).toEqual([3, 10, 5 * 9 + 1]);
  });
});

describe('receptive fields', () => {
  const model = new Sequential(
    new Conv2d(1, 2, 3, { padding: 1 }),
    new ReLU(),
    new Conv2d(2, 2, 3, { stride: 2, padding: 1 }),
  );

  it('of a unit are the pixels behind its windows', () => {
    expect(receptiveField(model, [1, 16, 16], '2', [3, 4])).toEqual({
      field: { size: [5, 5], jump: [2, 2], start: [0, 0] },
      box: { top: 4, left: 6, bottom: 8, right: 10 },
    });
  });

  it('in effect lie within, and are 0 elsewhere', async () => {
    const { map, size, theoretical } = await effectiveReceptiveField(model, [1, 16, 16], '2', { samples: 4 });
    const { box } = receptiveField(model, [1, 16, 16], '2', [4, 4]);
    const values = await map.data();
    values.forEach((v: number, i: number) => {
      const [y, x] = [Math.floor(i / 16), i % 16];
      const inside = y >= box.top && y <= box.bottom && x >= box.left && x <= box.right;
      if (!inside) expect(v).toBe(0);
    });
    expect(theoretical).toEqual([5, 5]);
    expect(size).toBeLessThanOrEqual(5);
    expect(values[8 * 16 + 8]).toBeGreaterThan(0);
  });
});

describe('points in two dimensions', () => {
  /** Three clouds in 10 dimensions, far apart. */
  const points = filled('clouds', [90, 10]).map((v, i) => v + (i % 10 === Math.floor(i / 300) ? 12 : 0));
  const apart = (y: ArrayLike<number>) => {
    const middle = [0, 1, 2].map((k) =>
      [0, 1].map((d) => Array.from({ length: 30 }, (_, i) => y[(30 * k + i) * 2 + d]).reduce((a, b) => a + b) / 30),
    );
    const spread = Math.max(
      ...Array.from({ length: 90 }, (_, i) =>
        Math.hypot(y[2 * i] - middle[Math.floor(i / 30)][0], y[2 * i + 1] - middle[Math.floor(i / 30)][1]),
      ),
    );
    const gaps = [
      [0, 1],
      [0, 2],
      [1, 2],
    ].map(([a, b]) => Math.hypot(middle[a][0] - middle[b][0], middle[a][1] - middle[b][1]));
    return Math.min(...gaps) / spread;
  };

  it('t-SNE keeps clouds apart, and repeats itself', async () => {
    const first = await tsne(points, [90, 10], { perplexity: 10, iterations: 400 });
    expect(apart(first)).toBeGreaterThan(2);
    expect(await tsne(points, [90, 10], { perplexity: 10, iterations: 400 })).toEqual(first);
  });

  it('UMAP keeps clouds apart, and repeats itself for a seed', async () => {
    const first = await umap(points, [90, 10], { neighbors: 10, seed: 1 });
    expect(apart(first)).toBeGreaterThan(2);
    expect(await umap(points, [90, 10], { neighbors: 10, seed: 1 })).toEqual(first);
  });

  it('refuse what they cannot do', async () => {
    await expect(tsne(points, [90, 10], { perplexity: 30 })).rejects.toThrow(
      'a perplexity of 30 asks for more than 90 points; there are 90',
    );
    await expect(umap(points, [90, 10], { neighbors: 90 })).rejects.toThrow('90 points are too few for 90 neighbours');
  });

  it("Jacobi's rotations find eigenvalues and vectors", () => {
    const { values, vectors } = symmetricEigen([2, 1, 0, 1, 2, 0, 0, 0, 5], 3);
    [5, 3, 1].forEach((v, i) => void expect(values[i]).toBeCloseTo(v, 12));
    expect(Math.abs(vectors[0 * 3 + 1])).toBeCloseTo(Math.SQRT1_2, 12);
    expect(Math.abs(vectors[2 * 3 + 0])).toBeCloseTo(1, 12);
  });
});

describe('similarity of maps', () => {
  it('Spearman counts order alone, equal numbers by their mean rank', () => {
    expect(spearman([1, 2, 3, 10], [0, 1, 4, 5])).toBe(1);
    expect(spearman([1, 2, 3], [9, 4, 1])).toBe(-1);
    expect(spearman([1, 1, 2, 2], [1, 2, 1, 2])).toBe(0);
    expect(spearman([1, 2, 2, 4], [1, 2, 3, 4])).toBeCloseTo(0.948683, 6); // scipy.stats.spearmanr
    expect(spearman([1, 1, 1], [1, 2, 3])).toBe(0);
  });

  it('SSIM is 1 for equal maps, and by the formula for flat ones', () => {
    const map = filled('map', [144], { scale: 0.5, offset: 0.5 });
    expect(ssim(map, map, [12, 12])).toBeCloseTo(1, 12);
    const [a, b] = [0.3, 0.7];
    const flat = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4);
    expect(ssim(new Float64Array(144).fill(a), new Float64Array(144).fill(b), [12, 12])).toBeCloseTo(flat, 9);
  });

  it('blurring keeps flat pictures and the sum of a point', () => {
    expect([...gaussianBlur(new Float32Array(50).fill(0.5), [2, 5, 5], 1)]).toEqual(new Array(50).fill(0.5));
    const point = new Float64Array(289);
    point[144] = 1;
    expect(gaussianBlur(point, [1, 17, 17], 1.2).reduce((x, y) => x + y)).toBeCloseTo(1, 9);
  });
});

describe('pictures', () => {
  it('of feature maps show each channel from its smallest to its largest number', async () => {
    const conv = new Conv2d(1, 3, 1, { bias: false });
    conv.weight.assign(Float32Array.of(1, -2, 0));
    const [{ grid, channels, shape, path }] = await featureMaps(
      new Sequential(conv),
      tensor([0, 1, 2, 3], { shape: [1, 1, 2, 2] }),
      ['0'],
      {
        channels: 2,
        colors: 'gray',
        size: 2,
        gap: 0,
        columns: 2,
      },
    );
    expect([path, shape, channels]).toEqual(['0', [3, 2, 2], [0, 1]]);
    expect(grid.shape).toEqual([3, 2, 4]);
    expect([...grid.data.subarray(0, 8)]).toEqual([0, 85, 255, 170, 170, 255, 85, 0]);
  });

  it('are of blocks, not of parts of them', async () => {
    const maps = await featureMaps(resnet20().eval(), pictures('x', [1, 3, 16, 16]), undefined, { channels: 1 });
    expect(maps.map((m) => m.path)).toEqual(['conv1', 'layer1.0', 'layer1', 'layer2.1', 'layer3.0', 'layer3']);
  });

  it('of layers are chosen from the first to the last', async () => {
    const model = new Sequential(...Array.from({ length: 10 }, () => new Conv2d(1, 1, 1)));
    const maps = await featureMaps(model, pictures('x', [1, 1, 4, 4]));
    expect(maps.map((m) => m.path)).toEqual(['0', '2', '4', '5', '7', '9']);
    await expect(featureMaps(model, pictures('x', [1, 1, 4, 4]), ['10'])).rejects.toThrow(
      'featureMaps: 10 gives no maps; layers that do: 0, 1',
    );
  });

  it('of filters of three inputs are in colours, of others signed', async () => {
    const model = new Sequential(new Conv2d(3, 1, [1, 2]), new Conv2d(1, 1, [1, 2]));
    model.stateDict()['0.weight'].assign(Float32Array.of(1, -1, 0, 0.5, -0.5, 0));
    model.stateDict()['1.weight'].assign(Float32Array.of(-4, 4));
    const first = await filters(model, undefined, { size: 2, gap: 0 });
    expect([first.path, first.shape]).toEqual(['0', [1, 3, 1, 2]]);
    expect([...first.grid.data]).toEqual([255, 0, 128, 191, 64, 128]);
    const { grid } = await filters(model, '1', { size: 2, gap: 0 });
    const table = colorTable('coolwarm');
    expect([...grid.data]).toEqual([0, 1, 2].flatMap((c) => [table[c], table[255 * 3 + c]]));
    await expect(filters(new Sequential(new Linear(2, 2)))).rejects.toThrow('filters: the model has no filters');
  });

  it('are coloured, laid over and set side by side', () => {
    for (const name of colorMaps) expect(colorTable(name).length).toBe(768);
    const picture = { data: Uint8Array.of(200, 200), shape: [1, 1, 2] as const };
    const hot = overlay(picture, [0, 1], { strength: 1 });
    const [r, g, b] = colorTable('inferno').subarray(765);
    expect([1, 3, 5].map((i) => hot.data[i])).toEqual([r, g, b]); // all of the hottest colour
    expect(hot.data[0]).toBe(124); // the picture, darker
    expect(() => overlay(picture, [1])).toThrow('overlay: 1 numbers for a picture of 1 × 2');
    expect([...colorize([Number.NaN, 2], [1, 2], 'gray').data]).toEqual([0, 255, 0, 255, 0, 255]);
    expect(enlarge(picture, 2).shape).toEqual([1, 2, 4]);
    const grid = pictureGrid([picture, picture, picture], { columns: 2, gap: 1, background: [1, 2, 3] });
    expect(grid.shape).toEqual([3, 5, 7]);
    expect([...grid.data.subarray(7, 14)]).toEqual([1, 200, 200, 1, 200, 200, 1]);
    expect([...grid.data.subarray(21, 28)]).toEqual([1, 200, 200, 1, 1, 1, 1]);
  });
});

describe('insertion and deletion', () => {
  it('by hand: two pixels of a linear score', async () => {
    class Two extends Module {
      override forward(x: Tensor): Tensor {
        const sum = x
          .flatten(1)
          .mul(tensor([[2, 1]]))
          .sum(1, { keepDims: true });
        return sum.mul(tensor([[1, 0]])); // p = sigmoid(2a + b)
      }
    }
    const x = tensor([1, 1], { shape: [1, 1, 1, 2] });
    const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
    const [{ deletion, insertion }] = await insertionDeletion(new Two(), x, tensor([1, 0.5], { shape: [1, 1, 2] }), {
      target: 0,
      steps: 2,
    });
    [3, 1, 0].forEach((v, i) => void expect(deletion.probabilities[i]).toBeCloseTo(sigmoid(v), 5));
    expect(deletion.auc).toBeCloseTo((sigmoid(3) + 2 * sigmoid(1) + sigmoid(0)) / 4, 5);
    for (const p of insertion.probabilities) expect(p).toBeCloseTo(sigmoid(3), 5); // a flat picture is its own blur
  });
});
