/** Every model of the registry against its own facts: parameters, multiply–adds, shapes, and that gradients reach all of it. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompiledTarget } from '../compile/compiled-target.js';
import type { Module } from '../nn/index.js';
import { nll } from '../nn/loss.js';
import { summary } from '../nn/summary.js';
import { grad, manualSeed, noGrad, rand, realize, setDevice, type Tensor, tensor, zeros } from '../tensor/index.js';
import type { DType } from '../util/dtype.js';
import { ConfigError } from '../util/errors.js';
import type { Shape } from '../util/shape.js';
import {
  classic,
  compoundScaling,
  type DetectorOutput,
  EfficientNet,
  efficientnet_b0,
  findModel,
  type ModelBuilder,
  mobilenet_v2,
  registry,
  resnet18,
  resnet50,
  vgg16,
} from './index.js';

let target: CompiledTarget;
beforeAll(async () => {
  target = await CompiledTarget.create({ threads: 2 });
  setDevice(target);
});
afterAll(() => target.dispose());

/** Networks for large pictures and films take small ones too, and are tested faster on them. */
function smallInput({ input, inputKind = 'picture' }: ModelBuilder): Shape {
  const [c, ...size] = input;
  if (inputKind === 'picture' || inputKind === 'video') return [c, ...size.map((n) => Math.min(n, 32))];
  return input;
}

function dtypeOf({ inputKind }: ModelBuilder): DType {
  return inputKind === 'tokens' ? 'int32' : 'float32';
}

/** Numbers in 0 … 1, or tokens. */
function example(build: ModelBuilder, batch: number, shape: Shape): Tensor {
  const x = rand([batch, ...shape]);
  return build.vocabulary === undefined ? x : x.mul(build.vocabulary).to('int32');
}

/** Of the scores for one input: a row, or one for each pixel or anchor. */
function scoresShape({ input, task }: ModelBuilder, numClasses: number): Shape {
  if (task === 'segmentation') return [numClasses, ...input.slice(1)];
  return task === 'detection' ? [numClasses, 3234] : [numClasses];
}

/** Scores [N, classes, …] of an output. */
function scoresOf(output: Tensor | DetectorOutput): Tensor {
  return 'anchors' in output ? output.scores.transpose(1, 2) : output;
}

describe.each(registry.map((model) => [model.modelName, model] as const))('%s', (_name, build) => {
  it('has the parameters and multiply–adds it states', () => {
    const counted = summary(build(), build.input, { dtype: dtypeOf(build) });
    expect(counted.totalParams).toBe(build.params);
    expect(counted.totalMacs).toBe(build.macs);
  });

  it('maps a batch to one row of outputs per picture, pixel or anchor, for any number of classes', () => {
    const x = zeros([3, ...build.input], { dtype: dtypeOf(build) });
    expect(scoresOf(build().eval().forward(x)).shape).toEqual([3, ...scoresShape(build, build.numClasses)]);
    expect(scoresOf(build({ numClasses: 7 }).eval().forward(x)).shape).toEqual([3, ...scoresShape(build, 7)]);
  });
});

/** Larger ones are made of the same blocks, and test/golden/zoo sees all their gradients. */
const small = registry.filter(({ params }) => params < 15e6);

describe.each(small.map((model) => [model.modelName, model] as const))('%s', (_name, build) => {
  it('gives log-probabilities exactly where it says so, and gradients of the loss to every parameter', async () => {
    manualSeed(1);
    const model = build({ numClasses: 10 }).eval();
    const whatCame = model.forward(example(build, 2, smallInput(build)));
    const output = scoresOf(whatCame);
    const sums = output.exp().sum(1);
    const named = [...model.namedParameters()].filter(([path]) => !build.trainingOnly?.test(path));
    const places = output.shape.slice(2); // none but for pixels
    const labels = tensor([3, 7], { dtype: 'int32' }).reshape([2, ...places.map(() => 1)]);
    const moves = build.task === 'detection' ? whatCame.boxes.mean() : 0;
    const gradients = grad(
      nll(output.logSoftmax(1), labels.expand([2, ...places])).add(moves),
      named.map(([, p]) => p),
    );
    const sizes = gradients.map((g) => g.abs().sum());
    await realize(sums, ...sizes);
    for (const [i, [path]] of named.entries()) expect(await sizes[i].item(), path).toBeGreaterThan(0);
    const areOne = Array.from(await sums.data()).every((sum) => Math.abs(Number(sum) - 1) < 1e-5);
    expect(areOne).toBe(build.output === 'logProbabilities');
    for (const t of Object.values(model.stateDict())) t.dispose(); // so many networks do not fit one beside the other
  });
});

describe('classic', () => {
  it("has the names and shapes of PyTorch's example", () => {
    const shapes = Object.entries(classic().stateDict()).map(([name, t]) => `${name} [${t.shape}]`);
    expect(shapes).toEqual([
      'conv1.weight [32,1,3,3]',
      'conv1.bias [32]',
      'conv2.weight [64,32,3,3]',
      'conv2.bias [64]',
      'fc1.weight [128,9216]',
      'fc1.bias [128]',
      'fc2.weight [10,128]',
      'fc2.bias [10]',
    ]);
  });
});

