/**
 * WebAssembly instructions by name, each a constant of its own so that bundlers write the number where it is used. One byte stands for
 * itself; the prefixed ones are written as 0xfd00_0000 + code (SIMD), 0xfc… (saturating conversions), 0xfe… (atomics) and `emitOp` splits
 * them. Source: WebAssembly core specification, binary format, instructions; relaxed-simd and threads proposals.
 */

export const block = 0x02;
export const loop = 0x03;
const ifOp = 0x04;
const elseOp = 0x05;
export const end = 0x0b;
export const br = 0x0c;
export const brIf = 0x0d;
const returnOp = 0x0f;
export const call = 0x10;
export const drop = 0x1a;
export const select = 0x1b;
export const localGet = 0x20;
export const localSet = 0x21;
export const localTee = 0x22;
export const i32Load = 0x28;
export const f32Load = 0x2a;
export const i32Load8U = 0x2d;
export const i32Store = 0x36;
export const f32Store = 0x38;
export const f64Store = 0x39;
export const i32Store8 = 0x3a;
export const i32Const = 0x41;
export const i64Const = 0x42;
export const f32Const = 0x43;
export const i32Eqz = 0x45;
export const i32LtS = 0x48;
export const i32GeS = 0x4e;
export const i32Eq = 0x46;
export const i32Ne = 0x47;
export const i32Add = 0x6a;
export const i32Sub = 0x6b;
export const i32Mul = 0x6c;
export const i32DivU = 0x6e;
export const i64Mul = 0x7e;
export const i64ShrU = 0x88;
export const i32WrapI64 = 0xa7;
export const i64ExtendI32U = 0xad;
const voidBlock = 0x40;

export const v128Load = 0xfd00_0000;
export const v128Load32Splat = 0xfd00_0009;
export const v128Load64Splat = 0xfd00_000a;
export const v128Store = 0xfd00_000b;
export const v128Const = 0xfd00_000c;
export const i8x16Shuffle = 0xfd00_000d;
export const i32x4Splat = 0xfd00_0011;
export const f32x4Splat = 0xfd00_0013;
export const i32x4ExtractLane = 0xfd00_001b;
export const i32x4ReplaceLane = 0xfd00_001c;
export const f32x4ExtractLane = 0xfd00_001f;
export const f32x4ReplaceLane = 0xfd00_0020;
export const v128AndNot = 0xfd00_004f; // a & ~b
export const v128Bitselect = 0xfd00_0052;
export const v128Store32Lane = 0xfd00_005a;
export const v128Load32Zero = 0xfd00_005c;
export const v128Load64Zero = 0xfd00_005d;
export const f32x4DemoteF64x2Zero = 0xfd00_005e;
export const f64x2PromoteLowF32x4 = 0xfd00_005f;
export const i8x16NarrowI16x8U = 0xfd00_0066;
export const i16x8NarrowI32x4S = 0xfd00_0085;
export const i16x8ExtendLowI8x16U = 0xfd00_0089;
export const i16x8ExtendHighI8x16U = 0xfd00_008a;
export const i32x4ExtendLowI16x8U = 0xfd00_00a9;
export const i32x4ExtendHighI16x8U = 0xfd00_00aa;
export const i32x4Shl = 0xfd00_00ab;
export const i32x4ShrS = 0xfd00_00ac;
export const i32x4Add = 0xfd00_00ae;
export const i32x4DotI16x8S = 0xfd00_00ba;
export const i64x2ExtmulLowI32x4U = 0xfd00_00de;
export const i64x2ExtmulHighI32x4U = 0xfd00_00df;
export const f32x4Add = 0xfd00_00e4;
export const f32x4Mul = 0xfd00_00e6;
export const f64x2Add = 0xfd00_00f0;
export const f64x2Mul = 0xfd00_00f2;
export const i32x4TruncSatF32x4S = 0xfd00_00f8;
export const f32x4ConvertI32x4S = 0xfd00_00fa;
export const f64x2ConvertLowI32x4S = 0xfd00_00fe;
export const f32x4RelaxedMadd = 0xfd00_0105;
export const i32x4RelaxedLaneselect = 0xfd00_010b;

export const atomicNotify = 0xfe00_0000;
export const atomicWait32 = 0xfe00_0001;
export const i32AtomicLoad = 0xfe00_0010;
export const i32AtomicStore = 0xfe00_0017;
export const i32AtomicRmwAdd = 0xfe00_001e;

export { elseOp as else, ifOp as if, returnOp as return, voidBlock as void };
