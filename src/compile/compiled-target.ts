/**
 * The target that compiles: traces what is asked, compiles it once per structure, binds storages, runs it on a device with its own machine code.
 * Persistent storages move into the device's memory, in the layout the program wants, the first time a program touches them, and stay there.
 */

import type { Device, DeviceOptions, LoadedProgram, RunHooks } from '../devices/index.js';
import { type Layout, physicalSize, sameLayout } from '../graph/layout.js';
import type { Node } from '../graph/node.js';
import type { TargetInfo } from '../graph/op.js';
import { leafStorage } from '../graph/stale.js';
import { type DeviceBlock, Storage } from '../graph/storage.js';
import type { Assignment, PreparedStep, Target } from '../graph/target.js';
import { allocate, type DType, dtypeBytes, type TypedArray } from '../util/dtype.js';
import { numel, type Shape } from '../util/shape.js';
import { canDraw, drawProgram, worthDrawing } from './draw.js';
import { pack, unpack } from './pack.js';
import { type CompiledStep, decide, emit } from './pipeline.js';
import { type Trace, traceKey, traceRequest } from './trace.js';

const mostSteps = 128;
/** A kernel may load a vector that begins inside a value and ends past it: the widest has 64 bytes. */
const readAheadBytes = 64;

interface Drawing {
  readonly begun: Promise<void>;
  readonly done: Promise<void>;
}

interface LoadedStep {
  readonly step: CompiledStep;
  readonly loaded: LoadedProgram;
}

export class CompiledTarget implements Target {
  /** On the device that is there everywhere. Others are given to the constructor. */
  static async create(options: DeviceOptions = {}): Promise<CompiledTarget> {
    const { WasmDevice } = await import('../devices/wasm/index.js');
    return new CompiledTarget(await WasmDevice.create(options));
  }

  readonly name: string;
  readonly info: TargetInfo;
  private readonly steps = new Map<string, Promise<LoadedStep>>();
  private serial = 0;
  private queue: Promise<void> = Promise.resolve();

  /** With `observe`, steps are assembled to be profiled, and it is told after each run how many milliseconds each launch took. */
  constructor(
    readonly device: Device,
    private readonly observe?: (step: CompiledStep, launchMs: Float64Array) => void,
  ) {
    this.name = device.name;
    this.info = device.info;
  }

  /** Requests are carried out one after another: each is traced when those before it have moved and written their storages. */
  realize(roots: readonly Node[], assigns: readonly Assignment[]): Promise<void> {
    return this.inTurn(() => this.realizeNow(roots, assigns));
  }

  /** Roots that are stored values already, or the inputs themselves, are copied. */
  async prepare(roots: readonly Node[], inputs: readonly Storage[]): Promise<PreparedStep> {
    const wanted = roots.filter((r) => leafStorage(r) === null);
    const trace = this.trace(wanted, []);
    const built = await this.stepFor(trace);
    const now = async (values: readonly TypedArray[]): Promise<TypedArray[]> => {
      const hostValue = (storage: Storage): TypedArray => values[inputs.indexOf(storage)] ?? storage.read();
      const computed = wanted.length > 0 ? await this.run(trace, built, hostValue) : [];
      let next = 0;
      return roots.map((root) => {
        const storage = leafStorage(root);
        return storage === null ? computed[next++] : hostValue(storage).slice();
      });
    };
    return { run: (values) => this.inTurn(() => now(values)) };
  }

