/** Which WebAssembly instruction does an operation of the kernel IR, and how one is written. */
import type { Op } from '../../ir/index.js';
import * as WASM from './instructions.js';
import type { ByteWriter } from './writer.js';

export { WASM };

const SIMD = 0xfd000000;
const CONVERT = 0xfc000000;

/** Operations that are one instruction: for i32, f32, i32x4, f32x4 operands. 0 where there is none. */
const DIRECT: Partial<Record<Op, readonly [i32: number, f32: number, vi: number, vf: number]>> = {
  add: [0x6a, 0x92, SIMD + 0xae, SIMD + 0xe4],
  sub: [0x6b, 0x93, SIMD + 0xb1, SIMD + 0xe5],
  mul: [0x6c, 0x94, SIMD + 0xb5, SIMD + 0xe6],
  div: [0x6d, 0x95, 0, SIMD + 0xe7],
  rem: [0x6f, 0, 0, 0],
  min: [0, 0x96, SIMD + 0xb6, SIMD + 0xe8],
  max: [0, 0x97, SIMD + 0xb8, SIMD + 0xe9],
  pmin: [0, 0, 0, SIMD + 0xea],
  pmax: [0, 0, 0, SIMD + 0xeb],
  and: [0x71, 0, SIMD + 0x4e, 0],
  or: [0x72, 0, SIMD + 0x50, 0],
  xor: [0x73, 0, SIMD + 0x51, 0],
  shl: [0x74, 0, SIMD + 0xab, 0],
  shr: [0x75, 0, SIMD + 0xac, 0],
  shrU: [0x76, 0, SIMD + 0xad, 0],
  not: [0x45, 0, SIMD + 0x4d, 0],
  neg: [0, 0x8c, SIMD + 0xa1, SIMD + 0xe1],
  abs: [0, 0x8b, 0, SIMD + 0xe0],
  sqrt: [0, 0x91, 0, SIMD + 0xe3],
  floor: [0, 0x8e, 0, SIMD + 0x68],
  ceil: [0, 0x8d, 0, SIMD + 0x67],
  trunc: [0, 0x8f, 0, SIMD + 0x69],
  nearest: [0, 0x90, 0, SIMD + 0x6a],
  eq: [0x46, 0x5b, SIMD + 0x37, SIMD + 0x41],
  ne: [0x47, 0x5c, SIMD + 0x38, SIMD + 0x42],
  lt: [0x48, 0x5d, SIMD + 0x39, SIMD + 0x43],
  gt: [0x4a, 0x5e, SIMD + 0x3b, SIMD + 0x44],
  le: [0x4c, 0x5f, SIMD + 0x3d, SIMD + 0x45],
  ge: [0x4e, 0x60, SIMD + 0x3f, SIMD + 0x46],
  ltU: [0x49, 0, SIMD + 0x3a, 0],
  toF: [0xb2, 0, SIMD + 0xfa, 0],
  toFU: [0xb3, 0, SIMD + 0xfb, 0],
  toI: [0, CONVERT + 0x00, 0, SIMD + 0xf8],
  asF: [0xbe, 0, 0, 0],
  asI: [0, 0xbc, 0, 0],
};

const COLUMN = { i32: 0, f32: 1, vi: 2, vf: 3, ptr: 0 } as const;

/** The one instruction that does `op` on operands of `type`, or 0. */
export function directOp(op: Op, type: keyof typeof COLUMN): number {
  return DIRECT[op]?.[COLUMN[type]] ?? 0;
}

export function emitOp(w: ByteWriter, code: number): void {
  if (code < 0x100) {
    w.u8(code);
    return;
  }
  w.u8(code >>> 24);
  w.u32(code & 0xffffff);
}
