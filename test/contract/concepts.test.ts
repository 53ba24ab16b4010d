/**
 * The rows of the concepts list that name a layer, an operation, a number or a piece of code, one test each: what a learner comes with from
 * a tutorial works here, and gives the number that follows by hand. Everything runs on the default device, the compiled one.
 *
 * Rows without a test here, and why:
 *   A18 B26 C14 D01: the README and docs/concepts.md, whose snippets test/readme.test.ts runs
 *   A19 B02 B43 D02: guides, galleries and a reading list, which come with the parts that they are about
 *   B01 B08 B15 B16 B17 B18 B32 B38 B44: networks of the zoo, which comes later with their own numbers
 *   B03 B27 B34 B35 B37 C05 C10: feature galleries, reports and explanations, which come with explain/ and the studio
 *   B36 B39 B40 D08 D09 D10 D11 E10: learning curves, search, sparse convolution, data reports, augmentation, other tasks: later
 *   B42 B45: a quotation that is not repeated, a viewer for files that are exported later
 */

import { data, device, F, grad, loss, manualSeed, models, nn, openDevice, optim, type Parameter, rand, randn, setDevice, type Tensor, Trainer, tensor, zeros } from 'fovea'; // biome-ignore format: one list
import { data as nodeData } from 'fovea/node';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';

const fastest = await device();
afterAll(() => fastest.dispose());
beforeEach(() => void manualSeed(1));

const numbers = async (t: Tensor): Promise<number[]> => Array.from(await t.data());

/** Single precision keeps seven digits; a handful of roundings leaves six. */
async function expectClose(actual: Tensor, expected: readonly number[], relative = 2e-6): Promise<void> {
  const found = await numbers(actual);
  expect(found).toHaveLength(expected.length);
  const largest = Math.max(1e-6, ...expected.map(Math.abs));
  for (const [i, value] of found.entries()) {
    expect(Math.abs(value - expected[i]), `element ${i}: ${value} for ${expected[i]}`).toBeLessThanOrEqual(
      relative * largest,
    );
  }
}

/** Small whole numbers: sums of their products are exact in float32, in whatever order they are added. */
function whole(shape: readonly number[], serial = 1): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float32Array.from({ length: size }, (_, i) => ((i * 7 + serial * 13 + ((i * i) >> 3)) % 7) - 3),
    { shape },
  );
}

const counting = (h: number, w: number, from = 0): Tensor =>
  tensor(
    Float32Array.from({ length: h * w }, (_, i) => i + from),
    { shape: [h, w] },
  );

const oneToNine = [
  [1, 2, 3],
  [4, 5, 6],
  [7, 8, 9],
];

/** Pictures of 8 × 8 with one bright line: class 0 lying, class 1 standing. */
function lines(count: number): data.Dataset {
  const inputs = new Uint8Array(count * 64);
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2);
  for (let i = 0; i < count; i++) {
    const at = (i * 5) % 8;
    for (let t = 0; t < 8; t++) inputs[i * 64 + (labels[i] === 0 ? at * 8 + t : t * 8 + at)] = 255;
  }
  return new data.ArrayDataset({ inputs, labels, shape: [1, 8, 8], classes: ['lying', 'standing'] });
}

async function train(model: nn.Module, set: data.Dataset, steps: number, lr = 1e-2): Promise<number[]> {
  const optimizer = new optim.Adam(model.parameters(), { lr });
  const indices = Array.from({ length: set.length }, (_, i) => i);
  const { inputs, labels } = data.batchTensors(await set.batch(indices));
  const x = inputs.float().div(255);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const cost = loss.crossEntropy(model.forward(x), labels);
    optimizer.zeroGrad();
    cost.backward();
    await optimizer.step();
    losses.push(await cost.item());
  }
  return losses;
}

it('runs on the compiled device', () => {
  expect(fastest.name).toMatch(/^(wasm|x64-avx2|x64-avx512)$/);
});

