/**
 * Every model of the zoo as an ONNX file: ONNX Runtime computes what fovea computes, from one file for batches of 1 and 3, and so does the
 * network that fovea imports from it. A new model is tested without a new test, on small inputs; `sizes` says where those must be others.
 */

import { afterAll, describe, expect, test } from 'vitest';
import { exportOnnx, onnxModel } from '../../src/io/onnx/export.js';
import { importModel, importOnnx } from '../../src/io/onnx/import.js';
import { tensorShape } from '../../src/io/onnx/tensor-value.js';
import { type ModelBuilder, registry } from '../../src/models/index.js';
import { inEvalMode } from '../../src/nn/module.js';
import { Tensor, zeros } from '../../src/tensor/index.js';
import { deferValue } from '../../src/tensor/runtime.js';
import { allocate } from '../../src/util/dtype.js';
import { asTensor, numbers, openSession, relativeError, spreadOut } from './runtime.js';

/** Pictures of 64 × 64, videos of 8 frames of 32 × 32, signals of 256 samples, tokens as they are: what is enough for most. */
const defaults: Readonly<Record<string, (input: readonly number[]) => readonly number[]>> = {
  picture: ([channels, height]) => (height < 64 ? [channels, height, height] : [channels, 64, 64]),
  video: ([channels]) => [channels, 8, 32, 32],
  signal: ([channels]) => [channels, 256],
  tokens: (input) => input,
};

/** Models that need another size than the default one. */
const sizes: Readonly<Record<string, readonly number[]>> = {
  inception_v3: [3, 96, 96],
  alexnet_2012: [3, 227, 227],
  c3d: [3, 16, 112, 112],
  ssdlite320_mobilenet_v3_large: [3, 320, 320],
};

/**
 * Above so many parameters a model is not computed: that takes long, of the largest gigabytes of the runtime's memory, and they have no layer
 * that smaller ones lack. It leaves out VGG and C3D, which are convolutions and linear layers, and the large members of other families.
 */
const mostParams = process.env.FOVEA_TESTS === 'all' ? 36e6 : 12e6; // npm test -- --all
/** Too large, but with layers that no other model has. */
const alsoComputed = ['alexnet_2012'];

/** Ten times what the slowest takes on an idle machine. */
const timeoutMs = 300_000;

const isComputed = ({ modelName, params }: ModelBuilder) => params <= mostParams || alsoComputed.includes(modelName);
const rows = (builders: readonly ModelBuilder[]) => builders.map((build) => [build.modelName, build] as const);

describe('ONNX Runtime and an import compute the same', () => {
  const times: [string, number][] = [];
  afterAll(() => {
    const slowest = times.toSorted(([, a], [, b]) => b - a).slice(0, 5);
    const total = times.reduce((sum, [, seconds]) => sum + seconds, 0);
    const list = slowest.map(([name, seconds]) => `${name} ${seconds.toFixed(1)} s`);
    console.log(`${times.length} models, ${total.toFixed(0)} s of processor time; most: ${list.join(', ')}`);
  });

  test.each(rows(registry.filter(isComputed)))(
    '%s',
    async (name, build) => {
      const start = process.cpuUsage();
      const model = build({ numClasses: 10 });
      spreadOut(model);
      const { shape, dtype } = inputOf(build);
      const x = numbers([3, ...shape], { dtype, limit: 10 });
      const first = { ...x, shape: [1, ...shape], data: x.data.slice(0, x.data.length / 3) };
      const wanted = tensorsIn(inEvalMode(model, () => model.forward(asTensor(x))));

      for (const foldBatchNorm of folded(name) ? [false, true] : [false]) {
        const file = await exportOnnx(model, { input: shape, dtype, foldBatchNorm });
        const session = await openSession(file);
        const [three, one] = [await session.run({ input: x }), await session.run({ input: first })];
        await session.close();
        const imported = importOnnx(file);
        const again = tensorsIn(inEvalMode(imported, () => imported.forward(asTensor(x))));
        expect(session.outputNames).toHaveLength(wanted.length);
        for (const [i, output] of session.outputNames.entries()) {
          const y = await wanted[i].data();
          expect(three[output].shape).toEqual(wanted[i].shape);
          expect(relativeError(three[output].data, y)).toBeLessThan(1e-4);
          const ofFirst = wanted[i].shape[0] === 3 ? y.slice(0, y.length / 3) : y; // anchors are the same for any batch
          expect(relativeError(one[output].data, ofFirst)).toBeLessThan(1e-4);
          expect(relativeError(await again[i].data(), y)).toBeLessThan(1e-4);
        }
      }
      const { user, system } = process.cpuUsage(start);
      times.push([name, (user + system) / 1e6]);
    },
    timeoutMs,
  );
});

describe('models too large to compute here hold their weights, and come back with the shapes they had', () => {
  test.each(rows(registry.filter((build) => !isComputed(build))))(
    '%s',
    async (_, build) => {
      const model = build({ numClasses: 10 });
      // Nothing is drawn: what matters are places and names.
      for (const parameter of model.parameters()) deferValue(parameter, () => allocate('float32', parameter.size));
      const { shape, dtype } = inputOf(build);
      const proto = await onnxModel(model, { input: shape, dtype });
      const sizes = new Map(proto.graph!.initializer.map((tensor) => [tensor.name, tensorShape(tensor)]));
      for (const [path, parameter] of model.namedParameters()) {
        // Heads that only training uses are not in an export, and positions stand resampled for pictures of another size.
        if (build.trainingOnly?.test(path) || path === 'pos_embed') continue;
        expect([path, sizes.get(path)]).toEqual([path, parameter.shape]);
      }
      const x = zeros([5, ...shape], { dtype });
      const imported = importModel(proto);
      const shapes = (output: unknown) => tensorsIn(output).map((tensor) => tensor.shape);
      const wanted = inEvalMode(model, () => model.forward(x));
      expect(shapes(inEvalMode(imported, () => imported.forward(x)))).toEqual(shapes(wanted));
    },
    timeoutMs,
  );
});

/** Both ways for one model of each kind of layer that batch norms follow. */
function folded(name: string): boolean {
  return ['resnet18', 'mobilenet_v2', 'efficientnet_b0', 'densenet121', 'shufflenet_v2_x0_5'].includes(name);
}

function inputOf({ modelName, input, inputKind = 'picture' }: ModelBuilder) {
  const shape = sizes[modelName] ?? defaults[inputKind](input);
  return { shape, dtype: inputKind === 'tokens' ? ('int32' as const) : ('float32' as const) };
}

function tensorsIn(output: unknown): Tensor[] {
  if (output instanceof Tensor) return [output];
  return output !== null && typeof output === 'object' ? Object.values(output).flatMap(tensorsIn) : [];
}
