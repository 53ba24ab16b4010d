import { describe, expect, it } from 'vitest';
import { buffer, noGrad, Parameter, type Tensor, tensor, zeros } from '../tensor/index.js';
import { ReLU } from './activation.js';
import { Conv2d } from './conv.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { GraphModule, type GraphSpec, type GraphStep } from './graph-module.js';
import { Identity, Linear } from './linear.js';
import { BatchNorm2d } from './normalization.js';
import { summary } from './summary.js';

const add = (a?: Tensor, b?: Tensor) => a!.add(b!);

/** y = relu(bn(conv(x))) + x · scale, all below `stage.0`; and the mean of y. */
function residual(): GraphModule {
  return new GraphModule({
    inputs: ['x'],
    outputs: ['sum', 'mean'],
    tensors: [
      { name: 'scale', tensor: new Parameter(tensor([2])), path: 'stage.0.scale' },
      { name: 'offset', tensor: buffer(tensor([1])), path: 'offset' },
      { name: 'half', tensor: tensor(0.5) },
    ],
    steps: [
      { name: 'stage.0.conv', inputs: ['x'], outputs: ['c'], run: new Conv2d(2, 2, 3, { padding: 1, bias: false }) },
      { name: 'stage.0.bn', inputs: ['c'], outputs: ['n'], run: new BatchNorm2d(2) },
      { name: 'stage.0.relu', inputs: ['n'], outputs: ['r'], run: new ReLU() },
      { name: 'stage.0.Mul', inputs: ['x', 'scale'], outputs: ['s'], run: (a, b) => a!.mul(b!), label: 'Mul' },
      { name: 'stage.0.Add', inputs: ['r', 's'], outputs: ['sum'], run: add, label: 'Add' },
      {
        name: 'Mean',
        inputs: ['sum', 'half', 'offset'],
        outputs: ['mean'],
        run: (y, h, o) => y!.mean([2, 3]).mul(h!).add(o!),
      },
    ],
  });
}

const step = (name: string, inputs: string[], outputs: string[], run: GraphStep['run'] = add): GraphStep => ({ name, inputs, outputs, run }); // biome-ignore format: one line
const graph = (steps: GraphStep[], rest: Partial<GraphSpec> = {}) => new GraphModule({ inputs: ['x'], outputs: ['y'], steps, ...rest }); // biome-ignore format: one line

