import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BatchNorm1d, BatchNorm2d, Conv2d, Linear, Sequential } from '../nn/index.js';
import { crossEntropy } from '../nn/loss.js';
import { ReferenceTarget } from '../ops/reference/index.js';
import { device, manualSeed, Parameter, randn, realize, setDevice, tensor } from '../tensor/index.js';
import * as optim from './index.js';

interface Golden {
  optimizer: string;
  options: Record<string, unknown>;
  clip: ['norm' | 'value', number, ('Infinity' | number)?] | null;
  scheduled: boolean;
  values: number[][];
}

const golden: Golden[] = JSON.parse(
  readFileSync(new URL('../../test/golden/data/optim.json', import.meta.url), 'utf8'),
);
const classes = optim as unknown as Record<string, new (params: Parameter[], options: object) => optim.Optimizer>;

/** In float64 the formulas must agree to 1e-6; float32 kernels add the roundings of 20 steps, which the steep loss amplifies. */
const targets = [
  { name: 'the reference', target: new ReferenceTarget(), tolerance: 1e-6 },
  await device().then((target) => ({ name: target.name, target, tolerance: 1e-5 })),
];

/** The model of test/golden/optim.py: loss = Σ aᵢ·(wᵢ − bᵢ)² / 2 + Σ sin(m) + w₀·m₀₀. */
function model() {
  const w = new Parameter([0.4, -0.7, 1.1]);
  const m = new Parameter([
    [0.2, -0.4],
    [1.5, 0.9],
  ]);
  const loss = () => {
    const d = w.sub(tensor([0.5, -1, 2]));
    return d
      .mul(d)
      .mul(tensor([1, 0.1, 10]))
      .sum()
      .div(2)
      .add(m.sin().sum())
      .add(w.at(0).mul(m.at(0, 0)));
  };
  return { w, m, loss, params: [w, m] };
}

function schedule({ optimizer, scheduled }: Golden, opt: optim.Optimizer): optim.LRScheduler | null {
  if (!scheduled) return null;
  return optimizer === 'SGD'
    ? new optim.CosineAnnealingLR(opt, 15)
    : new optim.OneCycleLR(opt, 0.1, { totalSteps: 21 });
}

describe.each(
  golden.map(
    (g) =>
      [
        `${g.optimizer} ${JSON.stringify(g.options)}${g.clip ? ` clipped by ${g.clip.join(' ')}` : ''}${g.scheduled ? ' scheduled' : ''}`,
        g,
      ] as const,
  ),
)('%s', (_, g) => {
  it.each(targets)('equals PyTorch over 20 steps on $name', async ({ target, tolerance }) => {
    setDevice(target);
    const { w, m, loss, params } = model();
    const opt = new classes[g.optimizer](params, g.options);
    const sched = schedule(g, opt);
    for (const expected of g.values) {
      opt.zeroGrad();
      loss().backward();
      const also = [];
      if (g.clip?.[0] === 'norm')
        also.push(optim.clipGradNorm(params, g.clip[1], { normType: Number(g.clip[2] ?? 2) }));
      if (g.clip?.[0] === 'value') optim.clipGradValue(params, g.clip[1]);
      await opt.step({ also });
      sched?.step();
      const actual = [...(await w.data()), ...(await m.data())];
      for (const t of also) actual.push(await t.item());
      for (const [i, v] of expected.entries()) {
        expect(Math.abs(actual[i] - v), `value ${i}: ${actual[i]} for ${v}`).toBeLessThanOrEqual(
          tolerance * Math.max(1, Math.abs(v)),
        );
      }
    }
  });

  it('goes on from a saved state to the bit', async () => {
    setDevice(targets[1].target); // the reference keeps float64 between steps, which a state rounds
    const run = async (opt: optim.Optimizer, one: ReturnType<typeof model>, steps: number) => {
      for (let i = 0; i < steps; i++) {
        opt.zeroGrad();
        one.loss().backward();
        await opt.step();
      }
    };
    const a = model();
    const first = new classes[g.optimizer](a.params, g.options);
    await run(first, a, 3);
    const saved = first.stateDict();
    const state: Record<string, { shape: readonly number[]; data: ArrayLike<number> }> = {};
    for (const [name, t] of Object.entries(saved.state)) state[name] = { shape: t.shape, data: await t.data() };
    const b = model();
    b.w.assign((await a.w.data()) as Float32Array);
    b.m.assign((await a.m.data()) as Float32Array);
    const second = new classes[g.optimizer](b.params, { ...g.options, lr: 123 });
    second.loadStateDict({
      ...JSON.parse(JSON.stringify({ steps: saved.steps, paramGroups: saved.paramGroups })),
      state,
    });
    expect(second.paramGroups[0].lr).toBe(first.paramGroups[0].lr);
    await run(first, a, 3);
    await run(second, b, 3);
    expect(await b.w.data()).toEqual(await a.w.data());
    expect(await b.m.data()).toEqual(await a.m.data());
  });
});

