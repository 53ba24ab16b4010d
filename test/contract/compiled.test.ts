/**
 * The compiler against the reference: every primitive and a number of fused combinations, at sizes around vector and block edges.
 * Each case is compiled and run kernel by kernel in the sandbox, with NaN wherever nobody has written.
 */

import { describe, expect, it } from 'vitest';
import { gradient } from '../../src/grad/reverse.js';
import type { Node } from '../../src/graph/node.js';
import { Storage } from '../../src/graph/storage.js';
import type { Assignment } from '../../src/graph/target.js';
import * as ops from '../../src/ops/index.js';
import { ReferenceTarget } from '../../src/ops/reference/index.js';
import type { DType, TypedArray } from '../../src/util/dtype.js';
import { numel, type Shape } from '../../src/util/shape.js';
import { runCompiled, targetsHere } from '../run-compiled.js';

/** Numbers that depend on nothing but their position and a case's number. */
function source(serial: number) {
  let drawn = 0;
  const unit = () => {
    const bits = Math.imul((drawn++ * 2654435761 + serial * 40503) ^ 0x5bd1e995, 0x27d4eb2d);
    return ((bits ^ (bits >>> 15)) >>> 8) / 2 ** 24;
  };
  const float = (shape: Shape, lo = -2, hi = 2): Node =>
    ops.buffer(
      new Storage(
        shape,
        'float32',
        Float32Array.from({ length: numel(shape) }, () => lo + (hi - lo) * unit()),
      ),
    );
  const int = (shape: Shape, below: number, dtype: DType = 'int32'): Node => {
    const values = Array.from({ length: numel(shape) }, () => Math.floor(unit() * below));
    return ops.buffer(new Storage(shape, dtype, dtype === 'int32' ? Int32Array.from(values) : Uint8Array.from(values)));
  };
  const parameter = (shape: Shape): Storage =>
    new Storage(
      shape,
      'float32',
      Float32Array.from({ length: numel(shape) }, () => unit() - 0.5),
      true,
    );
  return { float, int, parameter };
}

type Source = ReturnType<typeof source>;
type Case = [title: string, build: (s: Source) => Node[] | { roots: Node[]; assigns: Assignment[] }];

const key = () => ops.buffer(new Storage([4], 'int32', Int32Array.of(7, 0, 3, 0)));

const algebra = { add: ops.add, zeros: (like: Node) => ops.constant(0, like.shape, like.dtype) };
const grads = (loss: Node, ...wrt: Node[]) => gradient([loss], [ops.constant(1)], wrt, algebra);

