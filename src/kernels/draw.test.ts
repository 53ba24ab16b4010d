/** The kernel against the host's drawing, bit for bit, at every width of vectors, and the host's against the distributions themselves. */

import { describe, expect, it } from 'vitest';
import { interpret, KernelBuilder } from '../ir/index.js';
import { drawOnHost, type RandomDraw } from '../util/draw.js';
import { type DrawVariant, drawKernel, drawTable } from './draw.js';

const key = Int32Array.of(12345, -7, 3, 1);
const draws: RandomDraw[] = [
  { kind: 'uniform', low: -0.3, high: 0.7, key },
  { kind: 'normal', mean: 0.1, std: 2, key },
];

/** What the kernel leaves of a weight [o, k] in memory, and behind it. */
function drawn(o: number, k: number, draw: RandomDraw, lanes: number, variant: DrawVariant): Float32Array {
  const kernel = drawKernel(new KernelBuilder({ lanes, registers: 32 }), variant);
  const table = drawTable(o, k, draw, variant);
  const size = Math.ceil(o / variant.block) * variant.block * k;
  const memory = new ArrayBuffer(table.byteLength + size * 4);
  new Int32Array(memory).set(table);
  const bounds = [
    { address: 0, size: table.byteLength },
    { address: table.byteLength, size: size * 4 },
  ];
  interpret(kernel, memory, [0, table.byteLength], 0, kernel.tasks, bounds);
  return new Float32Array(memory, table.byteLength);
}

describe.each([4, 8, 16])('%i lanes', (lanes) => {
  it.each(draws)('lay $kind values in blocks of outputs, the rest of the last block 0', (draw) => {
    for (const [o, k, block] of [
      [8 * lanes, 3, 2 * lanes],
      [4 * lanes, 7, lanes],
      [lanes + 3, 5, lanes],
      [3 * lanes, 2, 2 * lanes],
      [1, 9, lanes],
      [70, 1, 2 * lanes],
    ]) {
      const wanted = new Float32Array(o * k);
      drawOnHost(wanted, draw);
      const whole = o % (4 * block) === 0;
      for (const variant of whole
        ? [
            { kind: draw.kind, block, whole },
            { kind: draw.kind, block, whole: false },
          ]
        : [{ kind: draw.kind, block, whole }]) {
        // biome-ignore format: one line
        const got = drawn(o, k, draw, lanes, variant);
        const expected = Float32Array.from(got, (_, i) => {
          const output = Math.floor(i / (k * block)) * block + (i % block);
          return output < o ? wanted[output * k + (Math.floor(i / block) % k)] : 0;
        });
        expect(got).toEqual(expected);
      }
    }
  });

  it('lay plain rows of any length', () => {
    for (const n of [1, 3, lanes, 4 * lanes, 12 * lanes, 12 * lanes + 4, 101]) {
      const wanted = new Float32Array(n);
      drawOnHost(wanted, draws[1]);
      const got = drawn(n, 1, draws[1], lanes, { kind: 'normal', block: lanes, whole: n % (4 * lanes) === 0 });
      expect(got.subarray(0, n)).toEqual(wanted);
    }
  });
});

describe('drawOnHost', () => {
  const n = 200_000;
  const sample = (draw: RandomDraw) => {
    const out = new Float32Array(n);
    drawOnHost(out, draw);
    return out.sort();
  };

  it('follows the distributions: Kolmogorov and Smirnov at a level of 1e-6', () => {
    const largest = 2.7 / Math.sqrt(n);
    const uniform = sample({ kind: 'uniform', low: -1, high: 3, key });
    for (const [i, x] of uniform.entries()) expect(Math.abs((x + 1) / 4 - i / n)).toBeLessThan(largest);
    const normal = sample({ kind: 'normal', mean: 5, std: 0.5, key });
    for (let i = 0; i < n; i += 97) expect(Math.abs(phi((normal[i] - 5) / 0.5) - i / n)).toBeLessThan(largest);
  });

  it('reaches the tails of the normal distribution, and both ends of the uniform one', () => {
    const normal = sample({ kind: 'normal', mean: 0, std: 1, key });
    // Outside ±4 lie 6.3e-5 of all: 12.7 of these.
    const outside = normal.filter((x) => Math.abs(x) > 4).length;
    expect(outside).toBeGreaterThan(1);
    expect(outside).toBeLessThan(35);
    const uniform = sample({ kind: 'uniform', low: 2, high: 3, key });
    expect([uniform[0] >= 2, uniform[0] < 2.0001, uniform[n - 1] < 3, uniform[n - 1] > 2.9999]).toEqual(
      new Array(4).fill(true),
    );
  });
});

/** The standard normal distribution, integrated: Σ of its density from −8. */
function phi(x: number): number {
  const steps = 400;
  const width = (x + 8) / steps;
  let sum = 0;
  for (let i = 0; i < steps; i++) sum += Math.exp(-((-8 + (i + 0.5) * width) ** 2) / 2);
  return (sum * width) / Math.sqrt(2 * Math.PI);
}
