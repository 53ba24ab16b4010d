/**
 * WebAssembly functions written by hand, statement by statement, for the few loops over bytes that the kernel IR has no words for:
 * interleaving, products of 16-bit pairs, saturation.
 */

import { emitOp, WASM } from '../codegen/wasm/opcodes.js';
import { ByteWriter } from '../codegen/wasm/writer.js';

/** Writes a function statement by statement; operands are functions that leave their value on the stack. */
export class FunctionWriter {
  private readonly w = new ByteWriter(4096);
  private readonly types: number[] = [];

  constructor(private readonly params: number) {}

  ints(count: number): number[] {
    return Array.from({ length: count }, () => this.params + this.types.push(0x7f) - 1);
  }

  vectors(count: number): number[] {
    return Array.from({ length: count }, () => this.params + this.types.push(0x7b) - 1);
  }

  op(code: number): void {
    emitOp(this.w, code);
  }

  get(local: number): void {
    this.op(WASM.localGet);
    this.w.u32(local);
  }

  set(local: number, value: () => void): void {
    value();
    this.op(WASM.localSet);
    this.w.u32(local);
  }

  int(value: number): void {
    this.op(WASM.i32Const);
    this.w.s32(value);
  }

  sum(local: number, value: () => void): void {
    this.get(local);
    value();
    this.op(WASM.i32Add);
  }

  product(a: number, b: number): void {
    this.get(a);
    this.get(b);
    this.op(WASM.i32Mul);
  }

  /** local += by */
  advance(local: number, by: number): void {
    this.set(local, () => this.sum(local, () => this.get(by)));
  }

  load(code: number, address: number, align: number, offset = 0): void {
    this.get(address);
    this.op(code);
    this.w.u32(align);
    this.w.u32(offset);
  }

  store(address: number, value: number, offset = 0): void {
    this.get(address);
    this.get(value);
    this.op(WASM.v128Store);
    this.w.u32(0);
    this.w.u32(offset);
  }

  splat(value: number): void {
    this.int(value);
    this.op(WASM.i32x4Splat);
  }

  /** Elements of `size` bytes by turns from the lower (upper) halves of two vectors. */
  interleave(a: number, b: number, size: number, half: 'low' | 'high'): void {
    this.get(a);
    this.get(b);
    this.op(WASM.i8x16Shuffle);
    for (let byte = 0; byte < 16; byte++) {
      const element = Math.floor(byte / (2 * size)) + (half === 'low' ? 0 : 8 / size);
      const fromSecond = Math.floor(byte / size) % 2;
      this.w.u8(fromSecond * 16 + element * size + (byte % size));
    }
  }

  /** The upper eight bytes of a vector, in both halves. */
  upper(a: number): void {
    this.interleave(a, a, 8, 'high');
  }

  /** The four bytes of a vector's quarter as i32x4. */
  widen(a: number, quarter: number): void {
    this.get(a);
    this.op(quarter < 2 ? WASM.i16x8ExtendLowI8x16U : WASM.i16x8ExtendHighI8x16U);
    this.op(quarter % 2 === 0 ? WASM.i32x4ExtendLowI16x8U : WASM.i32x4ExtendHighI16x8U);
  }

  /** target = four vectors of i32x4 as 16 bytes, clamped. */
  narrow(target: number, quarters: readonly number[]): void {
    this.set(target, () => {
      for (const first of [0, 2]) {
        this.get(quarters[first]);
        this.get(quarters[first + 1]);
        this.op(WASM.i16x8NarrowI32x4S);
      }
      this.op(WASM.i8x16NarrowI16x8U);
    });
  }

  /** Puts the byte at address + offset on the stack. */
  loadByte(address: number, offset = 0): void {
    this.load(WASM.i32Load8U, address, 0, offset);
  }

  /** Puts the byte at the address on the stack there in its place. */
  loadByteHere(): void {
    this.op(WASM.i32Load8U);
    this.w.u32(0);
    this.w.u32(0);
  }

  storeByte(address: number, offset: number, value: () => void): void {
    this.get(address);
    value();
    this.op(WASM.i32Store8);
    this.w.u32(0);
    this.w.u32(offset);
  }

  /** for (index = start; index < end; index += step), at least once. */
  repeat(index: number, end: number, step: number, body: () => void, start = 0): void {
    this.set(index, () => this.int(start));
    this.op(WASM.loop);
    this.op(WASM.void);
    body();
    this.set(index, () => this.sum(index, () => this.int(step)));
    this.get(index);
    this.get(end);
    this.op(WASM.i32LtS);
    this.op(WASM.brIf);
    this.w.u32(0);
    this.op(WASM.end);
  }

  either(condition: () => void, yes: () => void, no: () => void): void {
    condition();
    this.op(WASM.if);
    this.op(WASM.void);
    yes();
    this.op(WASM.else);
    no();
    this.op(WASM.end);
  }

  equals(local: number, value: number): void {
    this.get(local);
    this.int(value);
    this.op(WASM.i32Eq);
  }

  finish(): Uint8Array {
    this.op(WASM.end);
    const out = new ByteWriter(this.w.length + 256);
    out.u32(this.types.length);
    for (const type of this.types) {
      out.u32(1);
      out.u8(type);
    }
    out.append(this.w.written());
    return out.written();
  }
}
