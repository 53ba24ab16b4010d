/** Kernel IR to x86-64 machine code: one kernel, or a whole program with its thread barriers. Bytes only: `devices/native` runs them. */
import { inspection, type Kernel } from '../../ir/index.js';
import { enterC, leaveC } from './abi.js';
import { Assembler } from './assembler.js';
import { emitKernel } from './kernel.js';
import type { X64Features } from './program.js';

export { type AssembledProgram, type AssembleOptions, CONTROL, controlBytes } from '../program.js';
export type { Abi } from './abi.js';
export type { X64Level } from './assembler.js';
export { assembleProgram, type X64Features, type X64Program } from './program.js';

/**
 * A C function `int kernel(const u64* addresses, int begin, int end)`, position independent. It returns 0, or 1 if a division
 * called the kernel off.
 */
export function assembleKernel(kernel: Kernel, { level, abi }: X64Features): Uint8Array<ArrayBuffer> {
  inspection.inspect?.(kernel); // nobody checks machine code again
  const asm = new Assembler(level);
  const body = asm.label();
  enterC(asm, abi, 3);
  asm.call(body);
  leaveC(asm, abi);
  asm.align(64);
  asm.bind(body);
  emitKernel(asm, kernel);
  return asm.finish();
}
