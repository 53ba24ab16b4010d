/**
 * What every device on this processor has: one memory, and either a team of workers that run programs side by side or the calling thread
 * alone. With a team the calling thread computes only what is over before workers would be awake (places.ts): a page may not block, and
 * Node's event loop stays free. Devices differ in how a program's bytes become something to call: that is their `Runtime`.
 */

import type { AssembledProgram, AssembleOptions } from '../codegen/program.js';
import type { TargetInfo } from '../graph/op.js';
import type { Program } from '../ir/index.js';
import { ConfigError, invariant } from '../util/errors.js';
import { ALIGNMENT, createMemory, Heap } from './heap.js';
import { availableThreads, checkThreads, whyNoThreads } from './host.js';
import { EventLoopManners, PlaceChoice } from './places.js';
import { type Binder, boardBytes, DeviceError, Team } from './team.js';
import type { Call, Entry } from './team-worker.js';

export interface DeviceOptions {
  /** Default: one per core. 1 computes in the calling thread. */
  readonly threads?: number;
  /** Where the memory stops growing. Default: 4 GiB, or what the engine allows. */
  readonly maxBytes?: number;
}

/** How programs come into a device and are entered: all that tells one device from another. */
export interface Runtime<Code> {
  /** Readies a program's bytes. What comes back places them, when it is known where the program's blocks lie. */
  prepare(assembled: AssembledProgram): Promise<(call: Call) => Code>;
  /** For the calling thread; in workers the team's binder does the same. */
  enter(code: Code, call: Call): Entry;
  /** Nobody runs the program any more, nor will. */
  release(code: Code): void;
  /** The eight-byte numbers of a profiled run as milliseconds. */
  milliseconds(times: Uint8Array<ArrayBufferLike>): Promise<Float64Array>;
}

/**
 * Never handed out. A kernel may start from an address before its buffer (a padded row's first pixel) and come back with an instruction's
 * offset; wasm adds the two without wrapping, so the start must not lie below 0.
 */
const LOW_GUARD_BYTES = 256 * 1024;

export abstract class Device<Code = unknown> {
  /** What the compiler must know of it. */
  readonly info: TargetInfo;
  readonly name: string;
  readonly lanes: number;
  readonly threads: number;
  /** What was chosen and why, a sentence each. */
  readonly notes: readonly string[];

  private readonly memory: WebAssembly.Memory;
  private readonly heap: Heap;
  private readonly team: Team<Code> | null;
  private readonly loaded = new Map<number, Resident<Code>>();
  private readonly dropped = new FinalizationRegistry<number>((id) => this.evict(id));
  private readonly manners = new EventLoopManners();
  private arena = { address: 0, bytes: 0 };
  private tail: Promise<unknown> = Promise.resolve(); // runs wait for each other here
  private nextId = 1;
  private disposed = false;

  protected constructor(
    info: Omit<TargetInfo, 'threads'>,
    private readonly runtime: Runtime<Code>,
    { memory, heap, team, note }: Threads<Code>,
    notes: readonly string[],
  ) {
    this.memory = memory;
    this.heap = heap;
    this.team = team;
    this.heap.alloc(LOW_GUARD_BYTES);
    this.name = info.name;
    this.lanes = info.lanes;
    this.threads = team?.threads ?? 1;
    this.info = { ...info, threads: this.threads };
    this.notes = [note, ...notes, `memory: up to ${(heap.maxBytes / 2 ** 30).toFixed(2)} GiB`];
  }

  /** A program's bytes for this device. With `profile` it can be given to `profile()`. */
  abstract assemble(program: Program, options?: AssembleOptions): AssembledProgram;

  /** Bytes in use now, and the most that ever were. */
  get usedBytes(): number {
    return this.heap.usedBytes;
  }

  get peakBytes(): number {
    return this.heap.peakBytes;
  }

  /** Address of a 64-byte aligned block; what it holds is left over from before. @throws {OutOfMemoryError} */
  alloc(bytes: number): number {
    this.checkOpen();
    return this.heap.alloc(bytes);
  }

  /** After dispose() this does nothing, for finalizers that come late. */
  free(address: number): void {
    if (!this.disposed) this.heap.free(address);
  }