describe('GraphModule', () => {
  it('computes its steps in order and gives several outputs by name, one as it is', async () => {
    const model = residual().eval();
    const x = tensor(
      [...Array(18).keys()].map((i) => i / 9 - 1),
      { shape: [1, 2, 3, 3] },
    );
    const { sum, mean } = model.forward(x) as Record<string, Tensor>;
    const conv = model.get('stage.0.conv') as Conv2d;
    const bn = model.get('stage.0.bn') as BatchNorm2d;
    const wanted = bn.forward(conv.forward(x)).relu().add(x.mul(2));
    expect(await sum.data()).toEqual(await wanted.data());
    expect(mean.shape).toEqual([1, 2]);
    const twice = graph([step('a', ['x', 'x'], ['y'])]).forward(tensor([1, 2])) as Tensor;
    expect(await twice.data()).toEqual(Float32Array.of(2, 4));
  });

  it('keeps parameters and buffers under their dotted names, constants out of the state', () => {
    const model = residual();
    expect(Object.keys(model.stateDict())).toEqual([
      'offset',
      'stage.0.scale',
      'stage.0.conv.weight',
      'stage.0.bn.weight',
      'stage.0.bn.bias',
      'stage.0.bn.running_mean',
      'stage.0.bn.running_var',
      'stage.0.bn.num_batches_tracked',
    ]);
    expect(Array.from(model.namedParameters(), ([path]) => path)).not.toContain('offset');
    const other = residual();
    other.loadStateDict(model.stateDict());
    expect(() => model.get('stage.0.con')).toThrow('did you mean stage.0.conv?');
  });

  it('is trained: gradients reach parameters of steps and of the graph itself', async () => {
    const model = residual();
    const { mean } = model.forward(zeros([2, 2, 4, 4]).add(1)) as Record<string, Tensor>;
    mean.sum().backward();
    expect(await (model.stateDict()['stage.0.scale'].grad as Tensor).item()).toBeCloseTo(0.5 * 4);
    expect(model.get('stage.0.conv').parameters()[0].grad).not.toBeNull();
  });

  it('shows hooks, activations, summary and errors the paths of its parts', () => {
    const model = residual().eval();
    const acts = model.activations(zeros([1, 2, 4, 4]), ['stage.0.relu']);
    expect(acts['stage.0.relu'].shape).toEqual([1, 2, 4, 4]);
    expect(summary(model, [2, 4, 4]).rows.map((row) => row.path)).toEqual([
      'stage.0.conv',
      'stage.0.bn',
      'stage.0.relu',
      'stage.0',
    ]);
    expect(() => model.forward(zeros([1, 3, 4, 4]))).toThrow('(in stage.0.conv)');
    const broken = graph([step('deep.Add', ['x', 'z'], ['y'])], { tensors: [{ name: 'z', tensor: zeros([3]) }] });
    expect(() => broken.forward(zeros([2]))).toThrow('(in deep.Add)');
  });

  it('runs what stands under a name now: batch norms can be folded', async () => {
    const model = residual();
    model.forward(zeros([2, 2, 4, 4]).add(1)); // moves the statistics
    model.eval();
    const x = tensor(
      [...Array(32).keys()].map((i) => Math.sin(i)),
      { shape: [1, 2, 4, 4] },
    );
    const before = await noGrad(() => (model.forward(x) as Record<string, Tensor>).sum).data();
    foldBatchNorm(model, [2, 4, 4]);
    expect(model.get('stage.0.bn')).toBeInstanceOf(Identity);
    const after = await (model.forward(x) as Record<string, Tensor>).sum.data();
    after.forEach((v, i) => void expect(v).toBeCloseTo(before[i], 5));
  });

  it('takes one module for several steps, and steps that leave inputs and outputs out', async () => {
    const shared = new Linear(2, 2);
    const seen: unknown[] = [];
    const model = graph([
      step('fc', ['x'], ['h'], shared),
      step('fc', ['h'], ['i'], shared),
      step('f', ['i', '', 'x'], ['', 'y'], (...inputs) => {
        seen.push(...inputs.map((v) => v === undefined));
        return [inputs[0]!, inputs[2]!];
      }),
    ]);
    const x = tensor([[1, 2]]);
    expect(model.forward(x)).toBe(x);
    expect(seen).toEqual([false, true, false]);
    expect(Object.keys(model.stateDict())).toEqual(['fc.weight', 'fc.bias']);
  });

  it('prints its program', () => {
    expect(residual().toString().split('\n')).toEqual([
      'GraphModule(x) → sum, mean {',
      '  scale = Parameter([1])',
      '  offset = Buffer([1])',
      '  c = stage.0.conv: Conv2d(2, 2, kernelSize=[3,3], padding=1, bias=false)(x)',
      '  n = stage.0.bn: BatchNorm2d(2, eps=0.00001, momentum=0.1, affine=true, trackRunningStats=true)(c)',
      '  r = stage.0.relu: ReLU()(n)',
      '  s = Mul(x, scale)',
      '  sum = Add(r, s)',
      '  mean = Mean(sum, half, offset)',
      '}',
    ]);
    expect(residual().stepCounts().get('Conv2d')).toBe(1);
    expect(residual().lastStep().name).toBe('stage.0.Add');
  });

  it.each<[string, () => unknown, string]>([
    [
      'a value nobody makes',
      () => graph([step('a', ['x', 'z'], ['y'])]),
      "step a reads 'z', which no step before it makes",
    ],
    ['a value made later', () => graph([step('a', ['b'], ['y']), step('b', ['x'], ['b'])]), "reads 'b', which no step"],
    [
      'a value made twice',
      () => graph([step('a', ['x'], ['y']), step('b', ['x'], ['y'])]),
      "value 'y' is made twice (by step b)",
    ],
    ['an output nobody makes', () => graph([step('a', ['x'], ['z'])]), "nothing makes the output 'y'"],
    ['no outputs', () => graph([], { outputs: [] }), 'a graph needs an output'],
    ['a name of every module', () => graph([step('train', ['x'], ['y'], new ReLU())]), "'train' is no name for a part"],
    [
      'a name below a layer',
      () => graph([step('a', ['x'], ['z'], new ReLU()), step('a.b', ['z'], ['y'], new ReLU())]),
      'something else stands at a',
    ],
    [
      'a name taken',
      () => graph([step('a', ['x'], ['z'], new ReLU()), step('a', ['z'], ['y'], new ReLU())]),
      'nothing can be put at a: the name is taken',
    ],
  ])('refuses %s', (_, make, message) => {
    expect(make).toThrow(message);
  });

  it('says how many inputs it takes, and which step makes too little', () => {
    const model = graph([step('a', ['x', 'x'], ['y'])]);
    expect(() => model.forward()).toThrow('GraphModule: takes 1 inputs (x), got 0');
    const less = graph([step('a', ['x'], ['z', 'y'], (x) => [x!])]);
    expect(() => less.forward(zeros([1]))).toThrow('step a should make 2 tensors (z, y); it made 1');
  });
});
