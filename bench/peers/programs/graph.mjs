/**
 * The folded networks that PyTorch wrote down (pytorch_peer.py, `plain_graph`) for frameworks that read no ONNX: a list of operations, and
 * the weights in safetensors.
 */

import { existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Cannot } from './serve.mjs';

/** → { nodes, weights }, `weights` a Map from name to { shape, data }. */
export async function readNetwork(cache, model) {
  const file = join(cache, `${model}.graph.json`);
  if (!existsSync(file))
    throw new Cannot(`reads a network that PyTorch writes down, and ${model}.graph.json is not there`);
  return {
    nodes: JSON.parse(await readFile(file, 'utf8')),
    weights: await readWeights(join(cache, `${model}.folded.safetensors`)),
  };
}

/** All float32 tensors of a safetensors file. */
export async function readWeights(path) {
  const file = await open(path);
  try {
    const length = Number((await file.read(Buffer.alloc(8), 0, 8, 0)).buffer.readBigUInt64LE());
    const header = JSON.parse((await file.read(Buffer.alloc(length), 0, length, 8)).buffer.toString());
    const weights = new Map();
    for (const [name, entry] of Object.entries(header)) {
      if (name === '__metadata__' || entry.dtype !== 'F32') continue;
      const [from, to] = entry.data_offsets;
      const bytes = new Uint8Array(to - from);
      for (let done = 0; done < bytes.length; ) {
        done += (await file.read(bytes, done, bytes.length - done, 8 + length + from + done)).bytesRead;
      }
      weights.set(name, { shape: entry.shape, data: new Float32Array(bytes.buffer) });
    }
    return weights;
  } finally {
    await file.close();
  }
}

/** Computes a network with the operations of `words`: { conv(x, node), relu(x), add(a, b), … }. */
export function evaluate(nodes, input, words) {
  const values = new Map();
  for (const node of nodes) {
    if (node.op === 'input') values.set(node.name, input);
    else if (node.op === 'output') return values.get(node.inputs[0]);
    else {
      const word = words[node.op];
      if (word === undefined) throw new Cannot(`has no ${node.op}`);
      values.set(node.name, word(...node.inputs.map((name) => values.get(name)), node));
    }
  }
  throw new Error('a network without an output');
}

/** How often each value is read, for frameworks that count references. */
export function uses(nodes) {
  const counts = new Map();
  for (const node of nodes) for (const name of node.inputs) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
