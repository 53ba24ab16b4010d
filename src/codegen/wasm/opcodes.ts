/**
 * WebAssembly opcodes by name. One byte stands for itself; the prefixed ones are written as 0xfd00_0000 + code (SIMD),
 * 0xfc… (saturating conversions), 0xfe… (atomics) and `emitOp` splits them. Source: WebAssembly core specification,
 * binary format, instructions; relaxed-simd and threads proposals.
 */
import type { Op } from '../../ir/index.js';
import type { ByteWriter } from './writer.js';

const SIMD = 0xfd000000;
const CONVERT = 0xfc000000;
const ATOMIC = 0xfe000000;

export const WASM = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  return: 0x0f,
  call: 0x10,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Load: 0x28,
  f32Load: 0x2a,
  i32Load8U: 0x2d,
  i32Store: 0x36,
  f32Store: 0x38,
  i32Store8: 0x3a,
  i32Const: 0x41,
  i64Const: 0x42,
  f32Const: 0x43,
  i32Eqz: 0x45,
  i32LtS: 0x48,
  i32GtS: 0x4a,
  i32GeS: 0x4e,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivU: 0x6e,
  i64Mul: 0x7e,
  i64ShrU: 0x88,
  f32Add: 0x92,
  f32Mul: 0x94,
  f32Min: 0x96,
  f32Max: 0x97,
  i32WrapI64: 0xa7,
  i64ExtendI32U: 0xad,
  void: 0x40,

  v128Load: SIMD + 0x00,
  v128Load32Splat: SIMD + 0x09,
  v128Store: SIMD + 0x0b,
  v128Const: SIMD + 0x0c,
  i8x16Shuffle: SIMD + 0x0d,
  i32x4Splat: SIMD + 0x11,
  f32x4Splat: SIMD + 0x13,
  i32x4ExtractLane: SIMD + 0x1b,
  i32x4ReplaceLane: SIMD + 0x1c,
  f32x4ExtractLane: SIMD + 0x1f,
  f32x4ReplaceLane: SIMD + 0x20,
  v128Bitselect: SIMD + 0x52,
  v128Store32Lane: SIMD + 0x5a,
  v128Load32Zero: SIMD + 0x5c,
  i16x8ExtendLowI8x16U: SIMD + 0x89,
  i32x4ExtendLowI16x8U: SIMD + 0xa9,
  i32x4Shl: SIMD + 0xab,
  i32x4Add: SIMD + 0xae,
  i32x4MinS: SIMD + 0xb6,
  i32x4MaxS: SIMD + 0xb8,
  i64x2ExtmulLowI32x4U: SIMD + 0xde,
  i64x2ExtmulHighI32x4U: SIMD + 0xdf,
  f32x4Add: SIMD + 0xe4,
  f32x4Mul: SIMD + 0xe6,
  f32x4Min: SIMD + 0xe8,
  f32x4Max: SIMD + 0xe9,
  f32x4Pmin: SIMD + 0xea,
  f32x4Pmax: SIMD + 0xeb,
  f32x4RelaxedMadd: SIMD + 0x105,
  i32x4RelaxedLaneselect: SIMD + 0x10b,

  atomicNotify: ATOMIC + 0x00,
  atomicWait32: ATOMIC + 0x01,
  i32AtomicLoad: ATOMIC + 0x10,
  i32AtomicStore: ATOMIC + 0x17,
  i32AtomicRmwAdd: ATOMIC + 0x1e,
} as const;

/** Operations that are one instruction: for i32, f32, i32x4, f32x4 operands. 0 where there is none. */
const DIRECT: Partial<Record<Op, readonly [i32: number, f32: number, vi: number, vf: number]>> = {
  add: [0x6a, 0x92, SIMD + 0xae, SIMD + 0xe4],
  sub: [0x6b, 0x93, SIMD + 0xb1, SIMD + 0xe5],
  mul: [0x6c, 0x94, SIMD + 0xb5, SIMD + 0xe6],
  div: [0x6d, 0x95, 0, SIMD + 0xe7],
  rem: [0x6f, 0, 0, 0],
  min: [0, 0x96, SIMD + 0xb6, SIMD + 0xe8],
  max: [0, 0x97, SIMD + 0xb8, SIMD + 0xe9],
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
