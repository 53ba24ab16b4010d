/** Winograd convolution: the same values as the convolution, by meaning exactly and in kernels within what float32 allows. */

import { describe, expect, it } from 'vitest';
import { runLowering, wasmTarget, wideTargets } from '../../test/lowering-runner.js';
import type { Node } from '../graph/node.js';
import { Storage } from '../graph/storage.js';
import { numel, type Shape } from '../util/shape.js';
import { conv } from './conv.js';
import { ReferenceTarget } from './reference/index.js';
import { buffer } from './source.js';
import { winogradConv, winogradConvOp, winogradPays } from './winograd.js';

function numbers(shape: Shape, seed: number): Float32Array {
  let state = seed * 2654435761 + 12345;
  return Float32Array.from({ length: numel(shape) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

const stored = (shape: Shape, seed: number): Node => buffer(new Storage(shape, 'float32', numbers(shape, seed)));

async function valuesOf(node: Node): Promise<ArrayLike<number>> {
  await new ReferenceTarget().realize([node], []);
  return node.realized!.read();
}

interface Case {
  readonly x: Shape;
  readonly filters: number;
  readonly padding: number | [number, number][];
}

const cases: [string, Case][] = [
  ['whole tiles with a border of zeros', { x: [1, 16, 16, 20], filters: 32, padding: 1 }],
  ['tiles that are cut off, two pictures', { x: [2, 32, 17, 18], filters: 16, padding: 1 }],
  ['no padding', { x: [1, 16, 19, 15], filters: 16, padding: 0 }],
  ['uneven padding', { x: [1, 16, 13, 14], filters: 16, padding: [[2, 0], [0, 1]] }], // biome-ignore format: one line a case
];

function build({ x, filters, padding }: Case): { direct: Node; filtered: Node | null } {
  const [picture, weight] = [stored(x, 1), stored([filters, x[1], 3, 3], 2)];
  const direct = conv(picture, weight, { padding } as never);
  return { direct, filtered: winogradConv(picture, weight, direct.attrs as never, direct.shape) };
}

describe('winograd convolution', () => {
  it.each(cases)('means the convolution: %s', async (_, c) => {
    const { direct, filtered } = build(c);
    expect(filtered!.shape).toEqual(direct.shape);
    const [a, b] = [await valuesOf(direct), await valuesOf(filtered!)];
    // The weights' matrix and the results are rounded to float32; everything else is float64 here.
    const scale = Math.max(...Array.from(a, Math.abs));
    for (let i = 0; i < a.length; i++) expect(Math.abs(a[i] - b[i]) / scale).toBeLessThan(2e-6);
  });

  it('is left alone where it cannot be done', () => {
    const of = (x: Shape, w: Shape, options: object) => {
      const node = conv(stored(x, 1), stored(w, 2), options as never);
      return winogradConv(node.inputs[0], node.inputs[1], node.attrs as never, node.shape);
    };
    const good: Shape = [1, 32, 28, 28];
    expect(of(good, [32, 32, 3, 3], { padding: 1 })).not.toBeNull();
    expect(of(good, [32, 32, 3, 3], { padding: 1, stride: 2 })).toBeNull();
    expect(of(good, [32, 32, 3, 3], { padding: 2, dilation: 2 })).toBeNull();
    expect(of(good, [32, 8, 3, 3], { padding: 1, groups: 4 })).toBeNull();
    expect(of(good, [32, 32, 5, 5], { padding: 2 })).toBeNull();
    expect(of([1, 3, 224, 224], [32, 3, 3, 3], { padding: 1 })).toBeNull();
  });

  it('is left alone where reading four times the weights takes longer than it saves', () => {
    const pays = (channels: number, size: number) => winogradPays([1, channels, size, size], [1, channels, size, size]);
    expect(pays(64, 56)).toBe(true);
    expect(pays(512, 28)).toBe(true);
    expect(pays(512, 7)).toBe(false);
  });

  it.each([wasmTarget, ...wideTargets])('has kernels that follow the meaning: $name', async (target) => {
    for (const [, c] of cases) {
      const { filtered } = build(c);
      const node = filtered!;
      const [lowering] = winogradConvOp.facts.lower!(node as never, target);
      const inputs = await Promise.all(
        node.inputs.map(async (input) => ({ data: Float32Array.from(await valuesOf(input)), shape: input.shape })),
      );
      const other = numbers(node.shape, 7);
      const got = runLowering(lowering, inputs, node.shape, other, {
        fused: true,
        target,
        interpreted: target.lanes !== 4,
      });
      const exact = await valuesOf(node);
      const scale = Math.max(...Array.from(exact, Math.abs));
      let worst = 0;
      for (let i = 0; i < got.length; i++) {
        worst = Math.max(worst, Math.abs(got[i] - Math.max(0, exact[i] * 0.5 + other[i])));
      }
      expect(worst / scale).toBeLessThan(2e-6);
    }
  });
});
