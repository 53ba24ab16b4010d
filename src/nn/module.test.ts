import { describe, expect, it } from 'vitest';
import * as optim from '../optim/index.js';
import { grad, manualSeed, Parameter, randn, realize, type Tensor, tensor, zeros } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import * as nn from './index.js';

class Block extends nn.Module {
  conv1 = new nn.Conv2d(2, 4, 3, { padding: 1 });
  bn1 = new nn.BatchNorm2d(4);
  downsample: nn.Module | null = null;
  override forward(x: Tensor): Tensor {
    return this.bn1.forward(this.conv1.forward(x)).relu();
  }
}

class Net extends nn.Module {
  stem = new nn.Sequential(new Block(), new nn.MaxPool2d(2));
  blocks = [new nn.Linear(4, 4), new nn.Linear(4, 4)];
  cls_token = new Parameter(zeros([1, 4]));
  scales = nn.buffer([4], 0.5);
  head = new nn.Linear(4, 3);
  override forward(x: Tensor): Tensor {
    let y = this.stem.forward(x).mean([2, 3]).add(this.cls_token).mul(this.scales);
    for (const block of this.blocks) y = block.forward(y).relu();
    return this.head.forward(y);
  }
}

describe('names', () => {
  it('come from fields in declaration order, parameters before buffers before children', () => {
    expect(Object.keys(new Net().stateDict())).toEqual([
      'cls_token',
      'scales',
      'stem.0.conv1.weight',
      'stem.0.conv1.bias',
      'stem.0.bn1.weight',
      'stem.0.bn1.bias',
      'stem.0.bn1.running_mean',
      'stem.0.bn1.running_var',
      'stem.0.bn1.num_batches_tracked',
      'blocks.0.weight',
      'blocks.0.bias',
      'blocks.1.weight',
      'blocks.1.bias',
      'head.weight',
      'head.bias',
    ]);
  });

  it('tell parameters from buffers', () => {
    const net = new Net();
    expect(Array.from(net.namedBuffers(), ([name]) => name)).toEqual([
      'scales',
      'stem.0.bn1.running_mean',
      'stem.0.bn1.running_var',
      'stem.0.bn1.num_batches_tracked',
    ]);
    expect(net.parameters().length).toBe(11);
    expect(net.parameterCount()).toBe(4 + 4 * 18 + 4 + 8 + 2 * 20 + 15);
  });

  it('lead to modules, and nearly right ones to a suggestion', () => {
    const net = new Net();
    expect(net.get('stem.0.bn1')).toBe((net.stem.at(0) as Block).bn1);
    expect(net.get('')).toBe(net);
    expect(() => net.get('stem.0.bn2')).toThrow('Net has no module stem.0.bn2: did you mean stem.0.bn1?');
    expect(() => net.get('neck')).toThrow('Net has no module neck: it has stem, blocks.0, blocks.1, head');
    expect(() => net.get('something_else')).toThrow(
      'Net has no module something_else: it has stem, blocks.0, blocks.1, head',
    );
  });

  it('print as a tree', () => {
    expect(String(new nn.Sequential({ conv: new nn.Conv2d(1, 2, 3, { stride: 2 }), act: new nn.ReLU() }))).toBe(
      'Sequential(\n  (conv): Conv2d(1, 2, kernelSize=[3,3], stride=2)\n  (act): ReLU()\n)',
    );
  });

  it('stand in shape errors', () => {
    expect(() => new Net().forward(zeros([1, 3, 8, 8]))).toThrow(
      /^conv2d: channels do not match \(in stem\.0\.conv1\)\n/,
    );
  });

  it('follow a layer that is replaced after the first call', () => {
    const net = new Net();
    net.forward(zeros([1, 2, 8, 8]));
    net.head = new nn.Linear(5, 3);
    expect(() => net.forward(zeros([1, 2, 8, 8]))).toThrow('(in head)');
  });
});

