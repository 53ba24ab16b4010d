/** The cases of shapes/*.txt as work: what to record, how many operations or bytes it takes, and what it is held to. */

import { readFileSync } from 'node:fs';
import { BatchNorm2d } from '../src/nn/index.js';
import { Adam } from '../src/optim/index.js';
import { F, grad, Parameter, type Tensor, zeros } from '../src/tensor/index.js';
import { numel, type Shape } from '../src/util/shape.js';
import { type Harness, held, recordStep } from './harness.js';
import type { Line } from './report.js';
import { aimOf, type Code, numberOf, parseShapes, type ShapeAim, type ShapeCase, shapeOf } from './shapes.js';

export interface KernelRow {
  readonly group: string;
  readonly what: string;
  readonly aim: ShapeAim;
  /** Multiply–accumulates of one run. */
  readonly macs?: number;
  /** Bytes one run must read and write. */
  readonly bytes: number;
  /** Records the work. */
  readonly record: () => void;
  /** Whether feature maps lie in blocks of channels from the start, as they do inside a network. */
  readonly blocked?: boolean;
}

export function kernelRows(folder: string, code: Code): KernelRow[] {
  const read = (file: string) => parseShapes(readFileSync(`${folder}/${file}`, 'utf8'), file);
  return [
    ...read('conv.txt').flatMap((c) => convRows(c, code)),
    ...read('matmul.txt').map((c) => matmulRow(c, code)),
    ...read('memory.txt').flatMap((c) => memoryRows(c, code)),
  ];
}

export async function measureRow(harness: Harness, row: KernelRow): Promise<Line> {
  const step = await recordStep(harness.target, row.record, { blocked: row.blocked });
  const { aim } = row;
  const peak = aim.against === 'peak';
  const measured = peak ? await harness.againstPeak(step, 2 * row.macs!) : await harness.againstMemcpy(step, row.bytes);
  const scaled = ({ median, low, high, samples }: Line['value']) => ({
    median: median / 1e9,
    low: low / 1e9,
    high: high / 1e9,
    samples,
  });
  return {
    group: row.group,
    what: row.what,
    value: scaled(measured.rate),
    unit: peak ? 'GFLOP/s' : 'GB/s',
    milliseconds: measured.milliseconds,
    reference: { what: peak ? 'FMA peak' : 'memcpy', value: scaled(measured.reference) },
    ratio: measured.ratio,
    aim: aim.value === null ? undefined : { kind: peak ? 'at least' : 'at most', value: aim.value, of: 'ratio' },
    details: measured.launches,
  };
}

const bytesOf = (...shapes: Shape[]): number => 4 * shapes.reduce((sum, s) => sum + numel(s), 0);

function convRows(c: ShapeCase, code: Code): KernelRow[] {
  const x = shapeOf(c, 'x');
  const kernel = numberOf(c, 'kernel');
  const options = {
    padding: numberOf(c, 'padding', 0),
    stride: numberOf(c, 'stride', 1),
    groups: numberOf(c, 'groups', 1),
    dilation: numberOf(c, 'dilation', 1),
  };
  const { stride, padding, dilation, groups } = options;
  const filters = numberOf(c, 'filters');
  const transposed = c.values.get('transposed') === 'yes';
  const span = dilation * (kernel - 1);
  const size = (n: number) =>
    transposed ? (n - 1) * stride - 2 * padding + span + 1 : Math.floor((n + 2 * padding - span - 1) / stride) + 1;
  const w = transposed ? [x[1], filters / groups, kernel, kernel] : [filters, x[1] / groups, kernel, kernel];
  const y = [x[0], filters, size(x[2]), size(x[3])];
  const macs = (transposed ? numel(x) : numel(y)) * numel(w.slice(1));
  const conv = () => {
    const [input, weight] = [held(x), held(w)];
    const output = transposed ? F.convTranspose2d(input, weight, options) : F.conv2d(input, weight, options);
    return { input, weight, output };
  };
  const passes = [
    { key: 'forward', bytes: bytesOf(x, w, y), record: () => held(y).assign(conv().output) },
    {
      key: 'data',
      bytes: bytesOf(y, w, x),
      record() {
        const { input, output } = conv();
        held(x).assign(grad(output, input, { gradOutputs: held(y) }));
      },
    },
    {
      key: 'weight',
      bytes: bytesOf(y, x, w),
      record() {
        const { weight, output } = conv();
        held(w).assign(grad(output, weight, { gradOutputs: held(y) }));
      },
    },
  ];
  return passes.flatMap(({ key, bytes, record }) => {
    const aim = aimOf(c, key, 'peak', code);
    return aim === null ? [] : [{ group: 'conv', what: `conv ${c.name} ${passName(key)}`, aim, macs, bytes, record }];
  });
}

function passName(key: string): string {
  return key === 'forward' ? key : `by ${key}`;
}

