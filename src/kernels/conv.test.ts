import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runLowering, wasmTarget, wideTargets } from '../../test/lowering-runner.js';
import type { TargetInfo } from '../graph/op.js';
import { numel, type Shape } from '../util/shape.js';
import { type ConvParams, convInputGradLowerings, convLowerings, convWeightGradLowerings } from './conv.js';
import { convSizes } from './conv-shape.js';

interface Case extends ConvParams {
  readonly x: Shape;
  readonly w: Shape;
}

/** A sum, and the sum of its terms' magnitudes: what rounding errors are measured against. */
interface Oracle {
  readonly sum: Float64Array;
  readonly magnitude: Float64Array;
}

type Pass = 'forward' | 'input' | 'weight';

/** Visits every product of the convolution: offsets of y, x and w in row-major order. */
function eachProduct(c: Case, visit: (y: number, x: number, w: number) => void): void {
  const s = convSizes(c.x, c.w, c);
  const axes = [s.depth, s.height, s.width];
  const input = s.channels / s.groups;
  const output = s.filters / s.groups;
  const flat = (at: readonly number[], size: (i: number) => number) => at.reduce((sum, a, i) => sum * size(i) + a, 0);
  const loop = (size: (i: number) => number, body: (at: number[]) => void) => {
    for (let d = 0; d < size(0); d++)
      for (let h = 0; h < size(1); h++) for (let w = 0; w < size(2); w++) body([d, h, w]);
  };
  const planes = {
    y: axes.reduce((n, a) => n * a.output, 1),
    x: axes.reduce((n, a) => n * a.input, 1),
    w: axes.reduce((n, a) => n * a.kernel, 1),
  };
  loop(
    (i) => axes[i].output,
    (out) =>
      loop(
        (i) => axes[i].kernel,
        (tap) => {
          const at = out.map((o, i) => o * axes[i].stride + tap[i] * axes[i].dilation - axes[i].before);
          if (at.some((a, i) => a < 0 || a >= axes[i].input)) return;
          const [py, px, pw] = [
            flat(out, (i) => axes[i].output),
            flat(at, (i) => axes[i].input),
            flat(tap, (i) => axes[i].kernel),
          ];
          for (let n = 0; n < s.images; n++) {
            for (let o = 0; o < s.filters; o++) {
              const first = Math.floor(o / output) * input;
              for (let i = 0; i < input; i++) {
                visit(
                  (n * s.filters + o) * planes.y + py,
                  (n * s.channels + first + i) * planes.x + px,
                  (o * input + i) * planes.w + pw,
                );
              }
            }
          }
        },
      ),
  );
}

function outputShape(c: Case): Shape {
  const s = convSizes(c.x, c.w, c);
  return [s.images, s.filters, ...[s.depth, s.height, s.width].slice(3 - s.spatial).map((a) => a.output)];
}