describe('modes', () => {
  it('reach every module below', () => {
    const net = new Net();
    net.eval();
    expect(net.modules().some((m) => m.training)).toBe(false);
    net.train();
    expect(net.modules().every((m) => m.training)).toBe(true);
  });

  it('freeze and thaw parameters', async () => {
    const net = new Net();
    net.stem.requiresGrad(false);
    net
      .forward(randn([2, 2, 4, 4]))
      .sum()
      .backward();
    const without = Array.from(net.namedParameters()).filter(([, p]) => p.grad === null);
    expect(without.map(([name]) => name)).toEqual([
      'stem.0.conv1.weight',
      'stem.0.conv1.bias',
      'stem.0.bn1.weight',
      'stem.0.bn1.bias',
    ]);
    expect(net.parameterCount({ trainable: true })).toBe(net.parameterCount() - 84);
  });

  it('apply visits children before their parents', () => {
    const seen: string[] = [];
    new nn.Sequential(new nn.Sequential(new nn.ReLU()), new nn.Tanh()).apply((m) => seen.push(m.constructor.name));
    expect(seen).toEqual(['ReLU', 'Sequential', 'Tanh', 'Sequential']);
  });
});

describe('hooks', () => {
  it('see inputs and outputs, may replace both, and go when removed', async () => {
    const layer = new nn.Lambda((x) => x.mul(2));
    const seen: unknown[] = [];
    const before = layer.registerForwardPreHook((m, [x]) => {
      seen.push(m);
      return [x.add(1)];
    });
    const after = layer.registerForwardHook((_m, _inputs, output) => output.mul(10));
    expect(await layer.forward(tensor([1])).item()).toBe(40);
    expect(seen).toEqual([layer]);
    before.remove();
    after.remove();
    expect(await layer.forward(tensor([1])).item()).toBe(2);
  });

  it('do not run twice when a forward calls its parent class', () => {
    class Parent extends nn.Module {
      override forward(x: Tensor): Tensor {
        return x.relu();
      }
    }
    class Child extends Parent {
      override forward(x: Tensor): Tensor {
        return super.forward(x).neg();
      }
    }
    const child = new Child();
    let calls = 0;
    child.registerForwardHook(() => void calls++);
    child.forward(zeros([1]));
    expect(calls).toBe(1);
  });

  it('work on a forward that is replaced afterwards', () => {
    const layer = new nn.ReLU();
    let calls = 0;
    layer.registerForwardHook(() => void calls++);
    layer.forward = (x) => x.neg();
    layer.forward(zeros([1]));
    expect(calls).toBe(1);
  });
});

describe('activations', () => {
  it('give outputs by path, and the gradient at them, where weights are frozen too', async () => {
    manualSeed(3);
    const net = new Net().eval().requiresGrad(false);
    const x = randn([2, 2, 4, 4]);
    const acts = net.activations(x, ['stem.0', 'head', '']);
    expect(Object.keys(acts).sort()).toEqual(['', 'head', 'stem.0']);
    expect(acts['stem.0'].shape).toEqual([2, 4, 4, 4]);
    expect(acts[''].current).toBe(acts.head.current);
    const d = grad(acts[''].sum(), acts['stem.0']);
    expect(d.shape).toEqual([2, 4, 4, 4]);
    // The same number by finite differences of a shift of the whole map, through what comes after.
    const rest = (map: Tensor) => {
      let y = (net.get('stem.1') as nn.MaxPool2d).forward(map) as Tensor;
      y = y.mean([2, 3]).add(net.cls_token).mul(net.scales);
      for (const block of net.blocks) y = block.forward(y).relu();
      return net.head.forward(y).sum();
    };
    const h = 1e-3;
    const [up, down, total] = [rest(acts['stem.0'].add(h)), rest(acts['stem.0'].sub(h)), d.sum()];
    await realize(up, down, total);
    expect(((await up.item()) - (await down.item())) / (2 * h)).toBeCloseTo(await total.item(), 2);
  });

  it('without paths give every module that was called', () => {
    const model = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU());
    expect(Object.keys(model.activations(zeros([1, 2])))).toEqual(['0', '1', '']);
  });

  it('say which path is wrong, or was not called', () => {
    const net = new Net();
    expect(() => net.activations(zeros([1, 2, 4, 4]), ['haed'])).toThrow('Net has no module haed: did you mean head?');
    (net.stem.at(0) as Block).downsample = new nn.ReLU();
    expect(() => net.eval().activations(zeros([1, 2, 4, 4]), ['stem.0.downsample'])).toThrow(
      'activations: Net never called stem.0.downsample for this input.',
    );
  });
});

