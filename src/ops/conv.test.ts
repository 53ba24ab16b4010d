import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkGradients, dot, evaluate, messageOf, random } from '../../test/leaves.js';
import { convCases } from '../../test/window-cases.js';
import { type Node, withScope } from '../graph/node.js';
import { numel, type Shape } from '../util/shape.js';
import {
  conv,
  convGeometry,
  convInputGrad,
  convInputGradOp,
  convOp,
  convTranspose,
  convWeightGrad,
  convWeightGradOp,
} from './conv.js';
import { cast, mul } from './elementwise.js';
import { constant } from './source.js';

const zeros = (...shape: number[]) => constant(0, shape);

describe('the three convolutions', () => {
  test('are one trilinear form: <conv(x, w), y> = <x, inputGrad(y, w)> = <w, weightGrad(y, x)>', () => {
    fc.assert(
      fc.property(convCases(), ({ xShape, wShape, yShape, p }) => {
        const [x, w, y] = [random(xShape, 1), random(wShape, 2), random(yShape, 3)];
        const forward = conv(x, w, p);
        expect(forward.shape).toEqual(yShape);
        const expected = dot(forward, y);
        // Each sum has `terms` products below 1; both sides round in float64.
        const terms = numel(yShape) * numel(wShape.slice(1));
        const tolerance = terms * terms * 2 ** -53 + 1e-300;
        expect(Math.abs(dot(x, convInputGrad(y, w, xShape, p)) - expected)).toBeLessThanOrEqual(tolerance);
        expect(Math.abs(dot(w, convWeightGrad(y, x, wShape, p)) - expected)).toBeLessThanOrEqual(tolerance);
      }),
    );
  });

  test('conv is the sum over channels and taps, zeros outside', () => {
    fc.assert(
      fc.property(convCases(), ({ xShape, wShape, yShape, p }) => {
        const [x, w] = [random(xShape, 1), random(wShape, 2)];
        const y = evaluate(conv(x, w, p)).data;
        const expected = naiveConv(evaluate(x).data, xShape, evaluate(w).data, wShape, yShape, p);
        const tolerance = numel(wShape.slice(1)) ** 2 * 2 ** -53;
        for (let i = 0; i < expected.length; i++) expect(Math.abs(y[i] - expected[i])).toBeLessThanOrEqual(tolerance);
      }),
      { numRuns: 50 },
    );
  });

  test('have first and second derivatives', () => {
    fc.assert(
      fc.property(convCases(), ({ xShape, wShape, yShape, p }) => {
        const [x, w, y] = [random(xShape, 1), random(wShape, 2), random(yShape, 3)];
        checkGradients((a, b) => conv(a, b, p), [x, w]);
        checkGradients((a, b) => convInputGrad(a, b, xShape, p), [y, w]);
        checkGradients((a, b) => convWeightGrad(a, b, wShape, p), [y, x]);
      }),
      { numRuns: 40 },
    );
  });

  test('count the same multiply–accumulates', () => {
    const p = { stride: [2, 2], padding: [[1, 1] as const, [1, 1] as const], dilation: [1, 1], groups: 2 };
    const [x, w, y] = [zeros(2, 4, 8, 8), zeros(6, 2, 3, 3), zeros(2, 6, 4, 4)];
    const macs = 2 * 6 * 4 * 4 * 2 * 3 * 3;
    expect(convOp.facts.macs!(conv(x, w, p) as never)).toBe(macs);
    expect(convInputGradOp.facts.macs!(convInputGrad(y, w, x.shape, p) as never)).toBe(macs);
    expect(convWeightGradOp.facts.macs!(convWeightGrad(y, x, w.shape, p) as never)).toBe(macs);
  });

  test('take an empty batch', () => {
    expect(evaluate(conv(zeros(0, 2, 5), zeros(3, 2, 3)))).toMatchObject({
      shape: [0, 3, 3],
      data: new Float64Array(0),
    });
  });

  test('padding is not read: an infinite weight makes no NaN beyond the edge', () => {
    const y = conv(constant(1, [1, 1, 2]), constant(Infinity, [1, 1, 3]), { padding: 1 });
    expect([...evaluate(y).data]).toEqual([Infinity, Infinity]);
  });

  test('the geometry has three spatial axes', () => {
    const p = { stride: [2], padding: [[1, 2] as const], dilation: [3], groups: 2 };
    expect(convGeometry([4, 6, 10], [8, 3, 2], p)).toEqual({
      batch: 4,
      groups: 2,
      inPerGroup: 3,
      outPerGroup: 4,
      in: [1, 1, 10],
      out: [1, 1, 5],
      kernel: [1, 1, 2],
      stride: [1, 1, 2],
      padLo: [0, 0, 1],
      padHi: [0, 0, 2],
      dilation: [1, 1, 3],
    });
  });
});

