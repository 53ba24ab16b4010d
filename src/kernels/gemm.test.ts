import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runLowering, wasmTarget, wideTargets } from '../../test/lowering-runner.js';
import type { Lowering, TargetInfo } from '../graph/op.js';
import { dotLowering, matmulLowerings, panelLowering } from './gemm.js';
import { coverEvenly, type GemmSizes, vectorOfRows } from './gemm-shape.js';

const sizes = (m: number, n: number, k: number, trans = 'nn', batch = 1): GemmSizes => ({
  batch,
  m,
  n,
  k,
  transA: trans[0] === 't',
  transB: trans[1] === 't',
});

function numbers(count: number, seed: number): Float32Array {
  let state = seed * 2654435761 + 12345;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

/** Each sum, and the sum of its terms' magnitudes: what rounding errors are measured against. */
function oracle(g: GemmSizes, a: Float32Array, b: Float32Array): { sum: Float64Array; magnitude: Float64Array } {
  const sum = new Float64Array(g.batch * g.m * g.n);
  const magnitude = new Float64Array(sum.length);
  for (let s = 0; s < g.batch; s++) {
    for (let i = 0; i < g.m; i++) {
      for (let j = 0; j < g.n; j++) {
        const at = (s * g.m + i) * g.n + j;
        for (let l = 0; l < g.k; l++) {
          const x = a[s * g.m * g.k + (g.transA ? l * g.m + i : i * g.k + l)];
          const y = b[s * g.k * g.n + (g.transB ? j * g.k + l : l * g.n + j)];
          sum[at] += x * y;
          magnitude[at] += Math.abs(x * y);
        }
      }
    }
  }
  return { sum, magnitude };
}

function check(g: GemmSizes, ways: readonly Lowering[], target: TargetInfo = wasmTarget): void {
  const shapeOf = (rows: number, columns: number, trans: boolean) => [
    g.batch,
    ...(trans ? [columns, rows] : [rows, columns]),
  ];
  const a = { data: numbers(g.batch * g.m * g.k, 1), shape: shapeOf(g.m, g.k, g.transA) };
  const b = { data: numbers(g.batch * g.k * g.n, 2), shape: shapeOf(g.k, g.n, g.transB) };
  const other = numbers(g.batch * g.m * g.n, 3);
  const { sum, magnitude } = oracle(g, a.data, b.data);
  for (const way of ways) {
    for (const fused of [false, true]) {
      const got = runLowering(way, [a, b], [g.batch, g.m, g.n], other, {
        fused,
        target,
        interpreted: target.lanes > 4,
      });
      for (let i = 0; i < got.length; i++) {
        const want = fused ? Math.max(0, sum[i] * 0.5 + other[i]) : sum[i];
        const tolerance = (g.k + 2) * 2 ** -24 * (magnitude[i] + (fused ? Math.abs(other[i]) : 0));
        if (!(Math.abs(got[i] - want) <= tolerance)) {
          expect.fail(`${way.key}${fused ? ' fused' : ''}: element ${i} is ${got[i]}, not ${want} ± ${tolerance}`);
        }
      }
    }
  }
}

/** Every kernel that fits the sizes, whichever would be chosen. */
function allWays(g: GemmSizes, target: TargetInfo = wasmTarget): Lowering[] {
  const turned = vectorOfRows(g);
  const dot = !turned.transA && turned.transB ? [dotLowering(turned, target)] : [];
  return [...matmulLowerings(g, target), panelLowering(turned, target), ...dot];
}

const transpositions = ['nn', 'nt', 'tn', 'tt'];

describe('matrix product', () => {
  test('any sizes, near the edges of vectors and tiles', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 14 }), fc.constantFrom(16, 17, 23, 24, 25, 47, 49));
    const property = fc.property(
      size,
      size,
      size,
      fc.constantFrom(...transpositions),
      fc.constantFrom(1, 1, 2, 3),
      (m, n, k, trans, batch) => {
        const g = sizes(m, n, k, trans, batch);
        check(g, allWays(g));
      },
    );
    fc.assert(property, { numRuns: 60, seed: 1 });
  });

  test.each(transpositions)('blocks of several panels and row tasks, %s', (trans) => {
    for (const [m, n, k] of [
      [130, 139, 70],
      [64, 515, 33],
      [7, 300, 301],
      [301, 9, 260],
      [61, 70, 260],
    ]) {
      const g = sizes(m, n, k, trans);
      check(g, allWays(g));
      check(g, allWays(g, { ...wasmTarget, threads: 16 }));
    }
  });

  test.each(transpositions)('one row, one column, one of both, %s', (trans) => {
    for (const [m, n, k] of [
      [1, 130, 67],
      [130, 1, 67],
      [1, 1, 1000],
      [1, 1, 1],
      [50, 3, 1],
      [1, 50, 1],
      [50, 1, 1],
      [1, 3, 600],
    ]) {
      const g = sizes(m, n, k, trans);
      check(g, allWays(g));
    }
  });

  test('no terms at all give zeros, no rows nothing', () => {
    for (const trans of transpositions) {
      check(sizes(5, 7, 0, trans), allWays(sizes(5, 7, 0, trans)));
      check(sizes(1, 1, 0, trans), allWays(sizes(1, 1, 0, trans)));
      check(sizes(0, 7, 3, trans), allWays(sizes(0, 7, 3, trans)));
      check(sizes(3, 0, 3, trans), allWays(sizes(3, 0, 3, trans)));
      check(sizes(3, 4, 3, trans, 0), allWays(sizes(3, 4, 3, trans, 0)));
    }
  });

  test('sums do not depend on the number of threads', () => {
    for (const trans of transpositions) {
      const g = sizes(50, 90, 1100, trans);
      const a = { data: numbers(g.m * g.k, 1), shape: [1, ...(g.transA ? [g.k, g.m] : [g.m, g.k])] };
      const b = { data: numbers(g.k * g.n, 2), shape: [1, ...(g.transB ? [g.n, g.k] : [g.k, g.n])] };
      const run = (threads: number) => {
        const target = { ...wasmTarget, threads };
        return runLowering(matmulLowerings(g, target)[0], [a, b], [1, g.m, g.n], []);
      };
      const [one, many] = [run(1), run(16)];
      expect(many).toEqual(one);
    }
  });
});

