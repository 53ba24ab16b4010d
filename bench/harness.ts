/**
 * Measures work on a device, beside what the same threads of the same device can do at most: multiply–adds on registers for
 * work bound by arithmetic, a memcpy for work bound by memory. Work and reference take turns (see statistics.ts), each some twenty
 * milliseconds at a time, so that starting a program (some 0.05 ms) and noisy neighbours weigh on both alike.
 *
 * A piece of work is recorded the way a user would write it, compiled as the framework compiles it, and launched as it is in a step.
 */

import { CompiledTarget } from '../src/compile/compiled-target.js';
import { type CompiledStep, compile } from '../src/compile/pipeline.js';
import { type Trace, traceRequest } from '../src/compile/trace.js';
import type { AssembledProgram, Device, LoadedProgram } from '../src/devices/index.js';
import { blockedChannels, type Layout, physicalSize } from '../src/graph/layout.js';
import type { Node } from '../src/graph/node.js';
import type { Assignment, Target } from '../src/graph/target.js';
import { KernelBuilder, type Program } from '../src/ir/index.js';
import { peakKernel } from '../src/kernels/peak.js';
import { buffer, type DeviceName, openDevice, realize, setDevice, type Tensor, zeros } from '../src/tensor/index.js';
import { dtypeBytes } from '../src/util/dtype.js';
import { numel, type Shape } from '../src/util/shape.js';
import { memcpyProgram } from './memcpy.js';
import { alternatingRatios, repeatsFor, type Spread, spread } from './statistics.js';

/** What a measurement found: the work's rate, its reference's, and work over reference, pair by pair. */
export interface Measured {
  /** FLOP/s or bytes/s. */
  readonly rate: Spread;
  readonly reference: Spread;
  /** Share of the peak, or multiple of the memcpy's time. */
  readonly ratio: Spread;
  readonly milliseconds: Spread;
  /** Titles of the kernels launched. */
  readonly launches: readonly string[];
}

/** A program in the device that can be run again and again, and how much it does each time. */
interface Runnable {
  run(): Promise<void>;
  readonly amount: number;
}

const sampleMs = 20;
const mostRepeats = 200;

export class Harness {
  static async create(options: { device?: DeviceName; threads?: number; rounds?: number } = {}): Promise<Harness> {
    const { target } = await openDevice(options.device, { threads: options.threads });
    if (!(target instanceof CompiledTarget))
      throw new Error(`bench: the device ${target.name} has no kernels to measure`);
    const harness = new Harness(target, options.rounds ?? 15);
    harness.peak = await harness.loadPeak();
    return harness;
  }

  readonly device: Device;
  private peak!: Runnable;

  private constructor(
    readonly target: CompiledTarget,
    /** Samples of work in each measurement. */
    readonly rounds: number,
  ) {
    this.device = target.device;
  }

  /** FLOP/s of multiply–adds on registers, all threads. */
  async measurePeak(): Promise<Spread> {
    const seconds: number[] = [];
    for (let i = 0; i < this.rounds; i++) seconds.push(await time(this.peak));
    return spread(seconds.map((s) => this.peak.amount / s));
  }

  /** One sample of the peak, for work that is timed elsewhere. */
  async samplePeak(): Promise<number> {
    return this.peak.amount / (await time(this.peak));
  }

  /** Bytes/s read plus written by a memcpy of `bytes`, all threads. */
  async measureMemcpy(bytes: number): Promise<Spread> {
    const held = new Held(this.device);
    try {
      const copy = await this.loadMemcpy(bytes, held);
      const seconds: number[] = [];
      for (let i = 0; i < this.rounds; i++) seconds.push(await time(copy));
      return spread(seconds.map((s) => copy.amount / s));
    } finally {
      await held.free();
    }
  }

  /** Share of the peak that `step` reaches; `flops` is what one run of it computes. */
  async againstPeak(step: RecordedStep, flops: number): Promise<Measured> {
    const held = new Held(this.device);
    try {
      return await this.alternate(
        await this.loadStep(step, flops, held),
        this.peak,
        step,
        (work, reference) => work / reference,
      );
    } finally {
      await held.free();
    }
  }

