/**
 * Keeps the steps of a long straight-line body apart. V8's optimising compiler (TurboFan) orders a basic block by raising loads to its start
 * and sinking sums to its end, so a few dozen multiply–adds in a row first fill every register with operands and spill the rest: kernels ran
 * at a third of their speed. A branch between steps that is never taken but might be stops that, for sums must be ready before it; it costs
 * one compare and jump. Assemblers of ours keep the order they are given and need none.
 */

import type { TargetInfo } from '../graph/op.js';
import type { Float, I32, KernelBuilder, Ptr } from '../ir/index.js';

/** True where the engine behind the target reorders a body at will: a step must then find registers for all its operands at once. */
export function needsStages(target: TargetInfo): boolean {
  return target.name === 'wasm';
}

/** Runs `steps` one after another. `task` is an int that we know, but the engine does not, to be at least 0: the task's number will do. */
export function inStages(k: KernelBuilder, target: TargetInfo, task: I32, steps: readonly (() => void)[]): void {
  const from = (s: number): void => {
    if (s >= steps.length) return;
    steps[s]();
    if (!needsStages(target)) from(s + 1);
    // Each branch has a constant of its own, or the engine would know the second one's outcome from the first.
    else if (s + 1 < steps.length) k.if(task.ne(-1 - s), () => from(s + 1));
  };
  from(0);
}

/**
 * `k.broadcast(p, offset)`. V8 does not fold the offset into this instruction, but keeps base + offset for each offset in a register
 * or on the stack; an address added up on the spot is cheaper.
 */
export function broadcastAt(k: KernelBuilder, target: TargetInfo, p: Ptr<'f32'>, offset: number): Float {
  return needsStages(target) ? k.broadcast(k.ptrVar(p.at(offset))) : k.broadcast(p, offset);
}
