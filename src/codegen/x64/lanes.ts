/** Between scalars and vectors: one value in all lanes, a vector of scalars, one lane, all lanes folded into one. */
import type { Expr, Type } from '../../ir/index.js';
import { INT_OPS, minMaxOf } from './arithmetic.js';
import { GENERAL, M } from './machine.js';
import { bitsOf, type Operands } from './operands.js';

export function splat(s: Operands, x: Expr, d: number): number {
  if (x.op !== 'const' && s.inline[x.id] === 1 && x.op === 'load' && x.elem !== 'u8') {
    s.place(x.args[0], x.imm);
    return s.operation(M.vbroadcast, s.wide, -1, -1, 0, d);
  }
  if (x.type === 'i32') return splatGeneral(s, s.value(x), d);
  return s.plain(M.vsplat, s.wide, s.value(x), -1, 0, d);
}

export function splatGeneral(s: Operands, v: number, d: number): number {
  if (s.avx512) return s.plain(M.vsplatg, s.wide, v, -1, 0, d);
  return s.plain(M.vsplat, s.wide, s.plain(M.vfromg, 1, v), -1, 0, d);
}

export function lanesOf(s: Operands, args: readonly Expr[], type: Type, d: number): number {
  const { wide } = s;
  if (args.every((a) => a.op === 'const')) {
    s.vectorOperand(Int32Array.from(args, ({ imm }) => (type === 'vi' ? imm : bitsOf(imm))));
    return s.operation(M.vload, wide, -1, -1, 0, d);
  }
  const quarters: number[] = [];
  for (let i = 0; i < args.length; i += 4) {
    quarters.push(quarterOf(s, args.slice(i, i + 4), type, wide === 1 ? d : -1));
  }
  if (wide === 1) return quarters[0];
  const lower = s.plain(M.setQuarter, 2, quarters[0], quarters[1], 1, wide === 2 ? d : -1);
  if (wide === 2) return lower;
  return s.plain(M.setUpperHalf, 3, lower, s.plain(M.setQuarter, 2, quarters[2], quarters[3], 1), 0, d);
}

function quarterOf(s: Operands, args: readonly Expr[], type: Type, d: number): number {
  const inMemory = (e: Expr): boolean => s.inline[e.id] === 1 && e.op === 'load' && e.elem !== 'u8';
  let v: number;
  if (args.every((a) => a.op === 'const' && Object.is(a.imm, 0))) return s.plain(M.vzero, 1, -1, -1, 0, d);
  if (type === 'vf') v = s.value(args[0]);
  else if (inMemory(args[0])) {
    s.place(args[0].args[0], args[0].imm);
    v = s.operation(M.vload, 0, -1);
  } else v = s.plain(M.vfromg, 1, s.value(args[0]));
  for (let i = 1; i < 4; i++) {
    const last = i === 3 ? d : -1;
    const arg = args[i];
    if (type === 'vf' && arg.op === 'const') {
      s.scalarConstant(bitsOf(arg.imm));
      v = s.operation(M.setLaneF, 1, v, -1, i, last);
    } else if (inMemory(arg)) {
      s.place(arg.args[0], arg.imm);
      v = s.operation(type === 'vf' ? M.setLaneF : M.setLaneI, 1, v, -1, i, last);
    } else v = s.plain(type === 'vf' ? M.setLaneF : M.setLaneI, 1, v, s.value(arg), i, last);
  }
  return v;
}

export function lane(s: Operands, v: number, type: Type, i: number, d: number): number {
  const quarter = i >= 4 ? s.plain(M.quarter, s.wide, v, -1, i >> 2) : v;
  const at = i & 3;
  if (type === 'i32') {
    if (at === 0) return s.plain(M.gfromv, 1, quarter, -1, 0, d);
    return s.plain(M.laneI, 1, quarter, -1, at, d, GENERAL);
  }
  if (at === 0) return s.pass('f32', quarter, d);
  return s.plain(M.permute, 1, quarter, -1, at * 0x55, d);
}

/** The upper half onto the lower until one is left. */
export function foldLanes(s: Operands, op: 'sumLanes' | 'maxLanes' | 'minLanes', x: Expr, d: number): number {
  const float = x.type === 'vf';
  const combine = (width: number, a: number, b: number, into: number): number => {
    if (op === 'sumLanes') return s.plain(float ? M.vadd : M.padd, width, a, b, 0, into);
    const name = op === 'maxLanes' ? 'max' : 'min';
    return float ? minMaxOf(s, name, width, a, b, into) : s.plain(INT_OPS[name], width, a, b, 0, into);
  };
  let v = s.value(x);
  if (s.wide === 3) v = combine(2, v, s.plain(M.upperHalf, 3, v), -1);
  if (s.wide >= 2) v = combine(1, v, s.plain(M.quarter, 2, v, -1, 1), -1);
  v = combine(1, v, s.plain(M.permute, 1, v, -1, 0xee), -1);
  const last = float ? 0 : 1;
  v = combine(last, v, s.plain(M.permute, 1, v, -1, 0x55), float ? d : -1);
  return float ? v : s.plain(M.gfromv, 1, v, -1, 0, d);
}