function numbers(size: number, seed: number): Float32Array {
  let state = seed * 2654435761 + 12345;
  return Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

/** Computes one pass with every lowering offered for it, and compares with sums in float64. */
function check(c: Case, pass: Pass, target: TargetInfo = wasmTarget): void {
  const y = outputShape(c);
  const data = { x: numbers(numel(c.x), 1), w: numbers(numel(c.w), 2), y: numbers(numel(y), 3) };
  const result = pass === 'forward' ? y : pass === 'input' ? c.x : c.w;
  const oracle: Oracle = { sum: new Float64Array(numel(result)), magnitude: new Float64Array(numel(result)) };
  const terms = new Float64Array(numel(result));
  eachProduct(c, (iy, ix, iw) => {
    const [at, product] =
      pass === 'forward'
        ? [iy, data.x[ix] * data.w[iw]]
        : pass === 'input'
          ? [ix, data.y[iy] * data.w[iw]]
          : [iw, data.y[iy] * data.x[ix]];
    oracle.sum[at] += product;
    oracle.magnitude[at] += Math.abs(product);
    terms[at]++;
  });
  const x = { data: data.x, shape: c.x };
  const w = { data: data.w, shape: c.w };
  const dy = { data: data.y, shape: y };
  const [inputs, offered] =
    pass === 'forward'
      ? [[x, w], convLowerings(c.x, c.w, c, target)]
      : pass === 'input'
        ? [[dy, w], convInputGradLowerings(y, c.w, c.x, c, target)]
        : [[dy, x], convWeightGradLowerings(y, c.x, c.w, c, target)];
  const other = numbers(numel(result), 4);
  for (const way of offered) {
    for (const fused of target === wasmTarget ? [false, true] : [true]) {
      const got = runLowering(way, inputs, result, other, { fused, target, interpreted: target !== wasmTarget });
      for (let i = 0; i < got.length; i++) {
        const want = fused ? Math.max(0, oracle.sum[i] * 0.5 + other[i]) : oracle.sum[i];
        const tolerance = (terms[i] + 2) * 2 ** -24 * (oracle.magnitude[i] + (fused ? Math.abs(other[i]) : 0));
        if (!(Math.abs(got[i] - want) <= tolerance)) {
          expect.fail(`${way.key}${fused ? ' fused' : ''}: element ${i} is ${got[i]}, not ${want} ± ${tolerance}`);
        }
      }
    }
  }
}

const plainParams = (rank: number, more: Partial<ConvParams> = {}): ConvParams => ({
  stride: Array(rank).fill(1),
  padding: Array(rank).fill([0, 0]),
  dilation: Array(rank).fill(1),
  groups: 1,
  ...more,
});

const passes: Pass[] = ['forward', 'input', 'weight'];

/** Shapes near the edges of a tile (6 pixels), of a block (8 channels) and of the kernel itself. */
const randomCase: fc.Arbitrary<Case> = fc
  .record({
    rank: fc.constantFrom(1, 2, 2, 2, 3),
    n: fc.integer({ min: 1, max: 3 }),
    channels: fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 9, 16, 17),
    filters: fc.constantFrom(1, 3, 7, 8, 9, 16, 17),
    grouping: fc.constantFrom('one', 'one', 'one', 'depthwise', 'four', 'eight', 'odd'),
    groups: fc.constantFrom(2, 3, 4),
    axes: fc.array(
      fc.record({
        size: fc.constantFrom(1, 2, 4, 5, 6, 7, 8, 11, 12, 13),
        kernel: fc.constantFrom(1, 1, 2, 3, 3, 3, 5, 7),
        stride: fc.constantFrom(1, 1, 1, 2, 3),
        dilation: fc.constantFrom(1, 1, 1, 2),
        lo: fc.integer({ min: 0, max: 3 }),
        hi: fc.integer({ min: 0, max: 3 }),
      }),
      { minLength: 3, maxLength: 3 },
    ),
  })
  .map(({ rank, n, channels, filters, grouping, groups, axes }) => {
    const used = axes.slice(0, rank).map((a) => {
      // The kernel must fit into the padded axis.
      const span = a.dilation * (a.kernel - 1) + 1;
      const size = rank === 3 ? Math.min(a.size, 7) : a.size;
      return { ...a, size, hi: Math.max(a.hi, span - size - a.lo) };
    });
    const g = grouping === 'one' ? 1 : grouping === 'depthwise' ? channels : groups;
    const [input, output] =
      grouping === 'one'
        ? [channels, filters]
        : grouping === 'depthwise'
          ? [1, 1]
          : grouping === 'four'
            ? [4, 4]
            : grouping === 'eight'
              ? [8, 8]
              : [3, 2];
    const count = grouping === 'four' && g === 3 ? 4 : g;
    return {
      x: [n, count * input, ...used.map((a) => a.size)],
      w: [count * output, input, ...used.map((a) => a.kernel)],
      stride: used.map((a) => a.stride),
      padding: used.map((a) => [a.lo, a.hi] as const),
      dilation: used.map((a) => a.dilation),
      groups: count,
    };
  });

/** One channel a group: rows from shorter than the taps to several turns of a loop, pixels without any tap. */
const depthwiseCase: fc.Arbitrary<Case> = fc
  .record({
    n: fc.integer({ min: 1, max: 3 }),
    channels: fc.constantFrom(1, 5, 8, 9, 17),
    size: fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 30 })),
    kernel: fc.tuple(fc.constantFrom(1, 2, 3, 3, 4, 5), fc.constantFrom(1, 2, 3, 3, 3, 4, 5, 7)),
    stride: fc.constantFrom([1, 1], [1, 1], [1, 1], [2, 1], [1, 2], [2, 2], [3, 3]),
    dilation: fc.constantFrom([1, 1], [1, 1], [1, 1], [2, 1], [1, 2]),
    padding: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 4, maxLength: 4 }),
  })
  .map(({ n, channels, size, kernel, stride, dilation, padding }) => {
    const pad = (a: number) => {
      const span = dilation[a] * (kernel[a] - 1) + 1;
      return [padding[2 * a], Math.max(padding[2 * a + 1], span - size[a] - padding[2 * a])] as const;
    };
    return {
      x: [n, channels, ...size],
      w: [channels, 1, ...kernel],
      stride,
      dilation,
      padding: [pad(0), pad(1)],
      groups: channels,
    };
  });

