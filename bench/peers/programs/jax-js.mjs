/**
 * jax-js on its WebAssembly backend, whole steps under `jit`. Its arrays count references: an operation consumes what it is given, `.ref`
 * gives one more. `node jax-js.mjs THREADS CACHE`
 */

import { createRequire } from 'node:module';
import { evaluate, readNetwork, uses } from './graph.mjs';
import { Cannot, pictures, serve } from './serve.mjs';

const [, cache] = process.argv.slice(2);
await serve(async () => {
  const jax = await import('@jax-js/jax');
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  const { version } = createRequire(import.meta.url)('../node_modules/@jax-js/jax/package.json');
  return {
    version,
    notes: ['wasm backend, jit; it chooses its threads itself'],
    async prepare(w) {
      if (w.kind === 'infer') return inference(jax, w);
      if (w.model !== 'classic') throw new Cannot('has no batch norm; its step of classic tells how fast it trains');
      return training(jax, w);
    },
  };
});

async function inference({ jit, lax, nn, numpy: np }, w) {
  const { nodes, weights } = await readNetwork(cache, w.model);
  const counts = uses(nodes);
  const params = {};
  for (const [name, { shape, data }] of weights) params[name] = np.array(data).reshape(shape);
  const forward = jit((p, x) => {
    // A value is handed out as often as the network reads it, the last time for good.
    const left = new Map(counts);
    const take = (value, node, i) => {
      const name = node.inputs[i];
      left.set(name, left.get(name) - 1);
      return left.get(name) > 0 ? value.ref : value;
    };
    const unary = (op) => (a, node) => op(take(a, node, 0));
    const sides = ([y, x]) => [
      [y, y],
      [x, x],
    ];
    return evaluate(nodes, x, {
      conv(a, node) {
        const y = lax.convGeneralDilated(
          take(a, node, 0),
          p[`${node.module}.weight`].ref,
          node.stride,
          sides(node.padding),
          {
            rhsDilation: node.dilation,
            featureGroupCount: node.groups,
          },
        );
        const bias = p[`${node.module}.bias`];
        return bias === undefined ? y : y.add(bias.ref.reshape([1, -1, 1, 1]));
      },
      linear: (a, node) =>
        np.matmul(take(a, node, 0), np.transpose(p[`${node.module}.weight`].ref)).add(p[`${node.module}.bias`].ref),
      relu: unary(nn.relu),
      relu6: unary(nn.relu6),
      silu: unary(nn.silu),
      sigmoid: unary(nn.sigmoid),
      add: (a, b, node) => take(a, node, 0).add(take(b, node, 1)),
      mul: (a, b, node) => take(a, node, 0).mul(take(b, node, 1)),
      // It pads with zeros, which behind a ReLU are as good as −∞.
      maxPool(a, node) {
        const { kernel: k, stride: s, padding } = node;
        const side = [padding, padding];
        return lax.reduceWindow(
          np.pad(take(a, node, 0), [[0, 0], [0, 0], side, side]),
          (v) => np.max(v),
          [1, 1, k, k],
          [1, 1, s, s],
        );
      },
      globalAvgPool: (a, node) => np.mean(take(a, node, 0), [2, 3], { keepdims: true }),
      flatten: (a, node) => take(a, node, 0).reshape([w.batch, -1]),
    });
  });
  const x = np.array(pictures(w.batch, w.input)).reshape([w.batch, ...w.input]);
  let output = null;
  const refs = () => Object.fromEntries(Object.entries(params).map(([name, p]) => [name, p.ref]));
  return {
    async step() {
      output = await forward(refs(), x.ref).data();
    },
    output: () => output,
    release() {
      for (const p of Object.values(params)) p.dispose();
      x.dispose();
    },
  };
}

/** The classic network with Adam. Without dropout, which spares it a little work: whole channels of random bits and a product. */
async function training({ jit, lax, nn, numpy: np, valueAndGrad, tree }, w) {
  const uniform = (shape, fanIn) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () => (2 * Math.random() - 1) / Math.sqrt(fanIn));
    return np.array(values).reshape(shape);
  };
  const fanIns = {
    conv1: [[32, 1, 3, 3], 9],
    conv2: [[64, 32, 3, 3], 288],
    fc1: [[9216, 128], 9216],
    fc2: [[128, 10], 128],
  };
  let params = {};
  for (const [name, [shape, fanIn]] of Object.entries(fanIns)) {
    params[`${name}.weight`] = uniform(shape, fanIn);
    params[`${name}.bias`] = uniform(name.startsWith('conv') ? [1, shape[0], 1, 1] : [shape[1]], fanIn);
  }
  const names = Object.keys(params);
  const zeros = () => Object.fromEntries(names.map((name) => [name, np.zeros(params[name].shape)]));
  let [first, second] = [zeros(), zeros()];
  const oneHot = Float32Array.from({ length: w.batch * 10 }, (_, i) => (i % 10 === Math.floor(i / 10) % 10 ? 1 : 0));
  const x = np.array(pictures(w.batch, w.input)).reshape([w.batch, ...w.input]);
  const labels = np.array(oneHot).reshape([w.batch, 10]);

  const lossOf = (p, a, y) => {
    a = nn.relu(lax.convGeneralDilated(a, p['conv1.weight'], [1, 1], 'VALID').add(p['conv1.bias']));
    a = nn.relu(lax.convGeneralDilated(a, p['conv2.weight'], [1, 1], 'VALID').add(p['conv2.bias']));
    a = lax.reduceWindow(a, (v) => np.max(v), [1, 1, 2, 2], [1, 1, 2, 2]).reshape([w.batch, -1]);
    a = nn.relu(np.matmul(a, p['fc1.weight']).add(p['fc1.bias']));
    a = nn.logSoftmax(np.matmul(a, p['fc2.weight']).add(p['fc2.bias']), -1);
    return a
      .mul(y)
      .sum()
      .mul(-1 / w.batch);
  };
  const step = jit((p, m, v, a, y) => {
    const [loss, g] = valueAndGrad(lossOf)(tree.ref(p), a, y);
    const [p2, m2, v2] = [{}, {}, {}];
    for (const name of names) {
      m2[name] = m[name].mul(0.9).add(g[name].ref.mul(0.1));
      v2[name] = v[name].mul(0.999).add(g[name].ref.mul(g[name]).mul(0.001));
      p2[name] = p[name].sub(m2[name].ref.mul(1e-3).div(np.sqrt(v2[name].ref).add(1e-8)));
    }
    return [loss, p2, m2, v2];
  });
  return {
    params: names.reduce((sum, name) => sum + params[name].size, 0),
    async step() {
      const [loss, p, m, v] = step(params, first, second, x.ref, labels.ref);
      [params, first, second] = [p, m, v];
      const [value] = await loss.data();
      if (!Number.isFinite(value)) throw new Error('the loss is not a number');
    },
    release() {
      for (const part of [params, first, second]) for (const a of Object.values(part)) a.dispose();
    },
  };
}
