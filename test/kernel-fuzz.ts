/**
 * Random kernels, and running one kernel twice: by the interpreter and as WebAssembly. A random kernel is a list of numbers
 * that a small machine turns into calls of the builder, so that fast-check can shrink it.
 */
import fc from 'fast-check';
import { assembleKernel, type WasmFeatures } from '../src/codegen/wasm/index.js';
import { type Float, type Int, interpret, type Kernel, KernelBuilder, type Ptr, type Var } from '../src/ir/index.js';

/** Ints that sit on an edge of something. */
export const EDGE_INTS = [0, 1, -1, 2, 7, 31, 255, -128, 2 ** 31 - 1, -(2 ** 31), 0x00ffffff, 0x55555555 | 0];
/** Floats that sit on an edge of something. */
export const EDGE_FLOATS = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  1e-45,
  -1e-40,
  3.4028234e38,
  2 ** 23,
  2 ** 31,
  -(2 ** 31),
  1e10,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
];

export const anyInt = fc.oneof(fc.constantFrom(...EDGE_INTS), fc.integer());
export const anyFloat = fc.oneof(fc.constantFrom(...EDGE_FLOATS).map(Math.fround), fc.float({ noNaN: false }));

const PAGE = 65536;

/** Runs tasks begin … end as WebAssembly on a copy of `memory`; gives the copy. */
export function runWasm(
  kernel: Kernel,
  memory: Uint8Array,
  args: readonly number[],
  range: readonly [number, number] = [0, kernel.tasks],
  features: WasmFeatures = { relaxedSimd: false, threads: false },
): Uint8Array {
  const wasm = new WebAssembly.Memory({ initial: Math.ceil(memory.length / PAGE) });
  const bytes = new Uint8Array(wasm.buffer, 0, memory.length);
  bytes.set(memory);
  const module = new WebAssembly.Module(assembleKernel(kernel, features));
  const { kernel: run } = new WebAssembly.Instance(module, { env: { memory: wasm } }).exports;
  (run as (...values: number[]) => void)(...args, ...range);
  return bytes.slice();
}

export function runInterpreter(
  kernel: Kernel,
  memory: Uint8Array,
  args: readonly number[],
  range: readonly [number, number] = [0, kernel.tasks],
): Uint8Array {
  const copy = memory.slice();
  interpret(kernel, copy.buffer, args, ...range);
  return copy;
}

/** Regions of the memory a random kernel works on: [address, elements]. Pointers stand in their middle. */
export const REGIONS = { f: 64, i: 1024, b: 2048 } as const;
const ELEMENTS = 128;
export const MEMORY_BYTES = 4096;

/** Random kernels that use all of the language except the bits of NaNs. Two tasks; args: `REGION_ARGS`. */
export const REGION_ARGS = Object.values(REGIONS).map((address, i) => address + (ELEMENTS / 2) * [4, 4, 1][i]);

export const anyKernelCode = fc.array(fc.nat({ max: 1 << 20 }), { minLength: 20, maxLength: 250 });

export interface RandomKernel {
  readonly lanes?: number;
  /** So many values of each kind are made at the start and needed at the end: more than there are registers. */
  readonly pressure?: number;
}

