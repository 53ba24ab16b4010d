import { describe, expect, it } from 'vitest';
import { manualSeed, randn, type Tensor, zeros } from '../tensor/index.js';
import * as nn from './index.js';

/** The classic MNIST network. */
class Net extends nn.Module {
  conv1 = new nn.Conv2d(1, 32, 3);
  conv2 = new nn.Conv2d(32, 64, 3);
  dropout = new nn.Dropout2d(0.25);
  fc1 = new nn.Linear(9216, 128);
  fc2 = new nn.Linear(128, 10);
  override forward(x: Tensor): Tensor {
    let y = this.conv1.forward(x).relu();
    y = this.conv2.forward(y).relu().maxPool2d(2);
    y = this.dropout.forward(y).flatten(1);
    return this.fc2.forward(this.fc1.forward(y).relu()).logSoftmax(1);
  }
}

describe('summary', () => {
  it('prints layers, shapes, parameters, work and receptive fields', () => {
    expect(nn.summary(new Net(), [1, 28, 28]).toString()).toBe(
      [
        'Layer    Type       Output shape        Params        MACs  Receptive field',
        '───────────────────────────────────────────────────────────────────────────',
        'conv1    Conv2d     [N, 32, 26, 26]        320     194,688  3, jump 1',
        'conv2    Conv2d     [N, 64, 24, 24]     18,496  10,616,832  5, jump 1',
        'dropout  Dropout2d  [N, 64, 12, 12]          0           0  6, jump 2',
        'fc1      Linear     [N, 128]         1,179,776   1,179,648  all',
        'fc2      Linear     [N, 10]              1,290       1,280  all',
        '───────────────────────────────────────────────────────────────────────────',
        'Input [N, 1, 28, 28]',
        'Parameters 1,199,882, 4.80 MB in float32',
        'Multiply–accumulates 11,992,448 for each sample',
      ].join('\n'),
    );
  });

  it('leaves modes, running statistics and random numbers as they were', async () => {
    const model = new nn.Sequential(new nn.Conv2d(1, 2, 3), new nn.BatchNorm2d(2), new nn.Dropout(0.5)).train();
    (model.at(1) as nn.BatchNorm2d).eval();
    nn.summary(model, [1, 5, 5]);
    expect(model.modules().map((m) => m.training)).toEqual([true, true, false, true]);
    expect(await (model.at(1) as nn.BatchNorm2d).num_batches_tracked!.item()).toBe(0);
    manualSeed(1);
    const a = await randn([3]).data();
    manualSeed(1);
    nn.summary(model, [1, 5, 5]);
    expect(await randn([3]).data()).toEqual(a);
  });

  it('counts shared parameters once, and shows heads that were not used', () => {
    class Shared extends nn.Module {
      a = new nn.Linear(4, 4, { bias: false });
      b = new nn.Linear(4, 4, { bias: false });
      aux = new nn.Linear(4, 2);
      constructor() {
        super();
        this.b.weight = this.a.weight;
        this.aux.requiresGrad(false);
      }
      override forward(x: Tensor): Tensor {
        return this.b.forward(this.a.forward(x));
      }
    }
    const { rows, totalParams, trainableParams, totalMacs } = nn.summary(new Shared(), [4]);
    expect(rows.map((r) => [r.path, r.params, r.outputShape])).toEqual([
      ['a', 16, [1, 4]],
      ['b', 0, [1, 4]],
      ['aux', 10, null],
    ]);
    expect([totalParams, trainableParams, totalMacs]).toEqual([26, 16, 32]);
  });

  it('attributes work done by functions to the module that calls them', () => {
    class Gram extends nn.Module {
      override forward(x: Tensor): Tensor {
        return x.matmul(x.transpose(-2, -1));
      }
    }
    expect(nn.summary(new Gram(), [3, 5]).rows).toMatchObject([{ path: '', type: 'Gram', macs: 45 }]);
  });

  it('counts no multiply–accumulates of interpolation, as PyTorch does not', () => {
    const model = new nn.Sequential(
      new nn.Conv2d(2, 1, 1, { bias: false }),
      new nn.Upsample({ scaleFactor: 2, mode: 'bilinear' }),
    );
    expect(nn.summary(model, [2, 3, 3]).totalMacs).toBe(2 * 9);
  });
});

