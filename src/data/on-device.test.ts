/** Batches as tensors, and normalisation in the graph against the one on the host. */

import { describe, expect, it } from 'vitest';
import { ConfigError } from '../util/errors.js';
import { batchTensors, normalizeTensor } from './on-device.js';
import { normalize } from './transforms/index.js';

describe('batchTensors', () => {
  it('keeps bytes bytes and takes the arrays over', async () => {
    const { inputs, labels } = batchTensors(batch(2, 3));
    expect([inputs.dtype, inputs.shape, labels.dtype, labels.shape]).toEqual(['uint8', [2, 3, 4, 5], 'int32', [2]]);
    expect([...(await labels.data())]).toEqual([0, 1]);
    const floats = batchTensors(normalize([0, 0, 0], [1, 1, 1])(batch(2, 3)));
    expect(floats.inputs.dtype).toBe('float32');
  });
});

describe('normalizeTensor', () => {
  it.each([
    [1, [0.1307], [0.3081]],
    [3, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]],
  ])('agrees with the transform on %i channels', async (channels, mean, std) => {
    const want = normalize(mean, std)(batch(3, channels)).inputs;
    for (const inputs of [
      batchTensors(batch(3, channels)).inputs,
      batchTensors(batch(3, channels)).inputs.float().div(255),
    ]) {
      const got = await normalizeTensor(inputs, mean, std).data();
      expect(got.length).toBe(want.length);
      // x·scale + shift in float32: scale, shift, product and sum round once each, all at most 1 / std.
      const worst = Math.max(...Array.from(want, (x, i) => Math.abs(got[i] - x)));
      expect(worst).toBeLessThanOrEqual((4 * 2 ** -24) / Math.min(...std));
    }
  });

  it('refuses another number of channels', () => {
    const { inputs } = batchTensors(batch(2, 3));
    expect(() => normalizeTensor(inputs, [0.5], [0.5])).toThrow(
      new ConfigError(
        'normalizeTensor: one mean and one positive std per channel; got mean [0.5], std [0.5] for inputs [2, 3, 4, 5] N C …',
      ),
    );
  });
});

function batch(count: number, channels: number) {
  const inputs = Uint8Array.from({ length: count * channels * 20 }, (_, i) => (i * 53) & 255);
  return { inputs, shape: [count, channels, 4, 5] as const, labels: Int32Array.from({ length: count }, (_, i) => i) };
}