describe('loadStateDict', () => {
  const small = () => new nn.Sequential({ conv1: new nn.Conv2d(1, 2, 3), fc: new nn.Linear(2, 2) });
  const stateOf = (model: nn.Module) =>
    Object.fromEntries(Object.entries(model.stateDict())) as Record<string, nn.StateEntry>;

  it('takes tensors and plain data, from an object or a Map', async () => {
    manualSeed(1);
    const [a, b, c] = [small(), small(), small()];
    b.loadStateDict(a.stateDict());
    const plain = new Map<string, nn.StateEntry>();
    for (const [name, t] of Object.entries(a.stateDict())) plain.set(name, { shape: t.shape, data: await t.data() });
    c.loadStateDict(plain);
    for (const name of Object.keys(a.stateDict())) {
      const expected = await a.stateDict()[name].data();
      expect(await b.stateDict()[name].data()).toEqual(expected);
      expect(await c.stateDict()[name].data()).toEqual(expected);
    }
  });

  it('lists all that does not fit, with the nearest name, and changes nothing', async () => {
    manualSeed(1);
    const model = small();
    const before = await model.parameters()[0].data();
    const { 'conv1.bias': bias, ...rest } = stateOf(small());
    const state = { ...rest, 'conv1.bais': bias, extra: zeros([1]), 'fc.weight': zeros([5, 2]) };
    expect(() => model.loadStateDict(state)).toThrow(
      new ConfigError(
        [
          'loadStateDict: the state does not fit Sequential',
          '  missing     conv1.bias [2]',
          '  unexpected  conv1.bais [2], did you mean conv1.bias?',
          '              extra [1]',
          '  other shape fc.weight: the model has [2, 2], the state has [5, 2]',
          '  Build the model with the sizes of the state, or pass { strict: false, ignoreShapes: true } to load what fits.',
        ].join('\n'),
      ),
    );
    expect(await model.parameters()[0].data()).toEqual(before);
  });

  it('loads what fits when told to', async () => {
    const model = small();
    const state = { 'conv1.weight': zeros([2, 1, 3, 3]), 'fc.weight': zeros([5, 2]), extra: zeros([1]) };
    expect(model.loadStateDict(state, { strict: false, ignoreShapes: true })).toEqual({
      missing: ['conv1.bias', 'fc.bias'],
      unexpected: ['extra'],
      mismatched: ['fc.weight'],
    });
    expect((await model.stateDict()['conv1.weight'].data()).every((v) => v === 0)).toBe(true);
    expect(() => model.loadStateDict(state, { strict: false })).toThrow('other shape fc.weight');
  });

  it('recognises a prefix that all names have', () => {
    const state = Object.fromEntries(Object.entries(stateOf(small())).map(([name, t]) => [`module.${name}`, t]));
    expect(() => small().loadStateDict(state)).toThrow(
      "The state's names begin with 'module.': remove that prefix from them.",
    );
  });

  it('does not miss num_batches_tracked, which old checkpoints lack', () => {
    const { num_batches_tracked: _, ...state } = stateOf(new nn.BatchNorm2d(2));
    expect(new nn.BatchNorm2d(2).loadStateDict(state)).toEqual({ missing: [], unexpected: [], mismatched: [] });
  });

  it('saves tied parameters once and loads them from either name', async () => {
    class Tied extends nn.Module {
      encoder = new nn.Linear(2, 2, { bias: false });
      decoder = new nn.Linear(2, 2, { bias: false });
      constructor() {
        super();
        this.decoder.weight = this.encoder.weight;
      }
    }
    const tied = new Tied();
    expect(Object.keys(tied.stateDict())).toEqual(['encoder.weight']);
    expect(tied.parameters().length).toBe(1);
    tied.loadStateDict({
      'decoder.weight': tensor([
        [1, 2],
        [3, 4],
      ]),
    });
    expect(await tied.encoder.weight.data()).toEqual(Float32Array.of(1, 2, 3, 4));
    tied.loadStateDict({ 'encoder.weight': zeros([2, 2]), 'decoder.weight': zeros([2, 2]) });
    expect((await tied.decoder.weight.data()).every((v) => v === 0)).toBe(true);
  });
});

