/** The C library's memcpy as a program of a device: each thread copies its share from what slot 1 points to, to what slot 2 points to. */

import { CONTROL, controlBytes } from '../src/codegen/wasm/index.js';
import { emitModule } from '../src/codegen/wasm/module.js';
import { ByteWriter } from '../src/codegen/wasm/writer.js';
import { Assembler } from '../src/codegen/x64/assembler.js';
import {
  eax,
  edi,
  edx,
  mem,
  memIndex,
  r8,
  r9,
  r12,
  r12d,
  r13,
  rax,
  rbp,
  rbx,
  rdi,
  rdx,
  rsi,
} from '../src/codegen/x64/registers.js';
import type { AssembledProgram, Device } from '../src/devices/index.js';
import { NativeDevice, openMachine } from '../src/devices/native/index.node.js';
import { WasmDevice } from '../src/devices/wasm/index.js';
import type { Program } from '../src/ir/index.js';

export async function memcpyProgram(device: Device, bytes: number, repeats: number): Promise<AssembledProgram> {
  const share = bytes / device.threads;
  const program: Program = { name: 'memcpy', slots: 3, arenaBytes: 64, launches: [] };
  return {
    name: program.name,
    bytes: device instanceof WasmDevice ? moduleOf(device, share, repeats) : await codeOf(device, share, repeats),
    slots: program.slots,
    arenaBytes: program.arenaBytes,
    control: { bytes: controlBytes(program), abortOffset: CONTROL.abort, generationOffset: CONTROL.generation },
  };
}

/** With `memory.copy`, which engines hand to the C library. */
function moduleOf({ features }: WasmDevice, share: number, repeats: number): Uint8Array<ArrayBuffer> {
  const [thread, slots, from, to, left] = [0, 2, 4, 5, 6];
  const w = new ByteWriter();
  const code = (...bytesOfCode: number[]) => {
    for (const b of bytesOfCode) w.u8(b);
  };
  const constant = (n: number) => {
    code(0x41);
    w.s32(n);
  };
  code(1, 3, 0x7f); // locals: three i32
  for (const [local, slot] of [
    [from, 1],
    [to, 2],
  ]) {
    code(0x20, slots, 0x28, 2); // i32.load of the slot …
    w.u32(4 * slot);
    code(0x20, thread); // … + thread · share
    constant(share);
    code(0x6c, 0x6a, 0x21, local);
  }
  constant(repeats);
  code(0x21, left);
  code(0x03, 0x40); // loop
  code(0x20, to, 0x20, from);
  constant(share);
  code(0xfc, 0x0a, 0, 0); // memory.copy
  code(0x20, left, 0x41, 1, 0x6b, 0x22, left, 0x0d, 0, 0x0b); // while (--left)
  constant(0);
  code(0x0b);
  const run = { params: 4, results: 1 as const, body: w.written().slice(), exportAs: 'run' };
  return emitModule([run], features);
}

/** With a call. */
async function codeOf(device: Device, share: number, repeats: number): Promise<Uint8Array<ArrayBuffer>> {
  if (!(device instanceof NativeDevice) || process.platform === 'win32') {
    throw new Error(`bench: no memcpy for ${device.name} on ${process.platform}`);
  }
  const { koffi } = (await openMachine()).foreign;
  const memcpy = koffi.address(koffi.load(null).symbol('memcpy'));
  const asm = new Assembler('avx2');
  const saved = [rbx, rbp, r12, r13, r13]; // an odd number: the stack is as calls want it
  for (const r of saved) asm.push(r);
  const [from, to, left] = [rbx, rbp, r12d];
  asm.mov(r8, mem(rdx, 0)); // the slot table
  asm.mov(r9, mem(rdx, 16)); // the heap
  asm.mov(edi, edi); // the thread's number, as 64 bits
  asm.imul(rdi, rdi, share);
  asm.add(rdi, r9);
  asm.mov(eax, mem(r8, 4));
  asm.lea(from, memIndex(rdi, rax));
  asm.mov(eax, mem(r8, 8));
  asm.lea(to, memIndex(rdi, rax));
  asm.mov(left, repeats);
  asm.mov(r13, memcpy);
  const again = asm.label();
  asm.bind(again);
  asm.mov(rdi, to);
  asm.mov(rsi, from);
  asm.mov(edx, share);
  asm.call(r13);
  asm.sub(left, 1);
  asm.jcc('ne', again);
  asm.xor(eax, eax);
  for (const r of saved.toReversed()) asm.pop(r);
  asm.ret();
  return asm.finish();
}
