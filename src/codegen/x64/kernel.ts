/** One kernel as machine code: selection, registers, bytes. Which instructions exist is the level's to say. */
import type { Kernel } from '../../ir/index.js';
import { allocate } from './allocate.js';
import type { Assembler } from './assembler.js';
import { emit } from './emit.js';
import { holdConstants } from './hold.js';
import { select } from './select.js';

/** Writes the kernel where the assembler stands, as a function (rdi: addresses, esi: begin, edx: end) that saves no registers; eax: 1 if it was called off. */
export function emitKernel(asm: Assembler, kernel: Kernel): void {
  const avx512 = asm.level === 'avx512';
  const code = select(kernel, avx512);
  const vectorBytes = 4 * kernel.lanes;
  const vectors = avx512 ? 32 : 16;
  holdConstants(code, vectors);
  const registers = allocate(code, vectors, vectorBytes);
  emit(asm, code, registers, vectorBytes);
  code.recycle(code.words);
}
