/** What users see of a tensor: making, reading, printing, the calls of the tutorials. */

import { beforeAll, describe, expect, it, vi } from 'vitest';
import { ReferenceTarget } from '../ops/reference/index.js';
import { arange, eye, F, full, linspace, ones, setDevice, tensor, zeros } from './index.js';

beforeAll(() => setDevice(new ReferenceTarget()));

describe('the calls of the tutorials', () => {
  const picture = [
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
  ];

  it('convolves raw arrays: one 3×3 window in a 3×3 picture gives one number', async () => {
    const kernel = [
      [0, 1, 0],
      [1, -1, 1],
      [0, 1, 0],
    ];
    expect(await F.conv2d(picture, kernel, { padding: 'valid' }).toArray()).toEqual([[15]]);
  });

  it('convolves with the diagonal kernel: [[5]], not 3×3', async () => {
    const kernel = [
      [1, 0, -1],
      [0, 1, 0],
      [-1, 0, 1],
    ];
    expect(await F.conv2d(picture, kernel, { padding: 'valid' }).toArray()).toEqual([[5]]);
    expect(F.conv2d(picture, kernel, { padding: 'same' }).shape).toEqual([3, 3]);
  });

  it('has the shapes of the overview: convolution, pooling, activation', () => {
    const x = zeros([1, 3, 224, 224]);
    const y = F.conv2d(x, zeros([64, 3, 3, 3]), { stride: 1, padding: 1, bias: zeros([64]) });
    expect(y.shape).toEqual([1, 64, 224, 224]);
    expect(y.maxPool2d(2, { stride: 2 }).shape).toEqual([1, 64, 112, 112]);
    expect(F.relu(y.maxPool2d(2)).shape).toEqual([1, 64, 112, 112]);
  });

  it('drops every second row and column', async () => {
    const x = tensor(picture);
    expect(await x.slice({ step: 2 }, { step: 2 }).toArray()).toEqual([
      [1, 3],
      [7, 9],
    ]);
    expect(zeros([2, 3, 8, 6]).slice('...', { step: 2 }, { step: 2 }).shape).toEqual([2, 3, 4, 3]);
    expect(await x.slice({ step: 2 }).toArray()).toEqual([
      [1, 2, 3],
      [7, 8, 9],
    ]);
  });

  it('pools windows and whole planes', async () => {
    expect(await F.maxPool2d(picture, 2, { stride: 1 }).toArray()).toEqual([
      [5, 6],
      [8, 9],
    ]);
    expect(await tensor(picture).mean().item()).toBe(5);
    expect(await F.globalMaxPool(tensor(picture).at(null, null)).toArray()).toEqual([[[[9]]]]);
  });
});