  /** Time of `step` over that of a memcpy that reads and writes the same number of bytes. */
  async againstMemcpy(step: RecordedStep, bytes: number): Promise<Measured> {
    const held = new Held(this.device);
    try {
      const work = await this.loadStep(step, bytes, held);
      const copy = await this.loadMemcpy(bytes / 2, held);
      return await this.alternate(work, copy, step, (w, reference) => reference / w);
    } finally {
      await held.free();
    }
  }

  private async alternate(
    work: Runnable,
    reference: Runnable,
    step: RecordedStep,
    compare: (workRate: number, referenceRate: number) => number,
  ): Promise<Measured> {
    const workSeconds: number[] = [];
    const referenceSeconds = [await time(reference)];
    for (let i = 0; i < this.rounds; i++) {
      workSeconds.push(await time(work));
      referenceSeconds.push(await time(reference));
    }
    // The ratio of times, pair by pair, is the inverse of the ratio of rates.
    const slowdown = alternatingRatios(
      workSeconds.map((s) => s / work.amount),
      referenceSeconds.map((s) => s / reference.amount),
    );
    return {
      rate: spread(workSeconds.map((s) => work.amount / s)),
      reference: spread(referenceSeconds.map((s) => reference.amount / s)),
      ratio: spread(slowdown.map((r) => compare(1, r))),
      milliseconds: spread(workSeconds.map((s) => (1000 * s * step.amountPerRun(work)) / work.amount)),
      launches: step.compiled.launches.map((l) => l.title),
    };
  }

  /** Repeats a recorded step's launches within one program. `amount` is what one run does. */
  private async loadStep(step: RecordedStep, amount: number, held: Held): Promise<Runnable> {
    const slots = this.bind(step, held);
    const once = await this.loadRepeated(step, 1, amount, slots, held);
    await once.run();
    const repeats = repeatsFor(Math.min(await time(once), await time(once)) * 1000, sampleMs, mostRepeats);
    const work = await this.loadRepeated(step, repeats, amount, slots, held);
    await work.run();
    step.repeats = repeats;
    return work;
  }

  /** Memory for what the step reads and writes from run to run. */
  private bind({ trace, compiled }: RecordedStep, held: Held): Int32Array {
    const slots = new Int32Array(compiled.program.slots);
    for (const { storage, layout } of compiled.resident) {
      const { shape, dtype } = trace.storages[storage];
      const bytes = physicalSize(shape, layout) * dtypeBytes[dtype];
      slots[storage + 1] = held.alloc(bytes);
      this.fill(slots[storage + 1], bytes);
    }
    return slots;
  }

  private async loadRepeated(
    { trace, compiled: { program, staged } }: RecordedStep,
    repeats: number,
    amount: number,
    slots: Int32Array,
    held: Held,
  ): Promise<Runnable> {
    // Each repetition has launches of its own: a launch stands for one counter of tasks.
    const launches = Array.from({ length: repeats }, () => program.launches.map((launch) => ({ ...launch }))).flat();
    const loaded = await held.load(this.device.assemble({ ...program, launches }));
    const before = (arena: number) => {
      for (const { storage, offset } of staged) {
        const data = trace.storages[storage].read();
        this.device
          .bytes(arena + offset, data.byteLength)
          .set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      }
    };
    return { run: () => this.device.run(loaded, slots, { before }), amount: amount * repeats };
  }

  /** What `repeats` repetitions in one program make of zeros in the first storage the step assigns: to check that all of them work. */
  async effectOf(step: RecordedStep, repeats: number): Promise<Float32Array> {
    const held = new Held(this.device);
    try {
      const slots = this.bind(step, held);
      const [assigned] = step.compiled.assigned;
      const { shape } = step.trace.storages[assigned];
      const value = () => this.device.f32(slots[assigned + 1], numel(shape));
      value().fill(0);
      await (await this.loadRepeated(step, repeats, 0, slots, held)).run();
      return value().slice();
    } finally {
      await held.free();
    }
  }