describe('NumPy and TensorFlow basics', () => {
  it('A01 convolution of bare arrays and of batches, forward and backward, equals the reference', async () => {
    expect(await F.conv2d([[1, 2], [3, 4]], [[1, 0], [0, 1]]).toArray()).toEqual([[5]]); // biome-ignore format: a matrix
    const everything = async () => {
      const x = whole([2, 3, 6, 5]);
      const w = whole([4, 3, 3, 3], 2);
      const y = x.conv2d(w, { padding: 1 });
      const [dx, dw] = grad(y.square().sum(), [x, w]);
      return Promise.all([y, dx, dw].map(numbers));
    };
    const compiled = await everything();
    const { target } = await openDevice('reference');
    setDevice(target);
    try {
      expect(await everything()).toEqual(compiled); // whole numbers: equal to the bit
    } finally {
      setDevice(fastest);
    }
  });

  it('A02 kernels of any size, even and rectangular too, that can be looked at before and after training', async () => {
    const ones = (...shape: number[]) => zeros(shape).add(1);
    for (const [kH, kW] of [
      [1, 1],
      [2, 2],
      [3, 3],
      [5, 5],
      [1, 7],
      [4, 3],
    ]) {
      // biome-ignore format: a list
      const y = ones(1, 2, 8, 9).conv2d(ones(3, 2, kH, kW));
      expect(y.shape).toEqual([1, 3, 9 - kH, 10 - kW]);
      expect(new Set(await numbers(y))).toEqual(new Set([2 * kH * kW]));
    }
    const conv = new nn.Conv2d(1, 2, 3);
    const before = await numbers(conv.weight);
    const losses = await train(new nn.Sequential(conv, new nn.Flatten(), new nn.Linear(72, 2)), lines(16), 20);
    expect(losses.at(-1)).toBeLessThan(losses[0] / 2);
    expect(await numbers(conv.weight)).not.toEqual(before);
  });

  it('A03 hand-made kernels find edges, blur and sharpen', async () => {
    const step = tensor(Array.from({ length: 4 }, () => [0, 0, 8, 8])); // dark on the left, bright on the right
    const sobelX = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]; // biome-ignore format: a kernel
    const sobelY = [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]; // biome-ignore format: a kernel
    const sharpen = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]; // biome-ignore format: a kernel
    expect(await F.conv2d(step, sobelX).toArray()).toEqual([[32, 32], [32, 32]]); // biome-ignore format: a matrix
    expect(await F.conv2d(step, sobelY).toArray()).toEqual([[0, 0], [0, 0]]); // biome-ignore format: a matrix
    expect(await F.conv2d(step, sharpen).toArray()).toEqual([[-8, 16], [-8, 16]]); // biome-ignore format: a matrix
    await expectClose(F.conv2d(step, zeros([3, 3]).add(1 / 9)), [8 / 3, 16 / 3, 8 / 3, 16 / 3]);
  });

  it('A04 the 3 × 3 example of the tutorial gives [[15]]', async () => {
    const kernel = [[0, 1, 0], [1, -1, 1], [0, 1, 0]]; // biome-ignore format: a kernel
    expect(await F.conv2d(oneToNine, kernel, { padding: 'valid' }).toArray()).toEqual([[15]]);
  });

  it('A05 the second example gives [[5]], one number, turned kernel or not', async () => {
    const kernel = tensor([[1, 0, -1], [0, 1, 0], [-1, 0, 1]]); // biome-ignore format: a kernel
    expect(await F.conv2d(oneToNine, kernel, { padding: 'valid' }).toArray()).toEqual([[5]]);
    expect(await F.conv2d(oneToNine, kernel.flip([0, 1])).toArray()).toEqual([[5]]);
  });

  it('A06 padding valid, same, a number or one for each side, holding zeros or what the mode says', async () => {
    const ones = zeros([3, 3]).add(1);
    const conv = (options: Parameters<typeof F.conv2d>[2]) => F.conv2d(oneToNine, ones, options);
    expect(await conv({ padding: 'valid' }).toArray()).toEqual([[45]]);
    const same = [[12, 21, 16], [27, 45, 33], [24, 39, 28]]; // biome-ignore format: a matrix
    expect(await conv({ padding: 'same' }).toArray()).toEqual(same);
    expect(await conv({ padding: 1 }).toArray()).toEqual(same);
    expect(await conv({ padding: [1, 0] }).toArray()).toEqual([[21], [45], [39]]);
    expect(await conv({ padding: [[0, 1], 0] }).toArray()).toEqual([[45], [39]]);
    const corner = async (paddingMode: 'reflect' | 'replicate' | 'circular') =>
      (await numbers(conv({ padding: 1, paddingMode })))[0];
    expect(await corner('replicate')).toBe(21); // 1 1 2, 1 1 2, 4 4 5
    expect(await corner('reflect')).toBe(33); // 5 4 5, 2 1 2, 5 4 5
    expect(await corner('circular')).toBe(45); // 9 7 8, 3 1 2, 6 4 5
  });

  it('A07 feature maps of any layer by its path', async () => {
    const model = nn.sequential([nn.conv2d(4, 3, { activation: 'relu' }), nn.maxPool(2), nn.flatten(), nn.dense(3)], {
      inputShape: [1, 8, 8],
    });
    const x = rand([2, 1, 8, 8]);
    const { 0: maps, 1: rectified, '': output } = model.activations(x, ['0', '1', '']);
    expect([maps.shape, rectified.shape, output.shape]).toEqual([[2, 4, 6, 6], [2, 4, 6, 6], [2, 3]]); // biome-ignore format: shapes
    expect(await numbers(rectified)).toEqual((await numbers(maps)).map((v) => Math.max(v, 0)));
    const seen: number[][] = [];
    const hook = model.get('2').registerForwardHook((_module, _inputs, y: Tensor) => void seen.push([...y.shape]));
    model.forward(x);
    hook.remove();
    model.forward(x);
    expect(seen).toEqual([[2, 4, 3, 3]]);
  });

  it('A08 max-pooling with stride, padding, dilation, ceilMode and indices, in one to three dimensions', async () => {
    const x = counting(4, 4); // each value is its own position
    const expected = [[5, 7], [13, 15]]; // biome-ignore format: a matrix
    expect(await x.maxPool2d(2).toArray()).toEqual(expected);
    const { values, indices } = x.maxPool2dWithIndices(2);
    expect([await values.toArray(), await indices.toArray(), indices.dtype]).toEqual([expected, expected, 'int32']);
    expect(await x.maxPool2d(3, { stride: 2, padding: 1 }).toArray()).toEqual(expected);
    expect(await x.maxPool2d(2, { stride: 1 }).toArray()).toEqual([[5, 6, 7], [9, 10, 11], [13, 14, 15]]); // biome-ignore format: a matrix
    expect(await x.maxPool2d(2, { stride: 1, dilation: 2 }).toArray()).toEqual([[10, 11], [14, 15]]); // biome-ignore format: a matrix
    expect(await F.maxPool1d([1, 2, 3, 4, 5], 2).toArray()).toEqual([2, 4]);
    expect(await F.maxPool1d([1, 2, 3, 4, 5], 2, { ceilMode: true }).toArray()).toEqual([2, 4, 5]);
    expect(await x.reshape(1, 1, 4, 2, 2).maxPool3d(2).toArray()).toEqual([[[[[7]], [[15]]]]]);
    expect(await x.reshape(1, 1, 4, 4).globalMaxPool().item()).toBe(15);
    const layer = new nn.MaxPool2d(2, { returnIndices: true });
    expect(await layer.forward(x).indices.toArray()).toEqual(expected);
  });

  it('A09 average pooling with countIncludePad and ceilMode, adaptive and global', async () => {
    const x = counting(4, 4);
    expect(await x.avgPool2d(2).toArray()).toEqual([[2.5, 4.5], [10.5, 12.5]]); // biome-ignore format: a matrix
    const ones = zeros([2, 2]).add(1);
    expect(await numbers(ones.avgPool2d(2, { padding: 1 }))).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(await numbers(ones.avgPool2d(2, { padding: 1, countIncludePad: false }))).toEqual([1, 1, 1, 1]);
    expect(await F.avgPool1d([1, 2, 3, 4, 5], 2, { ceilMode: true }).toArray()).toEqual([1.5, 3.5, 5]);
    expect(await F.adaptiveAvgPool1d([1, 2, 3, 4, 5], 2).toArray()).toEqual([2, 4]); // means of 1 2 3 and of 3 4 5
    expect(await x.reshape(1, 1, 4, 2, 2).avgPool3d(2).toArray()).toEqual([[[[[3.5]], [[11.5]]]]]);
    expect(await x.reshape(1, 1, 4, 4).globalAvgPool().item()).toBe(7.5);
    expect(new nn.GlobalAvgPool2d(false).forward(zeros([2, 5, 3, 3])).shape).toEqual([2, 5]);
  });

  it('A10 pooling in windows is not the maximum over two axes, which a matrix does not even have', async () => {
    const result = counting(4, 4);
    expect(() => result.amax([1, 2])).toThrow(/axis 2/);
    const maps = result.reshape(1, 4, 4);
    expect(await maps.amax([1, 2]).toArray()).toEqual([15]); // global: one number a map
    expect(await maps.mean([1, 2]).toArray()).toEqual([7.5]);
    expect(await maps.maxPool2d(2).toArray()).toEqual([[[5, 7], [13, 15]]]); // biome-ignore format: a matrix
  });

  it('A11 pooling has no parameters of its own, and saves those of the linear layer behind it', () => {
    const rows = (pooled: boolean) =>
      nn
        .sequential([nn.conv2d(8, 3, { padding: 1 }), ...(pooled ? [nn.maxPool(2)] : []), nn.flatten(), nn.dense(10)], {
          inputShape: [1, 28, 28],
        })
        .summary().rows;
    const find = (pooled: boolean, type: string) => rows(pooled).find((row) => row.type === type)!;
    expect(find(true, 'MaxPool2d')).toMatchObject({ params: 0, macs: 0, outputShape: [1, 8, 14, 14] });
    expect(find(false, 'Linear').params).toBe(8 * 28 * 28 * 10 + 10);
    expect(find(true, 'Linear').params).toBe(8 * 14 * 14 * 10 + 10);
    expect(find(true, 'Conv2d').macs).toBe(find(false, 'Conv2d').macs);
  });

  it('A12 a neuron is Linear(n, 1); LazyLinear finds n by itself', async () => {
    const neuron = new nn.Linear(3, 1);
    neuron.loadStateDict({ weight: tensor([[1, -2, 3]]), bias: tensor([0.5]) });
    expect(await neuron.forward(tensor([[4, 5, 6]])).item()).toBe(4 - 10 + 18 + 0.5);
    const lazy = new nn.LazyLinear(1);
    expect(lazy.forward(zeros([2, 7])).shape).toEqual([2, 1]);
    expect(lazy.weight.shape).toEqual([1, 7]);
  });

  it('A13 ReLU, sigmoid and tanh as functions, methods and modules, with their derivatives', async () => {
    const points = tensor([-1, 0, 1]);
    const expected: [(x: Tensor) => Tensor, nn.Module, number[], number[]][] = [
      [F.relu, new nn.ReLU(), [0, 0, 1], [0, 0, 1]],
      [F.sigmoid, new nn.Sigmoid(), [0.26894142, 0.5, 0.73105858], [0.19661193, 0.25, 0.19661193]],
      [F.tanh, new nn.Tanh(), [-0.76159416, 0, 0.76159416], [0.41997434, 1, 0.41997434]],
    ];
    for (const [f, module, values, slopes] of expected) {
      await expectClose(f(points), values);
      await expectClose(module.forward(points), values);
      await expectClose(grad(f(points).sum(), points), slopes);
    }
    expect(await numbers(points.relu())).toEqual([0, 0, 1]);
  });

  it('A14 backward() adds gradients up in leaves, grad() returns them', async () => {
    const x = tensor([1], { requiresGrad: true });
    const y = x.mul(3).add(2).square().sum(); // (3x + 2)², derivative 6·(3x + 2)
    y.backward();
    expect(await x.grad!.item()).toBe(30);
    y.backward();
    expect(await x.grad!.item()).toBe(60);
    expect(await grad(y, x).item()).toBe(30);
  });

  it('A15 mean squared error: mean, sum or one by one', async () => {
    const [guess, truth] = [tensor([1, 2, 3]), tensor([1, 0, 0])];
    expect(await numbers(loss.mse(guess, truth, { reduction: 'none' }))).toEqual([0, 4, 9]);
    expect(await loss.mse(guess, truth, { reduction: 'sum' }).item()).toBe(13);
    await expectClose(loss.mse(guess, truth), [13 / 3]);
    await expectClose(new nn.MSELoss().forward(guess, truth), [13 / 3]);
  });

  it('A16 Adam takes the steps that its formula gives', async () => {
    const target = [3, -1];
    const start = [1, 1];
    const layer = new nn.Linear(1, 2, { bias: false });
    layer.loadStateDict({ weight: tensor([[1], [1]]) });
    const adam = new optim.Adam(layer.parameters());
    const [p, m, v] = [[...start], [0, 0], [0, 0]];
    for (let t = 1; t <= 5; t++) {
      adam.zeroGrad();
      layer.weight.sub(tensor(target, { shape: [2, 1] })).square().sum().backward(); // biome-ignore format: one thought
      await adam.step();
      for (let i = 0; i < 2; i++) {
        const g = 2 * (p[i] - target[i]);
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.999 * v[i] + 0.001 * g * g;
        p[i] -= (1e-3 * (m[i] / (1 - 0.9 ** t))) / (Math.sqrt(v[i] / (1 - 0.999 ** t)) + 1e-8);
      }
    }
    await expectClose(layer.weight, p, 1e-6);
  });

  it('A17 the loop of 100 epochs, finished: by hand, and by the Trainer', async () => {
    const model = new nn.Linear(1, 1);
    const sgd = new optim.SGD(model.parameters(), { lr: 0.1 });
    const x = tensor([[-1], [0], [1], [2]]);
    const y = x.mul(2).add(1);
    for (let epoch = 0; epoch < 100; epoch++) {
      const cost = loss.mse(model.forward(x), y);
      sgd.zeroGrad();
      cost.backward();
      await sgd.step();
    }
    await expectClose(model.weight, [2], 1e-3);
    await expectClose(model.bias!, [1], 1e-3);

    const net = nn.sequential([nn.conv2d(4, 3, { activation: 'relu' }), nn.flatten(), nn.dense(2)], {
      inputShape: [1, 8, 8],
    });
    const set = lines(16);
    const trainer = new Trainer({
      model: net,
      optimizer: new optim.Adam(net.parameters(), { lr: 1e-2 }),
      loss: loss.crossEntropy,
      train: set,
      test: set,
      epochs: 15,
      batchSize: 8,
    });
    const { epochs } = await trainer.fit();
    expect(epochs).toHaveLength(15);
    expect(epochs.at(-1)!.accuracy).toBe(1);
    expect((await trainer.evaluate()).confusion.accuracy).toBe(1);
  });
});

