/** Gradients as users ask for them: where they add up, where they stop, and what is refused. */

import { beforeAll, describe, expect, it } from 'vitest';
import { ReferenceTarget } from '../ops/reference/index.js';
import {
  buffer,
  enableGrad,
  grad,
  noGrad,
  ones,
  Parameter,
  randn,
  realize,
  setDevice,
  tensor,
  zeros,
} from './index.js';

beforeAll(() => setDevice(new ReferenceTarget()));

describe('backward', () => {
  it('adds up in grad until it is set to null', async () => {
    const w = new Parameter([1, 2]);
    w.mul(3).sum().backward();
    w.square().sum().backward();
    expect(await w.grad!.toArray()).toEqual([5, 7]);
    w.mul(1).sum().backward();
    expect(await w.grad!.toArray()).toEqual([6, 8]);
    w.grad = null;
    w.mul(2).sum().backward();
    expect(await w.grad!.toArray()).toEqual([2, 2]);
  });

  it('reaches parameters and leaves that ask for it, not the others', async () => {
    const w = new Parameter([2]);
    const frozen = new Parameter([3], { requiresGrad: false });
    const kept = buffer([4]);
    const x = tensor([5], { requiresGrad: true });
    const plain = tensor([6]);
    const y = w.mul(frozen).mul(kept).mul(x).mul(plain);
    expect(y.requiresGrad).toBe(true);
    expect(frozen.mul(plain).requiresGrad).toBe(false);
    y.sum().backward();
    expect(await w.grad!.item()).toBe(360);
    expect(await x.grad!.item()).toBe(144);
    expect([frozen.grad, kept.grad, plain.grad]).toEqual([null, null, null]);
  });

  it('follows a leaf that is a constant, and freezing and unfreezing', async () => {
    const z = zeros([2], { requiresGrad: true });
    z.reshape(1, 2).exp().sum().backward();
    expect(await z.grad!.toArray()).toEqual([1, 1]);
    const w = new Parameter([1]);
    w.requiresGrad = false;
    expect(() => w.square().sum().backward()).toThrow(
      'backward: nothing this tensor was computed from wants a gradient.',
    );
    w.requiresGrad = true;
    w.square().sum().backward();
    expect(await w.grad!.item()).toBe(2);
  });

  it('needs a gradient for a tensor with several elements', async () => {
    const w = new Parameter([1, 2]);
    expect(() => w.mul(2).backward()).toThrow(
      'backward: the tensor has shape [2]; without a gradient for each element it must have one element.\n' +
        '  Reduce it first, e.g. loss.mean().backward(), or pass a gradient of shape [2].',
    );
    expect(() => w.mul(2).backward([1, 2, 3])).toThrow('backward: the gradient does not have the shape of the tensor');
    w.mul(2).backward([1, 10]);
    expect(await w.grad!.toArray()).toEqual([2, 20]);
    expect(() => w.gt(0).sum().backward()).toThrow(
      'backward: the tensor is int32; gradients flow through float32 only.',
    );
  });
});

describe('where gradients stop', () => {
  it('at detach, comparisons and integers', () => {
    const w = new Parameter([1, 2]);
    expect(w.detach().requiresGrad).toBe(false);
    expect(w.gt(1).float().requiresGrad).toBe(false);
    expect(w.int().float().requiresGrad).toBe(false);
    expect(() => w.detach().sum().backward()).toThrow('nothing this tensor was computed from wants a gradient');
  });

  it('at everything computed in noGrad, also where nothing was computed', async () => {
    const w = new Parameter([3]);
    const y = noGrad(() => w.square());
    expect(y.requiresGrad).toBe(false);
    w.mul(y).sum().backward();
    expect(await w.grad!.item()).toBe(9);
    const same = noGrad(() => w.mul(1).reshape(1));
    expect(same.requiresGrad).toBe(false);
    expect(noGrad(() => enableGrad(() => w.mul(1))).requiresGrad).toBe(true);
  });

  it('refuses an asynchronous noGrad and puts the mode back after an error', () => {
    const w = new Parameter([1]);
    expect(() => noGrad(async () => w.mul(2))).toThrow(
      'noGrad: the function returned a Promise, and the mode ends where the function first waits.\n' +
        '  Compute inside and await outside: const y = noGrad(() => model.forward(x)); await y.data().',
    );
    expect(() => noGrad(() => w.reshape(7))).toThrow();
    expect(w.mul(2).requiresGrad).toBe(true);
  });
});

