/**
 * A program as one C function `int run(int thread, int threads, const u64* call)`, entered by every thread of the team. It walks
 * the launches: arguments are computed into the thread's stack, chunks of tasks are taken from a shared counter until none are
 * left, then the threads meet. With one thread nothing is shared and nothing is locked. The threads share nothing but counters:
 * who does a task does not change its result.
 *
 * call: addresses of the table of slots (32-bit offsets in the heap), of the control block and of the heap, of
 * `void wait(u32* word, u32 value)`, which sleeps for some milliseconds at most if the word holds the value, and of
 * `void wake(u32* word)`, which ends the sleep of all who wait on it.
 */
import type { Arg, Kernel, Program } from '../../ir/index.js';
import {
  type AssembledProgram,
  type AssembleOptions,
  CHUNKS,
  CONTROL,
  checkProgram,
  describeProgram,
  groupsOf,
  type IndexedLaunch,
  launchesOf,
  timesOffset,
} from '../program.js';
import { type Abi, enterC, leaveC } from './abi.js';
import { Assembler, type X64Level } from './assembler.js';
import { emitKernel } from './kernel.js';
import {
  eax,
  ecx,
  edx,
  esi,
  type Gpr,
  type Label,
  type Mem,
  mem,
  r12d,
  r14d,
  rax,
  rbx,
  rcx,
  rdi,
  rdx,
  ripMem,
  rsp,
} from './registers.js';

export interface X64Features {
  readonly level: X64Level;
  readonly abi: Abi;
  readonly threads: boolean;
}

export interface X64Program extends AssembledProgram {
  /** Where in the bytes `run` begins. */
  readonly entry: number;
}

/**
 * Pauses before a thread sleeps in a barrier: 40 µs, for one takes 40 ns (Zen 5), which is about what going to sleep and waking up takes. Threads that share the
 * work evenly meet sooner. Offering the processor instead (sched_yield) was worse: it costs a thread its turn, each time, so that where others wanted the
 * cores, runs of a millisecond took twenty (Linux 6.18).
 */
const SPINS = 1000;
const CODE_ALIGN = 64;

export function assembleProgram(
  program: Program,
  { level, abi, threads }: X64Features,
  options: AssembleOptions = {},
): X64Program {
  checkProgram(program);
  const asm = new Assembler(level);
  new ProgramWriter(asm, program, abi, threads, options).run();
  return { ...describeProgram(program, asm.finish(), options), entry: 0 };
}

/** Words of `run`'s frame behind the kernel's arguments: kernels keep no registers. */
const FRAME = [
  'thread',
  'threads',
  'slots',
  'control',
  'heap',
  'wait',
  'wake',
  'arena',
  'tasks',
  'kernel',
  'counter',
  'chunk',
] as const;
type Word = (typeof FRAME)[number];

class ProgramWriter {
  private readonly kernels = new Map<Kernel, Label>();
  private readonly launches: readonly IndexedLaunch[];
  private readonly mostArgs: number;
  private readonly frameBytes: number;
  private readonly exit: Label;
  private readonly calledOff: Label;
  private readonly share: Label;
  private readonly barrier: Label;

  constructor(
    private readonly asm: Assembler,
    private readonly program: Program,
    private readonly abi: Abi,
    private readonly threads: boolean,
    private readonly options: AssembleOptions,
  ) {
    this.launches = launchesOf(program);
    this.mostArgs = this.launches.reduce((most, { args }) => Math.max(most, args.length), 0);
    this.frameBytes = Math.ceil((8 * (this.mostArgs + FRAME.length)) / 16) * 16;
    for (const { kernel } of this.launches) if (!this.kernels.has(kernel)) this.kernels.set(kernel, asm.label());
    [this.exit, this.calledOff, this.share, this.barrier] = [asm.label(), asm.label(), asm.label(), asm.label()];
  }

  run(): void {
    const { asm, abi, frameBytes } = this;
    enterC(asm, abi, 3);
    asm.sub(rsp, frameBytes);
    asm.mov(this.word('thread'), rdi);
    asm.mov(this.word('threads'), esi);
    for (const [i, name] of (['slots', 'control', 'heap', 'wait', 'wake'] as const).entries()) {
      asm.mov(rax, mem(rdx, 8 * i));
      asm.mov(this.word(name), rax);
    }
    asm.mov(rax, this.word('slots'));
    asm.mov(eax, mem(rax));
    asm.add(rax, this.word('heap'));
    asm.mov(this.word('arena'), rax);
    this.noteStart();

    for (const group of groupsOf(this.launches, this.options)) this.group(group);
    asm.xor(eax, eax);
    asm.bind(this.exit);
    asm.add(rsp, frameBytes);
    leaveC(asm, abi);
    asm.bind(this.calledOff);
    asm.mov(rcx, this.word('control'));
    asm.mov32(mem(rcx, CONTROL.abort), 1);
    asm.mov(eax, 1);
    asm.jmp(this.exit);

    this.emitShare();
    if (this.threads) this.emitBarrier();
    for (const [kernel, label] of this.kernels) {
      asm.align(CODE_ALIGN);
      asm.bind(label);
      emitKernel(asm, kernel);
    }
  }