describe('a convolution of scaled channels', () => {
  const simpler = (node: Node) => node.op.facts.simplify?.(node) ?? null;
  const scale = random([1, 6, 1, 1], 2);

  test('scales the weights of one picture, where they are fewer than its pixels', () => {
    for (const k of [1, 3]) {
      const x = random([1, 6, 9, 9], 1);
      const w = random([4, 6, k, k], 3);
      for (const scaled of [mul(x, scale), mul(scale, x)]) {
        const y = conv(scaled, w, { padding: 1, stride: 2 });
        const other = simpler(y)!;
        expect(other.op).toBe(convOp);
        expect(other.inputs[0]).toBe(x);
        expect(other.attrs).toEqual(y.attrs);
        const [a, b] = [evaluate(y).data, evaluate(other).data];
        for (const [i, v] of a.entries()) expect(b[i]).toBeCloseTo(v, 12);
      }
    }
  });

  test('stays as it is for several pictures, for groups, for more weights than pixels, and for a scale by pixels', () => {
    const w = random([4, 6, 1, 1], 3);
    expect(simpler(conv(mul(random([2, 6, 9, 9], 1), scale), w))).toBeNull();
    expect(simpler(conv(mul(random([1, 6, 9, 9], 1), scale), random([4, 3, 1, 1], 3), { groups: 2 }))).toBeNull();
    expect(simpler(conv(mul(random([1, 6, 2, 2], 1), scale), w))).toBeNull();
    expect(simpler(conv(mul(random([1, 6, 9, 9], 1), random([1, 1, 9, 9], 4)), w))).toBeNull();
    expect(simpler(conv(mul(random([1, 6, 9, 9], 1), random([1, 6, 9, 9], 4)), w))).toBeNull();
  });
});

describe('convTranspose', () => {
  test('is the input gradient, and undoes the size of a convolution given its outputPadding', () => {
    fc.assert(
      fc.property(convCases(), ({ xShape, wShape, yShape, p }) => {
        const lost = p.stride.map((s, i) => {
          const span = p.dilation[i] * (wShape[i + 2] - 1) + 1;
          return (xShape[i + 2] + p.padding[i][0] + p.padding[i][1] - span) % s;
        });
        const [y, w] = [random(yShape, 1), random(wShape, 2)];
        const x = convTranspose(y, w, { ...p, outputPadding: lost });
        expect(x.shape).toEqual(xShape);
        expect(evaluate(x).data).toEqual(evaluate(convInputGrad(y, w, xShape, p)).data);
      }),
    );
  });

  test('has first and second derivatives, with outputPadding beyond the stride too', () => {
    const options = { stride: [1, 2], padding: [0, 1], dilation: [3, 2], outputPadding: [2, 1] };
    checkGradients((x, w) => convTranspose(x, w, options), [random([2, 2, 3, 2], 1), random([2, 3, 2, 3], 2)]);
  });
});

