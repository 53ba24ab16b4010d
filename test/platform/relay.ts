/**
 * Programs for testing devices. A relay only comes out right if threads meet between launches: each round reads, mirrored, what another
 * thread wrote in the round before. All numbers are small integers, so the result is exact on every target.
 */

import { type Arg, KernelBuilder, type Program } from '../../src/ir/index.js';

const LANES = 4;

/** Slot 1: `blocks`·4 floats in; slot 2: as many out. Round: out[t] = in[t] + in[blocks − 1 − t], by blocks of four. */
export function relayProgram({ blocks, rounds }: { blocks: number; rounds: number }): Program {
  const k = new KernelBuilder({ lanes: LANES });
  const source = k.param('source', 'f32');
  const target = k.param('target', 'f32');
  k.tasks(blocks, (task) => {
    const here = k.load(source, task.mul(LANES));
    const mirrored = k.load(
      source,
      k
        .i32(blocks - 1)
        .sub(task)
        .mul(LANES),
    );
    k.store(target, task.mul(LANES), here.add(mirrored));
  });
  const kernel = k.finish(`relay_${blocks}`);
  const bytes = blocks * LANES * 4;
  // Two halves of the arena take turns.
  const at = (step: number): Arg => {
    if (step === 0) return { slot: 1 };
    return step === rounds ? { slot: 2 } : { arena: (step % 2) * bytes };
  };
  const launches = Array.from({ length: rounds }, (_, i) => ({ kernel, args: [at(i), at(i + 1)] }));
  return { name: `relay ${blocks}×${rounds}`, launches, slots: 3, arenaBytes: 2 * bytes };
}

export function relayInput(blocks: number): Float32Array {
  return Float32Array.from({ length: blocks * LANES }, (_, i) => (i * 7) % 16);
}

export function relayOracle(input: Float32Array, rounds: number): Float32Array {
  const blocks = input.length / LANES;
  let values = input;
  for (let round = 0; round < rounds; round++) {
    const before = values;
    values = before.map((x, i) => x + before[(blocks - 1 - Math.floor(i / LANES)) * LANES + (i % LANES)]);
  }
  return values;
}

/** Slot 1: 64 ints, slot 2: 64 ints = 1000 / them, truncated; a zero among them traps. Twice, so that threads have a barrier to wait in. */
export function divideProgram(): Program {
  const k = new KernelBuilder({ lanes: LANES });
  const source = k.param('source', 'i32');
  const target = k.param('target', 'i32');
  k.tasks(64, (task) => {
    k.store(target, task, k.i32(1000).div(k.load(source, task, 1)));
  });
  const kernel = k.finish('divide');
  const first = { kernel, args: [{ slot: 1 }, { arena: 0 }] };
  return { name: 'divide', launches: [first, { kernel, args: [{ slot: 1 }, { slot: 2 }] }], slots: 3, arenaBytes: 256 };
}