test.each([wasmTarget, ...wideTargets])(
  'depthwise by weight adds parts of images and of rows, $lanes lanes',
  (target) => {
    const rows = { padding: [[2, 1] as const, [1, 1] as const], groups: 8 };
    for (const c of [
      { x: [9, 8, 16, 30], w: [8, 1, 3, 3], ...plainParams(2, rows) },
      { x: [2, 8, 41, 30], w: [8, 1, 3, 3], ...plainParams(2, { ...rows, stride: [1, 2] }) },
      { x: [1, 8, 70, 40], w: [8, 1, 3, 2], ...plainParams(2, { ...rows, stride: [2, 1], dilation: [2, 1] }) },
      { x: [1, 8, 12, 13, 14], w: [8, 1, 2, 3, 3], ...plainParams(3, { groups: 8 }) },
    ]) {
      const [l] = convWeightGradLowerings(outputShape(c), c.x, c.w, c, target);
      expect(l.before).toBeDefined();
      check(c, 'weight', target);
    }
  },
  30_000,
);

describe.each(passes)('convolution, %s', (pass) => {
  test('agrees with plain loops in float64 on random shapes', () => {
    fc.assert(
      fc.property(randomCase, (c) => check(c, pass)),
      { numRuns: 60, seed: 20 },
    );
  }, 60_000);

  test('agrees with plain loops in float64 on random shapes of one channel a group', () => {
    fc.assert(
      fc.property(depthwiseCase, (c) => check(c, pass)),
      { numRuns: 60, seed: 21 },
    );
  }, 60_000);

  test.each([5, 6, 7, 11, 12, 13, 18, 19, 25])('takes rows of %i pixels', (width) => {
    check(
      {
        x: [1, 8, 3, width],
        w: [8, 8, 3, 3],
        ...plainParams(2, {
          padding: [
            [1, 1],
            [1, 1],
          ],
        }),
      },
      pass,
    );
  });

  test('takes rows long enough for loops over tiles', () => {
    check(
      {
        x: [1, 3, 4, 61],
        w: [9, 3, 3, 3],
        ...plainParams(2, {
          padding: [
            [1, 1],
            [1, 1],
          ],
        }),
      },
      pass,
    );
    check(
      {
        x: [1, 8, 4, 61],
        w: [9, 8, 3, 3],
        ...plainParams(2, {
          padding: [
            [1, 1],
            [1, 1],
          ],
          stride: [2, 2],
        }),
      },
      pass,
    );
    check(
      {
        x: [1, 9, 2, 70],
        w: [9, 1, 3, 3],
        ...plainParams(2, {
          padding: [
            [1, 1],
            [1, 1],
          ],
          groups: 9,
        }),
      },
      pass,
    );
  });

  test.each(wideTargets)('is the same kernel with $lanes lanes', (target) => {
    const pad = plainParams(2, {
      padding: [
        [1, 1],
        [1, 1],
      ],
    });
    const pad5 = plainParams(2, {
      padding: [
        [2, 2],
        [2, 2],
      ],
    });
    check({ x: [2, 17, 3, 16], w: [33, 17, 3, 3], ...pad }, pass, target);
    check({ x: [1, 3, 5, 15], w: [9, 3, 3, 3], ...pad, stride: [2, 2] }, pass, target);
    check({ x: [1, 40, 4, 4], w: [24, 40, 1, 1], ...plainParams(2) }, pass, target);
    check({ x: [1, 18, 3, 13], w: [18, 1, 3, 3], ...pad, groups: 18 }, pass, target);
    check({ x: [2, 24, 5, 7], w: [24, 1, 3, 3], ...pad, stride: [2, 2], groups: 24 }, pass, target);
    check({ x: [1, 40, 6, 9], w: [40, 1, 5, 5], ...pad5, groups: 40 }, pass, target);
    check({ x: [1, 20, 7, 8], w: [20, 1, 5, 5], ...pad5, stride: [2, 2], groups: 20 }, pass, target);
    check({ x: [1, 17, 5, 8], w: [17, 1, 3, 3], ...pad5, dilation: [2, 2], groups: 17 }, pass, target);
    check({ x: [1, 32, 3, 5], w: [32, 16, 3, 3], ...pad, groups: 2 }, pass, target);
    check({ x: [1, 12, 3, 5], w: [12, 4, 3, 3], ...pad, groups: 3 }, pass, target);
    for (const channels of [2, 4, 8]) {
      const groups = 32 / channels;
      check({ x: [2, 32, 4, 17], w: [32, channels, 3, 3], ...pad, groups }, pass, target);
    }
    check({ x: [1, 32, 5, 7], w: [32, 4, 3, 3], ...pad, stride: [2, 2], groups: 8 }, pass, target);
  });
});