describe.each(wideTargets)('for $name, interpreted', (target) => {
  const { lanes } = target;

  test('any sizes, near the edges of vectors and tiles', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(14, 15, 16, 17, 29, 31, 33, 49));
    const property = fc.property(size, size, size, fc.constantFrom(...transpositions), (m, n, k, trans) => {
      check(sizes(m, n, k, trans), allWays(sizes(m, n, k, trans), target), target);
    });
    fc.assert(property, { numRuns: 25, seed: 2 });
  });

  test.each(transpositions)('blocks of several panels and row tasks, %s', (trans) => {
    for (const [m, n, k] of [
      [43, 6 * lanes + 5, 37],
      [9, 11, 2 * lanes + 3],
    ]) {
      const many = { ...target, threads: 16 };
      check(sizes(m, n, k, trans), allWays(sizes(m, n, k, trans), many), many);
    }
  });
});

describe('for 16 lanes, interpreted', () => {
  const target = { ...wideTargets[1], threads: 1 };

  test('sums do not depend on the number of threads, over blocks of K either', () => {
    const g = sizes(30, 70, 1030);
    const a = { data: numbers(g.m * g.k, 1), shape: [1, g.m, g.k] };
    const b = { data: numbers(g.k * g.n, 2), shape: [1, g.k, g.n] };
    const ways = [1, 2, 3].map((threads) => matmulLowerings(g, { ...target, threads })[0]);
    expect(ways[0].key).not.toBe(ways[2].key);
    const [one, two, three] = ways.map((way) =>
      runLowering(way, [a, b], [1, g.m, g.n], [], { target, interpreted: true }),
    );
    expect(two).toEqual(one);
    expect(three).toEqual(one);
  });

  test.each<[string, GemmSizes, RegExp]>([
    ['rows half a page apart are copied where many are used at once', sizes(14, 512, 512), /_panel14x32a_/],
    ['a transposed one in tiles', sizes(17, 512, 70, 'tn'), /_panel9x48a_|_panel14x32a_/],
    ['panels over blocks of K', sizes(15, 150, 1030), /_panel14x32k384_/],
    ['packed panels over blocks of K', sizes(7, 70, 1030, 'tt'), /_panel7x48pk384_/],
    ['dot products over chunks of K, where a is large', sizes(17, 9, 8195, 'nt'), /_dot4x6c/],
  ])('%s', (_, g, key) => {
    const ways = [...matmulLowerings(g, target), panelLowering(vectorOfRows(g), target)];
    const way = ways.find((w) => key.test(w.key));
    expect(way, ways.map((w) => w.key).join(', ')).toBeDefined();
    check(g, [way!], target);
  });
});

test('even covers', () => {
  for (let n = 0; n < 40; n++) {
    const { whole, rest } = coverEvenly(n, 6);
    let at = whole.count * 6;
    for (const tile of rest) {
      expect(tile.start).toBe(at);
      at += tile.size;
    }
    expect(at).toBe(n);
    expect(rest.every((t) => t.size < 6 && (n < 6 || t.size >= 3))).toBe(true);
  }
});