describe('grad', () => {
  it('gives gradients by any tensor and leaves grad alone', async () => {
    const w = new Parameter([2, 3]);
    const h = w.square();
    const y = h.mul(h).sum();
    const [dw, dh] = grad(y, [w, h]);
    expect(await dw.toArray()).toEqual([32, 108]);
    expect(await dh.toArray()).toEqual([8, 18]);
    expect(w.grad).toBeNull();
  });

  it('can be differentiated again', async () => {
    const x = tensor([0.5, -1, 2], { requiresGrad: true });
    const first = grad(x.pow(3).sum(), x);
    const second = grad(first.sum(), x);
    const third = grad(second.sum(), x);
    await realize(first, second, third);
    expect(await first.toArray()).toEqual([0.75, 3, 12]);
    expect(await second.toArray()).toEqual([3, -6, 12]);
    expect(await third.toArray()).toEqual([6, 6, 6]);
  });

  it('trains through a gradient: a penalty on the slope', async () => {
    const w = new Parameter([2]);
    const x = tensor([3], { requiresGrad: true });
    grad(w.mul(x.square()).sum(), x).square().sum().backward(); // (2wx)² → d/dw = 8wx²
    expect(await w.grad!.item()).toBe(144);
  });

  it('second derivatives of a convolution agree with differences', async () => {
    const x = randn([1, 2, 5, 5]).mul(0.5);
    const w = randn([3, 2, 3, 3]);
    const v = randn(w.shape);
    await realize(x, w, v);
    // f(w) = |d/dx Σ tanh(conv(x, w))|²; its derivative along v, once by grad and once by central differences.
    const slope = (at: typeof w) =>
      grad(x.conv2d(at, { padding: 1 }).tanh().sum(), x)
        .square()
        .sum();
    const exact = await grad(slope(w), w).mul(v).sum().item();
    const h = 2 ** -7;
    const [up, down] = [slope(w.add(v.mul(h))), slope(w.sub(v.mul(h)))];
    const differences = (await up.sub(down).item()) / (2 * h);
    expect(Math.abs(exact - differences)).toBeLessThan(2e-3 * Math.abs(exact));
  });

  it('takes gradients of outputs and tells unused inputs', async () => {
    const a = tensor([1, 2], { requiresGrad: true });
    const b = ones([2], { requiresGrad: true });
    expect(await grad(a.mul(3), a, { gradOutputs: [1, 10] }).toArray()).toEqual([3, 30]);
    expect(await grad([a.mul(3).sum(), a.sum()], a).toArray()).toEqual([4, 4]);
    expect(() => grad(a.sum(), [a, b])).toThrow('grad: the outputs were not computed from input 1, of shape [2].');
    const [, db] = grad(a.sum(), [a, b], { allowUnused: true });
    expect(await db.toArray()).toEqual([0, 0]);
  });

  it('works by a plain tensor and after values were read', async () => {
    const x = tensor([1, 2]);
    const h = x.mul(2);
    const y = h.square().sum();
    await realize(h, y);
    expect(await grad(y, h).toArray()).toEqual([4, 8]);
    expect(await grad(y, x).toArray()).toEqual([8, 16]);
  });

  it('passes relu by another rule where it is asked to, wherever relu was called', async () => {
    const x = tensor([-1, 2, 3, 4]);
    const y = x.relu().mul(tensor([1, 1, -1, 0]));
    expect(await grad(y.sum(), x).toArray()).toEqual([0, 1, -1, 0]);
    expect(await grad(y.sum(), x, { relu: 'guided' }).toArray()).toEqual([0, 1, 0, 0]);
    expect(await grad(y.sum(), x, { relu: 'deconvnet' }).toArray()).toEqual([1, 1, 0, 0]);
  });
});