describe('containers', () => {
  it('chain, index, slice and iterate', async () => {
    const model = new nn.Sequential(new nn.Lambda((x) => x.add(1)), new nn.Lambda((x) => x.mul(3)));
    model.add(new nn.Lambda((x) => x.neg()), 'minus');
    expect(await model.forward(tensor([1])).item()).toBe(-6);
    expect(
      await model
        .slice(0, 2)
        .forward(tensor([1]))
        .item(),
    ).toBe(6);
    expect(model.at(-1)).toBe(model.get('minus'));
    expect([...model].length).toBe(3);
    expect(() => model.at(3)).toThrow('Sequential: there is no module 3; it has 3');
  });

  it('name their entries by number or key', () => {
    class Lists extends nn.Module {
      list = new nn.ModuleList([new nn.Linear(1, 1), new nn.ReLU()]);
      dict = new nn.ModuleDict({ a: new nn.Linear(1, 1, { bias: false }) });
      weights = new nn.ParameterList([new Parameter(zeros([1]))]);
    }
    const lists = new Lists();
    expect(Object.keys(lists.stateDict())).toEqual(['list.0.weight', 'list.0.bias', 'dict.a.weight', 'weights.0']);
    expect(lists.list[1]).toBeInstanceOf(nn.ReLU);
    expect(lists.dict.keys()).toEqual(['a']);
    expect(() => lists.list.forward(zeros([1]))).toThrow(
      'ModuleList has no forward: call the modules inside it, or define forward(x) as a method.',
    );
  });

  it.each([
    [
      () => new nn.Sequential(((x: Tensor) => x) as never),
      'Sequential: entry 0 is function, not a Module. Wrap a function in new nn.Lambda(fn); make layers with new.',
    ],
    [
      () => new nn.Sequential({ 'a.b': new nn.ReLU() }),
      "Sequential: 'a.b' is no name: names are not empty and have no dots",
    ],
    [
      () => new nn.Sequential({ training: new nn.ReLU() }),
      "Sequential: 'training' is taken by Sequential itself; choose another name",
    ],
  ])('refuse wrong entries: %#', (make, message) => {
    expect(make).toThrow(message);
  });
});

describe('lazy layers', () => {
  it('take their input size from the first input', async () => {
    const model = new nn.Sequential(new nn.LazyConv2d(4, 3, { groups: 2 }), new nn.Flatten(), new nn.LazyLinear(3));
    expect(() => model.parameters()).toThrow(
      'LazyConv2d: has no weights before its first input (in 0)\n' +
        '  Run the model once on zeros of the input’s shape: model.forward(zeros([1, 3, 32, 32])). Then ask for its parameters.',
    );
    expect(model.forward(zeros([1, 2, 4, 4])).shape).toEqual([1, 3]);
    expect(model.parameters().map((p) => p.shape)).toEqual([[4, 1, 3, 3], [4], [3, 16], [3]]);
    expect((await model.parameters()[2].data()).some((v) => v !== 0)).toBe(true);
  });
});

