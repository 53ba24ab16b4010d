import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runLowering, wasmTarget, wideTargets } from '../../test/lowering-runner.js';
import type { Lowering, TargetInfo } from '../graph/op.js';
import type { Int } from '../ir/index.js';
import { numel, type Shape } from '../util/shape.js';
import { poolGradLowerings, poolLowerings } from './pool.js';
import { type PoolWindow, pixels, type Triple } from './pool-shape.js';

interface Case {
  readonly x: Shape;
  readonly w: PoolWindow;
}

interface Axis {
  readonly size: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly pad?: readonly [number, number];
  readonly dilation?: number;
}

function poolCase(images: number, channels: number, axes: readonly Axis[]): Case {
  const all = [...Array<Axis>(3 - axes.length).fill({ size: 1, kernel: 1 }), ...axes];
  const triple = (of: (a: Axis) => number): Triple => [of(all[0]), of(all[1]), of(all[2])];
  const span = (a: Axis) => (a.dilation ?? 1) * (a.kernel - 1) + 1;
  return {
    x: [images, channels, ...axes.map((a) => a.size)],
    w: {
      in: triple((a) => a.size),
      kernel: triple((a) => a.kernel),
      stride: triple((a) => a.stride ?? 1),
      padLo: triple((a) => a.pad?.[0] ?? 0),
      dilation: triple((a) => a.dilation ?? 1),
      out: triple((a) => Math.floor((a.size + (a.pad?.[0] ?? 0) + (a.pad?.[1] ?? 0) - span(a)) / (a.stride ?? 1)) + 1),
    },
  };
}

const outShape = (c: Case): Shape => [...c.x.slice(0, 2), ...c.w.out.slice(3 - (c.x.length - 2))];

/** Visits each window's taps in row-major order: window and tap as offsets in the tensors. */
function eachTap({ x, w }: Case, visit: (window: number, tap: number) => void): void {
  const planes = x[0] * x[1];
  const box = (t: Triple, body: (at: Triple) => void) => {
    for (let d = 0; d < t[0]; d++) for (let h = 0; h < t[1]; h++) for (let c = 0; c < t[2]; c++) body([d, h, c]);
  };
  const flat = (at: readonly number[], t: Triple) => (at[0] * t[1] + at[1]) * t[2] + at[2];
  for (let p = 0; p < planes; p++) {
    box(w.out, (o) => {
      box(w.kernel, (t) => {
        const i = o.map((v, a) => v * w.stride[a] + t[a] * w.dilation[a] - w.padLo[a]);
        if (i.every((v, a) => v >= 0 && v < w.in[a]))
          visit(p * pixels(w.out) + flat(o, w.out), p * pixels(w.in) + flat(i, w.in));
      });
    });
  }
}

/** The offset of each window's first maximum, −1 for a window without taps. */
function argmax(c: Case, x: Float32Array): Int32Array {
  const best = new Int32Array(numel(outShape(c))).fill(-1);
  eachTap(c, (o, i) => {
    const before = x[best[o]];
    if (best[o] < 0 || x[i] > before || (Number.isNaN(x[i]) && !Number.isNaN(before))) best[o] = i;
  });
  return best;
}

/** Few different values, so that there are ties; infinities among them. */
function ties(count: number, seed: number, withNaN: boolean): Float32Array {
  const values = [0, 1, 1, 2, 2, 3, -1, -2, 5, 5, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, -0, -0];
  if (withNaN) values.push(Number.NaN);
  return numbers(count, seed).map((v) => values[Math.floor(Math.abs(v) * values.length)]);
}

