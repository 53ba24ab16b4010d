import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LRScheduler, Scheduled } from './schedules.js';
import * as schedules from './schedules.js';

interface Golden {
  schedule: string;
  args: unknown[];
  options: Record<string, unknown>;
  lrs: number[];
  betas?: number[];
  metric?: number[];
}

const golden: Golden[] = JSON.parse(
  readFileSync(new URL('../../test/golden/data/schedules.json', import.meta.url), 'utf8'),
);

const classes = schedules as unknown as Record<string, new (...args: unknown[]) => LRScheduler>;
const optimizer = () => ({ paramGroups: [{ lr: 0.1, betas: [0.9, 0.99] as [number, number] }] });

function build({ schedule, args, options }: Golden, opt: Scheduled): LRScheduler | schedules.ReduceLROnPlateau {
  const { LinearLR, StepLR, ConstantLR, ExponentialLR, SequentialLR, ChainedScheduler } = schedules;
  switch (args[0]) {
    case 'warmup+cosine':
      return schedules.warmupCosine(opt, { warmup: 5, total: 50, startFactor: 0.01 });
    case 'warmup+step':
      return new SequentialLR(opt, [new LinearLR(opt, { startFactor: 0.2, totalIters: 4 }), new StepLR(opt, 10)], [4]);
    case '1 - 1 / (t + 4)':
      return new schedules.MultiplicativeLR(opt, (t) => 1 - 1 / (t + 4));
    case 'constant+exponential':
      return new ChainedScheduler([new ConstantLR(opt, { factor: 0.5, totalIters: 6 }), new ExponentialLR(opt, 0.9)]);
  }
  const cls = classes[schedule];
  return new cls(opt, ...args, options);
}

describe.each(golden.map((g) => [`${g.schedule} ${JSON.stringify(g.args)} ${JSON.stringify(g.options)}`, g] as const))(
  '%s',
  (_, g) => {
    const run = (opt: ReturnType<typeof optimizer>, schedule: ReturnType<typeof build>, from: number) => {
      for (let t = from; t < g.lrs.length; t++) {
        expect(Math.abs(opt.paramGroups[0].lr - g.lrs[t])).toBeLessThanOrEqual(1e-10);
        if (g.betas) expect(opt.paramGroups[0].betas[0]).toBeCloseTo(g.betas[t], 10);
        if (schedule instanceof schedules.ReduceLROnPlateau) schedule.step(g.metric![t]);
        else schedule.step();
      }
    };

    it('equals PyTorch for 50 steps', () => {
      const opt = optimizer();
      run(opt, build(g, opt), 0);
    });

    it('goes on from a saved state as if it had never stopped', () => {
      const opt = optimizer();
      const schedule = build(g, opt);
      for (let t = 0; t < 23; t++) {
        if (schedule instanceof schedules.ReduceLROnPlateau) schedule.step(g.metric![t]);
        else schedule.step();
      }
      const saved = JSON.parse(JSON.stringify(schedule.stateDict()));
      const resumed = optimizer();
      const again = build(g, resumed);
      again.loadStateDict(saved);
      run(resumed, again, 23);
    });
  },
);

describe('schedules', () => {
  it('drive each group from its own base rate', () => {
    const opt: Scheduled = { paramGroups: [{ lr: 1 }, { lr: 0.1 }] };
    const schedule = new schedules.StepLR(opt, 2, { gamma: 0.5 });
    for (let i = 0; i < 3; i++) schedule.step();
    expect(schedule.lastLr).toEqual([0.5, 0.05]);
  });

  it('refuse a state for another number of groups', () => {
    const schedule = new schedules.StepLR({ paramGroups: [{ lr: 1 }] }, 2);
    expect(() => schedule.loadStateDict({ stepCount: 1, baseLrs: [1, 2] })).toThrow(
      'StepLR: the state is for 2 parameter groups, the optimiser has 1.',
    );
  });

  it('OneCycleLR asks for its length', () => {
    expect(() => new schedules.OneCycleLR({ paramGroups: [{ lr: 1 }] }, 0.1, {})).toThrow(
      'OneCycleLR: pass totalSteps > 1, or epochs and stepsPerEpoch; got {}',
    );
  });
});