describe('the complete guide', () => {
  it('B04 convolution in one dimension turns its kernel round', async () => {
    const full = (f: Tensor, g: Tensor) => F.conv1d(f, g.flip(0), { padding: g.size - 1 });
    expect(await full(tensor([1, 2, 3]), tensor([0, 1, 0.5])).toArray()).toEqual([0, 1, 2.5, 4, 1.5]);
    // ∫ f(τ) g(t − τ) dτ of two boxes of width 1 is a triangle: sampled every 0.1, it rises to 1 in the middle
    const box = zeros([10]).add(1);
    const triangle = await numbers(full(box, box).mul(0.1));
    triangle.forEach((height, i) => void expect(height).toBeCloseTo((10 - Math.abs(i - 9)) / 10, 6));
  });

  it('B05 what networks call convolution is ΣΣ I[i+m, j+n] K[m, n]; the true one turns the kernel by 180°', async () => {
    const [image, kernel] = [whole([5, 6]), whole([3, 2], 3)];
    const [I, K] = [await image.toArray<number[][]>(), await kernel.toArray<number[][]>()]; // biome-ignore format: one thought
    const sum = (f: (i: number, j: number, m: number, n: number) => number) =>
      Array.from({ length: 3 }, (_, i) =>
        Array.from({ length: 5 }, (_, j) => {
          let total = 0;
          for (let m = 0; m < 3; m++) for (let n = 0; n < 2; n++) total += f(i, j, m, n);
          return total;
        }),
      );
    const correlation = sum((i, j, m, n) => I[i + m][j + n] * K[m][n]);
    const convolution = sum((i, j, m, n) => I[i + m][j + n] * K[2 - m][1 - n]);
    expect(correlation).not.toEqual(convolution);
    expect(await image.conv2d(kernel).toArray()).toEqual(correlation);
    expect(await image.conv2d(kernel.flip([0, 1])).toArray()).toEqual(convolution);
  });

  it('B06 an output pixel sees its window of the input and nothing else', async () => {
    const x = rand([1, 1, 7, 8]);
    const y = x.conv2d(rand([1, 1, 3, 3]).add(0.5));
    const reached = await grad(y.at(0, 0, 2, 3), x)
      .at(0, 0)
      .ne(0)
      .toArray<boolean[][]>();
    const inWindow = (i: number, j: number) => i >= 2 && i <= 4 && j >= 3 && j <= 5;
    expect(reached).toEqual(Array.from({ length: 7 }, (_, i) => Array.from({ length: 8 }, (_, j) => inWindow(i, j))));
  });

  it('B07 sharing weights: 10 parameters where unshared windows have 6,760 and a full connection 530,660', async () => {
    const conv = new nn.Conv2d(1, 1, 3);
    const local = new nn.LocallyConnected2d(1, 1, [28, 28], 3);
    expect(conv.parameterCount()).toBe(10);
    expect(local.parameterCount()).toBe(26 * 26 * (9 + 1));
    expect(new nn.Linear(28 * 28, 26 * 26).parameterCount()).toBe(530_660);
    // With the same kernel everywhere it is a convolution.
    local.loadStateDict({
      weight: conv.weight.reshape(1, 1, 9, 1, 1).expand(1, 1, 9, 26, 26),
      bias: conv.bias!.reshape(1, 1, 1).expand(1, 26, 26),
    });
    const x = rand([1, 1, 28, 28]);
    await expectClose(local.forward(x), await numbers(conv.forward(x)));
  });

  it('B09 size, parameters and errors of a convolution follow from kernel, stride, padding, dilation and groups', () => {
    for (const [k, s, p, d, g] of [
      [3, 1, 0, 1, 1],
      [3, 1, 1, 1, 1],
      [5, 2, 2, 1, 1],
      [3, 2, 1, 2, 4],
      [2, 3, 0, 1, 8],
    ]) {
      // biome-ignore format: a list
      const conv = new nn.Conv2d(8, 16, k, { stride: s, padding: p, dilation: d, groups: g });
      const size = Math.floor((20 + 2 * p - d * (k - 1) - 1) / s) + 1;
      expect(conv.forward(zeros([2, 8, 20, 20])).shape).toEqual([2, 16, size, size]);
      expect(conv.parameterCount()).toBe((16 * 8 * k * k) / g + 16);
    }
    expect(() => new nn.Conv2d(8, 16, 5).forward(zeros([1, 8, 4, 4]))).toThrow(/conv2d[\s\S]*4[\s\S]*5/);
  });

  it('B10 convolution moves with the picture; pooling forgives a shift inside its window only', async () => {
    const dot = (at: number) => F.pad(tensor([[1]]), [[at, 7 - at], [at, 7 - at]]); // biome-ignore format: pairs
    const kernel = whole([3, 3]);
    const [here, there] = [F.conv2d(dot(2), kernel, { padding: 1 }), F.conv2d(dot(3), kernel, { padding: 1 })];
    expect(await here.slice('0:7', '0:7').toArray()).toEqual(await there.slice('1:8', '1:8').toArray());
    const pooled = (at: number) => dot(at).maxPool2d(2).toArray();
    expect(await pooled(2)).toEqual(await pooled(3));
    expect(await pooled(3)).not.toEqual(await pooled(4));
  });

  it('B11 ReLU passes what is positive, and its gradient', async () => {
    const x = tensor([-2, -0.5, 0.5, 2]);
    expect(await numbers(F.relu(x))).toEqual([0, 0, 0.5, 2]);
    expect(await numbers(grad(F.relu(x).sum(), x))).toEqual([0, 0, 1, 1]);
  });

  it('B12 LeakyReLU, PReLU, ELU and SELU let a gradient through where ReLU is dead', async () => {
    const x = tensor([-1, 2]);
    const below = Math.exp(-1) - 1;
    const [scale, alpha] = [1.0507009873554805, 1.6732632423543772];
    const cases: [nn.Module, number[], number][] = [
      [new nn.ReLU(), [0, 2], 0],
      [new nn.LeakyReLU(), [-0.01, 2], 0.01],
      [new nn.PReLU(), [-0.25, 2], 0.25],
      [new nn.ELU(), [below, 2], Math.exp(-1)],
      [new nn.SELU(), [scale * alpha * below, 2 * scale], scale * alpha * Math.exp(-1)],
    ];
    for (const [module, values, slope] of cases) {
      await expectClose(module.forward(x), values);
      await expectClose(grad(module.forward(x).sum(), x).at('0:1'), [slope]);
    }
    const prelu = new nn.PReLU();
    expect(await grad(prelu.forward(x).sum(), [...prelu.parameters()])[0].item()).toBe(-1); // the slope is learned
  });

  it('B13 Swish with its β, SiLU, GELU, Mish and Hardswish', async () => {
    const one = tensor([1]);
    const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
    await expectClose(new nn.SiLU().forward(one), [sigmoid(1)]);
    await expectClose(new nn.Swish({ beta: 2 }).forward(one), [sigmoid(2)]);
    await expectClose(new nn.GELU().forward(one), [0.841344746]);
    await expectClose(new nn.Mish().forward(one), [Math.tanh(Math.log(1 + Math.E))]);
    await expectClose(new nn.Hardswish().forward(one), [4 / 6]);
    const swish = new nn.Swish({ learnable: true });
    const [beta] = swish.parameters();
    await expectClose(grad(swish.forward(one).sum(), beta), [sigmoid(1) * (1 - sigmoid(1))]);
  });

  it('B14 LeNet-5 has 61,706 parameters and learns digits', async () => {
    const model = models.lenet5();
    expect(model.parameterCount()).toBe(61_706);
    const { train: digits } = await nodeData.mnist();
    const optimizer = new optim.Adam(model.parameters(), { lr: 2e-3 });
    const losses: number[] = [];
    for await (const batch of new data.DataLoader(data.take(digits, 64 * 40))) {
      const { inputs, labels } = data.batchTensors(batch);
      const cost = loss.crossEntropy(model.forward(data.normalizeTensor(inputs, [0.1307], [0.3081])), labels);
      optimizer.zeroGrad();
      cost.backward();
      await optimizer.step();
      losses.push(await cost.item());
    }
    expect(losses[0]).toBeGreaterThan(2); // about ln 10
    expect(losses.slice(-5).reduce((a, b) => a + b) / 5).toBeLessThan(0.9);
  });

  it('B19 data sets and composed transforms', async () => {
    const { train: digits, test } = await nodeData.mnist();
    expect([digits.length, test.length, digits.shape]).toEqual([60_000, 10_000, [1, 28, 28]]);
    expect([...digits.labels.slice(0, 5)]).toEqual([5, 0, 4, 1, 9]);
    const transform = data.compose(data.toTensor(), data.normalize([0.5], [0.5]));
    const loader = new data.DataLoader(data.take(digits, 6), { batchSize: 4, transform });
    const seen: number[][] = [];
    for await (const { inputs, shape } of loader) {
      seen.push([...shape]);
      expect(inputs).toBeInstanceOf(Float32Array);
      expect(inputs.every((v) => v >= -1 && v <= 1)).toBe(true);
    }
    expect(seen).toEqual([[4, 1, 28, 28], [2, 1, 28, 28]]); // biome-ignore format: shapes
  });

  it('B20 the numbers 0.1307 and 0.3081 are computed from the pictures, and applied', async () => {
    const { train: digits } = await nodeData.mnist();
    const { mean, std } = await data.computeMeanStd(digits);
    expect([mean[0].toFixed(4), std[0].toFixed(4)]).toEqual(['0.1307', '0.3081']);
    const black = { inputs: Uint8Array.of(0, 255), shape: [1, 1, 1, 2] as const, labels: Int32Array.of(0) };
    const { inputs } = data.normalize([0.1307], [0.3081])(black);
    expect(inputs[0]).toBeCloseTo(-0.1307 / 0.3081, 6);
    expect(inputs[1]).toBeCloseTo((1 - 0.1307) / 0.3081, 6);
  });

  class CNN extends nn.Module {
    conv1 = new nn.Conv2d(1, 32, 3, { stride: 1 });
    conv2 = new nn.Conv2d(32, 64, 3, { stride: 1 });
    dropout1 = new nn.Dropout2d(0.25);
    fc1 = new nn.Linear(9216, 128);
    fc2 = new nn.Linear(128, 10);
    override forward(x: Tensor): Tensor {
      x = F.relu(this.conv1.forward(x));
      x = F.relu(this.conv2.forward(x));
      x = F.maxPool2d(x, 2);
      x = this.dropout1.forward(x);
      x = F.flatten(x, 1);
      x = F.relu(this.fc1.forward(x));
      return F.logSoftmax(this.fc2.forward(x), 1);
    }
  }

  it('B21 the tutorial’s class, line for line: 1,199,882 parameters, 9216 = 64 · 12 · 12', () => {
    const model = new CNN();
    expect(model.parameterCount()).toBe(1_199_882);
    expect(model.activations(zeros([1, 1, 28, 28]), ['dropout1']).dropout1.shape).toEqual([1, 64, 12, 12]);
    expect(64 * 12 * 12).toBe(9216);
    expect(model.forward(zeros([5, 1, 28, 28])).shape).toEqual([5, 10]);
  });

  it('B22 Dropout drops elements, Dropout2d channels, StochasticDepth samples, DropBlock squares', async () => {
    const ones = zeros([8, 16, 6, 6]).add(1);
    const kinds = async (layer: nn.Module, group: number) => {
      const y = await numbers(layer.forward(ones));
      expect(new Set(y)).toEqual(new Set([0, 2]));
      const groups = Array.from({ length: y.length / group }, (_, i) => new Set(y.slice(i * group, (i + 1) * group)));
      return groups.every((values) => values.size === 1);
    };
    expect(await kinds(new nn.Dropout(0.5), 36)).toBe(false);
    expect(await kinds(new nn.Dropout2d(0.5), 36)).toBe(true);
    expect(await kinds(new nn.StochasticDepth(0.5), 16 * 36)).toBe(true);
    const block = await new nn.DropBlock2d(0.2, 3).forward(ones).toArray<number[][][][]>();
    const square = (plane: number[][]) =>
      [0, 1, 2, 3].some((i) => [0, 1, 2, 3].some((j) => [0, 1, 2].every((di) => [0, 1, 2].every((dj) => plane[i + di][j + dj] === 0)))); // biome-ignore format: one thought
    const planes = block.flat();
    expect(planes.some((plane) => plane.flat().includes(0))).toBe(true);
    expect(planes.every((plane) => !plane.flat().includes(0) || square(plane))).toBe(true);
  });

  it('B23 functions do what modules do', async () => {
    const x = randn([2, 3, 6, 6]);
    const pairs: [Tensor, nn.Module][] = [
      [F.relu(x), new nn.ReLU()],
      [F.maxPool2d(x, 2), new nn.MaxPool2d(2)],
      [F.avgPool2d(x, 2), new nn.AvgPool2d(2)],
      [F.flatten(x, 1), new nn.Flatten()],
      [F.logSoftmax(x, 1), new nn.LogSoftmax(1)],
    ];
    for (const [y, module] of pairs) {
      expect(module.forward(x).shape).toEqual(y.shape);
      expect(await numbers(module.forward(x))).toEqual(await numbers(y));
    }
  });

  it('B24 logSoftmax and nll are crossEntropy, which warns of a softmax taken before', async () => {
    const logits = tensor([[1, 2, 3]]);
    const target = tensor([2], { dtype: 'int32' });
    const byHand = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3)) - 3;
    await expectClose(loss.nll(logits.logSoftmax(1), target), [byHand]);
    await expectClose(loss.crossEntropy(logits, target), [byHand]);
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    loss.crossEntropy(logits.softmax(1), target);
    expect(warn.mock.calls.join()).toContain('softmax already');
    warn.mockRestore();
  });

  it('B25 the training function with the same verbs; a forgotten zeroGrad is noticed', async () => {
    const model = new nn.Sequential(new nn.Flatten(), new nn.Linear(64, 2));
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
    const loader = new data.DataLoader(lines(32), { batchSize: 8, shuffle: true });
    const losses: number[] = [];
    model.train();
    for await (const batch of loader) {
      const { inputs, labels } = data.batchTensors(batch);
      optimizer.zeroGrad();
      const output = model.forward(inputs.float().div(255)).logSoftmax(1);
      const cost = loss.nll(output, labels);
      cost.backward();
      await optimizer.step();
      losses[batch.batch] = await cost.item();
    }
    expect(losses).toHaveLength(4);
    expect(losses[3]).toBeLessThan(losses[0]);

    // Without zeroGrad this step would add the gradients of the step before, whose weights are gone.
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const { inputs, labels } = data.batchTensors(await lines(8).batch([0, 1, 2, 3]));
    loss.crossEntropy(model.forward(inputs.float()), labels).backward();
    await expect(optimizer.step()).rejects.toThrow('call opt.zeroGrad() before the next backward()');
    expect(warn.mock.calls.join()).toContain('zeroGrad()');
    warn.mockRestore();
  });

  it('B28 Grad-CAM by hand: six lines, and the number that theory gives', async () => {
    const model = new nn.Sequential({
      features: new nn.Conv2d(3, 5, 3),
      relu: new nn.ReLU(),
      pool: new nn.GlobalAvgPool2d(false),
      fc: new nn.Linear(5, 4),
    })
      .eval()
      .requiresGrad(false);
    const x = rand([2, 3, 10, 10]);

    const { relu: maps, '': output } = model.activations(x, ['relu', '']);
    const gradient = grad(output.at(':', 2).sum(), maps);
    const weights = gradient.mean([2, 3], { keepDims: true });
    const cam = weights.mul(maps).sum(1, { keepDims: true }).relu();
    const large = cam.interpolate({ size: [10, 10], mode: 'bilinear' });
    const heat = large.div(large.amax([2, 3], { keepDims: true }).add(1e-12));

    // Behind a global mean over 8 × 8 the gradient of a map is its weight in the linear layer, over 64.
    const fc = (model.get('fc') as nn.Linear).weight.at(2).reshape(1, 5, 1, 1);
    await expectClose(cam, await numbers(maps.mul(fc).sum(1, { keepDims: true }).div(64).relu()));
    expect(heat.shape).toEqual([2, 1, 10, 10]);
    const values = await numbers(heat);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeCloseTo(1, 5);
  });

  it('B29 attention, patches, LayerNorm and GELU: the parts of a vision transformer', async () => {
    const attention = new nn.MultiheadAttention(8, 2, { batchFirst: true });
    const x = randn([2, 5, 8]);
    const [mixed, weights] = attention.forward(x, x, x, { averageAttnWeights: false });
    const [wq, wk, wv] = attention.in_proj_weight!.chunk(3, 0);
    const [bq, bk, bv] = attention.in_proj_bias!.chunk(3, 0);
    const heads = (w: Tensor, b: Tensor) => x.linear(w, b).reshape(2, 5, 2, 4).transpose(1, 2);
    const share = heads(wq, bq).matmul(heads(wk, bk).transpose(-2, -1)).div(2).softmax(-1); // √4 = 2
    await expectClose(weights!, await numbers(share), 1e-5);
    const joined = share.matmul(heads(wv, bv)).transpose(1, 2).flatten(2);
    await expectClose(mixed, await numbers(attention.out_proj.forward(joined)), 1e-5);

    const patches = new nn.Conv2d(3, 8, 4, { stride: 4 })
      .forward(rand([2, 3, 16, 16]))
      .flatten(2)
      .transpose(1, 2);
    expect(patches.shape).toEqual([2, 16, 8]); // 4 × 4 patches, a vector each
    await expectClose(
      new nn.LayerNorm(4).forward(tensor([[1, 2, 3, 4]])),
      [-1.34164, -0.44721, 0.44721, 1.34164],
      1e-5,
    );
    await expectClose(F.gelu(tensor([-1, 1])), [-0.158655254, 0.841344746]);
  });

  it('B30 a ConvNeXt block: 7 × 7 depthwise, LayerNorm over channels, GELU, layer scale, DropPath', async () => {
    class Block extends nn.Module {
      dwconv = new nn.Conv2d(6, 6, 7, { padding: 3, groups: 6 });
      norm = new nn.LayerNorm2d(6);
      pwconv1 = new nn.Conv2d(6, 24, 1);
      pwconv2 = new nn.Conv2d(24, 6, 1);
      gamma: Parameter = nn.init.constant(nn.parameter([6]), 1e-6);
      drop_path = new nn.DropPath(0.5);
      override forward(x: Tensor): Tensor {
        const y = this.norm.forward(this.dwconv.forward(x));
        const scaled = this.pwconv2.forward(this.pwconv1.forward(y).gelu()).mul(this.gamma.reshape(1, 6, 1, 1));
        return x.add(this.drop_path.forward(scaled));
      }
    }
    const block = new Block().eval();
    const x = randn([2, 6, 9, 9]);
    await expectClose(block.forward(x), await numbers(x), 1e-5); // a block starts as almost nothing
    const names = [...block.namedParameters()];
    const gradients = grad(block.forward(x).square().sum(), [...block.parameters()]);
    for (const [i, [name]] of names.entries()) expect(await gradients[i].abs().sum().item(), name).toBeGreaterThan(0);
    const normal = block.norm.forward(x);
    expect(await normal.mean(1).abs().amax().item()).toBeLessThan(1e-6);
    expect(await normal.square().mean().item()).toBeCloseTo(1, 4);

    block.gamma.assign(new Float32Array(6).fill(1));
    const branch = await block.forward(x).sub(x).abs().amax([1, 2, 3]).toArray<number[]>();
    const dropped = block
      .train()
      .forward(x.repeat(8, 1, 1, 1))
      .sub(x.repeat(8, 1, 1, 1))
      .abs()
      .amax([1, 2, 3]);
    const kept = (await dropped.toArray<number[]>()).map((size, i) => size / branch[i % 2]);
    for (const share of kept) expect(Math.min(Math.abs(share), Math.abs(share - 2))).toBeLessThan(1e-4); // not at all, or twice
    expect(new Set(kept.map(Math.round))).toEqual(new Set([0, 2]));
  });

  it('B31 depthwise separable convolution: the same map for 1/N + 1/k² of the work', async () => {
    const [c, n, k] = [16, 32, 3];
    const ordinary = new nn.Conv2d(c, n, k, { padding: 1, bias: false });
    const separable = new nn.Sequential(
      new nn.Conv2d(c, c, k, { padding: 1, groups: c, bias: false }),
      new nn.Conv2d(c, n, 1, { bias: false }),
    );
    const macs = (m: nn.Module) => nn.summary(m, [c, 14, 14]).totalMacs;
    expect(macs(separable) / macs(ordinary)).toBeCloseTo(1 / n + 1 / k ** 2, 12);
    const x = whole([1, c, 5, 5]);
    const [depth, point] = [whole([c, 1, 3, 3], 2), whole([n, c, 1, 1], 3)];
    separable.loadStateDict({ '0.weight': depth, '1.weight': point });
    // A product of both kernels is an ordinary one.
    const joint = point.reshape(n, c, 1, 1).mul(depth.reshape(1, c, 3, 3));
    expect(await numbers(separable.forward(x))).toEqual(await numbers(x.conv2d(joint, { padding: 1 })));
  });

  it('B33 3-D convolution, pooling and batch norm, forward and backward', async () => {
    const x = whole([1, 2, 4, 5, 5]);
    const w = whole([3, 2, 3, 3, 3], 2);
    const y = F.conv3d(x, w);
    expect(y.shape).toEqual([1, 3, 2, 3, 3]);
    const [dw] = grad(y.sum(), [w]);
    const X = await x.toArray<number[][][][][]>();
    const W = await w.toArray<number[][][][][]>();
    let value = 0;
    let slope = 0;
    for (let c = 0; c < 2; c++)
      for (let i = 0; i < 3; i++)
        for (let j = 0; j < 3; j++) for (let l = 0; l < 3; l++) value += X[0][c][1 + i][2 + j][l] * W[1][c][i][j][l];
    for (let i = 0; i < 2; i++)
      for (let j = 0; j < 3; j++) for (let l = 0; l < 3; l++) slope += X[0][1][2 + i][j][1 + l];
    expect(await y.at(0, 1, 1, 2, 0).item()).toBe(value);
    expect(await dw.at(2, 1, 2, 0, 1).item()).toBe(slope);
    const block = new nn.Sequential(new nn.Conv3d(1, 4, 3, { padding: 1 }), new nn.BatchNorm3d(4), new nn.MaxPool3d(2));
    const clip = rand([2, 1, 4, 8, 8]);
    expect(block.forward(clip).shape).toEqual([2, 4, 2, 4, 4]);
    const gradients = grad(block.forward(clip).square().sum(), [...block.parameters()]);
    expect(await gradients[0].abs().sum().item()).toBeGreaterThan(0);
  });

  it('B41 second derivatives: a convolutional net solves u″ = −π² sin πx from the equation alone', async () => {
    const net = new nn.Sequential(new nn.Conv1d(1, 16, 1), new nn.Tanh(), new nn.Conv1d(16, 16, 1), new nn.Tanh(), new nn.Conv1d(16, 1, 1)); // biome-ignore format: one net
    const points = 33;
    const x = tensor(
      Float32Array.from({ length: points }, (_, i) => i / (points - 1)),
      { shape: [1, 1, points] },
    );
    const truth = x.mul(Math.PI).sin();
    const force = truth.mul(-(Math.PI ** 2));
    const u = () => x.mul(x.neg().add(1)).mul(net.forward(x)); // 0 at both ends
    const optimizer = new optim.Adam(net.parameters(), { lr: 1e-2 });
    const losses: number[] = [];
    for (let step = 0; step < 250; step++) {
      const first = grad(u().sum(), x);
      const second = grad(first.sum(), x);
      const cost = loss.mse(second, force);
      optimizer.zeroGrad();
      cost.backward();
      await optimizer.step();
      losses.push(await cost.item());
    }
    expect(losses.at(-1)).toBeLessThan(losses[0] / 100);
    expect(await u().sub(truth).abs().amax().item()).toBeLessThan(0.05);
  });
});

