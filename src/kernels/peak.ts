/**
 * Kernels that do nothing useful at full speed: what a machine can multiply and add, and what it can move. A profile sets the others
 * beside them (the roofline of Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785).
 */

import type { Kernel, KernelBuilder } from '../ir/index.js';

/** Independent chains: latency 4 on two units needs eight; twelve and their two factors fit sixteen registers. */
const chains = 12;
const unroll = 8;

export interface PeakKernel {
  readonly kernel: Kernel;
  /** Bytes its operand needs. */
  readonly bytes: number;
  /** What a run does: multiply-adds. */
  readonly macs: number;
}

/** Multiply-adds on registers alone: `tasks` of them, each `rounds` times through its chains. Its operand `p` must hold finite numbers. */
export function peakKernel(k: KernelBuilder, { tasks, rounds }: { tasks: number; rounds: number }): PeakKernel {
  const { lanes } = k;
  const p = k.param('p', 'f32');
  k.tasks(tasks, (task) => {
    const a = k.load(p, 0);
    const b = k.load(p, lanes);
    const sums = Array.from({ length: chains }, () => k.zero());
    k.loop(rounds, () => {
      for (let u = 0; u < unroll; u++) for (const sum of sums) sum.fma(a, b);
    });
    for (const [i, sum] of sums.entries()) k.store(p, task.mul(chains * lanes).add((2 + i) * lanes), sum.value);
  });
  return {
    kernel: k.finish(`peak_${lanes}`),
    bytes: 4 * lanes * (2 + tasks * chains),
    macs: tasks * rounds * chains * unroll * lanes,
  };
}

/** Copies `elems` floats from `x` to `y` in `tasks` equal runs; `elems` must be a multiple of tasks × 4 × lanes. */
export function copyKernel(k: KernelBuilder, { elems, tasks }: { elems: number; tasks: number }): Kernel {
  const { lanes } = k;
  const x = k.param('x', 'f32');
  const y = k.param('y', 'f32');
  const each = elems / tasks;
  k.tasks(tasks, (task) => {
    const from = k.ptrVar(x.at(task.mul(each)));
    const to = k.ptrVar(y.at(task.mul(each)));
    k.loop({ to: each, step: 4 * lanes }, () => {
      const values = [0, 1, 2, 3].map((i) => k.load(from, i * lanes));
      for (const [i, value] of values.entries()) k.store(to, i * lanes, value);
      from.advance(4 * lanes);
      to.advance(4 * lanes);
    });
  });
  return k.finish(`copy_${elems}`);
}
