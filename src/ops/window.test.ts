import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messageOf } from '../../test/leaves.js';
import { convCases, poolCases } from '../../test/window-cases.js';
import { withScope } from '../graph/node.js';
import {
  ceilWindow,
  convParams,
  poolParams,
  tapsOfWindow,
  type Window,
  windowGeometry,
  windowOutput,
  windowsOfTap,
} from './window.js';

const axes = [0, 1, 2] as const;

describe('parameters', () => {
  test('one number stands for every axis and for both sides', () => {
    expect(convParams('conv2d', { stride: 2, padding: 1 }, [3, 5])).toEqual({
      stride: [2, 2],
      padding: [
        [1, 1],
        [1, 1],
      ],
      dilation: [1, 1],
      groups: 1,
    });
  });

  test('padding takes one number per axis, or pairs', () => {
    const padding = (p: Parameters<typeof convParams>[1]['padding']) =>
      convParams('conv2d', { padding: p }, [3, 3]).padding;
    expect(padding([1, 2])).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect(padding([[0, 1], 2])).toEqual([
      [0, 1],
      [2, 2],
    ]);
    expect(padding([[0, 1]])).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(padding('valid')).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  test("'same' keeps the size, an odd element going to the end", () => {
    const p = convParams('conv3d', { padding: 'same', dilation: [1, 1, 3] }, [3, 4, 2]);
    expect(p.padding).toEqual([
      [1, 1],
      [1, 2],
      [1, 2],
    ]);
    const w = { kernelSize: [3, 4, 2], ...p };
    expect(windowOutput('conv3d', [5, 6, 7], w, [])).toEqual([5, 6, 7]);
  });

  test('parameters once spelled out mean the same again', () => {
    fc.assert(
      fc.property(convCases(), ({ wShape, p }) => {
        expect(convParams('conv', p, wShape.slice(2))).toEqual(p);
      }),
    );
  });

  test('pooling steps by its kernel unless told otherwise', () => {
    expect(poolParams('maxPool2d', { kernelSize: [2, 3] }, 2).stride).toEqual([2, 3]);
  });

  test.each([
    [
      () => convParams('conv2d', { stride: [1, 2, 3] }, [3, 3]),
      'conv2d: stride must be an integer of at least 1, or 2 of them (H W); got [1, 2, 3]',
    ],
    [() => convParams('conv1d', { dilation: 0 }, [3]), 'conv1d: dilation must be an integer of at least 1; got 0'],
    [() => convParams('conv2d', { groups: 1.5 }, [3, 3]), 'conv2d: groups must be an integer of at least 1; got 1.5'],
    [
      () => convParams('conv2d', { padding: -1 }, [3, 3]),
      "conv2d: padding must be 'same', 'valid', an integer of at least 0, 2 of them, or 2 pairs [lo, hi] (H W); got -1",
    ],
    [
      () => convParams('conv2d', { padding: 'full' as 'same' }, [3, 3]),
      "conv2d: padding must be 'same', 'valid', an integer of at least 0, 2 of them, or 2 pairs [lo, hi] (H W); got 'full'",
    ],
    [
      () => convParams('conv2d', { padding: 'same', stride: 2 }, [3, 3]),
      "conv2d: padding 'same' needs stride 1; got stride [2, 2]\n" +
        '  A larger stride changes the size whatever the padding. Pass numbers, e.g. padding: 1.',
    ],
    [
      () => poolParams('maxPool2d', { kernelSize: 3, padding: [1, 2] }, 2),
      'maxPool2d: padding may be at most half the window, or a window could lie outside the input\n' +
        '  Along W, padding is [2, 2] and the window kernelSize 3; pass at most 1.',
    ],
    [
      () => poolParams('maxPool1d', { kernelSize: 2, padding: 3, dilation: 3 }, 1),
      'maxPool1d: padding may be at most half the window, or a window could lie outside the input\n' +
        '  Along L, padding is [3, 3] and the window kernelSize 2 dilated to 4; pass at most 2.',
    ],
  ])('a wrong option is explained (%#)', (call, message) => {
    expect(messageOf(call)).toBe(message);
  });

  test('the message names the module', () => {
    expect(messageOf(() => withScope('features.0', () => convParams('conv2d', { groups: 0 }, [3, 3])))).toBe(
      'conv2d: groups must be an integer of at least 1; got 0 (in features.0)',
    );
  });
});

describe('geometry', () => {
  const inside = (g: ReturnType<typeof windowGeometry>, axis: 0 | 1 | 2, o: number, k: number) => {
    const at = o * g.stride[axis] - g.padLo[axis] + k * g.dilation[axis];
    return at >= 0 && at < g.in[axis];
  };
  const range = ([first, end]: readonly [number, number]) => Array.from({ length: end - first }, (_, i) => first + i);
  const numbers = (n: number) => range([0, n]);

  test('tap and window ranges hold exactly the pairs that meet the input', () => {
    fc.assert(
      fc.property(convCases(), ({ xShape, yShape, wShape, p }) => {
        const g = windowGeometry(xShape.slice(2), { kernelSize: wShape.slice(2), ...p });
        const full = (shape: readonly number[]) => [1, 1, ...shape.slice(2)].slice(-3);
        expect(g.in).toEqual(full(xShape));
        expect(g.out).toEqual(full(yShape));
        expect(g.kernel).toEqual(full(wShape));
        for (const axis of axes) {
          const [windows, taps] = [numbers(g.out[axis]), numbers(g.kernel[axis])];
          for (const k of taps)
            expect(range(windowsOfTap(g, axis, k))).toEqual(windows.filter((o) => inside(g, axis, o, k)));
          for (const o of windows)
            expect(range(tapsOfWindow(g, axis, o))).toEqual(taps.filter((k) => inside(g, axis, o, k)));
        }
      }),
    );
  });

  test('ceilMode never drops a window, covers the input unless a window would start in the end padding, and adds no more than it needs', () => {
    fc.assert(
      fc.property(poolCases(), ({ xShape, yShape, w }) => {
        const spatial = xShape.slice(2);
        const up = ceilWindow(w, spatial);
        const out = windowOutput('pool', spatial, up, []);
        out.forEach((n, i) => {
          const [size, [lo, hi], stride] = [spatial[i], w.padding[i], w.stride[i]];
          expect(n - yShape[i + 2]).toBeOneOf([0, 1]);
          expect((n - 1) * stride).toBeLessThan(size + lo);
          const span = w.dilation[i] * (w.kernelSize[i] - 1) + 1;
          const covered = (n - 1) * stride + span >= size + lo + hi;
          expect(covered || n * stride >= size + lo).toBe(true);
          expect(up.padding[i][0]).toBe(lo);
          expect(up.padding[i][1]).toBe(Math.max(hi, (n - 1) * stride + span - size - lo));
        });
      }),
    );
  });

  test('a window larger than the padded input is refused with the formula', () => {
    const w: Window = {
      kernelSize: [5, 3],
      stride: [2, 1],
      padding: [
        [1, 0],
        [0, 0],
      ],
      dilation: [2, 1],
    };
    expect(messageOf(() => windowOutput('maxPool2d', [4, 8], w, [['x', [1, 3, 4, 8], 'N C H W']]))).toBe(
      'maxPool2d: the kernel is larger than the padded input\n' +
        '  x  [1, 3, 4, 8]   N C H W\n' +
        "  H' = ⌊(H + lo + hi − dilation·(kH − 1) − 1) / stride⌋ + 1 = ⌊(4 + 1 + 0 − 2·(5 − 1) − 1) / 2⌋ + 1 = -1, " +
        'and must be at least 1. Pad H by 5 or more in all, or pass a kernel with kH ≤ 3.',
    );
  });
});
