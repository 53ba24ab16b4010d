/** The assembler against GNU as: recorded bytes for every row of the table, and random operands where `as` is installed. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  assembleCase,
  casesOf,
  differences,
  gnuAssemble,
  gnuDisassemble,
  goldenCasesOf,
  hasGnu,
  hex,
  MNEMONICS,
  randomOf,
} from '../../../test/x64-cases.js';
import { Assembler } from './assembler.js';
import { rowsOf } from './instructions.js';
import {
  bcst,
  eax,
  ecx,
  k,
  type Mem,
  mem,
  memIndex,
  r12,
  r13,
  rax,
  rbp,
  rcx,
  rdi,
  ripMem,
  rsp,
  xmm,
  ymm,
  zmm,
} from './registers.js';

/** Bytes of what `write` writes. */
function code(write: (asm: Assembler) => void, level: 'avx2' | 'avx512' = 'avx512'): string {
  const asm = new Assembler(level);
  write(asm);
  return hex(asm.finish());
}

const file = new URL('../../../test/golden/data/x64.txt', import.meta.url);
const fixture = new Map<string, string[][]>();
for (const line of readFileSync(file, 'utf8').trimEnd().split('\n')) {
  const [name, ...rest] = line.split('\t');
  fixture.set(name, [...(fixture.get(name) ?? []), rest]);
}

describe('every row of the table', () => {
  it('has fixtures, and the fixtures have rows (else: node scripts/run-ts.mjs test/golden/x64.ts)', () => {
    expect([...fixture.keys()]).toEqual(MNEMONICS);
    for (const name of MNEMONICS) {
      const cases = goldenCasesOf(name);
      expect(fixture.get(name)!.map(([text]) => text)).toEqual(cases.map(({ text }) => text));
      expect(new Set(cases.map(({ insn }) => insn)).size).toBe(rowsOf(name).length);
    }
  });

  it('gives the bytes of the fixtures', () => {
    const wrong: string[] = [];
    for (const name of MNEMONICS)
      goldenCasesOf(name).forEach((c, i) => {
        const [text, gnu, other] = fixture.get(name)![i];
        const ours = assembleCase(c);
        if (ours !== gnu && `~ ${ours}` !== other) wrong.push(`${text}: ${ours}, as: ${gnu}`);
      });
    expect(wrong).toEqual([]);
  });

  it('is either the same on avx2, with no EVEX prefix, or refused there', () => {
    for (const c of MNEMONICS.flatMap(goldenCasesOf)) {
      const bytes = assembleCase(c);
      const evex = c.insn.feature !== 'base' && bytes.startsWith('62');
      if (evex || c.insn.feature.startsWith('avx512'))
        expect(() => assembleCase(c, 'avx2'), c.text).toThrow(
          new RegExp(`^${c.name}: (\\S+|broadcast \\S+)? ?needs avx512(f|vl|bw|dq), target is avx2$`),
        );
      else expect(assembleCase(c, 'avx2'), c.text).toBe(bytes);
    }
  });

  it.skipIf(!hasGnu())(
    'is written as GNU as writes it, whatever the operands (skipped where binutils are missing)',
    () => {
      const random = randomOf(Math.floor(Math.random() * 2 ** 32));
      const cases = [1, 2, 3].flatMap(() => MNEMONICS.flatMap((name) => casesOf(name, random)));
      const gnu = gnuAssemble(cases.map(({ text }) => text));
      expect(gnu.length).toBe(cases.length);
      expect(
        differences(
          cases,
          cases.map((c) => assembleCase(c)),
          gnu,
        ),
      ).toEqual([]);
    },
  );
});

describe('addresses', () => {
  const load = (m: Mem) => code((asm) => asm.mov(eax, m));

  it('take a SIB byte for rsp and r12 and a displacement for rbp and r13', () => {
    expect(load(mem(rax))).toBe('8b 00');
    expect(load(mem(rsp))).toBe('8b 04 24');
    expect(load(mem(r12))).toBe('41 8b 04 24');
    expect(load(mem(rbp))).toBe('8b 45 00');
    expect(load(mem(r13))).toBe('41 8b 45 00');
    expect(load(memIndex(r13, rcx, 4))).toBe('41 8b 44 8d 00');
    expect(load(memIndex(null, rcx, 8, 16))).toBe('8b 04 cd 10 00 00 00');
  });

  it('count an EVEX displacement of one byte in units of what is read', () => {
    const add = (m: Mem) => code((asm) => asm.vaddps(zmm(0), zmm(1), m));
    expect(add(mem(rax, 64 * 127))).toBe('62 f1 74 48 58 40 7f');
    expect(add(mem(rax, 64 * 128))).toBe('62 f1 74 48 58 80 00 20 00 00');
    expect(add(mem(rax, 65))).toBe('62 f1 74 48 58 80 41 00 00 00');
    expect(add(bcst(mem(rax, -4 * 128)))).toBe('62 f1 74 58 58 40 80');
  });

  it('refuse rsp as an index, 32-bit registers and displacements past 32 bits', () => {
    expect(() => memIndex(rax, rsp)).toThrow(
      'x64: [rax+rsp*1] is no address: the index is a 64-bit register other than rsp',
    );
    expect(() => mem(eax)).toThrow('x64: [eax] is no address: it takes 64-bit registers and a 32-bit displacement');
    expect(() => mem(rax, 2 ** 31)).toThrow('is no address');
  });
});