/** Layers of ResNet-50, MobileNetV2 and EfficientNet with fewer channels and pixels. */
const networkCases: readonly { what: string; x: Shape; filters: number; kernel: number; stride?: number }[] = [
  { what: 'a first layer of 7×7, stride 2', x: [1, 3, 17, 30], filters: 24, kernel: 7, stride: 2 },
  { what: '3×3 whose weights come in chunks', x: [1, 72, 7, 7], filters: 40, kernel: 3 },
  { what: '3×3 of several images that share weights', x: [3, 48, 4, 4], filters: 80, kernel: 3 },
  { what: '3×3, stride 2', x: [1, 24, 14, 28], filters: 48, kernel: 3, stride: 2 },
  { what: '1×1 of 49 pixels in chunks', x: [1, 392, 7, 7], filters: 40, kernel: 1 },
  { what: '1×1 into an odd number of blocks', x: [2, 24, 14, 14], filters: 72, kernel: 1 },
  { what: '1×1, stride 2', x: [1, 40, 8, 28], filters: 72, kernel: 1, stride: 2 },
];

describe.each(wideTargets)('layers of networks, $lanes lanes', (target) => {
  test.each(networkCases)('$what', ({ x, filters, kernel, stride = 1 }) => {
    const pad = Math.floor(kernel / 2);
    const padding = [
      [pad, pad],
      [pad, pad],
    ] as const;
    const c = { x, w: [filters, x[1], kernel, kernel], ...plainParams(2, { padding, stride: [stride, stride] }) };
    for (const pass of passes) check(c, pass, target);
  });
});

test('each kind of convolution has its kernels', () => {
  const way = (x: Shape, w: Shape, more: Partial<ConvParams> = {}) => {
    const p = plainParams(x.length - 2, more);
    const y = outputShape({ x, w, ...p });
    const all = [
      convLowerings(x, w, p, wasmTarget),
      convInputGradLowerings(y, w, x, p, wasmTarget),
      convWeightGradLowerings(y, x, w, p, wasmTarget),
    ];
    return all
      .map((ways) => ways.map((l) => /^conv_(input_grad_|weight_grad_)?([a-z]+)/.exec(l.key)?.[2]).join('|'))
      .join(' ');
  };
  expect(way([1, 16, 9, 9], [8, 16, 3, 3])).toBe('direct direct direct');
  expect(way([1, 3, 9, 9], [8, 3, 3, 3])).toBe('first|direct direct first|direct');
  expect(way([1, 16, 9, 9], [16, 1, 3, 3], { groups: 16 })).toBe('depthwise depthwise depthwise');
  expect(way([1, 16, 9, 9], [16, 4, 3, 3], { groups: 4 })).toBe('diagonal diagonal diagonal');
  expect(way([1, 16, 9, 9], [32, 8, 3, 3], { groups: 2 })).toBe('direct direct direct');
  expect(way([1, 6, 9, 9], [9, 2, 3, 3], { groups: 3 })).toBe('general general general');
  expect(way([1, 8, 9, 9], [8, 8, 3, 3], { stride: [2, 2], dilation: [2, 2] })).toBe('direct general direct');
});

test.each([
  [1, [16, 9, 3, 3]],
  [9, [9, 1, 3, 3]],
])('partial sums of the gradient by weight do not depend on the number of threads, %i groups', (groups, w) => {
  const [x, dy]: Shape[] = [
    [5, 9, 40, 40],
    [5, w[0], 38, 38],
  ];
  const run = (threads: number, chunk: number) => {
    const target = { ...wasmTarget, threads };
    const [l] = convWeightGradLowerings(dy, x, w, plainParams(2, { groups }), target);
    expect(l.scratchBytes).toBeGreaterThan(0);
    const inputs = [
      { data: numbers(numel(dy), 3), shape: dy },
      { data: numbers(numel(x), 1), shape: x },
    ];
    return runLowering(l, inputs, w, [], { target, chunk });
  };
  expect(run(16, 1)).toEqual(run(1, 1000));
});