describe('lecture notes', () => {
  it('C01 a picture as width, height, channels becomes channels first, explicitly', async () => {
    const picture = counting(4, 6).reshape(4, 2, 3); // H 4, W 2, C 3, as a decoder hands it out
    const first = picture.permute(2, 0, 1).unsqueeze(0);
    expect(first.shape).toEqual([1, 3, 4, 2]);
    expect(await first.at(0, 2, 3, 1).item()).toBe(await picture.at(3, 1, 2).item());
    expect(await first.squeeze(0).permute(1, 2, 0).toArray()).toEqual(await picture.toArray());
  });

  it('C02 channels come apart, make grey, and must be as many as the layer takes', async () => {
    const picture = tensor([[[[200]], [[100]], [[50]]]]);
    const [red, green, blue] = picture.unbind(1);
    expect([await red.item(), await green.item(), await blue.item()]).toEqual([200, 100, 50]);
    const luma = tensor([0.299, 0.587, 0.114], { shape: [1, 3, 1, 1] });
    await expectClose(picture.conv2d(luma), [0.299 * 200 + 0.587 * 100 + 0.114 * 50]);
    expect(() => new nn.Conv2d(1, 8, 1).forward(picture)).toThrow(/channels do not match[\s\S]*C = 3/);
  });

  it('C03 a 100 × 100 picture of 3 channels is a row of 30,000 numbers', () => {
    expect(zeros([1, 3, 100, 100]).flatten(1).shape).toEqual([1, 30_000]);
  });

  it('C04 a thousand neurons on it have 3×10⁷ weights and 1,000 biases; 64 filters have 1,792', () => {
    const full = new nn.Linear(30_000, 1000);
    expect([full.weight.size, full.bias!.size]).toEqual([30_000_000, 1000]);
    expect(new nn.Conv2d(3, 64, 3).parameterCount()).toBe(1792);
  });

  it('C06 one-hot rows, whole numbers and soft labels are all taken by the loss', async () => {
    const labels = tensor([2, 0], { dtype: 'int32' });
    const hot = labels.oneHot(3);
    expect(await hot.toArray()).toEqual([[0, 0, 1], [1, 0, 0]]); // biome-ignore format: a matrix
    const logits = tensor([[1, 2, 3], [0, 1, 0]]); // biome-ignore format: a matrix
    const [byNumber] = await numbers(loss.crossEntropy(logits, labels));
    await expectClose(loss.crossEntropy(logits, hot.float()), [byNumber]);
    const soft = tensor([[0.1, 0.2, 0.7], [0.6, 0.2, 0.2]]); // biome-ignore format: a matrix
    const expected = soft.mul(logits.logSoftmax(1)).sum(1).neg().mean();
    await expectClose(loss.crossEntropy(logits, soft), await numbers(expected));
  });

  it('C07 softmax adds up to one, survives large numbers, and takes a temperature', async () => {
    const logits = tensor([1, 2, 3]);
    await expectClose(logits.softmax(0), [0.09003057, 0.24472847, 0.66524096]);
    await expectClose(logits.add(1000).softmax(0), [0.09003057, 0.24472847, 0.66524096]);
    const e = [1, 2, 3].map((v) => Math.exp(v / 4));
    const total = e.reduce((a, b) => a + b);
    await expectClose(logits.div(4).softmax(0), e.map((v) => v / total)); // biome-ignore format: one thought
  });

  it('C08 cross-entropy with label smoothing, class weights and an index to ignore', async () => {
    const logits = tensor([[1, 2, 3], [3, 1, 0]]); // biome-ignore format: a matrix
    const labels = tensor([2, 1], { dtype: 'int32' });
    const logp = await logits.logSoftmax(1).toArray<number[][]>();
    const [a, b] = [-logp[0][2], -logp[1][1]];
    const flat = logp.map((row) => -row.reduce((x, y) => x + y) / 3);
    await expectClose(new nn.CrossEntropyLoss().forward(logits, labels), [(a + b) / 2]);
    const smooth = 0.9 * ((a + b) / 2) + 0.1 * ((flat[0] + flat[1]) / 2);
    await expectClose(loss.crossEntropy(logits, labels, { labelSmoothing: 0.1 }), [smooth]);
    await expectClose(loss.crossEntropy(logits, labels, { weight: tensor([1, 2, 3]) }), [(3 * a + 2 * b) / 5]);
    await expectClose(loss.crossEntropy(logits, labels, { ignoreIndex: 1 }), [a]);
  });

  it('C09 the receptive field of every layer: size, jump and start', () => {
    const model = new nn.Sequential(
      new nn.Conv2d(1, 1, 3, { padding: 1 }),
      new nn.MaxPool2d(2),
      new nn.Conv2d(1, 1, 3),
    );
    expect(nn.summary(model, [1, 16, 16]).rows.map((row) => row.receptiveField)).toEqual([
      { size: [3, 3], jump: [1, 1], start: [0, 0] },
      { size: [4, 4], jump: [2, 2], start: [0.5, 0.5] },
      { size: [8, 8], jump: [2, 2], start: [2.5, 2.5] },
    ]);
  });

  it('C11 64 neurons guard one field: 64 output channels, one filter each', async () => {
    const conv = new nn.Conv2d(3, 64, 3);
    const x = rand([1, 3, 5, 5]);
    const y = conv.forward(x);
    expect([conv.weight.shape, y.shape]).toEqual([[64, 3, 3, 3], [1, 64, 3, 3]]); // biome-ignore format: shapes
    const only = x.conv2d(conv.weight.at('7:8'), { bias: conv.bias!.at('7:8') });
    await expectClose(only, await numbers(y.slice(null, '7:8')));
  });

  it('C12 stride: windows overlap while it is smaller than the kernel; a larger one leaves pixels unseen', async () => {
    const x = rand([1, 1, 9, 9]);
    const seen = async (stride: number) => {
      const y = x.conv2d(zeros([1, 1, 3, 3]).add(1), { stride });
      return { size: y.shape[3], counts: (await grad(y.sum(), x).at(0, 0, 4).toArray()) as number[] };
    };
    expect(await seen(1)).toEqual({ size: 7, counts: [3, 6, 9, 9, 9, 9, 9, 6, 3] });
    expect((await seen(2)).size).toBe(4);
    const line = rand([9]);
    expect(await numbers(grad(F.conv1d(line, [1, 1, 1], { stride: 2 }).sum(), line))).toEqual([
      1, 1, 2, 1, 2, 1, 2, 1, 1,
    ]);
    expect(await numbers(grad(F.conv1d(line, [1, 1, 1], { stride: 4 }).sum(), line))).toEqual([
      1, 1, 1, 0, 1, 1, 1, 0, 0,
    ]);
  });

  it('C13 weights shared between layers are one parameter, saved once', async () => {
    class Tied extends nn.Module {
      a = new nn.Conv2d(2, 2, 3, { padding: 1, bias: false });
      b = new nn.Conv2d(2, 2, 3, { padding: 1, bias: false });
      constructor() {
        super();
        this.b.weight = this.a.weight;
      }
      override forward(x: Tensor): Tensor {
        return this.b.forward(this.a.forward(x));
      }
    }
    const tied = new Tied();
    expect(Object.keys(tied.stateDict())).toEqual(['a.weight']);
    expect(tied.parameterCount()).toBe(36);
    const x = rand([1, 2, 4, 4]);
    const y = tied.forward(x).sum();
    // The gradient is that of both places together.
    const [copyA, copyB] = [tied.a.weight.detach(), tied.a.weight.detach()];
    const apart = x.conv2d(copyA, { padding: 1 }).conv2d(copyB, { padding: 1 }).sum();
    const [ga, gb] = grad(apart, [copyA, copyB]);
    await expectClose(grad(y, tied.a.weight), await numbers(ga.add(gb)), 1e-5);
  });

  it('C15 a layer is a row of filters, each as deep as its input has channels', async () => {
    const conv = new nn.Conv2d(5, 8, 3);
    expect(conv.weight.at(0).shape).toEqual([5, 3, 3]);
    expect(conv.weight.at(3, 2).shape).toEqual([3, 3]);
    const x = rand([1, 5, 3, 3]);
    const byHand = x.at(0).mul(conv.weight.at(3)).sum().add(conv.bias!.at(3));
    await expectClose(conv.forward(x).at(0, 3, 0, 0), await numbers(byHand), 1e-5);
  });

  it('C16 a second layer that does not take 64 channels is named, with what would fit', () => {
    const model = new nn.Sequential(new nn.Conv2d(3, 64, 3), new nn.Conv2d(32, 64, 3));
    expect(() => model.forward(zeros([1, 3, 8, 8]))).toThrow(
      /conv2d: channels do not match \(in 1\)[\s\S]*C = 64[\s\S]*takes 32[\s\S]*\[64, 64, 3, 3\]/,
    );
  });

  it('C17 stacked 3 × 3 convolutions see 3, 5, 7; a stride multiplies what comes after it', () => {
    const sizes = (strides: number[]) => {
      const layers = strides.map((stride) => new nn.Conv1d(1, 1, 3, { stride, padding: 1 }));
      const { rows } = nn.summary(new nn.Sequential(...layers), [1, 64]);
      return rows.map((row) => (row.receptiveField as nn.ReceptiveField).size[0]);
    };
    expect(sizes([1, 1, 1])).toEqual([3, 5, 7]);
    expect(sizes([2, 1, 2, 1])).toEqual([3, 7, 11, 19]); // r += (k − 1)·∏ strides before
  });

  it('C18 every second row and column: a quarter of the pixels; averaging instead does not alias', async () => {
    const stripes = tensor(Array.from({ length: 4 }, () => [0, 1, 0, 1]));
    const half = stripes.slice('::2', { step: 2 });
    expect(half.size).toBe(stripes.size / 4);
    expect(await half.toArray()).toEqual([[0, 0], [0, 0]]); // biome-ignore format: a matrix
    expect(await stripes.avgPool2d(2).toArray()).toEqual([[0.5, 0.5], [0.5, 0.5]]); // biome-ignore format: a matrix
  });

  it('C19 pooling has no parameters', () => {
    for (const pool of [
      new nn.MaxPool2d(2),
      new nn.AvgPool2d(2),
      new nn.AdaptiveAvgPool2d(1),
      new nn.GlobalAvgPool2d(),
    ]) {
      expect(Object.keys(pool.stateDict())).toEqual([]);
      expect(nn.summary(pool, [4, 8, 8]).totalParams).toBe(0);
    }
  });

  it('C20 the maximum or the mean of each group of four', async () => {
    const map = tensor([[3, -1, -3, -1], [-3, 1, 0, -3], [-3, -3, 0, 1], [3, -2, -2, -1]]); // biome-ignore format: a map
    expect(await map.maxPool2d(2).toArray()).toEqual([[3, 0], [3, 1]]); // biome-ignore format: a matrix
    expect(await map.avgPool2d(2).toArray()).toEqual([[0, -1.75], [-1.25, -0.5]]); // biome-ignore format: a matrix
  });

  it('C21 pooling leaves the number of channels alone', () => {
    const x = zeros([2, 64, 24, 24]);
    expect([x.maxPool2d(2).shape, x.avgPool2d(3).shape]).toEqual([[2, 64, 12, 12], [2, 64, 8, 8]]); // biome-ignore format: shapes
  });

  it('C22 two convolutions, one pooling, again and again', () => {
    const stages = [8, 16].flatMap((c) => [
      nn.conv2d(c, 3, { padding: 1, activation: 'relu' }),
      nn.conv2d(c, 3, { padding: 1, activation: 'relu' }),
      nn.maxPool(2),
    ]);
    const model = nn.sequential([...stages, nn.flatten(), nn.dense(10)], { inputShape: [3, 32, 32] });
    expect(model.summary().rows.filter((r) => r.type === 'MaxPool2d').map((r) => r.outputShape)).toEqual([[1, 8, 16, 16], [1, 16, 8, 8]]); // biome-ignore format: one thought
  });

  it('C23 a net without pooling or linear layers takes pictures of any size', () => {
    const net = new nn.Sequential(
      new nn.Conv2d(3, 8, 3, { stride: 2, padding: 1 }),
      new nn.ReLU(),
      new nn.Conv2d(8, 5, 3, { stride: 2, padding: 1 }),
      new nn.GlobalAvgPool2d(false),
    );
    for (const [h, w] of [[32, 32], [33, 57]]) expect(net.forward(zeros([1, 3, h, w])).shape).toEqual([1, 5]); // biome-ignore format: a list
  });

  it('C24 what pooling is for: the next convolution does a quarter of the work', () => {
    const macs = (pooled: boolean) => {
      const layers = [
        nn.conv2d(8, 3, { padding: 1 }),
        ...(pooled ? [nn.maxPool(2)] : []),
        nn.conv2d(8, 3, { padding: 1 }),
      ];
      return nn
        .sequential(layers, { inputShape: [1, 16, 16] })
        .summary()
        .rows.at(-1)!.macs;
    };
    expect(macs(true)).toBe(macs(false) / 4);
  });

  it('C25 from pixels to a class: convolution, pooling, linear, argmax', async () => {
    const model = nn.sequential([nn.conv2d(4, 3, { activation: 'relu' }), nn.maxPool(2), nn.flatten(), nn.dense(2)], {
      inputShape: [1, 8, 8],
    });
    const set = lines(16);
    await train(model, set, 30);
    const { inputs } = data.batchTensors(await set.batch([0, 1, 2, 3]));
    expect(await numbers(model.eval().forward(inputs.float().div(255)).argmax(1))).toEqual([0, 1, 0, 1]);
  });

  it('C26 two classes with one output: BCEWithLogits, stable for any logit', async () => {
    const [logits, truth] = [tensor([0, 100, -100]), tensor([1, 0, 0])];
    await expectClose(loss.bceWithLogits(logits, truth, { reduction: 'none' }), [Math.LN2, 100, 0]);
    await expectClose(new nn.BCEWithLogitsLoss().forward(logits, truth), [(Math.LN2 + 100) / 3]);
  });
});