describe('options of the larger networks', () => {
  const shapes = (model: Module) => Object.fromEntries(Object.entries(model.stateDict()).map(([n, t]) => [n, t.shape]));

  it('take pictures of other channels', () => {
    for (const build of [resnet18, resnet50, vgg16, mobilenet_v2, efficientnet_b0]) {
      const model = build({ inChannels: 1, numClasses: 3 }).eval();
      expect(model.forward(zeros([1, 1, 64, 64])).shape).toEqual([1, 3]);
      expect(model.parameters()[0].shape[1]).toBe(1);
    }
  });

  it('keep small pictures large with the CIFAR stem: 3×3, stride 1, no pooling', () => {
    const model = resnet18({ stem: 'cifar', numClasses: 10 }).eval();
    const acts = model.activations(zeros([2, 3, 32, 32]), ['conv1', 'layer1', 'layer4']);
    expect(acts.conv1.shape).toEqual([2, 64, 32, 32]);
    expect(acts.layer1.shape).toEqual([2, 64, 32, 32]);
    expect(acts.layer4.shape).toEqual([2, 512, 4, 4]);
    expect(shapes(model)['conv1.weight']).toEqual([64, 3, 3, 3]);
  });

  it('start residual blocks as the identity on request', async () => {
    for (const [build, norm] of [
      [resnet18, 'bn2'],
      [resnet50, 'bn3'],
    ] as const) {
      const state = build({ zeroInitResidual: true, numClasses: 2 }).stateDict();
      const weights = Object.entries(state).filter(([name]) => /^layer.*bn\d\.weight$/.test(name));
      for (const [name, weight] of weights) {
        const [first] = await weight.data();
        expect(first, name).toBe(name.includes(norm) ? 0 : 1);
      }
    }
  });

  it('begin from the initial values of torchvision', async () => {
    manualSeed(3);
    const spread = async (model: Module, path: string) => {
      const data = (await model.stateDict()[path].data()) as Float32Array;
      return Math.sqrt(data.reduce((sum, v) => sum + v * v, 0) / data.length);
    };
    const near = (got: number, wanted: number) => expect(Math.abs(got / wanted - 1)).toBeLessThan(0.05);
    near(await spread(resnet18(), 'layer1.0.conv1.weight'), Math.sqrt(2 / (64 * 9))); // √(2 / fanOut)
    near(await spread(resnet18(), 'fc.weight'), 1 / Math.sqrt(512 * 3)); // uniform in ±1/√512
    near(await spread(vgg16(), 'features.2.weight'), Math.sqrt(2 / (64 * 9)));
    near(await spread(vgg16(), 'classifier.6.weight'), 0.01);
    near(await spread(mobilenet_v2(), 'conv_head.weight'), Math.sqrt(2 / 1280));
    near(await spread(mobilenet_v2(), 'classifier.weight'), 0.01);
    near(await spread(efficientnet_b0(), 'blocks.1.0.conv_dw.weight'), Math.sqrt(2 / (96 * 9)));
    near(await spread(efficientnet_b0(), 'classifier.weight'), 1 / Math.sqrt(1000 * 3));
    for (const [model, path] of [
      [vgg16(), 'features.0.bias'],
      [vgg16(), 'classifier.0.bias'],
      [mobilenet_v2(), 'classifier.bias'],
      [efficientnet_b0(), 'blocks.0.0.se.conv_reduce.bias'],
    ] as const)
      expect(await spread(model, path), path).toBe(0);
  });

  it('drop blocks and features while training, the same ones again from the same seed', async () => {
    const x = rand([4, 3, 32, 32]);
    const output = async (drop: object) => {
      manualSeed(5);
      const model = efficientnet_b0({ numClasses: 4, ...drop });
      return Array.from(await noGrad(() => model.forward(x)).data());
    };
    const steady = await output({ dropout: 0, stochasticDepth: 0 });
    const features = await output({ stochasticDepth: 0 });
    const blocks = await output({ dropout: 0 });
    expect(features).not.toEqual(steady);
    expect(blocks).not.toEqual(steady);
    expect(await output({ dropout: 0 })).toEqual(blocks);
  });

  it('scale by the compound rule: EfficientNet-B4 and B7 have the published numbers of parameters', () => {
    const sized = (widthMultiplier: number, depthMultiplier: number) =>
      new EfficientNet({ widthMultiplier, depthMultiplier, numClasses: 1000, inChannels: 3 }).parameterCount();
    expect(sized(1.4, 1.8)).toBe(19_341_616);
    expect(sized(2, 3.1)).toBe(66_347_960);
    const { depthMultiplier, widthMultiplier, resolution } = compoundScaling(1);
    expect([depthMultiplier, widthMultiplier, resolution]).toEqual([1.2, 1.1, 258]);
  });

  it('are the named networks of torchvision at other widths too: MobileNetV2 of 1.4', () => {
    expect(mobilenet_v2({ widthMultiplier: 1.4 }).parameterCount()).toBe(6_108_776);
  });
});

describe('findModel', () => {
  it('suggests the nearest name', () => {
    expect(findModel('classic')).toBe(classic);
    expect(() => findModel('clasic')).toThrow(new ConfigError("There is no model 'clasic'. Did you mean classic?"));
    expect(() => findModel('transformer')).toThrow(/The models are classic, lenet5_1998, lenet5, alexnet_2012, /);
  });
});
