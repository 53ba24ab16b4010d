/** ONNX Runtime on the files that PyTorch exported: what onnxruntime-node and onnxruntime-web have in common. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Cannot, pictures } from './serve.mjs';

export function onnxruntime({ ort, cache, version, notes, load, options }) {
  return {
    version,
    notes,
    async prepare(w) {
      if (w.kind !== 'infer') throw new Cannot('only infers, it does not train');
      const file = join(cache, `${w.model}.onnx`);
      if (!existsSync(file))
        throw new Cannot(`reads an ONNX file that PyTorch exports, and ${w.model}.onnx is not there`);
      const session = await ort.InferenceSession.create(await load(file), options);
      const data = pictures(w.batch, w.input);
      let output = null;
      return {
        async step() {
          const { y } = await session.run({ x: new ort.Tensor('float32', data, [w.batch, ...w.input]) });
          output = y.data;
        },
        output: () => output,
        release: () => session.release(),
      };
    },
  };
}
