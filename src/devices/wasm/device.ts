/**
 * The WebAssembly device: one memory, and either a team of workers that run programs side by side or, where memory cannot be shared,
 * the calling thread alone. With a team the calling thread never computes: a page may not block, and Node's event loop stays free.
 */

import { ConfigError, invariant } from '../../util/errors.js';
import { availableThreads, compileOptimised, type EngineFeatures, probeFeatures } from './features.js';
import { ALIGNMENT, createMemory, Heap } from './memory.js';
import { DeviceError, Team } from './team.js';
import type { Call } from './team-worker.js';

export interface WasmDeviceOptions {
  /** Default: one per core. 1 computes in the calling thread. */
  readonly threads?: number;
  /** Where the memory stops growing. Default: 4 GiB, or what the engine allows. */
  readonly maxBytes?: number;
}

/**
 * Never handed out. A kernel may start from an address before its buffer (a padded row's first pixel) and come back with an instruction's
 * offset; wasm adds the two without wrapping, so the start must not lie below 0.
 */
const LOW_GUARD_BYTES = 256 * 1024;

export class WasmDevice {
  static async create(options: WasmDeviceOptions = {}): Promise<WasmDevice> {
    const engine = probeFeatures();
    if (!engine.simd) {
      throw new ConfigError(
        'wasm: this engine has no WebAssembly SIMD. Node 20, Chrome 91, Firefox 89 and Safari 16.4 and later have it.',
      );
    }
    const threads = options.threads ?? availableThreads();
    if (!Number.isSafeInteger(threads) || threads < 1) {
      throw new ConfigError(
        `wasm: threads is ${threads}; pass a whole number from 1 up, or leave it out for one per core.`,
      );
    }
    const { memory, heap, team, note } = await startThreads(threads, engine, options.maxBytes);
    return new WasmDevice(memory, heap, team, engine, note);
  }

  readonly name = 'wasm';
  readonly lanes = 4;
  readonly threads: number;
  /** What programs for this device may use. */
  readonly features: { readonly relaxedSimd: boolean; readonly threads: boolean };
  /** What was chosen and why, a sentence each. */
  readonly notes: readonly string[];

  private readonly loaded = new Map<number, Resident>();
  private readonly dropped = new FinalizationRegistry<number>((id) => this.evict(id));
  private arena = { address: 0, bytes: 0 };
  private tail: Promise<unknown> = Promise.resolve(); // runs wait for each other here
  private nextId = 1;
  private disposed = false;

  private constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly heap: Heap,
    private readonly team: Team | null,
    engine: EngineFeatures,
    threadsNote: string,
  ) {
    this.heap.alloc(LOW_GUARD_BYTES);
    this.threads = team?.threads ?? 1;
    this.features = { relaxedSimd: engine.relaxedSimd, threads: team !== null };
    this.notes = [
      threadsNote,
      engine.relaxedSimd
        ? 'relaxed SIMD: fused multiply-add'
        : 'no relaxed SIMD in this engine: multiply-add takes two instructions',
      `memory: up to ${(heap.maxBytes / 2 ** 30).toFixed(2)} GiB`,
    ];
  }

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
   * Compiles a program and hands it to every worker. Forget the result, or call unload(), to give its memory back.
   * @throws {OutOfMemoryError} when the arena does not fit
   */
  async load(assembled: AssembledProgram): Promise<LoadedProgram> {
    this.checkOpen();
    const { name, slots, arenaBytes, control } = assembled;
    const module = await compileOptimised(assembled.bytes);
    return this.enqueue(async () => {
      this.checkOpen();
      const runHere = this.team ? null : instantiate(module, this.memory);
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
      this.team?.load(id, module);
      this.loaded.set(id, { call, controlBytes: control.bytes, runHere });
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
    this.checkOpen();
    invariant(program.device === this, () => `${program.name}: loaded on another device`);
    invariant(
      slots.length === program.slots,
      () => `${program.name}: ${program.slots} slots, ${slots.length} addresses`,
    );
    const addresses = slots.slice(); // the caller may change its own while this run waits
    return this.enqueue(() => this.runNow(program, addresses, hooks));
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
  }

  private async runNow(program: LoadedProgram, slots: Int32Array, { before, after }: RunHooks): Promise<void> {
    const resident = this.loaded.get(program.id);
    invariant(resident, () => `${program.name}: run after unload`);
    this.reserveArena(program.name, program.arenaBytes);
    const { call, controlBytes, runHere } = resident;
    const table = this.i32(call.slots, slots.length);
    table.set(slots);
    table[0] = this.arena.address;
    this.bytes(call.control, controlBytes).fill(0);
    before?.(this.arena.address);
    try {
      if (runHere) runHere(0, 1, call.slots, call.control);
      else await this.team!.run(call);
    } catch (error) {
      throw runError(program.name, error);
    }
    after?.(this.arena.address);
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
    invariant(!this.disposed, 'wasm: the device was disposed');
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
    readonly device: WasmDevice,
    readonly id: number,
    readonly name: string,
    readonly slots: number,
    readonly arenaBytes: number,
  ) {}
}

/** A program's module, and what a launcher must know of it. The module imports env.memory and exports `run` (see `RunExport`). */
export interface AssembledProgram {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Entries of the slot table, the arena's (slot 0) included. */
  readonly slots: number;
  readonly arenaBytes: number;
  /** The control block: all zero when a run begins. */
  readonly control: {
    readonly bytes: number;
    readonly abortOffset: number;
    readonly generationOffset: number;
  };
}

type RunExport = (thread: number, threads: number, slots: number, control: number) => number;

function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): RunExport {
  return new WebAssembly.Instance(module, { env: { memory } }).exports.run as RunExport;
}

/** What the device keeps of a program; it must not hold the LoadedProgram, whose loss frees this. */
interface Resident {
  readonly call: Call;
  readonly controlBytes: number;
  /** The program's entry when there is no team. */
  readonly runHere: RunExport | null;
}

interface Threads {
  readonly memory: WebAssembly.Memory;
  readonly heap: Heap;
  readonly team: Team | null;
  readonly note: string;
}

async function startThreads(wanted: number, engine: EngineFeatures, limit: number | undefined): Promise<Threads> {
  const alone = (note: string): Threads => {
    const { memory, maxBytes } = createMemory({ shared: false, maxBytes: limit });
    return { memory, heap: new Heap(memory, maxBytes), team: null, note };
  };
  if (wanted === 1) return alone('1 thread, the calling one');
  if (!engine.threads) return alone(`1 thread, the calling one: ${engine.threadsNote}`);
  try {
    const { memory, maxBytes } = createMemory({ shared: true, maxBytes: limit });
    const heap = new Heap(memory, maxBytes);
    const team = await Team.start({ threads: wanted, memory, tally: heap.alloc(8) });
    return { memory, heap, team, note: `${wanted} threads, a team of workers on shared memory` };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    return alone(
      `1 thread, the calling one: the team did not start (${error instanceof Error ? error.message : error})`,
    );
  }
}

function runError(name: string, error: unknown): DeviceError {
  const reason = error instanceof Error ? error.message : String(error);
  return new DeviceError(`wasm: the run of ${name} failed: ${reason}`, { cause: error });
}