  /** A word of the frame; `pushed` bytes have been pushed since. */
  private word(name: Word, pushed = 0): Mem {
    return mem(rsp, pushed + 8 * (this.mostArgs + FRAME.indexOf(name)));
  }

  private group(group: readonly IndexedLaunch[]): void {
    const { asm } = this;
    if (group[0].kernel.tasks === 1) {
      const others = asm.label();
      if (this.threads) {
        asm.cmp32(this.word('thread'), 0);
        asm.jcc('ne', others);
      }
      for (const { kernel, args } of group) {
        this.pushArgs(args);
        asm.mov(rdi, rsp);
        asm.xor(esi, esi);
        asm.mov(edx, 1);
        asm.call(this.kernels.get(kernel)!);
        asm.test(eax, eax);
        asm.jcc('ne', this.calledOff);
      }
      asm.bind(others);
    } else {
      for (const { kernel, args, index } of group) {
        this.pushArgs(args);
        asm.lea(rax, ripMem(this.kernels.get(kernel)!));
        asm.mov(this.word('kernel'), rax);
        asm.mov32(this.word('tasks'), kernel.tasks);
        asm.mov(rax, this.word('control'));
        asm.add(rax, CONTROL.counters + 4 * index);
        asm.mov(this.word('counter'), rax);
        asm.call(this.share);
        asm.test(eax, eax);
        asm.jcc('ne', this.calledOff);
      }
    }
    this.note(group[0].index + 1); // by every thread: the last to arrive has the last word
    if (this.threads) {
      asm.call(this.barrier);
      asm.test(eax, eax);
      asm.jcc('ne', this.exit);
    }
  }

  private pushArgs(args: readonly Arg[]): void {
    const { asm } = this;
    let inRax: 'arena' | 'slots' | null = null; // rcx and rax are free; keep what was loaded
    for (const [i, arg] of args.entries()) {
      const offset = 'arena' in arg ? arg.arena : (arg.offset ?? 0);
      if ('arena' in arg) {
        if (inRax !== 'arena') asm.mov(rax, this.word('arena'));
        inRax = 'arena';
        if (offset === (offset | 0)) asm.lea(rcx, mem(rax, offset));
        else {
          asm.mov(ecx, offset); // beyond 2 GiB: zero-extended
          asm.add(rcx, rax);
        }
      } else {
        if (inRax !== 'slots') asm.mov(rax, this.word('slots'));
        inRax = 'slots';
        asm.mov(ecx, mem(rax, 4 * arg.slot));
        if (offset === (offset | 0)) {
          if (offset !== 0) asm.add(rcx, offset);
        } else {
          asm.mov(edx, offset);
          asm.add(rcx, rdx);
        }
        asm.add(rcx, this.word('heap'));
      }
      asm.mov(mem(rsp, 8 * i), rcx);
    }
  }

  /** By the first thread to come in, as far as threads see each other: one that is late must not hide what others have done. */
  private noteStart(): void {
    if (this.options.profile !== true) return;
    const { asm } = this;
    const late = asm.label();
    asm.mov(rcx, this.word('control'));
    asm.cmp64(mem(rcx, timesOffset(this.program)), 0);
    asm.jcc('ne', late);
    this.note(0);
    asm.bind(late);
  }

  /** The time after launch `done` − 1. */
  private note(done: number): void {
    if (this.options.profile !== true) return;
    const { asm } = this;
    asm.rdtsc();
    asm.shl(rdx, 32);
    asm.or(rax, rdx);
    asm.mov(rcx, this.word('control'));
    asm.mov(mem(rcx, timesOffset(this.program) + 8 * done), rax);
  }

