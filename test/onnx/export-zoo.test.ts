/**
 * Every model of the zoo as an ONNX file: ONNX Runtime computes what fovea computes, from one file for batches of 1 and 3, and so does the
 * network that fovea imports from the file. A new model is tested without a new test, on small inputs; `sizes` says where those must be others.
 */

import { afterAll, describe, expect, test } from 'vitest';
import { exportOnnx } from '../../src/io/onnx/export.js';
import { importOnnx } from '../../src/io/onnx/import.js';
import { type ModelBuilder, registry } from '../../src/models/index.js';
import { inEvalMode } from '../../src/nn/module.js';
import { Tensor } from '../../src/tensor/index.js';
import { asTensor, numbers, openSession, relativeError, spreadOut } from './runtime.js';

/** Pictures of 64 × 64, videos of 16 frames of 64 × 64, signals of 256 samples, tokens as they are: what is enough for most. */
const defaults: Readonly<Record<string, (input: readonly number[]) => readonly number[]>> = {
  picture: ([channels, height]) => (height < 64 ? [channels, height, height] : [channels, 64, 64]),
  video: ([channels]) => [channels, 16, 64, 64],
  signal: ([channels]) => [channels, 256],
  tokens: (input) => input,
};

/** Models that need another size than the default one. */
const sizes: Readonly<Record<string, readonly number[]>> = {
  inception_v3: [3, 96, 96],
};

describe('the zoo in ONNX Runtime', () => {
  const times: [string, number][] = [];
  afterAll(() => {
    const slowest = times.sort(([, a], [, b]) => b - a).slice(0, 5);
    console.log(`slowest: ${slowest.map(([name, ms]) => `${name} ${(ms / 1e3).toFixed(1)} s`).join(', ')}`);
  });

  test.each(registry.map((build) => [build.modelName, build] as const))('%s', async (name, build) => {
    const start = performance.now();
    const model = build({ numClasses: 10 });
    spreadOut(model);
    const { shape, dtype } = inputOf(build);
    const x = numbers([3, ...shape], { dtype, limit: 10 });
    const first = { ...x, shape: [1, ...shape], data: x.data.slice(0, x.data.length / 3) };
    const wanted = tensorsIn(inEvalMode(model, () => model.forward(asTensor(x))));

    for (const foldBatchNorm of folded(name) ? [false, true] : [false]) {
      const file = await exportOnnx(model, { input: shape, dtype, foldBatchNorm });
      const session = await openSession(file);
      const imported = importOnnx(file);
      const again = tensorsIn(inEvalMode(imported, () => imported.forward(asTensor(x))));
      const [three, one] = [await session.run({ input: x }), await session.run({ input: first })];
      await session.close();
      expect(session.outputNames).toHaveLength(wanted.length);
      for (const [i, output] of session.outputNames.entries()) {
        const y = await wanted[i].data();
        expect(three[output].shape).toEqual(wanted[i].shape);
        expect(relativeError(three[output].data, y)).toBeLessThan(1e-4);
        expect(relativeError(one[output].data, y.slice(0, y.length / 3))).toBeLessThan(1e-4);
        expect(relativeError(await again[i].data(), y)).toBeLessThan(1e-4);
      }
    }
    times.push([name, performance.now() - start]);
  });
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