describe('receptive fields', () => {
  const fieldsOf = (model: nn.Module, shape: number[]) => nn.summary(model, shape).rows.map((r) => r.receptiveField);

  it('of stacked 3 × 3 convolutions are 3, 5, 7 …', () => {
    const model = new nn.Sequential(
      ...Array.from({ length: 4 }, () => new nn.Conv2d(1, 1, 3, { padding: 1, bias: false })),
    );
    expect(fieldsOf(model, [1, 16, 16])).toEqual(
      [3, 5, 7, 9].map((size) => ({ size: [size, size], jump: [1, 1], start: [0, 0] })),
    );
  });

  it('grow by (k − 1) times all strides so far, with dilation and padding', () => {
    const model = new nn.Sequential(
      new nn.Conv2d(1, 1, [7, 3], { stride: 2, padding: [3, 1] }),
      new nn.MaxPool2d(3, { stride: 2 }),
      new nn.Conv2d(1, 1, 3, { dilation: 2 }),
    );
    expect(fieldsOf(model, [1, 64, 64])).toEqual([
      { size: [7, 3], jump: [2, 2], start: [0, 0] },
      { size: [11, 7], jump: [4, 4], start: [2, 2] },
      { size: [27, 23], jump: [4, 4], start: [10, 10] },
    ]);
  });

  it('agree with where gradients reach', async () => {
    manualSeed(3);
    const model = new nn.Sequential(
      new nn.Conv1d(1, 2, 3, { stride: 2, padding: 1 }),
      new nn.Tanh(),
      new nn.ConvTranspose1d(2, 2, 2, { stride: 2 }),
      new nn.AvgPool1d(3, { stride: 3 }),
      new nn.Conv1d(2, 1, 2),
    );
    const { grad } = await import('../tensor/index.js');
    const x = randn([1, 1, 48]);
    const y = model.forward(x);
    const field = fieldsOf(model, [1, 48]).at(-1) as nn.ReceptiveField;
    const place = 2;
    const reached = await grad(y.at(0, 0, place), x).data();
    const touched = [...reached.keys()].filter((i) => reached[i] !== 0);
    const centre = field.start[0] + place * field.jump[0];
    expect(touched[0]).toBeGreaterThanOrEqual(Math.floor(centre - (field.size[0] - 1) / 2));
    expect(touched.at(-1)).toBeLessThanOrEqual(Math.ceil(centre + (field.size[0] - 1) / 2));
    expect(touched.length).toBeGreaterThan(field.size[0] - 3);
  });

  it('do not count squeeze-and-excitation or group norm as seeing everything', () => {
    class Gated extends nn.Module {
      conv = new nn.Conv2d(2, 4, 3);
      norm = new nn.GroupNorm(2, 4);
      squeeze = new nn.Conv2d(4, 4, 1);
      last = new nn.Conv2d(4, 4, 3);
      override forward(x: Tensor): Tensor {
        const y = this.norm.forward(this.conv.forward(x));
        return this.last.forward(y.mul(this.squeeze.forward(y.mean([2, 3], { keepDims: true })).sigmoid()));
      }
    }
    expect(
      nn
        .summary(new Gated(), [2, 9, 9])
        .rows.map((r) => (r.receptiveField === 'all' ? 'all' : r.receptiveField?.size[0])),
    ).toEqual([3, 3, 'all', 5]);
  });
});

describe('nn.sequential', () => {
  const build = () =>
    nn.sequential(
      [
        nn.conv2d(64, 3, { activation: 'relu' }),
        nn.batchNorm(),
        nn.maxPool(2),
        nn.spatialDropout(0.1),
        nn.depthwiseConv2d(3, { activation: 'silu' }),
        new nn.Conv2d(64, 8, 1),
        nn.globalAvgPool(),
        nn.dense(10, { activation: 'logSoftmax' }),
      ],
      { inputShape: [1, 28, 28] },
    );

  it('infers sizes from the input shape', () => {
    const model = build();
    expect([...model].map((m) => m.constructor.name)).toEqual([
      'Conv2d',
      'ReLU',
      'BatchNorm2d',
      'MaxPool2d',
      'Dropout2d',
      'Conv2d',
      'SiLU',
      'Conv2d',
      'GlobalAvgPool2d',
      'Linear',
      'LogSoftmax',
    ]);
    expect(model.outputShape).toEqual([10]);
    expect(model.forward(zeros([5, 1, 28, 28])).shape).toEqual([5, 10]);
    const [first] = model.summary().rows;
    expect([first.params, first.outputShape]).toEqual([640, [1, 64, 26, 26]]);
  });

  it('grows by add, for text too', () => {
    const model = nn.sequential([nn.embedding(100, 16), nn.flatten()], { inputShape: [20], dtype: 'int32' });
    model.add(nn.dense(4), 'head').add(new nn.Tanh());
    expect(model.outputShape).toEqual([4]);
    expect(model.get('head')).toBeInstanceOf(nn.Linear);
    expect(model.summary().totalParams).toBe(1600 + 320 * 4 + 4);
  });

  it.each([
    [
      () => nn.sequential([nn.conv2d(8, 3), new nn.Conv2d(3, 8, 3)], { inputShape: [1, 8, 8] }),
      /^conv2d: channels do not match \(in 1\)\n/,
    ],
    [
      () => nn.sequential([nn.conv2d(8, 3), nn.dense(10)], { inputShape: [1, 8, 8] }),
      'dense: the input is a map of shape [8, 6, 6]; put flatten() or globalAvgPool() before it',
    ],
    [
      () => nn.sequential([nn.conv2d(8, 3)], { inputShape: [28, 28] }),
      'conv2d: needs an input [C, H, W], channels first; it is [28, 28]',
    ],
    [
      () => nn.sequential([nn.activation('rellu' as 'relu')], { inputShape: [1] }),
      "unknown activation 'rellu': did you mean 'relu'?",
    ],
    [
      () => nn.sequential([], {} as never),
      'sequential: pass { inputShape: [C, H, W] }, so that each layer knows the size of its input.',
    ],
  ])('says what does not fit: %#', (make, message) => {
    expect(make).toThrow(message);
  });
});