  /** A window into memory. Take a fresh one each time: growing may move the memory and leave old windows empty. */
  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, length);
  }

  f32(address: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, length);
  }

  i32(address: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, address, length);
  }

  /**
   * Readies a program and hands it to every worker. Forget the result, or call unload(), to give its memory back.
   * @throws {OutOfMemoryError} when the arena does not fit
   */
  async load(assembled: AssembledProgram): Promise<LoadedProgram> {
    this.checkOpen();
    const { name, slots, arenaBytes, control, everyThread = false } = assembled;
    const place = await this.runtime.prepare(assembled);
    return this.enqueue(async () => {
      this.checkOpen();
      this.reserveArena(name, arenaBytes);
      const id = this.nextId++;
      const slotsOffset = Math.ceil(control.bytes / ALIGNMENT) * ALIGNMENT;
      const base = this.heap.alloc(slotsOffset + slots * 4);
      const call: Call = {
        id,
        control: base,
        slots: base + slotsOffset,
        abort: base + control.abortOffset,
        generation: base + control.generationOffset,
      };
      let code: Code;
      let runHere: Entry | null;
      try {
        code = place(call);
        runHere = this.team ? null : this.runtime.enter(code, call);
      } catch (error) {
        this.heap.free(base);
        throw error;
      }
      this.team?.load(code, call);
      this.loaded.set(id, { code, call, control, runHere, places: everyThread ? null : new PlaceChoice() });
      const program = new LoadedProgram(this, id, name, slots, arenaBytes);
      this.dropped.register(program, id, program);
      return program;
    });
  }

  /**
   * Runs a program with these addresses in its slots (slot 0 is the device's: the arena). Runs take their turn in the order of the calls.
   * `before` and `after` see the arena while it is this run's alone: to fill in operands and to copy results out.
   * @throws {DeviceError} when a kernel traps or a worker dies; the device works again afterwards
   */
  run(program: LoadedProgram, slots: Int32Array, hooks: RunHooks = {}): Promise<void> {
    const addresses = this.checkRun(program, slots);
    return this.enqueue(async () => {
      await this.runNow(program, addresses, hooks);
    });
  }

  /** As `run`, of a program assembled to be profiled: the milliseconds that each launch took. */
  profile(program: LoadedProgram, slots: Int32Array, hooks: RunHooks = {}): Promise<Float64Array> {
    const addresses = this.checkRun(program, slots);
    return this.enqueue(async () => {
      const { call, control } = await this.runNow(program, addresses, hooks);
      const { timesOffset } = control;
      invariant(timesOffset !== undefined, () => `${program.name}: was not assembled to be profiled`);
      const raw = this.bytes(call.control + timesOffset, control.bytes - timesOffset).slice();
      const words = new BigUint64Array(raw.buffer);
      // A launch without tasks leaves its word 0: it was over when the one before was.
      for (let i = 1; i < words.length; i++) if (words[i] === 0n) words[i] = words[i - 1];
      const times = await this.runtime.milliseconds(raw);
      return times.subarray(1).map((end, i) => end - times[i]);
    });
  }

  /** Gives a program's memory back when the runs queued before are over. */
  async unload(program: LoadedProgram): Promise<void> {
    this.dropped.unregister(program);
    await this.enqueue(async () => this.evict(program.id));
  }

  /** Lets queued runs end, then ends the workers. The memory goes when nobody holds the device any more. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    await this.tail;
    await this.team?.stop();
    for (const { code } of this.loaded.values()) this.runtime.release(code);
    this.loaded.clear();
  }

  private checkRun(program: LoadedProgram, slots: Int32Array): Int32Array {
    this.checkOpen();
    invariant(program.device === this, () => `${program.name}: loaded on another device`);
    invariant(
      slots.length === program.slots,
      () => `${program.name}: ${program.slots} slots, ${slots.length} addresses`,
    );
    return slots.slice(); // the caller may change its own while this run waits
  }

  private async runNow(
    program: LoadedProgram,
    slots: Int32Array,
    { before, after }: RunHooks,
  ): Promise<Resident<Code>> {
    const resident = this.loaded.get(program.id);
    invariant(resident, () => `${program.name}: run after unload`);
    this.reserveArena(program.name, program.arenaBytes);
    const { call, control } = resident;
    const table = this.i32(call.slots, slots.length);
    table.set(slots);
    table[0] = this.arena.address;
    this.bytes(call.control, control.bytes).fill(0);
    before?.(this.arena.address);
    try {
      await this.enter(resident);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new DeviceError(`${this.name}: the run of ${program.name} failed: ${reason}`, { cause: error });
    }
    after?.(this.arena.address);
    return resident;
  }

  private async enter(resident: Resident<Code>): Promise<void> {
    const { team } = this;
    const { code, call, places } = resident;
    if (team === null) return this.enterHere(resident);
    if (places === null) return team.run(call);
    const start = performance.now();
    if (places.next === 'team') await team.run(call);
    else {
      resident.runHere ??= this.runtime.enter(code, call);
      await this.enterHere(resident);
    }
    places.took(performance.now() - start);
  }

  private async enterHere({ runHere }: Resident<Code>): Promise<void> {
    runHere!(0, 1);
    const turn = this.manners.giveWay();
    if (turn !== null) await turn;
  }

  /** Programs share one arena: they run one at a time and keep nothing in it between runs. */
  private reserveArena(name: string, bytes: number): void {
    if (bytes <= this.arena.bytes) return;
    // Freed first, so that the new block may take its place.
    if (this.arena.bytes > 0) this.heap.free(this.arena.address);
    this.arena = { address: 0, bytes: 0 };
    try {
      this.arena = { address: this.heap.alloc(bytes), bytes };
    } catch (error) {
      if (error instanceof Error) error.message = `${error.message}\n  (for the intermediate values of ${name})`;
      throw error;
    }
  }

  private evict(id: number): void {
    const resident = this.loaded.get(id);
    if (!resident || this.disposed) return;
    this.loaded.delete(id);
    this.team?.unload(id);
    // Nobody is inside: a run holds its program, and is over only when every worker has left.
    this.runtime.release(resident.code);
    this.heap.free(resident.call.control);
  }

  private enqueue<T>(task: () => Promise<T>): Promise<T> {
    const result = this.tail.then(task);
    // Without the value: the device must not be what keeps a loaded program from being forgotten.
    this.tail = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  private checkOpen(): void {
    invariant(!this.disposed, () => `${this.name}: the device was disposed`);
  }
}