const cases: Case[] = [
  [
    'elementwise on odd sizes',
    (s) => [ops.add(ops.mul(s.float([3, 5]), s.float([5])), 1), ops.exp(s.float([13])), ops.neg(s.float([1]))],
  ],
  ['a scalar', (s) => [ops.mul(s.float([]), s.float([]))]],
  [
    'broadcast both ways',
    (s) => [ops.sub(s.float([4, 1, 7]), s.float([3, 1])), ops.div(s.float([2, 1, 1, 9]), s.float([1, 5, 3, 1], 1, 2))],
  ],
  ['truth values', (s) => { const a = s.float([3, 11]); const b = s.float([3, 11]); return [ops.lt(a, b), ops.logicalAnd(ops.gt(a, 0), ops.ge(b, 0)), ops.where(ops.lt(a, b), a, b)]; }], // biome-ignore format: one line a case
  ['integers and pictures', (s) => { const p = s.int([2, 3, 5], 256, 'uint8'); return [ops.cast(p, 'float32'), ops.div(ops.sub(ops.cast(p, 'float32'), 33), 78), ops.add(s.int([7], 50), 3)]; }], // biome-ignore format: one line a case
  ['permute, slice, flip and reshape of them', (s) => { const x = s.float([4, 6, 5]); return [ops.permute(x, [2, 0, 1]), ops.reshape(ops.permute(x, [1, 0, 2]), [12, 10]), ops.slice(x, [1, 0, 2], [4, 6, 5], [2, 3, 1]), ops.add(ops.flip(x, [0, 2]), ops.flip(x, [1]))]; }], // biome-ignore format: one line a case
  ['pad and concat', (s) => { const x = s.float([3, 4, 5]); return [ops.pad(x, [[1, 0], [0, 2], [3, 1]], 9), ops.concat([x, s.float([3, 1, 5]), s.float([3, 7, 5])], 1), ops.concat([s.float([9000]), s.float([3])], 0), ops.concat([s.int([3], 5), s.int([6], 5)], 0)]; }], // biome-ignore format: one line a case
  ['channels cut, padded and put side by side in blocks', (s) => { const x = ops.maxPool(s.float([2, 48, 5, 3]), { kernelSize: [1, 1] }); const part = ops.narrow(x, 1, 16, 48); const all = ops.concat([x, ops.relu(part), ops.narrow(x, 1, 0, 3)], 1); return [ops.mul(all, ops.reshape(s.float([83]), [83, 1, 1])), ops.pad(part, [[1, 0], [16, 5], [0, 2], [1, 0]], 9), ops.sum(ops.narrow(all, 1, 32, 61), [1, 3]), ops.concat([part, ops.neg(part)], 0), ops.concat([ops.narrow(x, 1, 7, 21), x], 1)]; }], // biome-ignore format: one line a case
  ['views of views that are stored themselves, as results and for kernels of their own', (s) => { const x = s.float([7, 7]); const back = (y: Node) => ops.flip(y, [1]); const [a, b] = [back(x), ops.permute(s.float([5, 4]), [1, 0])]; return [a, ops.neg(ops.concat([ops.narrow(back(a), 0, 6, 7), ops.narrow(back(a), 0, 0, 6)], 0)), ops.cumsum(ops.permute(b, [1, 0]), 0), ops.cumsum(b, 1)]; }], // biome-ignore format: one line a case
  ['reductions over each axis and all', (s) => { const x = s.float([5, 7, 9]); return [ops.sum(x), ops.sum(x, [0]), ops.sum(x, [1]), ops.sum(x, [2], true), ops.amax(x, [0, 2]), ops.amin(x, [1, 2]), ops.prod(s.float([4, 5], 0.5, 1.5), [0]), ops.mean(ops.mul(x, x))]; }], // biome-ignore format: one line a case
  [
    'reductions of long rows and columns',
    (s) => [
      ops.sum(s.float([3, 1000]), [1]),
      ops.sum(s.float([1000, 3]), [0]),
      ops.sum(s.float([1000, 32]), [0]),
      ops.sum(s.float([20000])),
    ],
  ],
  [
    'integer reductions',
    (s) => [ops.sum(s.int([4, 9], 100)), ops.sum(ops.gt(s.float([6, 7]), 0), [1]), ops.amax(s.int([4, 9], 100), [0])],
  ],
  ['argmax, argmin, any, all', (s) => { const x = s.float([4, 9]); return [ops.argmax(x, 1), ops.argmin(x, 0), ops.any(ops.gt(x, 1), [1]), ops.all(ops.gt(x, -1.5), [0])]; }], // biome-ignore format: one line a case
  ['softmax, log-softmax, logsumexp', (s) => { const x = s.float([5, 10], -20, 20); return [ops.softmax(x, 1), ops.logSoftmax(x, 1), ops.logsumexp(x, [0])]; }], // biome-ignore format: one line a case
  [
    'gather, scatter-add, indexSelect, one-hot',
    (s) => [
      ops.gather(s.float([4, 6]), 1, s.int([4, 3], 6)),
      ops.scatterAdd(s.float([5, 4]), 0, s.int([7, 3], 5), s.float([7, 3])),
      ops.indexSelect(s.float([6, 5]), 0, s.int([9], 6)),
      ops.oneHot(s.int([7], 10), 10),
    ],
  ],
  ['sort, topk and cumsum', (s) => { const x = s.float([3, 17]); return [...ops.topk(x, 5, 1), ops.sortIndices(x, 0, true), ops.sortIndices(s.int([40], 5), 0), ops.cumsum(x, 1), ops.cumsum(x, 0, true)]; }], // biome-ignore format: one line a case
  ['random bits and a dropout mask', () => { const b = ops.randomBits(key(), [3, 7]); return [b, ops.bitsToUniform(ops.randomBits(key(), [50])), ops.cast(ops.lt(ops.bitsToUniform(ops.randomBits(key(), [4, 9])), 0.3), 'float32')]; }], // biome-ignore format: one line a case
  [
    'conv, bias and relu',
    (s) => [ops.max(ops.add(ops.conv(s.float([2, 3, 9, 8]), s.float([10, 3, 3, 3])), s.float([10, 1, 1])), 0)],
  ],
  [
    'conv of one channel into one: a lone channel is still a block of its own',
    (s) => [
      ops.conv(s.float([1, 1, 5, 6]), s.float([1, 1, 3, 3])),
      ops.conv(ops.max(ops.conv(s.float([2, 1, 7, 7]), s.float([1, 1, 3, 3])), 0), s.float([1, 1, 2, 2])),
      ops.conv(s.float([1, 1, 9]), s.float([1, 1, 3]), { padding: 1 }),
    ],
  ],
  [
    'conv 1-d and 3-d',
    (s) => [
      ops.conv(s.float([2, 5, 20]), s.float([7, 5, 3]), { padding: 1 }),
      ops.conv(s.float([1, 9, 5, 6, 7]), s.float([9, 9, 3, 3, 3]), { padding: 1, stride: 2 }),
    ],
  ],
  [
    'channels with several outputs of their own, and their gradients',
    (s) => {
      const [x, w] = [s.float([2, 10, 7, 9]), s.float([30, 1, 3, 3])];
      const y = ops.conv(x, w, { groups: 10, padding: 1, stride: 2 });
      return [
        y,
        ...gradient([y], [s.float(y.shape)], [x, w], algebra),
        ops.conv(s.float([1, 3, 8]), s.float([6, 1, 2]), { groups: 3 }),
      ];
    },
  ],
  [
    'grouped, depthwise and dilated conv',
    (s) => [
      ops.conv(s.float([2, 8, 9, 9]), s.float([4, 4, 3, 3]), { groups: 2 }),
      ops.conv(s.float([2, 11, 9, 9]), s.float([11, 1, 3, 3]), { groups: 11, padding: 1, stride: 2 }),
      ops.conv(s.float([1, 6, 11, 11]), s.float([5, 6, 3, 3]), { dilation: 2 }),
    ],
  ],
  [
    'transposed conv',
    (s) => [
      ops.convTranspose(s.float([2, 6, 5, 5]), s.float([6, 4, 3, 3]), { stride: 2, padding: 1, outputPadding: 1 }),
    ],
  ],
  ['a blocked value read in many ways', (s) => { const y = ops.conv(s.float([2, 3, 6, 6]), s.float([12, 3, 3, 3])); return [y, ops.permute(y, [0, 2, 3, 1]), ops.sum(y, [1]), ops.sum(y), ops.sum(y, [2, 3]), ops.mean(y, [0, 2, 3], true), ops.slice(y, [0, 3, 0, 1], [2, 9, 4, 4], [1, 1, 1, 1]), ops.reshape(y, [2, 12 * 16]), ops.add(y, s.float([4])), ops.mul(y, s.float([2, 12, 1, 1]))]; }], // biome-ignore format: one line a case
  ['a residual block', (s) => { const x = s.float([2, 8, 7, 7]); const y = ops.max(ops.conv(x, s.float([8, 8, 3, 3]), { padding: 1 }), 0); return [ops.max(ops.add(ops.conv(y, s.float([8, 8, 3, 3]), { padding: 1 }), x), 0)]; }], // biome-ignore format: one line a case
  [
    'batch norm and its gradients',
    (s) => {
      const x = ops.conv(s.float([3, 2, 7, 7]), s.float([10, 2, 3, 3]));
      const [gamma, beta] = [s.float([10]), s.float([10])];
      const mean = ops.mean(x, [0, 2, 3], true);
      const d = ops.sub(x, mean);
      const std = ops.sqrt(ops.add(ops.mean(ops.mul(d, d), [0, 2, 3], true), 1e-5));
      const y = ops.add(ops.mul(ops.div(d, std), ops.reshape(gamma, [1, 10, 1, 1])), ops.reshape(beta, [1, 10, 1, 1]));
      const loss = ops.sum(ops.mul(ops.sigmoid(y), y));
      return [loss, y, ...grads(loss, x, gamma, beta)];
    },
  ],
  [
    'a training step with momentum: weights stay blocked',
    (s) => {
      const x = s.float([3, 1, 10, 10]);
      const ws = [s.parameter([10, 1, 3, 3]), s.parameter([20, 10, 3, 3]), s.parameter([20])];
      const ms = ws.map((w) => s.parameter(w.shape));
      const [w1, w2, b2] = ws.map(ops.buffer);
      const h = ops.max(ops.conv(x, w1), 0);
      const z = ops.max(ops.add(ops.conv(h, w2, { padding: 1 }), ops.reshape(b2, [1, 20, 1, 1])), 0);
      const loss = ops.mean(ops.mul(z, z));
      const g = grads(loss, w1, w2, b2);
      const assigns = ws.flatMap((w, i) => {
        const m = ops.add(ops.mul(ops.buffer(ms[i]), 0.9), g[i]);
        return [
          { storage: ms[i], value: m },
          { storage: w, value: ops.sub(ops.buffer(w), ops.mul(m, 0.1)) },
        ];
      });
      return { roots: [loss], assigns };
    },
  ],
  [
    'storages that swap, copy and read each other',
    (s) => {
      const [a, b, c] = [s.parameter([9]), s.parameter([9]), s.parameter([3, 3])];
      return {
        roots: [ops.add(ops.buffer(a), ops.buffer(b))],
        assigns: [
          { storage: a, value: ops.buffer(b) },
          { storage: b, value: ops.buffer(a) },
          { storage: c, value: ops.permute(ops.buffer(c), [1, 0]) },
        ],
      };
    },
  ],
  [
    'constants as results',
    (s) => [ops.constant(3, [4]), ops.add(ops.constant(1, [2, 2]), ops.constant(2, [2, 2])), ops.mul(s.float([4]), 1)],
  ],
  ['matmul, batched, transposed, with bias and relu', (s) => [ops.max(ops.add(ops.matmul(s.float([5, 70]), s.float([9, 70]), { transB: true }), s.float([9])), 0), ops.matmul(s.float([2, 3, 5, 7]), s.float([2, 3, 7, 6])), ops.matmul(s.float([2, 1, 5, 7]), s.float([3, 7, 6])), ops.matmul(s.float([40, 13]), s.float([40, 30]), { transA: true }), ops.matmul(s.float([7]), s.float([7, 5])), ops.matmul(s.float([3, 7]), s.float([7])), ops.matmul(s.float([9]), s.float([9]))]], // biome-ignore format: one line a case
  ['a linear layer trained with momentum', (s) => { const [w, b, m] = [s.parameter([13, 50]), s.parameter([13]), s.parameter([13, 50])]; const x = s.float([9, 50]); const y = ops.max(ops.add(ops.matmul(x, ops.buffer(w), { transB: true }), ops.buffer(b)), 0); const loss = ops.sum(ops.mul(y, y)); const [dw, db, dx] = grads(loss, y.inputs[0].inputs[0].inputs[1], ops.buffer(b), x); const v = ops.add(ops.mul(ops.buffer(m), 0.9), dw); return { roots: [loss, dx, db], assigns: [{ storage: m, value: v }, { storage: w, value: ops.sub(ops.buffer(w), ops.mul(v, 0.1)) }] }; }], // biome-ignore format: one line a case
  ['max-pooling with relu before and gradients behind', (s) => { const x = ops.max(ops.conv(s.float([2, 3, 12, 11]), s.float([10, 3, 3, 3])), 0); const w = { kernelSize: 3, stride: 2, padding: 1 }; const y = ops.maxPool(x, w); return [y, ops.maxPoolIndices(x, w), ...grads(ops.sum(ops.mul(y, y)), x.inputs[0], x)]; }], // biome-ignore format: one line a case
  ['pooling of few channels, of signals and volumes', (s) => { const x = s.float([2, 3, 9, 8]); const v = s.float([1, 9, 4, 5, 6]); const y = ops.avgPool(v, { kernelSize: 2, stride: 2, padding: 1, countIncludePad: false }); return [ops.maxPool(x, { kernelSize: 2 }), ops.avgPool(s.float([2, 8, 15]), { kernelSize: 3, stride: 2, ceilMode: true }), y, ...grads(ops.sum(ops.mul(y, y)), v), ops.maxPool(v, { kernelSize: [2, 3, 2], stride: 1 }), ops.adaptiveMaxPool(x, [4, 4])]; }], // biome-ignore format: one line a case
  ['second derivatives of max-pooling', (s) => { const x = s.float([2, 8, 6, 6]); const y = ops.maxPool(x, { kernelSize: 2 }); const [g] = grads(ops.sum(ops.mul(ops.mul(y, y), y)), x); return grads(ops.sum(ops.mul(g, g)), x); }], // biome-ignore format: one line a case
  [
    'a value read in two orders by one kernel',
    (s) => {
      const x = ops.exp(s.float([5, 5]));
      const y = ops.conv(s.float([1, 3, 6, 6]), s.float([6, 3, 1, 1]));
      const rows = ops.sum(s.float([4, 5]), [0]);
      return [ops.add(x, ops.permute(x, [1, 0])), ops.sub(y, ops.flip(y, [1, 3])), ops.mul(rows, ops.flip(rows, 0))];
    },
  ],
  [
    'rows of numbers, whatever the axes of size 1 around them',
    (s) => {
      const down = ops.sum(s.float([9, 5]), [0], true);
      const lone = ops.sum(ops.conv(s.float([5, 3, 4, 4]), s.float([1, 3, 3, 3])), [2, 3], true);
      return [
        ops.neg(ops.permute(down, [1, 0])),
        ops.neg(ops.reshape(lone, [5, 1, 1])),
        ops.abs(ops.reshape(lone, [1, 1, 5])),
        ops.sum(ops.conv(s.float([4, 3, 3, 3]), s.float([1, 3, 3, 3])), [0, 1, 3]),
        ops.sum(ops.conv(s.float([4, 3, 3, 3]), s.float([12, 3, 3, 3])), [2, 3]),
      ];
    },
  ],
  [
    'values read row by row by work in blocks, with lanes to spare past their end',
    (s) => {
      const x = s.float([1, 9, 40, 33]);
      const taps = s.float([9, 1, 3, 3]);
      return [
        ops.conv(ops.clamp(x, { min: -1, max: 1 }), taps, { groups: 9 }),
        ops.conv(ops.neg(ops.flip(x, [1, 3])), taps, { groups: 9 }),
        ops.conv(ops.flip(x, [1]), taps, { groups: 9 }),
        ops.add(ops.conv(x, taps, { groups: 9, padding: 1 }), ops.flip(x, [2])),
      ];
    },
  ],
  [
    'reductions of many elements to few, in two stages',
    (s) => {
      const x = ops.conv(s.float([3, 2, 122, 90]), s.float([12, 2, 1, 1]));
      const flat = s.float([200_003], 0, 1);
      return [
        ops.sum(flat),
        ops.sqrt(ops.sum(ops.mul(flat, flat))),
        ops.amax(ops.flip(flat, 0)),
        ops.add(ops.mean(x, [0, 2, 3], true), s.float([1, 12, 1, 1])),
        ops.sum(ops.gt(s.float([3, 70_001]), 0), [1]),
        ops.sum(ops.permute(s.float([180, 5, 300]), [2, 0, 1]), [0, 1]),
        ops.amin(ops.slice(s.float([700, 301]), [1, 1], [698, 300], [1, 2])),
      ];
    },
  ],
  [
    'what has no elements, and what is made of it',
    (s) => {
      const none = s.float([0, 3, 4, 4]);
      const y = ops.relu(ops.conv(none, s.float([8, 3, 3, 3])));
      const empty = s.parameter([0, 3]);
      return {
        roots: [
          y,
          ops.sum(y, [0, 2, 3]),
          ops.prod(none, [0]),
          ops.any(ops.gt(none, 0), [0]),
          ops.matmul(s.float([4, 0]), s.float([0, 5])),
          ops.concat([s.float([0, 3]), s.float([2, 3]), ops.slice(s.float([4, 3]), [2, 0], [2, 3])], 0),
          ops.gather(s.float([4, 3]), 0, s.int([0, 3], 2)),
          ops.gather(s.float([0, 3]), 0, s.int([2, 3], 2)),
          ops.scatterAdd(s.float([4, 3]), 0, s.int([0, 3], 2), s.float([0, 3])),
        ],
        assigns: [{ storage: empty, value: ops.add(ops.buffer(empty), 1) }],
      };
    },
  ],
  [
    'groups that are filled up to whole blocks, and their gradients',
    (s) => {
      const [x, w] = [s.float([2, 36, 7, 6]), s.float([36, 12, 3, 3])];
      const [u, v] = [s.float([1, 40, 9]), s.float([26, 20, 3])];
      const [y, z] = [ops.conv(x, w, { groups: 3, padding: 1, stride: 2 }), ops.conv(u, v, { groups: 2 })];
      return [
        ops.max(ops.add(y, s.float([36, 1, 1])), 0),
        ...gradient([y], [s.float(y.shape)], [x, w], algebra),
        ...gradient([z], [s.float(z.shape)], [u, v], algebra),
      ];
    },
  ],
];