describe('messages', () => {
  test.each<[string, () => Node, string]>([
    [
      'channels, groups would fit',
      () => withScope('layer2.0.conv1', () => conv(zeros(32, 64, 56, 56), zeros(128, 32, 3, 3))),
      'conv2d: channels do not match (in layer2.0.conv1)\n' +
        '  x       [32, 64, 56, 56]   N C H W\n' +
        '  weight  [128, 32, 3, 3]    O C/groups H W\n' +
        '  x has C = 64; weight with groups = 1 takes 32. Pass groups: 2, or a weight of shape [128, 64, 3, 3].',
    ],
    [
      'channels, only another weight would fit',
      () => conv(zeros(1, 3, 8), zeros(4, 2, 3)),
      'conv1d: channels do not match\n' +
        '  x       [1, 3, 8]   N C L\n' +
        '  weight  [4, 2, 3]   O C/groups L\n' +
        '  x has C = 3; weight with groups = 1 takes 2. Pass a weight of shape [4, 3, 3].',
    ],
    [
      'kernel larger than the padded input',
      () => conv(zeros(1, 3, 4, 8), zeros(2, 3, 7, 3), { padding: [1, 0] }),
      'conv2d: the kernel is larger than the padded input\n' +
        '  x       [1, 3, 4, 8]   N C H W\n' +
        '  weight  [2, 3, 7, 3]   O C/groups H W\n' +
        "  H' = ⌊(H + lo + hi − dilation·(kH − 1) − 1) / stride⌋ + 1 = ⌊(4 + 1 + 1 − 1·(7 − 1) − 1) / 1⌋ + 1 = 0, " +
        'and must be at least 1. Pad H by 3 or more in all, or pass a kernel with kH ≤ 6.',
    ],
    [
      'groups not dividing',
      () => conv(zeros(1, 8, 5, 5, 5), zeros(12, 2, 3, 3, 3), { groups: 3 }),
      'conv3d: groups does not divide the channels\n' +
        '  x       [1, 8, 5, 5, 5]    N C D H W\n' +
        '  weight  [12, 2, 3, 3, 3]   O C/groups D H W\n' +
        '  groups = 3 must divide both C = 8 of x and O = 12 of weight. Pass groups: 1, 2 or 4.',
    ],
    [
      'no batch axis',
      () => conv(zeros(3, 8, 8), zeros(4, 3, 3, 3)),
      'conv2d: x has the wrong number of axes\n' +
        '  x       [3, 8, 8]\n' +
        '  weight  [4, 3, 3, 3]   O C/groups H W\n' +
        '  x has 3 axes; conv2d takes 4: N C H W. For a single item add the batch axis: x.unsqueeze(0).',
    ],
    [
      'no kernel axes',
      () => conv(zeros(3, 8), zeros(4, 3)),
      'conv: weight has the wrong number of axes\n' +
        '  x       [3, 8]\n' +
        '  weight  [4, 3]\n' +
        '  weight has 2 axes; two for channels and one to three spatial ones make 3, 4 or 5.',
    ],
    [
      'integers',
      () => conv(cast(zeros(1, 3, 8), 'int32'), zeros(4, 3, 3)),
      'conv1d: x is int32; it must be float32. Cast it first.',
    ],
    [
      'dy of another shape',
      () =>
        convInputGrad(zeros(1, 4, 5), zeros(4, 3, 3), [1, 3, 8], {
          stride: [1],
          padding: [[0, 0]],
          dilation: [1],
          groups: 1,
        }),
      "conv1dInputGrad: dy does not have the shape of the convolution's output\n" +
        "  dy      [1, 4, 5]   N O L'\n" +
        '  x       [1, 3, 8]   N C L\n' +
        '  weight  [4, 3, 3]   O C/groups L\n' +
        '  x and weight give [1, 4, 6]. Pass a dy of that shape.',
    ],
    [
      'transposed: channels',
      () => convTranspose(zeros(1, 8, 4, 4), zeros(4, 8, 2, 2)),
      'convTranspose2d: channels do not match\n' +
        '  x       [1, 8, 4, 4]   N C H W\n' +
        '  weight  [4, 8, 2, 2]   C O/groups H W\n' +
        '  x has C = 8; weight takes 4. Pass a weight of shape [8, 8, 2, 2].',
    ],
    [
      'transposed: groups',
      () => convTranspose(zeros(1, 4, 4), zeros(4, 8, 2), { groups: 3 }),
      'convTranspose1d: groups does not divide the channels\n' +
        '  x       [1, 4, 4]   N C L\n' +
        '  weight  [4, 8, 2]   C O/groups L\n' +
        '  groups = 3 must divide C = 4. Pass groups: 1, 2 or 4.',
    ],
    [
      'transposed: nothing left',
      () => convTranspose(zeros(1, 4, 1), zeros(4, 8, 2), { padding: 1 }),
      'convTranspose1d: padding cuts the whole output away\n' +
        '  x       [1, 4, 1]   N C L\n' +
        '  weight  [4, 8, 2]   C O/groups L\n' +
        "  L' = (L − 1)·stride − lo − hi + dilation·(kL − 1) + outputPadding + 1 = " +
        '(1 − 1)·1 − 1 − 1 + 1·(2 − 1) + 0 + 1 = 0, and must be at least 1. Pass a padding smaller by 1 or more in all.',
    ],
    [
      'transposed: outputPadding',
      () => convTranspose(zeros(1, 4, 4), zeros(4, 8, 2), { stride: 2, outputPadding: 2 }),
      'convTranspose1d: outputPadding must be smaller than the stride or the dilation\n' +
        '  Along L, outputPadding is 2, stride 2, dilation 1; pass at most 1.',
    ],
  ])('%s', (_, call, message) => {
    expect(messageOf(call)).toBe(message);
  });
});

/** The definition, one output element at a time, in coordinates of any rank. */
function naiveConv(
  x: ArrayLike<number>,
  xShape: Shape,
  w: ArrayLike<number>,
  wShape: Shape,
  yShape: Shape,
  p: {
    stride: readonly number[];
    padding: readonly (readonly number[])[];
    dilation: readonly number[];
    groups: number;
  },
): number[] {
  const outPerGroup = wShape[0] / p.groups;
  return coordinates(yShape).map(([n, o, ...at]) => {
    let sum = 0;
    coordinates(wShape.slice(1)).forEach(([c, ...tap], t) => {
      const from = at.map((v, i) => v * p.stride[i] - p.padding[i][0] + tap[i] * p.dilation[i]);
      if (from.some((v, i) => v < 0 || v >= xShape[i + 2])) return;
      const channel = Math.floor(o / outPerGroup) * wShape[1] + c;
      const position = [n, channel, ...from].reduce((flat, v, i) => flat * xShape[i] + v, 0);
      sum += x[position] * w[o * numel(wShape.slice(1)) + t];
    });
    return sum;
  });
}

/** All index tuples of a shape, row-major. */
function coordinates(shape: Shape): number[][] {
  return shape.reduce<number[][]>(
    (all, n) => all.flatMap((head) => Array.from({ length: n }, (_, i) => [...head, i])),
    [[]],
  );
}