describe('deep-learning overview', () => {
  it('D03 grids of one, two and three dimensions', () => {
    expect(new nn.Conv1d(2, 4, 3).forward(zeros([1, 2, 10])).shape).toEqual([1, 4, 8]);
    expect(new nn.Conv2d(2, 4, 3).forward(zeros([1, 2, 10, 9])).shape).toEqual([1, 4, 8, 7]);
    expect(new nn.Conv3d(2, 4, 3).forward(zeros([1, 2, 5, 10, 9])).shape).toEqual([1, 4, 3, 8, 7]);
  });

  it('D04 Conv2d(3, 64, 3, stride 1, padding 1): [1, 3, 224, 224] → [1, 64, 224, 224], in under 100 ms', async () => {
    const conv = new nn.Conv2d(3, 64, 3, { stride: 1, padding: 1 });
    const times: number[] = [];
    for (let run = 0; run < 4; run++) {
      const y = conv.forward(tensor(new Float32Array(3 * 224 * 224).fill(run), { shape: [1, 3, 224, 224] }));
      expect(y.shape).toEqual([1, 64, 224, 224]);
      const start = performance.now();
      await y.data();
      times.push(performance.now() - start);
    }
    expect(Math.min(...times)).toBeLessThan(100);
  });

  it('D05 zero padding around, a bias added to every place of its channel', async () => {
    const conv = new nn.Conv2d(1, 2, 3, { stride: 1, padding: 1 });
    conv.loadStateDict({ weight: zeros([2, 1, 3, 3]).add(1), bias: tensor([10, 20]) });
    const y = await conv.forward(zeros([1, 1, 3, 3]).add(1)).toArray<number[][][][]>();
    expect(y[0][0]).toEqual([[14, 16, 14], [16, 19, 16], [14, 16, 14]]); // biome-ignore format: a matrix
    expect(y[0][1]).toEqual([[24, 26, 24], [26, 29, 26], [24, 26, 24]]); // biome-ignore format: a matrix
  });

  it('D06 D07 MaxPool2d(2, stride 2) halves 224, ReLU keeps the shape, as do sigmoid and tanh', async () => {
    const y = new nn.MaxPool2d(2, { stride: 2 }).forward(whole([1, 64, 224, 224]));
    expect(y.shape).toEqual([1, 64, 112, 112]);
    for (const f of [new nn.ReLU(), new nn.Sigmoid(), new nn.Tanh()]) expect(f.forward(y).shape).toEqual(y.shape);
    expect(await new nn.ReLU().forward(y).amin().item()).toBeGreaterThanOrEqual(0);
  });

  it('D12 bytes to 0 … 1 and to −1 … 1', () => {
    const batch = { inputs: Uint8Array.of(0, 51, 255), shape: [1, 1, 1, 3] as const, labels: Int32Array.of(0) };
    expect(Array.from(data.toTensor()(batch).inputs)).toEqual([0, Math.fround(0.2), 1]);
    expect(Array.from(data.normalize([0.5], [0.5])(batch).inputs)).toEqual([-1, Math.fround(-0.6), 1]);
  });

  it('D13 standardising: fitted on the training pictures, applied to others', async () => {
    const picture = (...pixels: number[]) =>
      new data.ArrayDataset({ inputs: Uint8Array.from(pixels), labels: [0], shape: [2, 1, 2], classes: ['a'] });
    const { mean, std } = await data.computeMeanStd(picture(0, 255, 51, 51 + 102)); // per channel
    [0.5, 0.4].forEach((m, c) => void expect(mean[c]).toBeCloseTo(m, 12));
    [0.5, 0.2].forEach((s, c) => void expect(std[c]).toBeCloseTo(s, 12));
    const validation = await picture(255, 255, 204, 0).batch([0]);
    const { inputs } = data.normalize(mean, std)(validation);
    [1, 1, 2, -2].forEach((v, i) => void expect(inputs[i]).toBeCloseTo(v, 6));
  });

  it('D14 to a range and back', async () => {
    const x = tensor([2, 4, 10]);
    const [low, high] = [x.amin(), x.amax()];
    const scaled = x.sub(low).div(high.sub(low));
    expect(await numbers(scaled)).toEqual([0, 0.25, 1]);
    expect(await numbers(scaled.mul(high.sub(low)).add(low))).toEqual([2, 4, 10]);
  });

  it('D15 the loss measures, backward computes gradients, only the optimiser moves weights', async () => {
    const layer = new nn.Linear(2, 1);
    const before = await numbers(layer.weight);
    const sgd = new optim.SGD(layer.parameters(), { lr: 0.5 });
    layer.forward(tensor([[1, 2]])).sum().backward(); // biome-ignore format: one thought
    expect(await numbers(layer.weight.grad!)).toEqual([1, 2]);
    expect(await numbers(layer.weight)).toEqual(before);
    await sgd.step();
    await expectClose(layer.weight, [before[0] - 0.5, before[1] - 1]);
  });

  it('D16 crossEntropy takes logits and whole numbers', async () => {
    const output = tensor([[2, 0], [0, 0]]); // biome-ignore format: a matrix
    const byHand = (Math.log(1 + Math.exp(-2)) + Math.LN2) / 2;
    await expectClose(loss.crossEntropy(output, tensor(Int32Array.of(0, 1))), [byHand]);
  });
});