describe('dropout', () => {
  it('is the identity in evaluation and for p = 0', () => {
    const x = zeros([4, 4, 2, 2]);
    expect(new nn.Dropout(0.5).eval().forward(x)).toBe(x);
    expect(new nn.Dropout(0).forward(x)).toBe(x);
  });

  it('drops the share p and scales the rest, of elements or of channels', async () => {
    manualSeed(5);
    const ones = zeros([50, 40, 3, 3]).add(1);
    const elements = await new nn.Dropout(0.3).forward(ones).data();
    const kept = elements.filter((v) => v !== 0);
    expect(kept.every((v) => v === Math.fround(1 / 0.7))).toBe(true);
    expect(Math.abs(kept.length / elements.length - 0.7)).toBeLessThan(4 * Math.sqrt(0.21 / elements.length));
    const channels = await new nn.Dropout2d(0.3).forward(ones).data();
    for (let i = 0; i < channels.length; i += 9) expect(new Set(channels.subarray(i, i + 9)).size).toBe(1);
    expect(new Set(channels).size).toBe(2);
    const rows = await new nn.StochasticDepth(0.5).forward(ones).data();
    for (let i = 0; i < rows.length; i += 360) expect(new Set(rows.subarray(i, i + 360)).size).toBe(1);
    expect(new Set(rows).size).toBe(2);
  });

  it('repeats itself from the same seed, and differs from call to call', async () => {
    const drop = new nn.Dropout(0.5);
    const run = () => drop.forward(zeros([64]).add(1)).data();
    manualSeed(9);
    const [a, b] = [await run(), await run()];
    manualSeed(9);
    expect(await run()).toEqual(a);
    expect(b).not.toEqual(a);
  });

  it('of blocks drops squares and keeps the mean', async () => {
    manualSeed(2);
    const y = Array.from(await new nn.DropBlock2d(0.2, 3).forward(zeros([2, 3, 12, 12]).add(1)).data());
    const mean = y.reduce((s, v) => s + v, 0) / y.length;
    expect(mean).toBeCloseTo(1, 3);
    const dropped = y.filter((v) => v === 0).length / y.length;
    expect(dropped).toBeGreaterThan(0.05);
    expect(dropped).toBeLessThan(0.4);
  });

  it('refuses what is no probability', () => {
    expect(() => new nn.Dropout(1.5)).toThrow('Dropout: p is a probability, within 0 … 1; got 1.5');
  });
});