  private async loadPeak(): Promise<Runnable> {
    const { lanes, registers } = this.device.info;
    // Some ten milliseconds at any width.
    const { kernel, bytes, macs } = peakKernel(new KernelBuilder({ lanes, registers }), { tasks: 64, rounds: 14_000 });
    const slots = Int32Array.of(0, this.device.alloc(bytes));
    this.fill(slots[1], bytes);
    const program: Program = { name: 'peak', slots: 2, arenaBytes: 64, launches: [{ kernel, args: [{ slot: 1 }] }] };
    const loaded = await this.device.load(this.device.assemble(program));
    const run = () => this.device.run(loaded, slots);
    await run();
    return { run, amount: 2 * macs };
  }

  private async loadMemcpy(bytes: number, held: Held): Promise<Runnable> {
    const line = 64 * this.device.threads;
    const whole = Math.ceil(bytes / line) * line;
    const slots = Int32Array.of(0, held.alloc(whole), held.alloc(whole));
    this.fill(slots[1], whole);
    const load = async (repeats: number) => {
      const loaded = await held.load(await memcpyProgram(this.device, whole, repeats));
      return { run: () => this.device.run(loaded, slots), amount: 2 * whole * repeats };
    };
    const once = await load(1);
    await once.run();
    const repeats = repeatsFor(Math.min(await time(once), await time(once)) * 1000, sampleMs, mostRepeats);
    const copy = await load(repeats);
    await copy.run();
    return copy;
  }

  /** Numbers in 0.1 … 1: no zeros, no denormals, nothing that overflows or roots of negative numbers. */
  private fill(address: number, bytes: number): void {
    const target = this.device.f32(address, bytes >>> 2);
    for (let at = 0; at < target.length; at += pattern.length) {
      target.set(target.length - at < pattern.length ? pattern.subarray(0, target.length - at) : pattern, at);
    }
  }
}

const pattern = Float32Array.from(
  { length: 65521 },
  (_, i) => 0.1 + 0.9 * ((Math.imul(i + 1, 2654435761) >>> 8) / 2 ** 24),
);

async function time(work: Runnable): Promise<number> {
  const start = performance.now();
  await work.run();
  return (performance.now() - start) / 1000;
}

/** What one measurement took from the device. */
class Held {
  private readonly addresses: number[] = [];
  private readonly programs: LoadedProgram[] = [];
  constructor(private readonly device: Device) {}

  alloc(bytes: number): number {
    const address = this.device.alloc(bytes + 64); // kernels may read a vector past the end
    this.addresses.push(address);
    return address;
  }

  async load(assembled: AssembledProgram): Promise<LoadedProgram> {
    const program = await this.device.load(assembled);
    this.programs.push(program);
    return program;
  }

  async free(): Promise<void> {
    for (const program of this.programs) await this.device.unload(program);
    for (const address of this.addresses) this.device.free(address);
  }
}

/** A step as the framework compiled it. */
export class RecordedStep {
  /** How often the last measurement repeated it in one program. */
  repeats = 1;
  constructor(
    readonly trace: Trace,
    readonly compiled: CompiledStep,
  ) {}

  amountPerRun(work: Runnable): number {
    return work.amount / this.repeats;
  }
}

/**
 * Records what `code` assigns and compiles it, without running anything. With `blocked`, four-dimensional storages lie in blocks of channels,
 * as they do between the convolutions of a network; otherwise the compiler chooses.
 */
export async function recordStep(
  target: CompiledTarget,
  code: () => void,
  { blocked = false } = {},
): Promise<RecordedStep> {
  const steps: RecordedStep[] = [];
  const recorder: Target = {
    name: 'recorder',
    async realize(roots: readonly Node[], assigns: readonly Assignment[]) {
      const layoutOf = (shape: Shape): Layout | null =>
        blocked && shape.length === 4 ? blockedChannels(4, target.info.block) : null;
      const trace = traceRequest(roots, assigns, (s) => layoutOf(s.shape));
      steps.push(
        new RecordedStep(
          trace,
          compile(trace, target.info, (i) => layoutOf(trace.storages[i].shape), 'bench'),
        ),
      );
    },
    async dispose() {},
  };
  setDevice(recorder);
  try {
    code();
    await realize();
  } finally {
    setDevice(target);
  }
  if (steps.length !== 1) throw new Error(`recordStep: ${steps.length} steps were recorded; work is one step`);
  return steps[0];
}

/** A tensor that lies in the device's memory from step to step. */
export function held(shape: Shape): Tensor {
  return buffer(zeros(shape));
}