  /** Does tasks of the kernel in the frame while there are any. eax: 1 if one called it off. */
  private emitShare(): void {
    const { asm } = this;
    const word = (name: Word): Mem => this.word(name, 8);
    const several = asm.label();
    asm.align(16);
    asm.bind(this.share);
    if (this.threads) {
      asm.cmp32(word('threads'), 1);
      asm.jcc('ne', several);
    }
    asm.lea(rdi, mem(rsp, 8));
    asm.xor(esi, esi);
    asm.mov(edx, word('tasks'));
    asm.jmp(word('kernel')); // it returns for us
    if (!this.threads) return;

    // chunk = max(1, ⌊tasks / (threads · CHUNKS)⌋): rounded up, 18 tasks for two threads would be dealt out in pairs, 10 to 8
    const [next, fits, done, ended] = [asm.label(), asm.label(), asm.label(), asm.label()];
    asm.bind(several);
    asm.mov(eax, word('tasks'));
    asm.xor(edx, edx);
    asm.mov(ecx, word('threads'));
    asm.imul(ecx, ecx, CHUNKS);
    asm.div(ecx);
    asm.mov(ecx, 1);
    asm.test(eax, eax);
    asm.cmovcc('e', eax, ecx);
    asm.mov(word('chunk'), eax);
    asm.bind(next);
    asm.mov(eax, word('chunk'));
    asm.mov(rcx, word('counter'));
    asm.lockXadd(mem(rcx), eax);
    asm.mov(ecx, word('tasks'));
    asm.cmp(eax, ecx);
    asm.jcc('ge', done);
    asm.mov(esi, eax);
    asm.add(eax, word('chunk'));
    asm.cmp(eax, ecx);
    asm.jcc('le', fits);
    asm.mov(eax, ecx);
    asm.bind(fits);
    asm.mov(edx, eax);
    asm.lea(rdi, mem(rsp, 8));
    asm.call(word('kernel'));
    asm.test(eax, eax);
    asm.jcc('ne', ended);
    asm.jmp(next);
    asm.bind(done);
    asm.xor(eax, eax);
    asm.bind(ended);
    asm.ret();
  }

  /**
   * The last to arrive opens the barrier by raising the generation, and wakes whoever sleeps. A sleeper counts itself before it looks at the generation for the last
   * time, inside `wait`: either it is woken, or it sees the new generation. eax: the abort word.
   */
  private emitBarrier(): void {
    const { asm } = this;
    const word = (name: Word): Mem => this.word(name, 8);
    const [wait, look, sleep, open] = [asm.label(), asm.label(), asm.label(), asm.label()];
    const [control, generation, spins]: Gpr[] = [rbx, r12d, r14d]; // C keeps these
    asm.align(16);
    asm.bind(this.barrier);
    asm.mov(control, word('control'));
    asm.cmp32(word('threads'), 1);
    asm.jcc('e', open);
    asm.mov(generation, mem(control, CONTROL.generation));
    asm.mov(eax, 1);
    asm.lockXadd(mem(control, CONTROL.arrived), eax);
    asm.add(eax, 1);
    asm.cmp(eax, word('threads'));
    asm.jcc('ne', wait);
    asm.mov32(mem(control, CONTROL.arrived), 0);
    asm.lockInc32(mem(control, CONTROL.generation));
    asm.cmp32(mem(control, CONTROL.sleepers), 0);
    asm.jcc('e', open);
    this.callOnGeneration('wake', generation);
    asm.jmp(open);

    asm.bind(wait);
    asm.vzeroupper();
    asm.mov(spins, SPINS);
    asm.bind(look);
    asm.cmp(generation, mem(control, CONTROL.generation));
    asm.jcc('ne', open);
    asm.pause();
    asm.sub(spins, 1);
    asm.jcc('ne', look);
    asm.bind(sleep);
    asm.cmp32(mem(control, CONTROL.abort), 0);
    asm.jcc('ne', open);
    asm.lockInc32(mem(control, CONTROL.sleepers));
    this.callOnGeneration('wait', generation);
    asm.lockDec32(mem(control, CONTROL.sleepers));
    asm.cmp(generation, mem(control, CONTROL.generation));
    asm.jcc('e', sleep);

    asm.bind(open);
    asm.mov(eax, mem(control, CONTROL.abort));
    asm.ret();
  }

  /** Calls one of the two functions on the barrier's generation, from within the barrier. */
  private callOnGeneration(name: 'wait' | 'wake', generation: Gpr): void {
    const { asm, abi } = this;
    const [first, second] = abi === 'win64' ? [rcx, edx] : [rdi, esi];
    asm.mov(rax, this.word(name, 8));
    asm.lea(first, mem(rbx, CONTROL.generation));
    asm.mov(second, generation);
    // rsp is a multiple of 16 but for our return address; Windows wants room for four arguments besides.
    const room = abi === 'win64' ? 40 : 8;
    asm.sub(rsp, room);
    asm.call(rax);
    asm.add(rsp, room);
  }
}