/** One of every layer with an input; a new layer needs a line here, or the test that counts them fails. */
const registry: Record<string, () => [nn.Module, Tensor | Tensor[]]> = {
  AdaptiveAvgPool1d: () => [new nn.AdaptiveAvgPool1d(2), randn([2, 3, 5])],
  AdaptiveAvgPool2d: () => [new nn.AdaptiveAvgPool2d(2), randn([2, 3, 5, 5])],
  AdaptiveAvgPool3d: () => [new nn.AdaptiveAvgPool3d(2), randn([2, 3, 4, 4, 4])],
  AdaptiveMaxPool1d: () => [new nn.AdaptiveMaxPool1d(2), randn([2, 3, 5])],
  AdaptiveMaxPool2d: () => [new nn.AdaptiveMaxPool2d(2), randn([2, 3, 5, 5])],
  AdaptiveMaxPool3d: () => [new nn.AdaptiveMaxPool3d(2), randn([2, 3, 4, 4, 4])],
  AvgPool1d: () => [new nn.AvgPool1d(2), randn([2, 3, 5])],
  AvgPool2d: () => [new nn.AvgPool2d(2), randn([2, 3, 5, 5])],
  AvgPool3d: () => [new nn.AvgPool3d(2), randn([2, 3, 4, 4, 4])],
  BatchNorm1d: () => [new nn.BatchNorm1d(3), randn([4, 3])],
  BatchNorm2d: () => [new nn.BatchNorm2d(3), randn([2, 3, 4, 4])],
  BatchNorm3d: () => [new nn.BatchNorm3d(3), randn([2, 3, 2, 2, 2])],
  Bilinear: () => [new nn.Bilinear(2, 3, 4), [randn([5, 2]), randn([5, 3])]],
  CELU: () => [new nn.CELU(), randn([2, 3])],
  ChannelShuffle: () => [new nn.ChannelShuffle(2), randn([1, 4, 2, 2])],
  CircularPad1d: () => [new nn.CircularPad1d(1), randn([1, 2, 3])],
  CircularPad2d: () => [new nn.CircularPad2d(1), randn([1, 2, 3, 3])],
  CircularPad3d: () => [new nn.CircularPad3d(1), randn([1, 2, 3, 3, 3])],
  ConstantPad1d: () => [new nn.ConstantPad1d(1, 2), randn([1, 2, 3])],
  ConstantPad2d: () => [new nn.ConstantPad2d(1, 2), randn([1, 2, 3, 3])],
  ConstantPad3d: () => [new nn.ConstantPad3d(1, 2), randn([1, 2, 3, 3, 3])],
  Conv1d: () => [new nn.Conv1d(2, 3, 3), randn([2, 2, 5])],
  Conv2d: () => [new nn.Conv2d(2, 3, 3), randn([2, 2, 5, 5])],
  Conv3d: () => [new nn.Conv3d(2, 3, 2), randn([1, 2, 3, 3, 3])],
  ConvTranspose1d: () => [new nn.ConvTranspose1d(2, 3, 3), randn([2, 2, 5])],
  ConvTranspose2d: () => [new nn.ConvTranspose2d(2, 3, 3), randn([2, 2, 3, 3])],
  ConvTranspose3d: () => [new nn.ConvTranspose3d(2, 3, 2), randn([1, 2, 2, 2, 2])],
  DropBlock2d: () => [new nn.DropBlock2d(0.3, 2), randn([2, 2, 4, 4])],
  DropPath: () => [new nn.DropPath(0.3), randn([4, 3])],
  Dropout: () => [new nn.Dropout(), randn([4, 3])],
  Dropout1d: () => [new nn.Dropout1d(), randn([4, 3, 2])],
  Dropout2d: () => [new nn.Dropout2d(), randn([4, 3, 2, 2])],
  Dropout3d: () => [new nn.Dropout3d(), randn([4, 3, 2, 2, 2])],
  ELU: () => [new nn.ELU(), randn([2, 3])],
  Embedding: () => [new nn.Embedding(5, 3), tensor([0, 4, 2], { dtype: 'int32' })],
  Flatten: () => [new nn.Flatten(), randn([2, 3, 2])],
  GELU: () => [new nn.GELU(), randn([2, 3])],
  GLU: () => [new nn.GLU(), randn([2, 4])],
  GlobalAvgPool1d: () => [new nn.GlobalAvgPool1d(), randn([2, 3, 4])],
  GlobalAvgPool2d: () => [new nn.GlobalAvgPool2d(), randn([2, 3, 4, 4])],
  GlobalAvgPool3d: () => [new nn.GlobalAvgPool3d(false), randn([2, 3, 2, 2, 2])],
  GroupNorm: () => [new nn.GroupNorm(2, 4), randn([2, 4, 3, 3])],
  Hardshrink: () => [new nn.Hardshrink(), randn([2, 3])],
  Hardsigmoid: () => [new nn.Hardsigmoid(), randn([2, 3])],
  Hardswish: () => [new nn.Hardswish(), randn([2, 3])],
  Hardtanh: () => [new nn.Hardtanh(), randn([2, 3])],
  Identity: () => [new nn.Identity(), randn([2, 3])],
  InstanceNorm1d: () => [new nn.InstanceNorm1d(3), randn([2, 3, 4])],
  InstanceNorm2d: () => [new nn.InstanceNorm2d(3, { affine: true, trackRunningStats: true }), randn([2, 3, 4, 4])],
  InstanceNorm3d: () => [new nn.InstanceNorm3d(3), randn([2, 3, 2, 2, 2])],
  Lambda: () => [new nn.Lambda((x) => x.neg()), randn([2, 3])],
  LayerNorm: () => [new nn.LayerNorm(3), randn([2, 3])],
  LayerNorm2d: () => [new nn.LayerNorm2d(3), randn([2, 3, 2, 2])],
  LayerScale: () => [new nn.LayerScale(3, { initValues: 0.5 }), randn([2, 4, 3])],
  LazyConv1d: () => [new nn.LazyConv1d(3, 3), randn([2, 2, 5])],
  LazyConv2d: () => [new nn.LazyConv2d(3, 3), randn([2, 2, 5, 5])],
  LazyConv3d: () => [new nn.LazyConv3d(3, 2), randn([1, 2, 3, 3, 3])],
  LazyLinear: () => [new nn.LazyLinear(3), randn([2, 4])],
  LeakyReLU: () => [new nn.LeakyReLU(), randn([2, 3])],
  Linear: () => [new nn.Linear(3, 2), randn([2, 3])],
  LocalResponseNorm: () => [new nn.LocalResponseNorm(3), randn([2, 4, 2, 2])],
  LocallyConnected2d: () => [new nn.LocallyConnected2d(2, 3, [5, 4], 3, { stride: 2 }), randn([2, 2, 5, 4])],
  LogSigmoid: () => [new nn.LogSigmoid(), randn([2, 3])],
  LogSoftmax: () => [new nn.LogSoftmax(1), randn([2, 3])],
  MaxPool1d: () => [new nn.MaxPool1d(2), randn([2, 3, 5])],
  MaxPool2d: () => [new nn.MaxPool2d(2), randn([2, 3, 5, 5])],
  MaxPool3d: () => [new nn.MaxPool3d(2), randn([2, 3, 4, 4, 4])],
  Maxout: () => [new nn.Maxout(2), randn([2, 4, 3])],
  Mish: () => [new nn.Mish(), randn([2, 3])],
  MultiheadAttention: () => [new nn.MultiheadAttention(4, 2, { dropout: 0.2, batchFirst: true }), randn([2, 3, 4])],
  Attention: () => [new nn.Attention(4, 2), randn([2, 3, 4])],
  Conv2dSame: () => [new nn.Conv2dSame(2, 3, 3, { stride: 2 }), randn([1, 2, 5, 4])],
  GlobalResponseNorm: () => [new nn.GlobalResponseNorm(3), randn([2, 3, 2, 2])],
  GraphModule: () => [
    new nn.GraphModule({
      inputs: ['x'],
      outputs: ['y'],
      steps: [
        { name: 'fc', inputs: ['x'], outputs: ['h'], run: new nn.Linear(3, 2) },
        { name: 'relu', inputs: ['h'], outputs: ['y'], run: (h) => h!.tanh() },
      ],
    }),
    randn([2, 3]),
  ],
  Mlp: () => [new nn.Mlp(3, { hiddenFeatures: 5 }), randn([2, 3])],
  RelativePositionBias: () => [new nn.RelativePositionBias([2, 3], 2), []],
  PatchEmbed: () => [new nn.PatchEmbed({ patchSize: 2, inChannels: 3, embedDim: 4 }), randn([2, 3, 4, 6])],
  PReLU: () => [new nn.PReLU(3), randn([2, 3])],
  PixelShuffle: () => [new nn.PixelShuffle(2), randn([1, 4, 2, 2])],
  PixelUnshuffle: () => [new nn.PixelUnshuffle(2), randn([1, 1, 4, 4])],
  RMSNorm: () => [new nn.RMSNorm(3), randn([2, 3])],
  ReLU: () => [new nn.ReLU(), randn([2, 3])],
  ReLU6: () => [new nn.ReLU6(), randn([2, 3])],
  ReflectionPad1d: () => [new nn.ReflectionPad1d(1), randn([1, 2, 3])],
  ReflectionPad2d: () => [new nn.ReflectionPad2d(1), randn([1, 2, 3, 3])],
  ReflectionPad3d: () => [new nn.ReflectionPad3d(1), randn([1, 2, 3, 3, 3])],
  ReplicationPad1d: () => [new nn.ReplicationPad1d(1), randn([1, 2, 3])],
  ReplicationPad2d: () => [new nn.ReplicationPad2d(1), randn([1, 2, 3, 3])],
  ReplicationPad3d: () => [new nn.ReplicationPad3d(1), randn([1, 2, 3, 3, 3])],
  Reshape: () => [new nn.Reshape([3, -1]), randn([2, 6])],
  SELU: () => [new nn.SELU(), randn([2, 3])],
  Sequential: () => [new nn.Sequential(new nn.Linear(3, 2), new nn.Tanh()), randn([4, 3])],
  SequentialModel: () => [
    nn.sequential([nn.dense(2, { bias: false }), nn.batchNorm()], { inputShape: [3] }),
    randn([4, 3]),
  ],
  SiLU: () => [new nn.SiLU(), randn([2, 3])],
  Sigmoid: () => [new nn.Sigmoid(), randn([2, 3])],
  Softmax: () => [new nn.Softmax(1), randn([2, 3])],
  Softmax2d: () => [new nn.Softmax2d(), randn([2, 3, 2, 2])],
  Softmin: () => [new nn.Softmin(1), randn([2, 3])],
  Softplus: () => [new nn.Softplus(), randn([2, 3])],
  Softshrink: () => [new nn.Softshrink(), randn([2, 3])],
  Softsign: () => [new nn.Softsign(), randn([2, 3])],
  SqueezeExcitation: () => [new nn.SqueezeExcitation(4, 3), randn([2, 4, 3, 3])],
  StochasticDepth: () => [new nn.StochasticDepth(0.5, 'batch'), randn([4, 3])],
  Swish: () => [new nn.Swish({ beta: 1.5, learnable: true }), randn([2, 3])],
  Tanh: () => [new nn.Tanh(), randn([2, 3])],
  Tanhshrink: () => [new nn.Tanhshrink(), randn([2, 3])],
  Threshold: () => [new nn.Threshold(0, 1), randn([2, 3])],
  Unflatten: () => [new nn.Unflatten(1, [2, 2]), randn([2, 4])],
  Upsample: () => [new nn.Upsample({ scaleFactor: 2, mode: 'bilinear' }), randn([1, 2, 3, 3])],
  ZeroPad1d: () => [new nn.ZeroPad1d(1), randn([1, 2, 3])],
  ZeroPad2d: () => [new nn.ZeroPad2d(1), randn([1, 2, 3, 3])],
  ZeroPad3d: () => [new nn.ZeroPad3d(1), randn([1, 2, 3, 3, 3])],
};