describe('operand checks', () => {
  const avx2 = new Assembler('avx2');
  const avx512 = new Assembler('avx512');

  it('say what the target lacks', () => {
    expect(() => avx2.vfmadd231ps(zmm(17), zmm(1), zmm(2))).toThrow('vfmadd231ps: zmm17 needs avx512f, target is avx2');
    expect(() => avx2.vaddps(ymm(1), ymm(17), ymm(2))).toThrow('vaddps: ymm17 needs avx512vl, target is avx2');
    expect(() => avx2.vaddps(ymm(1), ymm(2), ymm(3), { mask: k(1) })).toThrow(
      'vaddps: {k1} needs avx512vl, target is avx2',
    );
    expect(() => avx2.vaddps(ymm(1), ymm(2), bcst(mem(rdi)))).toThrow(
      'vaddps: broadcast [rdi] needs avx512vl, target is avx2',
    );
    expect(() => avx2.vpmovm2d(ymm(1), k(2))).toThrow('vpmovm2d: needs avx512dq, target is avx2');
    expect(() => avx2.vpslld(zmm(3), zmm(4), 1)).toThrow('vpslld: zmm3 needs avx512f, target is avx2');
    expect(() => avx512.vpand(ymm(1), ymm(2), ymm(20))).toThrow('vpand: has no EVEX form, which ymm20 needs');
    expect(() => avx512.vblendvps(ymm(1), ymm(2), ymm(3), ymm(20))).toThrow(
      'vblendvps: has no EVEX form, which ymm20 needs',
    );
  });

  it('want equal widths', () => {
    expect(() => avx512.vaddps(ymm(1), xmm(2), ymm(3))).toThrow(
      'vaddps: takes v, v, v/m, all of one letter equally wide; got ymm1, xmm2, ymm3',
    );
    expect(() => avx512.cmp(rax, ecx)).toThrow('cmp: takes r/m, r, all of one letter equally wide; got rax, ecx');
    expect(() => avx512.vaddss(ymm(1), ymm(1), ymm(1))).toThrow('vaddss: takes x, x, x/m');
    expect(() => avx512.vpmovzxwd(zmm(1), xmm(2))).toThrow('vpmovzxwd: takes v, h/m');
    expect(() => avx512.vpmovzxwd(xmm(1), xmm(2))).not.toThrow();
    expect(() => avx512.vpermq(xmm(1), xmm(2), 3)).toThrow(
      'vpermq: takes yz, yz/m, i8 or yz, yz, yz/m; got xmm1, xmm2, 3',
    );
  });

  it('want immediates in range', () => {
    expect(() => avx512.vpslld(ymm(1), ymm(2), 256)).toThrow('vpslld: immediate 256 does not fit a byte');
    expect(() => avx512.add(rax, 2 ** 31)).toThrow('add: immediate 2147483648 does not fit 32 bits');
    expect(() => avx512.add(eax, 2 ** 32)).toThrow('add: immediate 4294967296 does not fit 32 bits');
    expect(() => avx512.add(eax, 0.5)).toThrow('add: immediate 0.5 does not fit 32 bits');
    expect(() => avx512.shl(eax, 1.5)).toThrow('shl: immediate 1.5 does not fit a byte');
    expect(() => avx512.mov(eax, 2 ** 32)).toThrow('mov: immediate 4294967296 does not fit 32 bits');
    expect(() => avx512.mov(rax, 2 ** 53)).toThrow('mov: immediate 9007199254740992 is no integer of 64 bits');
    expect(() => avx512.mov(rax, 2n ** 64n)).toThrow('mov: immediate 18446744073709551616 is no integer of 64 bits');
  });

  it('want masks that say something', () => {
    expect(() => avx512.vaddps(zmm(1), zmm(2), zmm(3), { mask: k(0) })).toThrow('vaddps: k0 as a mask means no mask');
    expect(() => avx512.vaddps(zmm(1), zmm(2), zmm(3), { zero: true })).toThrow('vaddps: zero needs a mask');
    expect(() => avx512.vmovups(mem(rax), zmm(3), { mask: k(1), zero: true })).toThrow(
      'vmovups: zeroing needs a vector as the destination',
    );
    expect(() => avx512.vpcmpd(k(2), zmm(1), zmm(2), 0, { mask: k(1), zero: true })).toThrow(
      'vpcmpd: zeroing needs a vector as the destination',
    );
  });

  it('do not compile operands of the wrong class', () => {
    const asm = new Assembler('avx512');
    // @ts-expect-error a general register is no vector
    expect(() => asm.vaddps(ymm(0), rax, ymm(1))).toThrow('vaddps: takes v, v, v/m');
    // @ts-expect-error two operands in memory
    expect(() => asm.mov(mem(rax), mem(rax))).toThrow('mov: takes r/m, r or r, m or r, i64; got [rax], [rax]');
    // @ts-expect-error an operand is missing
    expect(() => asm.vaddps(ymm(0), ymm(1))).toThrow('vaddps: takes v, v, v/m');
    // @ts-expect-error a general register is no mask
    expect(() => asm.knotw(rax, k(1))).toThrow('knotw: takes k, k');
    // @ts-expect-error no such condition
    expect(() => asm.setcc('x', rax)).toThrow('setcc: no condition "x"');
    // @ts-expect-error an instruction that came before masks
    expect(() => asm.vpand(ymm(0), ymm(1), ymm(2), { mask: k(1) })).toThrow('vpand: takes no mask');
  });
});

