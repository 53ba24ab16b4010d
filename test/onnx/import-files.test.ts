/**
 * Files as PyTorch's two exporters and paddle2onnx write them, with weights that both sides generate (test/golden/onnx_files.py): the import
 * computes what ONNX Runtime computed from them.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { importOnnx } from '../../src/io/onnx/import.js';
import { inEvalMode } from '../../src/nn/index.js';
import { Tensor, tensor } from '../../src/tensor/index.js';
import { type Digest, digest, filled, initial } from '../golden/counter.js';

const folder = fileURLToPath(new URL('../golden/data/onnx/', import.meta.url));
const names = readdirSync(folder).filter((file) => file.endsWith('.onnx.gz')).map((file) => file.slice(0, -8)); // biome-ignore format: one thought

interface Expected {
  readonly input: number[];
  readonly outputs: readonly { name: string; shape: number[]; digest: Digest; first: number[] }[];
}

/** The file `NAME:SHAPE` stands for the generated values of that tensor. */
function generated(location: string): Uint8Array {
  const at = location.lastIndexOf(':');
  const values = initial(location.slice(0, at), location.slice(at + 1).split(',').map(Number)); // biome-ignore format: one thought
  return new Uint8Array(values.buffer);
}

function importFile(name: string) {
  return importOnnx(gunzipSync(readFileSync(`${folder}${name}.onnx.gz`)), { external: generated });
}

describe('files of other exporters', () => {
  test.each(names)('%s', async (name) => {
    const { input, outputs } = JSON.parse(readFileSync(`${folder}${name}.json`, 'utf8')) as Expected;
    const model = importFile(name);
    expect(model.metadata.outputs.map((o) => o.name)).toEqual(outputs.map((o) => o.name));
    const made = inEvalMode(model, () => model.forward(tensor(filled('input', input), { shape: input })));
    for (const { name: output, shape, digest: wanted, first } of outputs) {
      const y = made instanceof Tensor ? made : made[output];
      expect(y.shape).toEqual(shape);
      const values = await y.data();
      const scale = wanted[0] / Math.sqrt(y.size); // of one value
      first.forEach(
        (v, i) => void expect(Math.abs(values[i] - v), `value ${i} of ${output}`).toBeLessThan(2e-4 * scale),
      );
      const [norm, probe] = digest(values, shape);
      expect(Math.abs(norm - wanted[0])).toBeLessThan(1e-4 * wanted[0]);
      expect(Math.abs(probe - wanted[1])).toBeLessThan(1e-4 * wanted[0]);
    }
  });
});
