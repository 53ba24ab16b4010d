/**
 * The border to C: which registers hold arguments and which must be given back as they were. System V (Linux, macOS) as in its
 * AMD64 supplement, Windows as in Microsoft's x64 calling convention. Within our own code there is one convention, System V's
 * argument registers with nothing saved. The Windows side has run under a caller that keeps its convention (abi.test.ts), not on Windows.
 */
import type { Assembler } from './assembler.js';
import { mem, r8, r9, r12, r13, r14, r15, rbp, rbx, rcx, rdi, rdx, rsi, rsp, xmm } from './registers.js';

export type Abi = 'sysv' | 'win64';

const SYSV_SAVED = [rbx, rbp, r12, r13, r14, r15];
const WIN64_SAVED = [...SYSV_SAVED, rdi, rsi];
/** xmm6 … xmm15 */
const WIN64_VECTORS = Array.from({ length: 10 }, (_, i) => xmm(6 + i));
const WIN64_FRAME = 16 * WIN64_VECTORS.length + 8; // an odd number of words: rsp is a multiple of 16 again

/** At a function's start: saves what is C's, and moves up to four arguments to rdi, rsi, rdx, rcx. */
export function enterC(asm: Assembler, abi: Abi, args: number): void {
  for (const r of abi === 'sysv' ? SYSV_SAVED : WIN64_SAVED) asm.push(r);
  if (abi === 'sysv') {
    asm.sub(rsp, 8);
    return;
  }
  asm.sub(rsp, WIN64_FRAME);
  for (const [i, v] of WIN64_VECTORS.entries()) asm.vmovups(mem(rsp, 16 * i), v);
  const from = [rcx, rdx, r8, r9];
  const to = [rdi, rsi, rdx, rcx];
  for (let i = 0; i < args; i++) asm.mov(to[i], from[i]);
}

/** Back to C with the result in eax. */
export function leaveC(asm: Assembler, abi: Abi): void {
  if (abi === 'sysv') {
    asm.vzeroupper();
    asm.add(rsp, 8);
  } else {
    for (const [i, v] of WIN64_VECTORS.entries()) asm.vmovups(v, mem(rsp, 16 * i));
    asm.vzeroupper();
    asm.add(rsp, WIN64_FRAME);
  }
  for (const r of (abi === 'sysv' ? SYSV_SAVED : WIN64_SAVED).toReversed()) asm.pop(r);
  asm.ret();
}