export function kernelOf(code: readonly number[], { lanes = 4, pressure = 0 }: RandomKernel = {}): Kernel {
  const k = new KernelBuilder({ lanes, fma: false });
  const f = k.param('f', 'f32');
  const i = k.param('i', 'i32');
  const b = k.param('b', 'u8');
  let at = 0;
  const next = (below: number): number => (at < code.length ? code[at++] % below : 0);
  const pick = <T>(list: readonly T[]): T => list[next(list.length)];

  interface Scope {
    f1: Float[];
    fv: Float[];
    i1: Int[];
    iv: Int[];
    vars: (Var<Float> | Var<Int>)[];
    fPtrs: Ptr<'f32'>[];
  }
  const floats = (s: Scope, wide: boolean): Float[] => (wide ? s.fv : s.f1);
  const ints = (s: Scope, wide: boolean): Int[] => (wide ? s.iv : s.i1);
  const add = (s: Scope, v: Float | Int): void => {
    const wide = v.width > 1;
    if (v.expr.type === 'f32' || v.expr.type === 'vf') floats(s, wide).push(v as Float);
    else ints(s, wide).push(v as Int);
  };
  const small = (s: Scope): Int => pick(s.i1).and(7);

  const step = (s: Scope, depth: number): void => {
    const wide = next(2) === 1;
    const width = wide ? lanes : 1;
    const x = (): Float => pick(floats(s, wide));
    const n = (): Int => pick(ints(s, wide));
    const actions: (() => void)[] = [
      () => add(s, x()[pick(['add', 'sub', 'mul', 'div', 'min', 'max', 'pmin', 'pmax'] as const)](x())),
      () => add(s, x()[pick(['min', 'max', 'add', 'mul'] as const)](pick([0, -0, 1, Number.NaN, -3.5]))),
      () => add(s, x()[pick(['neg', 'abs', 'sqrt', 'floor', 'ceil', 'nearest', 'trunc', 'toI'] as const)]()),
      () => add(s, x().fma(x(), x())),
      () => add(s, x()[pick(['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const)](x())),
      () => {
        const v = x();
        add(s, k.select<Float>(v.eq(v), v, 1).asI()); // the bits of a NaN are anybody's
      },
      () => add(s, n()[pick(['add', 'sub', 'mul', 'and', 'or', 'xor', 'min', 'max', 'mulhiU'] as const)](n())),
      () => add(s, n()[pick(['add', 'sub', 'mul', 'and', 'or', 'xor'] as const)](pick(EDGE_INTS))),
      () => add(s, n()[pick(['shl', 'shr', 'shrU'] as const)](next(32))),
      () => add(s, n()[pick(['not', 'neg', 'toF', 'toFU'] as const)]()),
      () => add(s, n()[pick(['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'ltU'] as const)](n())),
      () => add(s, pick(s.i1)[pick(['div', 'rem'] as const)](pick(s.i1).and(15).add(1))),
      () => add(s, pick(s.i1)[pick(['div', 'rem'] as const)](pick([2, 3, 7, 64, 1000, -5]))),
      () => add(s, k.select<Float>(n().lt(n()), x(), x())),
      () => add(s, k.select<Int>(n().ge(n()), n(), n())),
      () => add(s, k.load(pick(s.fPtrs), small(s).mul(pick([1, 2])), width)),
      () => add(s, k.load(pick(s.fPtrs), next(16) - 8, width)),
      () => add(s, k.load(i, next(64) - 32, width)),
      () => add(s, k.load(b, next(64) - 32, width)),
      () => add(s, k.broadcast(pick([f, i, b] as const), next(64) - 32)),
      () => k.store(pick(s.fPtrs), next(16) - 8, x()),
      () => k.store(f, small(s), x()),
      () => k.store(i, next(64) - 32, n()),
      () => k.store(b, next(64) - 32, n()),
      () => add(s, pick([k.sumLanes, k.maxLanes, k.minLanes]).call(k, pick<Float | Int>([...s.fv, ...s.iv]))),
      () => add(s, pick<Float | Int>([...s.fv, ...s.iv]).lane(next(lanes))),
      () => add(s, k.lanesOf(Array.from({ length: lanes }, () => pick(s.f1)))),
      () => add(s, k.lanesOf(Array.from({ length: lanes }, () => pick(s.i1)))),
      () => add(s, k.splat(pick<Float | Int>([...s.f1, ...s.i1]))),
      () => void s.vars.push(next(2) ? k.var(x()) : k.var(n())),
      () => {
        if (s.vars.length > 0) add(s, pick(s.vars).value);
      },
      () => {
        if (s.vars.length === 0) return;
        const v = pick(s.vars) as Var<Float> & Var<Int>;
        const { type } = v.variable;
        const value = type === 'f32' || type === 'vf' ? pick(floats(s, type === 'vf')) : pick(ints(s, type === 'vi'));
        if (next(2)) v.set(value as never);
        else v.addTo(value as never);
      },
      () => void s.fPtrs.push(f.at(k.i32(next(8)).add(small(s)))),
      () => {
        if (depth === 0) return;
        const p = k.ptrVar(f.at(next(8)));
        k.loop(next(3), () => {
          block(s, depth - 1, [p]);
          p.advance(pick([1, 2]));
        });
      },
      () => {
        if (depth > 0) k.loop({ from: next(3), to: small(s), step: next(3) + 1 }, (j) => block(s, depth - 1, [], j));
      },
      () => {
        if (depth === 0) return;
        k.if(pick(s.i1).and(1), () => block(s, depth - 1), next(2) ? () => block(s, depth - 1) : undefined);
      },
    ];
    pick(actions)();
  };
  const block = (outer: Scope, depth: number, pointers: Ptr<'f32'>[] = [], index?: Int): void => {
    const s: Scope = {
      f1: [...outer.f1],
      fv: [...outer.fv],
      i1: [...outer.i1, ...(index ? [index] : [])],
      iv: [...outer.iv],
      vars: [...outer.vars],
      fPtrs: [...outer.fPtrs, ...pointers],
    };
    const end = at + 4 + next(30);
    while (at < Math.min(end, code.length)) step(s, depth);
  };

  k.tasks(2, (task) => {
    const s: Scope = {
      f1: [k.f32(1.5, 1), k.load(f, 3, 1)],
      fv: [k.f32(-2), k.load(f, 8)],
      i1: [task, k.i32(5), k.load(i, 2, 1)],
      iv: [k.iota(), k.load(i, 4)],
      vars: [],
      fPtrs: [f],
    };
    for (let j = 0; j < pressure; j++) {
      s.fv.push(k.load(f, j - 20));
      s.f1.push(k.load(f, j - 10, 1));
      s.iv.push(k.load(i, j - 30));
      s.i1.push(k.load(i, 2 * j - 30, 1));
      s.vars.push(j % 2 === 0 ? k.var(s.fv[j]) : k.var(s.iv[j]));
    }
    const early = { ...s, fv: [...s.fv], f1: [...s.f1], iv: [...s.iv], i1: [...s.i1], vars: [...s.vars] };
    while (at < code.length) step(s, 3);
    // What is left in the pools must have been computed too, and what was there at the start kept.
    const last = <T>(list: T[]): T[] => list.slice(-3);
    if (pressure > 0) {
      s.fv.push(early.fv.reduce((x, v) => x.add(v)));
      s.f1.push(early.f1.reduce((x, v) => x.add(v)));
      s.iv.push(early.iv.reduce((x, v) => x.xor(v)));
      s.i1.push(early.i1.reduce((x, v) => x.xor(v)));
      for (const [j, v] of early.vars.entries()) (j % 2 === 0 ? s.fv : s.iv).push(v.value as never);
    }
    for (const [j, v] of last(s.fv).entries()) k.store(f, lanes * j - 64, v);
    for (const [j, v] of last(s.f1).entries()) k.store(f, 60 + j, v);
    for (const [j, v] of last(s.iv).entries()) k.store(i, lanes * j - 64, v);
    for (const [j, v] of last(s.i1).entries()) k.store(i, 60 + j, v);
  });
  return k.finish('random');
}

/** A memory with random floats, ints and bytes where `kernelOf` expects them. */
export function memoryOf(floats: readonly number[], ints: readonly number[]): Uint8Array {
  const memory = new Uint8Array(MEMORY_BYTES);
  for (let j = 0; j < ELEMENTS; j++) {
    new DataView(memory.buffer).setFloat32(REGIONS.f + 4 * j, floats[j % floats.length], true);
    new DataView(memory.buffer).setInt32(REGIONS.i + 4 * j, ints[j % ints.length], true);
    memory[REGIONS.b + j] = ints[j % ints.length];
  }
  return memory;
}

/** The memory as numbers, NaNs all alike. */
export function contents(memory: Uint8Array): { floats: Float32Array; ints: Int32Array; bytes: Uint8Array } {
  return {
    floats: new Float32Array(memory.slice(REGIONS.f, REGIONS.f + 4 * ELEMENTS).buffer),
    ints: new Int32Array(memory.slice(REGIONS.i, REGIONS.i + 4 * ELEMENTS).buffer),
    bytes: memory.slice(REGIONS.b),
  };
}
