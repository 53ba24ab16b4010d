/** ONNX Runtime (its WebAssembly build) as the judge of exported files, and numbers to give it. */

import * as ort from 'onnxruntime-web';
import type { HostTensor } from '../../src/io/host-tensor.js';
import type { Module } from '../../src/nn/index.js';
import { type Tensor, tensor } from '../../src/tensor/index.js';
import { allocate, type TypedArray } from '../../src/util/dtype.js';
import { numel, type Shape } from '../../src/util/shape.js';

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

/** Loads a file once; `run` takes inputs by name and gives outputs by name. */
export async function openSession(file: Uint8Array) {
  const session = await ort.InferenceSession.create(file, { executionProviders: ['wasm'] });
  return {
    async run(inputs: Readonly<Record<string, HostTensor>>): Promise<Record<string, HostTensor>> {
      const feeds = Object.entries(inputs).map(([name, x]) => [
        name,
        new ort.Tensor(x.dtype, x.data as never, x.shape),
      ]);
      const outputs = await session.run(Object.fromEntries(feeds));
      return Object.fromEntries(Object.entries(outputs).map(([name, y]) => [name, hostTensor(y)]));
    },
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    close: () => session.release(),
  };
}

function hostTensor(value: ort.Tensor): HostTensor {
  return { dtype: value.type as HostTensor['dtype'], shape: value.dims, data: value.data as TypedArray };
}

/** Numbers in ±1 (or whole ones below `limit`), the same for the same seed. */
export function numbers(
  shape: Shape,
  { seed = 1, dtype = 'float32' as HostTensor['dtype'], limit = 10 } = {},
): HostTensor {
  const data = allocate(dtype, numel(shape));
  const next = generator(seed);
  for (let i = 0; i < data.length; i++) data[i] = dtype === 'float32' ? 2 * next() - 1 : Math.floor(next() * limit);
  return { dtype, shape, data };
}

export function asTensor({ dtype, shape, data }: HostTensor): Tensor {
  return tensor(data, { dtype, shape });
}

/** The largest difference over the largest value. */
export function relativeError(actual: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (actual.length !== wanted.length) return Number.POSITIVE_INFINITY;
  let [difference, size] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    if (!Number.isFinite(actual[i]) || !Number.isFinite(wanted[i])) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, Math.abs(actual[i] - wanted[i]));
    size = Math.max(size, Math.abs(wanted[i]));
  }
  return size === 0 ? difference : difference / size;
}

/** Gives norms statistics and weights of their own, and constants that start as 0 or nearly so a value that is seen. */
export function spreadOut(model: Module, seed = 7): void {
  const next = generator(seed);
  for (const [path, value] of Object.entries(model.stateDict())) {
    if (value.dtype !== 'float32' || value.size > 1 << 16) continue;
    const name = path.split('.').at(-1)!;
    const around1 = name === 'running_var' || (name === 'weight' && value.shape.length === 1);
    if (around1) value.assign(Float32Array.from({ length: value.size }, () => 0.6 + 0.8 * next()));
    else if (value.shape.length === 1 || isConstant(value)) {
      value.assign(Float32Array.from({ length: value.size }, () => 0.4 * (next() - 0.5)));
    }
  }
}

function isConstant(value: Tensor): boolean {
  const data = value.peek();
  return data?.every((x) => Math.abs(x - data[0]) < 1e-6) ?? false;
}

function generator(seed: number): () => number {
  let state = (seed * 0x9e3779b9) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
