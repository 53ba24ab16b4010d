/**
 * The x86-64 device: a program is machine code in executable memory, which every thread calls. Memory, team and barriers are those of the
 * WebAssembly device; nothing checks an address here, so kernels are first tried in that sandbox (the tests do).
 */

import type { AssembledProgram, AssembleOptions } from '../../codegen/program.js';
import { assembleProgram, type X64Features, type X64Level } from '../../codegen/x64/index.js';
import type { Program } from '../../ir/index.js';
import { ConfigError, invariant } from '../../util/errors.js';
import { Device, type DeviceOptions, type Runtime, startThreads, type Threads } from '../device.js';
import type { Binder } from '../team.js';
import type { Call, Entry } from '../team-worker.js';
import { type Cpu, Instructions, identify, nativeAbi } from './cpu.node.js';
import { type Foreign, openForeign } from './foreign.node.js';
import { type Code, openPages, type Pages, placeCode } from './memory.node.js';
import { openWaiting, type Waiting } from './waiting.node.js';

export interface NativeOptions extends DeviceOptions {
  /** Default: the best there is here. */
  readonly level?: X64Level;
}

/** What machine code needs, found on this machine. */
export interface Machine {
  readonly foreign: Foreign;
  readonly pages: Pages;
  readonly cpu: Cpu;
  readonly clock: TickClock;
  readonly waiting: Waiting;
}

/** Looks once. @throws {ConfigError} that says what is missing */
export function openMachine(): Promise<Machine> {
  machine ??= findMachine();
  return machine;
}

let machine: Promise<Machine> | null = null;

async function findMachine(): Promise<Machine> {
  if (process.arch !== 'x64') {
    throw new ConfigError(`x64: this process runs on ${process.arch}; machine code is written for x86-64 only.`);
  }
  const foreign = await openForeign();
  const pages = openPages(foreign);
  const instructions = new Instructions(foreign, pages);
  const clock = new TickClock(instructions);
  return { foreign, pages, cpu: identify(instructions), clock, waiting: openWaiting(pages) };
}

export class NativeDevice extends Device<PlacedProgram> {
  /** @throws {ConfigError} where machine code cannot run, with the reason */
  static async create({ level, ...options }: NativeOptions = {}): Promise<NativeDevice> {
    const machine = await openMachine();
    const chosen = chooseLevel(machine.cpu, level);
    const threads = await startThreads<PlacedProgram>(`x64-${chosen}`, options, binderFor(machine), { steady: true });
    return new NativeDevice(chosen, threads, machine);
  }

  /** What programs for this device may use. */
  readonly features: X64Features;
  readonly cpu: Cpu;

  private constructor(
    readonly level: X64Level,
    threads: Threads<PlacedProgram>,
    machine: Machine,
  ) {
    const runtime = new NativeRuntime(machine, threads);
    super({ name: `x64-${level}`, ...widths[level], fma: true }, runtime, threads, [describeCpu(machine.cpu, level)]);
    this.cpu = machine.cpu;
    this.features = { level, abi: nativeAbi, threads: threads.team !== null };
  }

  assemble(program: Program, options?: AssembleOptions): AssembledProgram {
    return assembleProgram(program, this.features, options);
  }
}

/** Lanes, vector registers, and channels in a block: one or two vectors. */
const widths: Readonly<Record<X64Level, { lanes: number; registers: number; block: number }>> = {
  avx2: { lanes: 8, registers: 16, block: 8 },
  avx512: { lanes: 16, registers: 32, block: 16 },
};

const wordsOf: Readonly<Record<X64Level, string>> = { avx2: 'AVX2 and FMA', avx512: 'AVX-512' };

function chooseLevel(cpu: Cpu, wanted: X64Level | undefined): X64Level {
  if (cpu.level === null) {
    throw new ConfigError(
      `x64: this processor (${cpu.brand}) lacks AVX2 with FMA, or the system does not let it be used.`,
    );
  }
  if (wanted === 'avx512' && cpu.level !== 'avx512') {
    throw new ConfigError(
      `x64-avx512: this processor (${cpu.brand}) lacks AVX-512 (F, VL, DQ, BW), or the system does not let it be used. x64-avx2 runs here.`,
    );
  }
  return wanted ?? cpu.level;
}

function describeCpu({ brand, level, caches }: Cpu, used: X64Level): string {
  const sizes = Object.entries(caches).map(([name, bytes]) => `${name} ${kibibytes(bytes)}`);
  const unused = level === used ? '' : `, of ${wordsOf[level!]}`;
  return `${wordsOf[used]}${unused} on ${brand}${sizes.length > 0 ? `, ${sizes.join(', ')}` : ''}`;
}