/** Called in the run's own turn, when no other run can touch the arena: to put inputs there, and to copy results out of it. */
export interface RunHooks {
  readonly before?: (arena: number) => void;
  readonly after?: (arena: number) => void;
}

/** A program in the device. */
export class LoadedProgram {
  constructor(
    readonly device: Device,
    readonly id: number,
    readonly name: string,
    readonly slots: number,
    readonly arenaBytes: number,
  ) {}
}

/** What the device keeps of a program; it must not hold the LoadedProgram, whose loss frees this. */
interface Resident<Code> {
  readonly code: Code;
  readonly call: Call;
  readonly control: AssembledProgram['control'];
  /** The program's entry in the calling thread, once it has been wanted. */
  runHere: Entry | null;
  /** Null where there is no choice. */
  readonly places: PlaceChoice | null;
}

/** A memory and the team on it, if there is one. */
export interface Threads<Code> {
  readonly memory: WebAssembly.Memory;
  readonly heap: Heap;
  readonly team: Team<Code> | null;
  readonly note: string;
}

/** Makes a memory and hires a team, or says in the note why the calling thread is alone. */
export async function startThreads<Code>(
  device: string,
  { threads = availableThreads(), maxBytes: limit }: DeviceOptions,
  binder: Binder,
  /** Whether the memory must be one that never moves, as shared memory is. */
  { steady = false } = {},
): Promise<Threads<Code>> {
  checkThreads(device, threads);
  const make = (shared: boolean) => {
    const { memory, maxBytes } = createMemory({ shared, maxBytes: limit });
    return { memory, heap: new Heap(memory, maxBytes, device) };
  };
  const alone = (note: string): Threads<Code> => ({ ...make(steady), team: null, note });
  if (threads === 1) return alone('1 thread, the calling one');
  const obstacle = whyNoThreads();
  if (obstacle !== '') return alone(`1 thread, the calling one: ${obstacle}`);
  try {
    const { memory, heap } = make(true);
    const board = heap.alloc(boardBytes(threads));
    const team = await Team.start<Code>({ threads, memory, board, binder });
    return { memory, heap, team, note: `${threads} threads, a team of workers on shared memory` };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    return alone(
      `1 thread, the calling one: the team did not start (${error instanceof Error ? error.message : error})`,
    );
  }
}