describe('an optimiser', () => {
  afterEach(() => void vi.restoreAllMocks());

  it('lets groups have options of their own', async () => {
    const [a, b] = [new Parameter([1]), new Parameter([1])];
    const opt = new optim.SGD([{ params: [a], lr: 0.5 }, { params: [b] }], { lr: 0.25 });
    a.add(b).sum().backward();
    await opt.step();
    expect([await a.item(), await b.item()]).toEqual([0.5, 0.75]);
  });

  it('leaves parameters alone that are frozen or have no gradient', async () => {
    const [a, b, c] = [new Parameter([1]), new Parameter([1], { requiresGrad: false }), new Parameter([1])];
    const opt = new optim.AdamW([a, b, c], { lr: 0.5, weightDecay: 0.1 });
    a.mul(b).sum().backward();
    await opt.step();
    expect(await a.item()).toBeLessThan(1);
    expect([await b.item(), await c.item()]).toEqual([1, 1]);
    expect(opt.stateDict().steps).toEqual([1, 0, 0]);
  });

  it('accumulates the gradients of several backward calls', async () => {
    const a = new Parameter([1]);
    const opt = new optim.SGD([a], { lr: 0.1 });
    for (const x of [1, 2, 3]) {
      a.mul(x).sum().backward();
      await realize(a.grad!);
    }
    await opt.step();
    expect(await a.item()).toBeCloseTo(1 - 0.6, 6);
  });

  it('computes what is asked for in the same step, from the old values', async () => {
    const a = new Parameter([2]);
    const opt = new optim.SGD([a], { lr: 1 });
    const doubled = a.mul(2);
    doubled.sum().backward();
    await opt.step({ also: [doubled] });
    expect([await doubled.item(), await a.item()]).toEqual([4, 0]);
  });

  it('takes named parameters', () => {
    const opt = new optim.Adam(new Linear(2, 3).namedParameters());
    expect(opt.paramGroups[0].params.map((p) => p.shape)).toEqual([[3, 2], [3]]);
  });

  it('warns once when zeroGrad was forgotten', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const a = new Parameter([1]);
    const opt = new optim.SGD([a], { lr: 0.1 });
    for (let i = 0; i < 3; i++) {
      a.mul(2).sum().backward();
      await opt.step({ also: [a.grad!] });
    }
    expect(warn.mock.calls).toEqual([
      [
        'SGD: this step uses gradients of the step before again. Call opt.zeroGrad() before each backward(), or step only after the last of several backward() calls to accumulate.',
      ],
    ]);
  });

  it('does not warn about steps with zeroGrad, accumulation or clipping', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const a = new Parameter([1]);
    const opt = new optim.SGD([a], { lr: 0.1 });
    for (let i = 0; i < 3; i++) {
      opt.zeroGrad();
      a.mul(2).sum().backward();
      a.mul(3).sum().backward();
      optim.clipGradNorm([a], 1);
      await opt.step();
    }
    expect(warn).not.toHaveBeenCalled();
  });

  it.each([
    [() => new optim.SGD([]), 'SGD: got no parameters. Pass model.parameters(), or groups { params, lr }.'],
    [() => new optim.SGD([new Parameter([1])], { lr: -1 }), 'SGD: lr must be at least 0; got -1'],
    [
      () => new optim.SGD([new Parameter([1])], { nesterov: true }),
      'SGD: nesterov needs a momentum above 0 and dampening 0; got momentum 0 and dampening 0',
    ],
    [
      () => new optim.Adam([new Parameter([1])], { betas: [0.9, 1] }),
      'Adam: betas are two numbers in 0 … 1 (1 excluded); got [0.9, 1]',
    ],
    [
      () => {
        const p = new Parameter([1]);
        return new optim.SGD([{ params: [p] }, { params: [p] }]);
      },
      'SGD: parameter [1] is given twice; it can be in one group only.',
    ],
  ])('refuses wrong options: %#', (make, message) => {
    expect(make).toThrow(message);
  });

  it('refuses a state of another model', async () => {
    const [a, b] = [new Parameter([1, 2]), new Parameter([1, 2, 3])];
    const opt = new optim.Adam([a]);
    a.sum().backward();
    await opt.step();
    expect(() => new optim.Adam([b]).loadStateDict(opt.stateDict())).toThrow(
      'Adam: parameter 0 has shape [3]; the state holds [2] for its exp_avg.',
    );
    expect(() => new optim.Adam([a, b]).loadStateDict(opt.stateDict())).toThrow(
      'Adam: the state is for 1 parameters (by group), this optimiser has 2.',
    );
  });
});