describe('Keras', () => {
  it('E01 TextCNN: embedding, convolutions of several widths, maximum over time', async () => {
    class TextCNN extends nn.Module {
      embed = new nn.Embedding(20, 8, { paddingIdx: 0 });
      convs = new nn.ModuleList([2, 3].map((width) => new nn.Conv1d(8, 6, width)));
      fc = new nn.Linear(12, 2);
      override forward(tokens: Tensor): Tensor {
        const x = this.embed.forward(tokens).transpose(1, 2); // [N, 8, length]
        const best = this.convs.children().map((conv) => (conv.forward(x) as Tensor).relu().amax(2));
        return this.fc.forward(F.concat(best, 1));
      }
    }
    const model = new TextCNN();
    // The question: do tokens 5 and 9 stand next to each other?
    const texts = Array.from({ length: 32 }, (_, i) => {
      const words = Array.from({ length: 10 }, (_, j) => 10 + ((i * 3 + j * 7) % 10));
      words[i % 9] = 5;
      words[(i % 9) + (i % 2 === 0 ? 1 : 0)] = i % 2 === 0 ? 9 : 5;
      return words;
    });
    const tokens = tensor(texts, { dtype: 'int32' });
    const labels = tensor(Int32Array.from(texts, (_, i) => 1 - (i % 2)));
    const optimizer = new optim.Adam(model.parameters(), { lr: 2e-2 });
    for (let step = 0; step < 40; step++) {
      optimizer.zeroGrad();
      loss.crossEntropy(model.forward(tokens), labels).backward();
      await optimizer.step();
    }
    expect(await model.forward(tokens).argmax(1).eq(labels).all().item()).toBe(1);
    const zeroRow = grad(model.forward(tokens.mul(0)).sum(), model.embed.weight).at(0);
    expect(await zeroRow.abs().sum().item()).toBe(0); // padding learns nothing
  });

  it('E02 a fully connected net beside a convolutional one, on the same pictures', async () => {
    const set = lines(16);
    const dense = nn.sequential([nn.flatten(), nn.dense(32, { activation: 'relu' }), nn.dense(2)], { inputShape: [1, 8, 8] }); // biome-ignore format: one net
    const conv = nn.sequential([nn.conv2d(4, 3, { activation: 'relu' }), nn.globalAvgPool(), nn.dense(2)], { inputShape: [1, 8, 8] }); // biome-ignore format: one net
    expect([dense.parameterCount(), conv.parameterCount()]).toEqual([64 * 32 + 32 + 66, 40 + 10]);
    for (const [model, steps] of [
      [dense, 30],
      [conv, 150],
    ] as const) {
      // biome-ignore format: a list
      const losses = await train(model, set, steps, 2e-2);
      expect(losses.at(-1)).toBeLessThan(losses[0] / 2);
    }
  });

  it('E03 a model as a list, or grown by add', () => {
    const model = nn.sequential([], { inputShape: [1, 28, 28] });
    model.add(nn.conv2d(8, 3)).add(nn.activation('relu')).add(nn.maxPool(2)).add(nn.flatten()).add(nn.dense(10));
    expect(model.outputShape).toEqual([10]);
    expect(new nn.Sequential(new nn.Linear(2, 3)).add(new nn.ReLU()).forward(zeros([1, 2])).shape).toEqual([1, 3]);
  });

  it('E04 Conv2D(64, 3 × 3, relu) on 28 × 28 × 1: 640 parameters, 64 maps of 26 × 26', () => {
    const model = nn.sequential([nn.conv2d(64, 3, { activation: 'relu' })], { inputShape: [1, 28, 28] });
    const { rows, totalParams } = model.summary();
    expect([rows[0].params, totalParams, model.outputShape]).toEqual([640, 640, [64, 26, 26]]);
  });

  it('E05 through sigmoids gradients vanish, through ReLU less so', async () => {
    const firstAgainstLast = async (activation: 'sigmoid' | 'relu') => {
      manualSeed(3);
      const layers = Array.from({ length: 8 }, () => nn.dense(32, { activation }));
      const model = nn.sequential(layers, { inputShape: [32] });
      for (const module of model) if (module instanceof nn.Linear) nn.init.kaimingNormal(module.weight);
      const weights = [...model].filter((m) => m instanceof nn.Linear).map((m) => m.weight);
      const gradients = grad(model.forward(randn([16, 32])).sum(), weights);
      const norms = await Promise.all(gradients.map((g) => g.norm().item()));
      return norms[0] / norms.at(-1)!;
    };
    expect(await firstAgainstLast('sigmoid')).toBeLessThan(0.01);
    expect(await firstAgainstLast('relu')).toBeGreaterThan(0.1);
  });

  it('E06 MaxPooling2D and AveragePooling2D of 2 × 2', async () => {
    const build = (layer: ReturnType<typeof nn.maxPool>) => nn.sequential([layer], { inputShape: [1, 4, 4] });
    const x = counting(4, 4).reshape(1, 1, 4, 4);
    expect(await numbers(build(nn.maxPool(2)).forward(x))).toEqual([5, 7, 13, 15]);
    expect(await numbers(build(nn.avgPool(2)).forward(x))).toEqual([2.5, 4.5, 10.5, 12.5]);
  });

  it('E07 fewer parameters after pooling: in the dense layer that follows, nowhere else', () => {
    const params = (pool: number) =>
      nn
        .sequential([nn.conv2d(4, 3), nn.maxPool(pool), nn.conv2d(4, 3), nn.flatten(), nn.dense(2)], {
          inputShape: [1, 18, 18],
        })
        .summary()
        .rows.filter((row) => row.params > 0)
        .map((row) => row.params);
    const [without, halved] = [params(1), params(2)];
    expect(halved.slice(0, 2)).toEqual(without.slice(0, 2));
    expect([without[2], halved[2]]).toEqual([4 * 14 * 14 * 2 + 2, 4 * 6 * 6 * 2 + 2]);
  });

  it('E08 dropout scales up what it keeps while training, does nothing in eval, and can stay on for Monte Carlo', async () => {
    const layer = new nn.Dropout(0.25);
    const ones = zeros([4000]).add(1);
    const dropped = await numbers(layer.forward(ones));
    expect(new Set(dropped)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    const share = dropped.filter((v) => v === 0).length / 4000;
    expect(Math.abs(share - 0.25)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / 4000));
    expect(await numbers(layer.eval().forward(ones))).toEqual(await numbers(ones));
    const model = new nn.Sequential(new nn.Linear(4, 4), new nn.Dropout(0.5)).eval();
    model.apply((m) => void (m instanceof nn.Dropout && m.train()));
    const x = rand([64, 4]);
    expect(await numbers(model.forward(x))).not.toEqual(await numbers(model.forward(x)));
  });

  it('E09 batch norm: the batch while training, running numbers in eval, part of the convolution when folded', async () => {
    const bn = new nn.BatchNorm2d(1);
    const x = tensor([1, 2, 3, 6], { shape: [4, 1, 1, 1] }); // mean 3, variance 3.5, unbiased 14/3
    await expectClose(bn.forward(x), [-2, -1, 0, 3].map((d) => d / Math.sqrt(3.5 + 1e-5))); // biome-ignore format: one thought
    await expectClose(bn.running_mean!, [0.3]);
    await expectClose(bn.running_var!, [0.9 + 0.1 * (14 / 3)]);
    bn.eval();
    await expectClose(bn.forward(x), [1, 2, 3, 6].map((v) => (v - 0.3) / Math.sqrt(0.9 + 1.4 / 3 + 1e-5))); // biome-ignore format: one thought

    const conv = new nn.Conv2d(2, 3, 3);
    const norm = new nn.BatchNorm2d(3);
    norm.forward(conv.forward(randn([4, 2, 6, 6]).mul(2).add(1))); // makes running numbers
    norm.eval().requiresGrad(false); // frozen, as in fine-tuning
    const picture = randn([1, 2, 6, 6]);
    const scale = norm.weight!.div(norm.running_var!.add(norm.eps).sqrt());
    const weight = conv.weight.mul(scale.reshape(3, 1, 1, 1));
    const bias = conv.bias!.sub(norm.running_mean!).mul(scale).add(norm.bias!);
    await expectClose(picture.conv2d(weight, { bias }), await numbers(norm.forward(conv.forward(picture))), 1e-5);
  });

  it('E11 against overfitting: weight decay draws weights to zero, early stopping ends in time', async () => {
    const layer = new nn.Linear(1, 1, { bias: false });
    layer.loadStateDict({ weight: tensor([[2]]) });
    const sgd = new optim.SGD(layer.parameters(), { lr: 0.1, weightDecay: 0.5 });
    layer.forward(tensor([[0]])).sum().backward(); // biome-ignore format: one thought
    await sgd.step();
    await expectClose(layer.weight, [2 * (1 - 0.1 * 0.5)]);

    const { EarlyStopping } = await import('fovea');
    const model = new nn.Sequential(new nn.Flatten(), new nn.Linear(64, 2));
    const trainer = new Trainer({
      model,
      optimizer: new optim.SGD(model.parameters(), { lr: 1e-9 }), // learns nothing
      loss: loss.crossEntropy,
      train: lines(8),
      test: lines(8),
      epochs: 20,
      callbacks: [new EarlyStopping({ patience: 2, minDelta: 1e-3 })],
    });
    const { epochs, stopped } = await trainer.fit();
    expect(epochs).toHaveLength(3);
    expect(stopped).toContain('loss has not improved');
  });
});
