import koffi from 'koffi';
import { expect, test } from 'vitest';
import { LEVELS, Mapping, whyNot } from '../../../test/x64-runner.js';
import { type Float, type Kernel, KernelBuilder } from '../../ir/index.js';
import { Assembler } from './assembler.js';
import { type Abi, assembleKernel } from './index.js';
import {
  eax,
  ecx,
  edx,
  type Gpr,
  mem,
  r8,
  r12,
  r13,
  r14,
  r15,
  rax,
  rbp,
  rbx,
  rcx,
  rdi,
  rdx,
  rsi,
  rsp,
  xmm,
} from './registers.js';

/** Uses all registers there are: 40 sums and 30 pointers at once. */
function hungry(lanes: number): Kernel {
  const k = new KernelBuilder({ lanes });
  const params = Array.from({ length: 30 }, (_, i) => k.param(`p${i}`, 'f32'));
  k.tasks(1, () => {
    const sums = Array.from({ length: 40 }, () => k.zero());
    k.loop(3, (i) => {
      for (const [j, sum] of sums.entries()) sum.addTo(k.load(params[j % 30], i) as Float);
    });
    for (const [j, sum] of sums.entries()) k.store(params[j % 30], 16 * (1 + Math.floor(j / 30)), sum.value);
  });
  return k.finish('hungry');
}

// The frame: four words that Windows lets a function use, its result, one word free, what its vector registers held.
const [RESULT, SENTINEL, FRAME] = [32, 48, 72];

/**
 * `int probe(void* function, void* a, int b, int c)` for us, which calls `function(a, b, c)` by another convention and tells
 * whether each register that is the callee's to save came back: bit i for the i-th.
 */
function probe(abi: Abi, saved: readonly Gpr[], vectors: readonly number[]): Uint8Array {
  const asm = new Assembler('avx2');
  const ours = [rbx, rbp, r12, r13, r14, r15];
  for (const r of ours) asm.push(r);
  asm.sub(rsp, FRAME);
  asm.mov(rax, rdi);
  if (abi === 'win64') {
    asm.mov(r8, rcx);
    asm.mov(rcx, rsi);
  } else {
    asm.mov(rdi, rsi);
    asm.mov(rsi, rdx);
    asm.mov(rdx, rcx);
  }
  for (const r of saved) asm.mov(r, 0x1234567 + r.id);
  for (const at of [SENTINEL, SENTINEL + 8]) asm.mov64(mem(rsp, at), 0x5a6b7c8d);
  for (const v of vectors) asm.vmovups(xmm(v), mem(rsp, SENTINEL));
  asm.call(rax);
  asm.mov(mem(rsp, RESULT), rax);
  asm.xor(eax, eax);
  for (const [i, r] of saved.entries()) {
    const same = asm.label();
    asm.cmp(r, 0x1234567 + r.id);
    asm.jcc('e', same);
    asm.or(eax, 1 << i);
    asm.bind(same);
  }
  for (const v of vectors) {
    const same = asm.label();
    asm.vpcmpeqb(xmm(v), xmm(v), mem(rsp, SENTINEL));
    asm.vpmovmskb(ecx, xmm(v));
    asm.cmp(ecx, 0xffff);
    asm.jcc('e', same);
    asm.or(eax, 1 << 30);
    asm.bind(same);
  }
  asm.mov(edx, mem(rsp, RESULT));
  asm.shl(edx, 31);
  asm.or(eax, edx);
  asm.add(rsp, FRAME);
  for (const r of ours.toReversed()) asm.pop(r);
  asm.ret();
  return asm.finish();
}

const CONVENTIONS: readonly [Abi, readonly Gpr[], readonly number[]][] = [
  ['sysv', [rbx, rbp, r12, r13, r14, r15], []],
  ['win64', [rbx, rbp, r12, r13, r14, r15, rdi, rsi], [6, 7, 8, 9, 10, 11, 12, 13, 14, 15]],
];

// Windows' convention holds between any two pieces of code: here it is kept by a caller of our own.
test.skipIf(whyNot('avx2') !== null).each(CONVENTIONS)(
  'a kernel called as %s gives back every register that is not its own',
  (abi, saved, vectors) => {
    for (const level of LEVELS) {
      const lanes = level === 'avx512' ? 16 : 8;
      const place = (bytes: Uint8Array): Mapping => {
        const mapping = new Mapping(bytes.length);
        mapping.bytes.set(bytes);
        mapping.executable();
        return mapping;
      };
      const caller = place(probe(abi, saved, vectors));
      const callee = place(assembleKernel(hungry(lanes), { level, abi, threads: false }));
      const heap = new Mapping(30 * 256);
      const floats = new Float32Array(heap.bytes.buffer).fill(1);
      const args = BigUint64Array.from({ length: 30 }, (_, i) => heap.address + BigInt(256 * i));
      koffi.load(null);
      const proto = koffi.proto('int (void *, void *, int, int)');
      expect(koffi.call(caller.address, proto, callee.address, args, 0, 1)).toBe(0);
      expect(floats[16]).toBe(3);
      expect(floats[64 * 29 + 16]).toBe(3);
      for (const mapping of [caller, callee, heap]) mapping.free();
    }
  },
);