describe('labels', () => {
  it('are reached backwards in 8 bits as long as they can be', () => {
    const loop = (bytes: number) =>
      code((asm) => {
        const top = asm.label();
        asm.bind(top);
        for (let i = 0; i < bytes; i++) asm.int3();
        asm.jcc('ne', top);
      }).slice(bytes * 3);
    expect(loop(0)).toBe('75 fe');
    expect(loop(126)).toBe('75 80');
    expect(loop(127)).toBe('0f 85 7b ff ff ff');
  });

  it('are reached forwards in 32 bits, or in 8 where the caller knows', () => {
    const skip = (bytes: number, options?: { short: boolean }) =>
      code((asm) => {
        const end = asm.label();
        asm.jmp(end, options);
        for (let i = 0; i < bytes; i++) asm.int3();
        asm.bind(end);
      });
    expect(skip(2)).toBe('e9 02 00 00 00 cc cc');
    expect(skip(2, { short: true })).toBe('eb 02 cc cc');
    expect(skip(127, { short: true }).slice(0, 5)).toBe('eb 7f');
    expect(() => skip(128, { short: true })).toThrow('x64: the short jump at byte 1 goes 128 bytes');
  });

  it('can be called, and jumped to through registers and memory', () => {
    expect(
      code((asm) => {
        const f = asm.label();
        asm.call(f);
        asm.ret();
        asm.bind(f);
        asm.call(mem(rdi, 8));
        asm.jmp(rax);
      }),
    ).toBe('e8 01 00 00 00 c3 ff 57 08 ff e0');
  });

  it('stand once, and have to stand', () => {
    const asm = new Assembler('avx2');
    const label = asm.label();
    asm.jmp(label);
    expect(() => asm.finish()).toThrow('x64: the label used at byte 1 was never bound');
    asm.bind(label);
    expect(() => asm.bind(label)).toThrow('bind: the label stands in the code already');
  });
});

describe('constants', () => {
  it('lie behind the code on a multiple of 64 bytes, the most aligned first, equal ones once', () => {
    const asm = new Assembler('avx512');
    const one = asm.constantF32(1, 4);
    const wide = asm.constantI32(7, 32);
    expect(asm.constantF32(1, 4)).toBe(one);
    asm.vmovss(xmm(0), ripMem(one));
    asm.vpcmpd(k(1), ymm(1), ripMem(wide, 4), 2); // an immediate follows the displacement
    const bytes = asm.finish();
    const view = new DataView(bytes.buffer);
    expect(wide.at).toBe(64);
    expect(one.at).toBe(96);
    expect(bytes.length).toBe(100);
    expect(view.getFloat32(96, true)).toBe(1);
    expect(Array.from({ length: 8 }, (_, i) => view.getInt32(64 + 4 * i, true))).toEqual(Array(8).fill(7));
    expect(view.getInt32(4, true) + 8).toBe(96);
    expect(view.getInt32(8 + 6, true) + 8 + 11).toBe(64 + 4);
  });
});

describe('align', () => {
  /** int3s up to `n` bytes before a boundary of 64, then the padding alone. */
  const padding = (n: number) => {
    const asm = new Assembler('avx2');
    for (let i = n; i < 64; i++) asm.int3();
    asm.align(64);
    expect(asm.length).toBe(64);
    return hex(asm.finish().subarray(64 - n));
  };

  it.skipIf(!hasGnu())(
    'fills up to 9 bytes with one instruction that does nothing (skipped where binutils are missing)',
    () => {
      const paddings = Array.from({ length: 9 }, (_, i) => padding(i + 1));
      const read = gnuDisassemble(paddings);
      expect(read.map(({ bytes }) => bytes)).toEqual(paddings);
      expect(read.map(({ text }) => text.split(' ')[0])).toEqual(['nop', 'xchg', ...Array(7).fill('nop')]);
      expect(read[1].text).toBe('xchg ax,ax');
    },
  );

  it('fills more with several', () => {
    expect(padding(0)).toBe('');
    expect(padding(31)).toBe([9, 9, 9, 4].map(padding).join(' '));
  });
});

it('grows: what is written first is still there', () => {
  const asm = new Assembler('avx2');
  for (let i = 0; i < 10_000; i++) asm.mov(ecx, i);
  const bytes = asm.finish();
  const view = new DataView(bytes.buffer);
  expect(bytes.length).toBe(50_000);
  for (let i = 0; i < 10_000; i++) expect(view.getInt32(5 * i + 1, true)).toBe(i);
});