describe('EMA', () => {
  it('averages as its formula says, and swaps in and out', async () => {
    const a = new Parameter([1]);
    const ema = new optim.EMA({ stateDict: () => ({ a }) }, { decay: 0.75 });
    const opt = new optim.SGD([a], { lr: 1 });
    let [weight, average] = [1, 1];
    for (let i = 0; i < 4; i++) {
      opt.zeroGrad();
      a.sum().backward();
      await opt.step();
      ema.update();
      weight -= 1;
      average = 0.75 * average + 0.25 * weight;
    }
    expect(await ema.stateDict().a.item()).toBeCloseTo(average, 6);
    expect(await ema.use(() => a.item())).toBeCloseTo(average, 6);
    expect(await a.item()).toBe(weight);
  });

  it('leaves training as it was', async () => {
    setDevice(targets[1].target);
    const losses = async (averaged: boolean) => {
      manualSeed(4);
      const net = new Sequential(new Conv2d(3, 9, 3), new BatchNorm2d(9), new Conv2d(9, 4, 3));
      const opt = new optim.SGD(net.parameters(), { lr: 0.1, momentum: 0.9 });
      const ema = averaged ? new optim.EMA(net) : null;
      const x = randn([2, 3, 7, 7]);
      await realize(x);
      const seen: number[] = [];
      for (let i = 0; i < 4; i++) {
        opt.zeroGrad();
        const loss = net.forward(x).square().mean();
        loss.backward();
        await opt.step();
        ema?.update();
        seen.push(await loss.item());
      }
      return seen;
    };
    const plain = await losses(false);
    expect(plain[3]).toBeLessThan(plain[0]);
    for (const [i, loss] of (await losses(true)).entries()) expect(Math.abs(loss - plain[i])).toBeLessThan(1e-6);
  });

  it("equals timm's ModelEmaV3, running statistics included", async () => {
    const golden = JSON.parse(
      readFileSync(new URL('../../test/golden/data/training.json', import.meta.url), 'utf8'),
    ).ema;
    setDevice(targets[1].target);
    const net = new Sequential(new Linear(3, 4), new BatchNorm1d(4), new Linear(4, 2));
    const shapes = Object.entries(net.stateDict()).map(([name, t]) => [name, t.shape] as const);
    net.loadStateDict(Object.fromEntries(shapes.map(([name, shape]) => [name, { shape, data: golden.start[name] }])));
    const ema = new optim.EMA(net, { decay: 0.9 });
    const opt = new optim.SGD(net.parameters(), { lr: 0.1, momentum: 0.9 });
    for (let i = 0; i < 5; i++) {
      const x = tensor(golden.x.slice(12 * i, 12 * i + 12), { shape: [4, 3] });
      const y = tensor(golden.y.slice(4 * i, 4 * i + 4), { dtype: 'int32' });
      opt.zeroGrad();
      crossEntropy(net.forward(x), y).backward();
      opt.update();
      ema.update();
      await realize();
    }
    for (const [what, state] of Object.entries({ model: net.stateDict(), average: ema.stateDict() })) {
      for (const [name, t] of Object.entries(state)) {
        const wanted: number[] = golden[what][name];
        // Five steps of rounding; the steps themselves depend on them.
        (await t.data()).forEach((v, i) => void expect(Math.abs(v - wanted[i]), `${what} ${name}`).toBeLessThan(2e-6));
      }
    }
  });

  it('gives weights back to the bit, and takes up a saved average', async () => {
    setDevice(targets[1].target);
    const a = new Parameter([1, -0, 3]);
    const ema = new optim.EMA({ stateDict: () => ({ a }) }, { decay: 0.5 });
    await realize();
    a.assign(new Float32Array([2, -0, -1e-30]));
    ema.update();
    const saved = { a: { shape: [3], data: await ema.stateDict().a.data() } };
    expect([...saved.a.data]).toEqual([1.5, 0, 1.5]);
    await ema.use(async () => expect([...(await a.data())]).toEqual([1.5, 0, 1.5]));
    expect([...(await a.data())]).toEqual([2, -0, Math.fround(-1e-30)]);
    const other = new optim.EMA({ stateDict: () => ({ a }) }, { decay: 0.5 });
    other.loadStateDict(saved, 1);
    expect([...(await other.stateDict().a.data())]).toEqual([1.5, 0, 1.5]);
    expect(() => other.loadStateDict({})).toThrow('loadStateDict: the state does not fit EMA\n  missing     a [3]');
  });

  it('covers buffers and begins with the model', async () => {
    manualSeed(1);
    const net = new Sequential(new Linear(2, 2));
    const ema = new optim.EMA(net, { warmup: true });
    expect(Object.keys(ema.stateDict())).toEqual(['0.weight', '0.bias']);
    expect(await ema.stateDict()['0.weight'].data()).toEqual(await net.parameters()[0].data());
  });
});