function matmulRow(c: ShapeCase, code: Code): KernelRow {
  const [m, k, n] = ['m', 'k', 'n'].map((key) => numberOf(c, key));
  const linear = c.values.get('b') === 'transposed'; // as the weight of a linear layer lies
  return {
    group: 'matmul',
    what: `matmul ${c.name} ${m}×${k}×${n}`,
    aim: aimOf(c, 'forward', 'peak', code)!,
    macs: m * k * n,
    bytes: bytesOf([m, k], [k, n], [m, n]),
    record: () =>
      held([m, n]).assign(linear ? F.linear(held([m, k]), held([n, k])) : held([m, k]).matmul(held([k, n]))),
  };
}

function memoryRows(c: ShapeCase, code: Code): KernelRow[] {
  const op = c.values.get('op') ?? '';
  const build = memoryWork[op];
  if (build === undefined)
    throw new Error(`${c.name}: op must be one of ${Object.keys(memoryWork).join(', ')}; got ${op}`);
  const work = build(c, shapeOf(c, 'x'));
  return (['forward', 'data'] as const).flatMap((key) => {
    const aim = aimOf(c, key, 'memcpy', code);
    const pass = work[key];
    if (aim === null) return [];
    if (pass === undefined) throw new Error(`${c.name}: ${op} has no pass "${key}"`);
    return [{ group: 'memory', what: `${c.name} ${passName(key)}`, aim, blocked: true, ...pass }];
  });
}

interface MemoryPass {
  readonly bytes: number;
  readonly record: () => void;
}

/** For each `op` of memory.txt its passes over x. */
const memoryWork: Record<string, (c: ShapeCase, x: Shape) => { forward: MemoryPass; data?: MemoryPass }> = {
  maxPool(c, x) {
    const kernel = numberOf(c, 'kernel');
    const options = { stride: numberOf(c, 'stride', kernel), padding: numberOf(c, 'padding', 0) };
    const size = (n: number) => Math.floor((n + 2 * options.padding - kernel) / options.stride) + 1;
    const y = [x[0], x[1], size(x[2]), size(x[3])];
    return {
      forward: { bytes: bytesOf(x, y), record: () => held(y).assign(held(x).maxPool2d(kernel, options)) },
      data: {
        bytes: bytesOf(y, x, x),
        record() {
          const input = held(x);
          held(x).assign(grad(input.maxPool2d(kernel, options), input, { gradOutputs: held(y) }));
        },
      },
    };
  },
  batchNorm(_, x) {
    const layer = new BatchNorm2d(x[1]);
    return {
      forward: { bytes: bytesOf(x, x, x), record: () => held(x).assign(layer.forward(held(x))) },
      data: {
        bytes: bytesOf(x, x, x, x, x),
        record() {
          // A layer without running statistics: in a step they belong to the forward pass.
          const input = held(x);
          const still = new BatchNorm2d(x[1], { trackRunningStats: false });
          held(x).assign(grad(still.forward(input), input, { gradOutputs: held(x) }));
        },
      },
    };
  },
  affineRelu: (_, x) => pointwise(x, 1, ([a], perChannel) => a.mul(perChannel()).add(perChannel()).relu()),
  residual: (_, x) => pointwise(x, 2, ([a, b]) => a.add(b).relu()),
  /** x [N, C]: along rows. */
  softmax: (_, x) => pointwise(x, 1, ([a]) => a.softmax(1)),
  logSoftmax: (_, x) => pointwise(x, 1, ([a]) => a.logSoftmax(1)),
  /** [N, C, H, W] → [N, C, 1, 1]. */
  avgPool(_, x) {
    const y = [x[0], x[1], 1, 1];
    return {
      forward: { bytes: bytesOf(x, y), record: () => held(y).assign(held(x).mean([2, 3], { keepDims: true })) },
    };
  },
  silu: (_, x) => pointwise(x, 1, ([a]) => a.silu()),
  gelu: (_, x) => pointwise(x, 1, ([a]) => a.gelu()),
  /** Reads the parameter, its gradient and two running means; writes all but the gradient. */
  adam: (_, x) => ({
    forward: {
      bytes: bytesOf(x, x, x, x, x, x, x),
      record() {
        const p = new Parameter(zeros(x));
        p.grad = held(x);
        new Adam([p]).update();
      },
    },
  }),
};

function pointwise(
  x: Shape,
  operands: number,
  formula: (xs: Tensor[], perChannel: () => Tensor) => Tensor,
): { forward: MemoryPass } {
  const perChannel = () => held([x[1], ...x.slice(2).map(() => 1)]);
  return {
    forward: {
      bytes: bytesOf(...Array.from({ length: operands + 1 }, () => x)),
      record: () =>
        held(x).assign(
          formula(
            Array.from({ length: operands }, () => held(x)),
            perChannel,
          ),
        ),
    },
  };
}
