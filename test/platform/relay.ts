/**
 * Programs for testing devices. A relay only comes out right if threads meet between launches: each round reads, mirrored, what another
 * thread wrote in the round before. All numbers are small integers, so the result is exact on every target.
 */

import { type Arg, KernelBuilder, type Program } from '../../src/ir/index.js';

/** Slot 1: `blocks` vectors of floats in; slot 2: as many out. Round: out[t] = in[t] + in[blocks − 1 − t], by vectors. */
export function relayProgram({
  blocks,
  rounds,
  lanes = 4,
}: {
  blocks: number;
  rounds: number;
  lanes?: number;
}): Program {
  const k = new KernelBuilder({ lanes });
  const source = k.param('source', 'f32');
  const target = k.param('target', 'f32');
  k.tasks(blocks, (task) => {
    const here = k.load(source, task.mul(lanes));
    const mirrored = k.load(
      source,
      k
        .i32(blocks - 1)
        .sub(task)
        .mul(lanes),
    );
    k.store(target, task.mul(lanes), here.add(mirrored));
  });
  const kernel = k.finish(`relay_${blocks}`);
  const bytes = blocks * lanes * 4;
  // Two halves of the arena take turns.
  const at = (step: number): Arg => {
    if (step === 0) return { slot: 1 };
    return step === rounds ? { slot: 2 } : { arena: (step % 2) * bytes };
  };
  const launches = Array.from({ length: rounds }, (_, i) => ({ kernel, args: [at(i), at(i + 1)] }));
  return { name: `relay ${blocks}×${rounds}`, launches, slots: 3, arenaBytes: 2 * bytes };
}

export function relayInput(blocks: number, lanes = 4): Float32Array {
  return Float32Array.from({ length: blocks * lanes }, (_, i) => (i * 7) % 16);
}

export function relayOracle(input: Float32Array, rounds: number, lanes = 4): Float32Array {
  const blocks = input.length / lanes;
  let values = input;
  for (let round = 0; round < rounds; round++) {
    const before = values;
    values = before.map((x, i) => x + before[(blocks - 1 - Math.floor(i / lanes)) * lanes + (i % lanes)]);
  }
  return values;
}

/** Slot 1: 64 ints, slot 2: 64 ints = 1000 / them, truncated; a zero among them traps. Twice, so that threads have a barrier to wait in. */
export function divideProgram(lanes = 4): Program {
  const k = new KernelBuilder({ lanes });
  const source = k.param('source', 'i32');
  const target = k.param('target', 'i32');
  k.tasks(64, (task) => {
    k.store(target, task, k.i32(1000).div(k.load(source, task, 1)));
  });
  const kernel = k.finish('divide');
  const first = { kernel, args: [{ slot: 1 }, { arena: 0 }] };
  return { name: 'divide', launches: [first, { kernel, args: [{ slot: 1 }, { slot: 2 }] }], slots: 3, arenaBytes: 256 };
}
