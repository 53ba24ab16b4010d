/** Programs that only come out right if the threads meet between launches, for the tests of both assemblers. Integers: exact everywhere. */

import { type Arg, type Kernel, KernelBuilder, type Program } from '../src/ir/index.js';

/** out[t] = in[t] + in[n − 1 − t]: each element is read by another task of the next launch, so a missing barrier shows. */
export function mirror(tasks: number, lanes: number): Kernel {
  const k = new KernelBuilder({ lanes });
  const source = k.param('source', 'i32');
  const target = k.param('target', 'i32');
  k.tasks(tasks, (t) => {
    const other = k.i32(tasks - 1).sub(t);
    k.store(target, t, k.load(source, t, 1).add(k.load(source, other, 1)));
  });
  return k.finish(`mirror_${tasks}`);
}

/** Adds all `n` up into the first, in one task. */
function total(n: number, lanes: number): Kernel {
  const k = new KernelBuilder({ lanes });
  const p = k.param('p', 'i32');
  k.tasks(1, () => {
    const sum = k.var(k.i32(0));
    k.loop(n, (i) => sum.addTo(k.load(p, i, 1)));
    k.store(p, 0, sum.value);
  });
  return k.finish(`total_${n}`);
}

export const TASKS = 100;

/** Mirrors to and fro, adds up twice in a row by one task, and mirrors into slot 1. */
export function relay(lanes: number): Program {
  const [there, sum] = [mirror(TASKS, lanes), total(TASKS, lanes)];
  const [a, b]: Arg[] = [{ arena: 0 }, { arena: 4 * TASKS }];
  const twice = { kernel: sum, args: [a] }; // one object in two places
  const onward = { kernel: there, args: [a, b] };
  const back = { kernel: there, args: [b, a] };
  return {
    name: 'relay',
    launches: [
      ...Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? onward : back)),
      twice,
      twice,
      { kernel: mirror(0, lanes), args: [a, b] },
      { kernel: there, args: [a, { slot: 1, offset: 8 }] },
    ],
    slots: 2,
    arenaBytes: 8 * TASKS,
  };
}

/** What slot 1 holds then, from its eighth byte on, where the arena began with `relayInput`. */
export function relayOracle(): Int32Array {
  let values = relayInput();
  const there = (x: Int32Array): Int32Array => x.map((v, i) => v + x[TASKS - 1 - i]);
  for (let i = 0; i < 20; i++) values = Int32Array.from(there(values));
  for (let i = 0; i < 2; i++) values[0] = values.reduce((sum, v) => (sum + v) | 0, 0);
  return there(values);
}

export const relayInput = (): Int32Array => Int32Array.from({ length: TASKS }, (_, i) => i % 5);