function numbers(count: number, seed: number): Float32Array {
  let state = seed * 2654435761 + 12345;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

/** Runs a lowering of integers through the runner, which knows floats only. */
const asFloats = (l: Lowering): Lowering => ({
  ...l,
  build: (k, epilogue) => l.build(k, { ...epilogue, emit: (_k, v, at) => epilogue.emit(k, (v as Int).toF(), at) }),
});

/** Kernels may go other ways where there is NaN, and from there on. */
function check(c: Case, target: TargetInfo = wasmTarget): void {
  const clean = ties(numel(c.x), 1, false);
  checkOf(c, target, clean);
  checkOf(c, target, ties(numel(c.x), 1, true));
  checkOf(c, target, clean.with(Math.floor((clean.length * 5) / 8), Number.NaN));
}

function checkOf(c: Case, target: TargetInfo, x: Float32Array): void {
  const y = outShape(c);
  const g = numbers(numel(c.x), 2);
  const dy = numbers(numel(y), 3);
  const best = argmax(c, x);
  const chosen = best.reduce((dx, i, o) => {
    if (i >= 0) dx[i] += dy[o];
    return dx;
  }, new Float64Array(g.length));
  const [sums, spread] = [new Float64Array(dy.length), new Float64Array(g.length)];
  eachTap(c, (o, i) => {
    sums[o] += g[i];
    spread[i] += dy[o];
  });
  const on = (data: Float32Array, shape: Shape) => ({ data, shape });
  const terms = pixels(c.w.kernel);
  const passes: [Lowering[], { data: Float32Array; shape: Shape }[], Shape, ArrayLike<number>, number][] = [
    [
      poolLowerings(c.x, c.w, 'max', target),
      [on(x, c.x)],
      y,
      Array.from(best, (i) => (i < 0 ? Number.NEGATIVE_INFINITY : x[i])),
      0,
    ],
    [
      poolLowerings(c.x, c.w, 'position', target).map(asFloats),
      [on(x, c.x)],
      y,
      best.map((i) => (i < 0 ? -1 : i % pixels(c.w.in))),
      0,
    ],
    [
      poolLowerings(c.x, c.w, 'at', target),
      [on(g, c.x), on(x, c.x)],
      y,
      Array.from(best, (i) => (i < 0 ? 0 : g[i])),
      0,
    ],
    [poolGradLowerings(c.x, c.w, 'max', target), [on(dy, y), on(x, c.x)], c.x, chosen, terms],
    [poolLowerings(c.x, c.w, 'sum', target), [on(g, c.x)], y, sums, terms],
    [poolGradLowerings(c.x, c.w, 'all', target), [on(dy, y)], c.x, spread, terms],
  ];
  for (const [ways, inputs, shape, want, roundings] of passes) {
    expect(ways.length).toBe(2);
    for (const way of ways) {
      const got = runLowering(way, inputs, shape, [], { target, interpreted: target.lanes !== wasmTarget.lanes });
      const tolerance = roundings * roundings * 2 ** -24; // terms are below 1
      for (let i = 0; i < got.length; i++) {
        const off = Math.abs(got[i] - want[i]);
        if (!(off <= tolerance || Object.is(got[i], want[i]) || got[i] === want[i])) {
          expect.fail(`${way.key}: element ${i} is ${got[i]}, not ${want[i]}`);
        }
      }
    }
  }
}

const axis = fc
  .record({
    size: fc.integer({ min: 1, max: 13 }),
    kernel: fc.constantFrom(1, 2, 2, 3, 3, 3, 4, 5),
    stride: fc.constantFrom(1, 2, 2, 3, 5),
    dilation: fc.constantFrom(1, 1, 1, 2, 3),
    lo: fc.integer({ min: 0, max: 4 }),
    hi: fc.integer({ min: 0, max: 6 }),
  })
  .map(({ lo, hi, ...a }): Axis => {
    const span = a.dilation * (a.kernel - 1) + 1;
    const pad: [number, number] = [
      Math.min(lo, Math.floor(span / 2)),
      Math.min(hi, Math.floor(span / 2) + a.stride - 1),
    ];
    return { ...a, size: Math.max(a.size, span - pad[0] - pad[1]), pad };
  });

describe('pooling', () => {
  test('any window over one, two and three axes', () => {
    const channels = fc.constantFrom(1, 2, 3, 4, 7, 8, 9, 17);
    const axes = fc.oneof(fc.tuple(axis), fc.tuple(axis, axis), fc.tuple(axis, axis), fc.tuple(axis, axis, axis));
    const property = fc.property(fc.integer({ min: 1, max: 2 }), channels, axes, (n, c, a) => check(poolCase(n, c, a)));
    fc.assert(property, { numRuns: 40, seed: 1 });
  });

  test('the usual windows, whole and cut into row groups', () => {
    const square = (size: number, a: Omit<Axis, 'size'>) => [
      { size, ...a },
      { size, ...a },
    ];
    for (const c of [
      poolCase(1, 8, square(24, { kernel: 2, stride: 2 })),
      poolCase(2, 8, square(25, { kernel: 2, stride: 2 })),
      poolCase(1, 9, square(28, { kernel: 3, stride: 2, pad: [1, 1] })),
      poolCase(1, 8, square(28, { kernel: 3, stride: 2, pad: [0, 1] })),
      poolCase(1, 5, square(20, { kernel: 3, stride: 1, pad: [1, 1] })),
      poolCase(1, 8, square(13, { kernel: 13, stride: 1, pad: [6, 6] })),
      poolCase(1, 8, square(21, { kernel: 7, stride: 7 })),
      poolCase(1, 8, square(23, { kernel: 2, stride: 5 })),
    ]) {
      check(c, { ...wasmTarget, threads: 1 });
      check(c, { ...wasmTarget, threads: 4 });
    }
  });

  test.each(wideTargets)('is the same kernel with $lanes lanes', (target) => {
    const pad3 = { kernel: 3, stride: 2, pad: [1, 1] } as const;
    for (const c of [
      poolCase(1, 24, [
        { size: 5, kernel: 2, stride: 2 },
        { size: 8, kernel: 2, stride: 2 },
      ]),
      poolCase(1, 40, [
        { size: 4, ...pad3 },
        { size: 9, ...pad3 },
      ]),
      poolCase(2, 3, [
        { size: 4, kernel: 3, pad: [1, 1] },
        { size: 19, kernel: 3, pad: [1, 1] },
      ]),
      poolCase(1, 2, [{ size: 45, kernel: 3, stride: 2, pad: [0, 1] }]),
      poolCase(1, 3, [
        { size: 5, kernel: 2, stride: 2 },
        { size: 37, kernel: 2, stride: 2 },
      ]),
      poolCase(1, 9, [
        { size: 3, kernel: 2, stride: 2 },
        { size: 3, kernel: 2 },
        { size: 6, kernel: 3, dilation: 2, pad: [1, 1] },
      ]),
    ]) {
      check(c, target);
    }
  });

  test('few channels lie plain first', () => {
    const { x, w } = poolCase(1, 3, [{ size: 8, kernel: 2, stride: 2 }]);
    expect(poolLowerings(x, w, 'max', wasmTarget).map((l) => l.output.block)).toEqual([1, 8]);
    expect(poolLowerings([1, 4, 8], w, 'max', wasmTarget).map((l) => l.output.block)).toEqual([8, 1]);
  });
});