describe.each(targetsHere)('compiled for $name, graphs agree with the reference', (target) => {
  for (const [serial, [title, build]] of cases.entries()) {
    it(title, () => {
      const made = build(source(serial));
      const { roots, assigns } = Array.isArray(made) ? { roots: made, assigns: [] } : made;
      const wanted = new ReferenceTarget().evaluateAll([...roots, ...assigns.map((a) => a.value)]);
      const ran = runCompiled(roots, assigns, { target });
      [...ran.results, ...ran.assigned].forEach((got, i) => {
        expectClose(got, wanted[i].data, `${title}, value ${i} of shape [${wanted[i].shape}]`);
      });
    });
  }
});

/** Within float32 rounding of sums as long as these cases have: 2⁻²⁰ of the largest value. */
function expectClose(got: TypedArray, want: ArrayLike<number>, what: string): void {
  expect(got.length, what).toBe(want.length);
  let scale = 1e-3;
  for (let i = 0; i < want.length; i++) scale = Math.max(scale, Math.abs(want[i]));
  const tolerance = got instanceof Float32Array ? scale * 2 ** -19 : 0;
  for (let i = 0; i < want.length; i++) {
    if (!(Math.abs(got[i] - want[i]) <= tolerance)) expect.fail(`${what}: element ${i} is ${got[i]}, not ${want[i]}`);
  }
}