const kibibytes = (bytes: number): string => (bytes < 2 ** 20 ? `${bytes / 1024} KiB` : `${bytes / 2 ** 20} MiB`);

/** A program's pages: its code, entered at the first byte, and behind it the block that every call is given. */
interface PlacedProgram extends Code {
  readonly callBlock: number;
}

/** `int run(int thread, int threads, const u64* call)`: 1 when the run was called off. */
const RUN = { result: 'int', parameters: ['int', 'int', 'uintptr_t'] };
/** What machine code calls a run off for; nobody else does while its team lives. */
const CALLED_OFF = 'divide by zero';

/** What `enter` below does, for workers. koffi loads a library before anything is called: see openForeign(). */
const binderFor = ({ foreign: { path } }: Machine): Binder => ({
  source: `(memory, { path, result, parameters, calledOff }) => {
  const koffi = require(path);
  koffi.load(null);
  const prototype = koffi.proto(result, parameters);
  return ({ address, callBlock }) => (thread, threads) => {
    if (koffi.call(address, prototype, thread, threads, callBlock) !== 0) throw new Error(calledOff);
  };
}`,
  context: { path, ...RUN, calledOff: CALLED_OFF },
});

class NativeRuntime implements Runtime<PlacedProgram> {
  private readonly prototype: ReturnType<Foreign['koffi']['proto']>;
  /** Address of the heap's byte 0. A shared memory stays where it is when it grows. */
  private readonly heapBase: number;

  constructor(
    private readonly machine: Machine,
    { memory, heap }: Threads<PlacedProgram>,
  ) {
    const { koffi } = machine.foreign;
    invariant(memory.buffer instanceof SharedArrayBuffer, 'x64: the heap must be memory that never moves');
    this.heapBase = Number(koffi.address(new Uint8Array(memory.buffer)));
    // Measured: walks across rows take 12 % less time, first touches half. It holds for what the heap grows by, too.
    machine.pages.adviseHuge(this.heapBase, heap.maxBytes);
    this.prototype = koffi.proto(RUN.result, RUN.parameters);
  }

  async prepare({ bytes }: AssembledProgram): Promise<(call: Call) => PlacedProgram> {
    return ({ slots, control }) => {
      const offset = Math.ceil(bytes.byteLength / 64) * 64;
      const { wait, wake } = this.machine.waiting;
      const block = [this.heapBase + slots, this.heapBase + control, this.heapBase, wait, wake];
      const whole = new Uint8Array(offset + 8 * block.length);
      whole.set(bytes);
      new BigUint64Array(whole.buffer, offset, block.length).set(block.map(BigInt));
      const code = placeCode(this.machine.pages, whole);
      return { ...code, callBlock: code.address + offset };
    };
  }

  enter({ address, callBlock }: PlacedProgram): Entry {
    const { koffi } = this.machine.foreign;
    return (thread, threads) => {
      if (koffi.call(address, this.prototype, thread, threads, callBlock) !== 0) throw new Error(CALLED_OFF);
    };
  }

  release({ address, bytes }: PlacedProgram): void {
    this.machine.pages.unmap(address, bytes);
  }

  milliseconds(times: Uint8Array<ArrayBuffer>): Promise<Float64Array> {
    return this.machine.clock.milliseconds(new BigUint64Array(times.buffer, times.byteOffset, times.byteLength >>> 3));
  }
}

/** Ticks of the time-stamp counter as milliseconds. Its rate is found by watching it beside the clock for a while. */
class TickClock {
  private readonly start: { readonly ticks: number; readonly ms: number };

  constructor(private readonly instructions: Pick<Instructions, 'rdtsc'>) {
    this.start = this.read();
  }

  async milliseconds(ticks: BigUint64Array): Promise<Float64Array> {
    const early = CALIBRATION_MS - (performance.now() - this.start.ms);
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
    const now = this.read();
    const perTick = (now.ms - this.start.ms) / (now.ticks - this.start.ticks);
    return Float64Array.from(ticks, (t) => Number(t - ticks[0]) * perTick);
  }

  private read() {
    return { ticks: this.instructions.rdtsc(), ms: performance.now() };
  }
}

/** The two readings lie under a microsecond apart: after this long that is 1 in 20 000. */
const CALIBRATION_MS = 20;
