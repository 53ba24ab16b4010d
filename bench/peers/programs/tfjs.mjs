/**
 * TensorFlow.js on its WebAssembly backend. In Node that backend runs on one thread: its authors leave threads out there (tfjs#3830).
 * `node tfjs.mjs THREADS CACHE`
 */

import { evaluate, readNetwork } from './graph.mjs';
import { Cannot, pictures, serve } from './serve.mjs';

const [, cache] = process.argv.slice(2);
await serve(async () => {
  const { default: tf } = await import('@tensorflow/tfjs');
  await import('@tensorflow/tfjs-backend-wasm');
  if (!(await tf.setBackend('wasm'))) throw new Cannot('has no wasm backend here');
  await tf.ready();
  return {
    version: tf.version.tfjs,
    notes: ['wasm backend with SIMD, 1 thread: in Node it has no more'],
    async prepare(w) {
      if (w.kind !== 'infer') {
        const missing = ['Conv2DBackpropFilter', 'Conv2DBackpropInput'].filter((k) => !tf.getKernel(k, 'wasm'));
        throw new Cannot(
          missing.length > 0
            ? `cannot train on its wasm backend, which lacks ${missing.join(' and ')}`
            : 'has no training step in this bench',
        );
      }
      const { nodes, weights } = await readNetwork(cache, w.model);
      const layers = layersOf(tf, nodes, weights);
      const data = pictures(w.batch, w.input);
      let output = null;
      return {
        async step() {
          const y = tf.tidy(() => {
            const x = tf.tensor4d(data, [w.batch, ...w.input]).transpose([0, 2, 3, 1]);
            return evaluate(nodes, x, layers.words);
          });
          output = await y.data();
          y.dispose();
        },
        output: () => output,
        release: layers.dispose,
      };
    },
  };
});

/** Its convolutions take N H W C and kernels H W I O; bias and a ReLU that alone reads a convolution are fused into it. */
function layersOf(tf, nodes, weights) {
  const readers = new Map();
  for (const node of nodes) for (const name of node.inputs) readers.set(name, [...(readers.get(name) ?? []), node]);
  const fused = new Map(); // convolution → its activation
  for (const node of nodes) {
    const [reader, ...others] = readers.get(node.name) ?? [];
    if (node.op === 'conv' && others.length === 0 && (reader?.op === 'relu' || reader?.op === 'relu6'))
      fused.set(node.name, reader);
  }
  const done = new Set([...fused.values()].map((n) => n.name));
  const tensors = new Map();
  for (const node of nodes) {
    if (node.op !== 'conv' && node.op !== 'linear') continue;
    const { shape, data } = weights.get(`${node.module}.weight`);
    const depthwise = node.op === 'conv' && node.groups > 1;
    const order = node.op === 'linear' ? [1, 0] : depthwise ? [2, 3, 0, 1] : [2, 3, 1, 0];
    if (depthwise && (shape[1] !== 1 || shape[0] !== node.groups)) throw new Cannot('has no grouped convolution');
    const weight = tf.tidy(() => tf.tensor(data, shape).transpose(order));
    const bias = weights.get(`${node.module}.bias`);
    tensors.set(node.name, { weight, bias: tf.tensor1d(bias ? bias.data : new Float32Array(shape[0])), depthwise });
  }
  const pads = ([top, left]) =>
    top === left
      ? top
      : [
          [0, 0],
          [top, top],
          [left, left],
          [0, 0],
        ];
  const activation = (op) => (x, node) => (done.has(node.name) ? x : op(x));
  const words = {
    conv(x, node) {
      const { weight, bias, depthwise } = tensors.get(node.name);
      const run = depthwise ? tf.fused.depthwiseConv2d : tf.fused.conv2d;
      return run({
        x,
        filter: weight,
        strides: node.stride,
        pad: pads(node.padding),
        dilations: node.dilation,
        bias,
        activation: fused.get(node.name)?.op ?? 'linear',
      });
    },
    linear(x, node) {
      const { weight, bias } = tensors.get(node.name);
      return tf.fused.matMul({ a: x, b: weight, bias });
    },
    relu: activation((x) => tf.relu(x)),
    relu6: activation((x) => tf.relu6(x)),
    silu: (x) => tf.mul(x, tf.sigmoid(x)),
    sigmoid: (x) => tf.sigmoid(x),
    add: (a, b) => tf.add(a, b),
    mul: (a, b) => tf.mul(a, b),
    // Its padding counts as −∞ only with 'valid' or 'same'; behind a ReLU zeros are as good.
    maxPool: (x, node) =>
      node.padding === 0
        ? tf.maxPool(x, node.kernel, node.stride, 'valid')
        : tf.maxPool(
            tf.pad(x, [
              [0, 0],
              [node.padding, node.padding],
              [node.padding, node.padding],
              [0, 0],
            ]),
            node.kernel,
            node.stride,
            'valid',
          ),
    globalAvgPool: (x) => tf.mean(x, [1, 2], true),
    // Features of a picture come in the order C H W.
    flatten: (x) => (x.rank === 4 ? tf.transpose(x, [0, 3, 1, 2]).reshape([x.shape[0], -1]) : x),
  };
  return {
    words,
    dispose() {
      for (const { weight, bias } of tensors.values()) tf.dispose([weight, bias]);
    },
  };
}