  private inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.queue.then(task);
    this.queue = turn.then(
      () => {},
      () => {},
    );
    return turn;
  }

  private async realizeNow(roots: readonly Node[], assigns: readonly Assignment[]): Promise<void> {
    const wanted = roots.filter((r) => leafStorage(r) === null);
    if (wanted.length === 0 && assigns.length === 0) return;
    const trace = this.trace(wanted, assigns);
    const built = await this.stepFor(trace);
    const values = await this.run(trace, built, (storage) => storage.read());
    wanted.forEach((root, i) => {
      root.realized = new Storage(root.shape, root.dtype, values[i]);
    });
    for (const slot of built.step.assigned) {
      const storage = trace.storages[slot];
      // One assigned to itself, or without elements, was never brought here.
      if (this.blockOf(storage) !== null) storage.host = null;
      storage.version++;
    }
  }

  /** Runs a step on the storages of a trace; `hostValue` gives what those hold that are staged. Returns the values of the trace's roots. */
  private async run(
    trace: Trace,
    { step, loaded }: LoadedStep,
    hostValue: (storage: Storage) => TypedArray,
  ): Promise<TypedArray[]> {
    const slots = new Int32Array(step.program.slots);
    if (step.resident.some(({ storage }) => trace.storages[storage].pendingDraw !== null)) {
      const resident = step.resident.map(({ storage, layout }) => ({ storage: trace.storages[storage], layout }));
      await this.drawInitial(resident)?.done;
    }
    for (const { storage, layout } of step.resident) {
      slots[storage + 1] = this.bring(trace.storages[storage], layout).address;
    }
    const values: TypedArray[] = [];
    const hooks: RunHooks = {
      before: (arena) => {
        for (const { storage, offset } of step.staged) this.stage(hostValue(trace.storages[storage]), arena + offset);
      },
      after: (arena) => {
        trace.roots.forEach((root, i) => {
          values.push(this.copyOut(root, arena + step.results[i].offset));
        });
      },
    };
    if (this.observe === undefined) await this.device.run(loaded, slots, hooks);
    else this.observe(step, await this.device.profile(loaded, slots, hooks));
    return values;
  }

  /** The compiled step for a request, without running it: what `fovea plan` prints. */
  async plan(roots: readonly Node[], assigns: readonly Assignment[]): Promise<CompiledStep> {
    return (await this.stepFor(this.trace(roots, assigns), { draws: false })).step;
  }

  async dispose(): Promise<void> {
    this.steps.clear();
    await this.device.dispose();
  }

  private trace(roots: readonly Node[], assigns: readonly Assignment[]): Trace {
    return traceRequest(roots, assigns, (s) => this.settledLayout(s));
  }

  /** `draws`: the step is going to run, so first values may be drawn while it is built. */
  private stepFor(trace: Trace, { draws = true } = {}): Promise<LoadedStep> {
    const known = this.steps.get(trace.key);
    if (known !== undefined) {
      // Most recently used last.
      this.steps.delete(trace.key);
      this.steps.set(trace.key, known);
      return known;
    }
    const made = this.build(trace, { draws });
    this.steps.set(trace.key, made);
    made.catch(() => this.steps.delete(trace.key));
    // From now on the storages lie as this step wants them: the same request will look different, and is still this step's.
    made.then(({ step }) => this.steps.set(this.settledKey(trace, step), made)).catch(() => {});
    if (this.steps.size > mostSteps) this.steps.delete(this.steps.keys().next().value!);
    return made;
  }

  /** The key the request will have once its storages have moved into device memory. */
  private settledKey(trace: Trace, step: CompiledStep): string {
    const layouts = new Map(step.resident.map(({ storage, layout }) => [trace.storages[storage], layout]));
    return traceKey(trace, (s) => fixed(layouts.get(s) ?? null) ?? this.settledLayout(s));
  }

  private async build(trace: Trace, { draws }: { draws: boolean }): Promise<LoadedStep> {
    const decisions = decide(trace, this.info, (i) => this.settledLayout(trace.storages[i]));
    // As soon as it is known how weights are to lie the threads draw them; this one goes on to write the kernels.
    const resident = trace.storages.map((storage, slot) => ({ storage, layout: decisions.storageLayout[slot] }));
    const drawing = draws ? this.drawInitial(resident.filter(({ storage }) => storage.persistent)) : null;
    await drawing?.begun;
    const step = emit(decisions, this.info, `step ${++this.serial}`);
    const assembled = this.device.assemble(step.program, { profile: this.observe !== undefined });
    const loaded = await this.device.load(assembled);
    await drawing?.done;
    return { step, loaded };
  }

  /** The layout a storage is to keep. One that lies plain may still move, once, to where a kernel wants it. */
  private settledLayout(storage: Storage): Layout | null {
    return fixed(this.blockOf(storage)?.layout ?? null);
  }

  private blockOf(storage: Storage): Block | null {
    return storage.block instanceof Block && storage.block.device === this.device ? storage.block : null;
  }

  /**
   * Draws first values that nobody has looked at yet where a step wants them, instead of bringing them from the host; null when there is
   * little to draw. `begun`: the threads are at it.
   */
  private drawInitial(resident: readonly { storage: Storage; layout: Layout }[]): Drawing | null {
    const pending = resident.flatMap(({ storage, layout }) => {
      const draw = storage.pendingDraw;
      const { shape } = storage;
      return draw !== null && draw.kind !== 'constant' && canDraw({ shape, layout })
        ? [{ storage, shape, layout, draw }]
        : [];
    });
    if (pending.reduce((sum, { shape }) => sum + numel(shape), 0) < worthDrawing) return null;
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const run = async (): Promise<void> => {
      const { program, tables } = drawProgram(pending, this.info);
      const loaded = await this.device.load(this.device.assemble(program));
      const blocks: Block[] = [];
      const before = (arena: number) => {
        this.stage(tables, arena);
        begin();
      };
      try {
        for (const { storage, layout } of pending) blocks.push(this.blockFor(storage, layout));
        await this.device.run(loaded, Int32Array.of(0, ...blocks.map((b) => b.address)), { before });
      } catch (error) {
        for (const block of blocks) block.free();
        throw error;
      } finally {
        await this.device.unload(loaded);
      }
      for (const [i, { storage, draw }] of pending.entries()) {
        // One that was given other values meanwhile keeps those.
        if (storage.pendingDraw === draw) this.settle(storage, blocks[i]);
        else blocks[i].free();
      }
    };
    const done = run();
    done.then(begin, begin);
    return { begun, done };
  }

  /** Makes sure a persistent storage lies in device memory in `layout`. */
  private bring(storage: Storage, layout: Layout): Block {
    const present = this.blockOf(storage);
    if (present !== null && sameLayout(present.layout, layout)) return present;
    const size = physicalSize(storage.shape, layout);
    const draw = storage.pendingDraw;
    if (draw?.kind === 'constant' && (draw.value === 0 || size === numel(storage.shape))) {
      const made = this.blockFor(storage, layout);
      this.device.f32(made.address, size).fill(draw.value);
      return this.settle(storage, made);
    }
    const data = storage.read();
    const made = this.blockFor(storage, layout);
    const packed = pack(data, storage.shape, storage.dtype, layout);
    this.device.bytes(made.address, packed.byteLength).set(bytesOf(packed));
    return this.settle(storage, made);
  }

  private blockFor({ shape, dtype }: Storage, layout: Layout): Block {
    const bytes = physicalSize(shape, layout) * dtypeBytes[dtype];
    return new Block(this.device, this.device.alloc(bytes + readAheadBytes), layout, shape, dtype);
  }

  /** From now on the storage's value is what lies in the block. */
  private settle(storage: Storage, block: Block): Block {
    storage.release();
    storage.block = block;
    storage.host = null;
    freeWhenDropped.register(storage, block, block);
    return block;
  }

  private stage(data: TypedArray, address: number): void {
    this.device.bytes(address, data.byteLength).set(bytesOf(data));
  }

  private copyOut(node: Node, address: number): TypedArray {
    const data = allocate(node.dtype, numel(node.shape));
    bytesOf(data).set(this.device.bytes(address, data.byteLength));
    return data;
  }
}

/** Plain is no choice yet. */
function fixed(layout: Layout | null): Layout | null {
  return layout === null || layout.order.length === 0 ? null : layout;
}

/** A persistent value in the device's memory. */
class Block implements DeviceBlock {
  private freed = false;
  constructor(
    readonly device: Device,
    readonly address: number,
    readonly layout: Layout,
    private readonly shape: Shape,
    private readonly dtype: DType,
  ) {}

  read(): TypedArray {
    const size = physicalSize(this.shape, this.layout);
    const raw = allocate(this.dtype, size);
    bytesOf(raw).set(this.device.bytes(this.address, raw.byteLength));
    return unpack(raw, this.shape, this.dtype, this.layout);
  }

  free(): void {
    if (this.freed) return;
    this.freed = true;
    freeWhenDropped.unregister(this);
    this.device.free(this.address);
  }
}

const freeWhenDropped = new FinalizationRegistry<Block>((b) => b.free());

function bytesOf(data: TypedArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
