/**
 * What the assemblers of programs share: the control block that threads meet in, how tasks are dealt out, what stands between
 * two barriers, and what a launcher must know of the bytes.
 */
import type { Launch, Program } from '../ir/index.js';
import { invariant } from '../util/errors.js';

/** Byte offsets in the control block, all zero when a run begins. Each word that threads fight over has its cache line. */
export const CONTROL = {
  /** Anything but 0 calls the run off: whoever waits leaves, and `run` returns 1. */
  abort: 0,
  /** Threads that have reached the barrier. */
  arrived: 64,
  /** Goes up when a barrier opens. Sleepers wait on it. */
  generation: 128,
  /** Threads asleep in a barrier, or about to be. */
  sleepers: 192,
  /** One word for each launch: the first task nobody has taken. */
  counters: 256,
} as const;

export const controlBytes = (program: Program): number => CONTROL.counters + 4 * program.launches.length;

/** One number of eight bytes at the start and one after each launch. */
export const timesOffset = (program: Program): number => Math.ceil(controlBytes(program) / 8) * 8;

/** A program's code, and what a launcher must know of it. */
export interface AssembledProgram {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly slots: number;
  readonly arenaBytes: number;
  /** Whether each thread of a team must enter it: what the assemblers write can be entered by any number. */
  readonly everyThread?: boolean;
  readonly control: {
    readonly bytes: number;
    readonly abortOffset: number;
    readonly generationOffset: number;
    /** Of a program assembled to be profiled: where the time at the start and after each launch is written. */
    readonly timesOffset?: number;
  };
}

export interface AssembleOptions {
  /** Each launch gets a barrier of its own, and the time is noted at the start and after each. */
  readonly profile?: boolean;
}

/** Chunks per thread and launch, at least: enough that a thread held up leaves work to the others, few enough to cost nothing. */
export const CHUNKS = 8;

export function describeProgram(
  program: Program,
  bytes: Uint8Array<ArrayBuffer>,
  { profile = false }: AssembleOptions,
): AssembledProgram {
  const times = profile ? timesOffset(program) : undefined;
  return {
    name: program.name,
    bytes,
    slots: program.slots,
    arenaBytes: program.arenaBytes,
    control: {
      bytes: times === undefined ? controlBytes(program) : times + 8 * (program.launches.length + 1),
      abortOffset: CONTROL.abort,
      generationOffset: CONTROL.generation,
      timesOffset: times,
    },
  };
}

/** @throws {InvariantError} where arguments do not fit the kernel or the program's memory */
export function checkProgram({ name, launches, slots, arenaBytes }: Program): void {
  for (const [i, { kernel, args }] of launches.entries()) {
    const where = (): string => `program ${name}, launch ${i} (${kernel.name})`;
    invariant(
      args.length === kernel.params.length,
      () => `${where()}: ${args.length} arguments for ${kernel.params.length} parameters`,
    );
    for (const arg of args) {
      const ok = 'arena' in arg ? arg.arena >= 0 && arg.arena <= arenaBytes : arg.slot >= 0 && arg.slot < slots;
      invariant(ok, () => `${where()}: argument ${JSON.stringify(arg)} with ${slots} slots, ${arenaBytes} arena bytes`);
    }
  }
}

export interface IndexedLaunch extends Launch {
  readonly index: number; // in the program
}

/** The launches that have tasks. */
export function launchesOf(program: Program): IndexedLaunch[] {
  return program.launches.map((launch, index) => ({ ...launch, index })).filter(({ kernel }) => kernel.tasks > 0);
}

/** What stands between two barriers: a launch, or a row of launches of one task each, which thread 0 does. */
export function groupsOf(launches: readonly IndexedLaunch[], { profile = false }: AssembleOptions): IndexedLaunch[][] {
  const groups: IndexedLaunch[][] = [];
  let row: IndexedLaunch[] | null = null;
  for (const launch of launches) {
    const single = launch.kernel.tasks === 1;
    if (single && row !== null && !profile) {
      row.push(launch);
      continue;
    }
    const group = [launch];
    groups.push(group);
    row = single ? group : null;
  }
  return groups;
}