/** Classes that are no layers: bases, bare containers, losses (which take a target). */
const notLayers = /^(Module|ModuleList|ModuleDict|ParameterList|GraphScope|ConvNd|ConvTransposeNd|Summary|.*Loss)$/;

describe('the contract of modules', () => {
  it('covers every layer that nn exports', () => {
    const classes = Object.entries(nn).filter(([name, value]) => typeof value === 'function' && /^[A-Z]/.test(name));
    const layers = classes.map(([name]) => name).filter((name) => !notLayers.test(name));
    expect(Object.keys(registry).sort()).toEqual(layers.sort());
  });

  it.each(Object.entries(registry))('%s builds, runs, saves, loads and trains', async (_, make) => {
    manualSeed(11);
    const [layer, given] = make();
    const inputs = Array.isArray(given) ? given : [given];
    const first = (output: unknown): Tensor => (Array.isArray(output) ? output[0] : output) as Tensor;
    const trained = first(layer.train().forward(...inputs));
    expect((await trained.data()).every(Number.isFinite)).toBe(true);
    expect(String(layer)).toContain(layer.constructor.name);

    const parameters = layer.parameters();
    if (parameters.length > 0) {
      const before = await Promise.all(parameters.map((p) => p.data()));
      const opt = new optim.SGD(parameters, { lr: 0.1 });
      const output = first(layer.forward(...inputs));
      output.mul(randn(output.shape)).sum().backward();
      await opt.step();
      for (const [i, p] of parameters.entries()) expect(await p.data(), `parameter ${i}`).not.toEqual(before[i]);
    }

    const evaluated = first(layer.eval().forward(...inputs));
    const values = await evaluated.data();
    manualSeed(12);
    const [copy] = make();
    copy.forward(...inputs); // lazy layers get their weights
    copy.loadStateDict(layer.stateDict());
    expect(Object.keys(copy.stateDict())).toEqual(Object.keys(layer.stateDict()));
    expect(await first(copy.eval().forward(...inputs)).data()).toEqual(values);
  });
});