describe('making tensors', () => {
  it('takes the type of its data', () => {
    expect(tensor([1, 2]).dtype).toBe('float32');
    expect(tensor([[true], [false]]).dtype).toBe('bool');
    expect(tensor(Int32Array.of(1)).dtype).toBe('int32');
    expect(tensor(new Uint8Array(12), { shape: [2, -1] })).toMatchObject({ dtype: 'uint8', shape: [2, 6] });
    expect(tensor([1.5], { dtype: 'int32' }).dtype).toBe('int32');
    expect(tensor(3).shape).toEqual([]);
    expect(tensor([]).shape).toEqual([0]);
  });

  it('copies: writing to the array afterwards changes nothing', async () => {
    const data = Float32Array.of(1, 2);
    const t = tensor(data);
    data[0] = 9;
    (await t.data())[1] = 9;
    expect(await t.toArray()).toEqual([1, 2]);
  });

  it('refuses ragged arrays and wrong sizes, saying where', () => {
    expect(() => tensor([[1, 2], [3]])).toThrow(
      'tensor: the nested arrays are ragged: at [1] stands an array of 1, elsewhere an array of 2',
    );
    expect(() => tensor([[1], 2] as never)).toThrow('ragged: at [1] stands 2, elsewhere an array of 1');
    expect(() => tensor([1, null] as never)).toThrow('tensor: at [1] stands null; it takes numbers and booleans');
    expect(() => tensor([1, 2, 3], { shape: [2, 2] })).toThrow(
      'tensor: 3 values do not fill shape [2, 2], which takes 4',
    );
    expect(() => zeros([2, -1])).toThrow('full: [2, -1] is no shape: sizes are whole numbers ≥ 0');
  });

  it('makes constants, ranges and identities', async () => {
    expect(await full([2], 7).toArray()).toEqual([7, 7]);
    expect(await ones([1, 2], { dtype: 'int32' }).toArray()).toEqual([[1, 1]]);
    expect(await arange(4).toArray()).toEqual([0, 1, 2, 3]);
    expect(arange(4).dtype).toBe('int32');
    expect(await arange(1, 2, 0.25).toArray()).toEqual([1, 1.25, 1.5, 1.75]);
    expect(await arange(3, -3, -2).toArray()).toEqual([3, 1, -1]);
    expect(await linspace(0, 1, 5).toArray()).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(await eye(2, 3).toArray()).toEqual([
      [1, 0, 0],
      [0, 1, 0],
    ]);
  });

  it('turns picture bytes into floats', async () => {
    const picture = tensor(Uint8Array.of(0, 51, 255), { shape: [1, 3] });
    expect(await picture.float().div(255).toArray()).toEqual([[0, Math.fround(0.2), 1]]);
  });
});

describe('reading tensors', () => {
  it('gives numbers, rows and single values', async () => {
    const t = tensor([[true, false]]);
    expect(await t.toArray()).toEqual([[true, false]]);
    expect(await t.data()).toEqual(Uint8Array.of(1, 0));
    expect(await tensor([[2.5]]).item()).toBe(2.5);
    await expect(t.item()).rejects.toThrow('item: the tensor has shape [1, 2], 2 elements; item() reads one.');
  });

  it('prints values once they are there, shape and type before', async () => {
    const t = tensor([1, 2]).add(1);
    expect(`${t}`).toBe('Tensor(shape=[2], dtype=float32, not computed yet: await t.print())');
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    await t.print();
    expect(log).toHaveBeenCalledWith('tensor([2., 3.])');
    log.mockRestore();
    expect(`${t}`).toBe('tensor([2., 3.])');
    expect(t.peek()).toEqual(Float32Array.of(2, 3));
    expect(t.add(1).peek()).toBeNull();
  });

  it("refuses JavaScript's operators", () => {
    const t = tensor([1]) as unknown as number;
    expect(() => t + 1).toThrow('JavaScript operators do not work on tensors: write a.add(b)');
  });
});

describe('shape errors', () => {
  it('name the operation, the shapes and a way out', () => {
    expect(() => F.conv2d(zeros([1, 3, 8, 8]), zeros([3, 3]))).toThrow(
      'conv2d: weight has the wrong number of axes\n  x       [1, 3, 8, 8]\n  weight  [3, 3]\n' +
        '  weight has 2 axes; conv2d takes 4: [O, C/groups, kH, kW]. One bare kernel [kH, kW] goes with one bare plane.',
    );
    expect(() => zeros([2, 2, 2, 2, 2]).maxPool2d(2)).toThrow('maxPool2d: x has the wrong number of axes');
    expect(() => zeros([1, 2, 4, 4]).conv2d(zeros([5, 2, 3, 3]), { bias: zeros([4]) })).toThrow(
      'conv2d: bias must have shape [5], one number per output channel; got [4]',
    );
    expect(() => zeros([2, 3]).add(zeros([4]))).toThrow(/add: shapes do not broadcast/);
    expect(() => F.einsum('ij,jk->ik', zeros([2, 3]), zeros([4, 5]))).toThrow(
      'axis j is 3 in one operand and 4 in another',
    );
  });
});
