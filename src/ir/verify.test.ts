import { describe, expect, test } from 'vitest';
import type { Expr, Kernel, Op, Stmt, Type, Variable } from './types.js';
import { findFault, verify } from './verify.js';

let id = 0;
const node = (op: Op, type: Type, args: Expr[] = [], rest: Partial<Expr> = {}): Expr => {
  return { id: id++, op, type, args, imm: 0, elem: null, variable: null, ...rest };
};
const constant = (imm: number, type: Type = 'i32'): Expr => node('const', type, [], { imm });
const param = (imm = 0): Expr => node('param', 'ptr', [], { imm });
const def = (value: Expr): Stmt => ({ kind: 'let', value });
const loop = (body: Stmt[], rest: Partial<Extract<Stmt, { kind: 'loop' }>> = {}): Stmt => {
  return { kind: 'loop', index: node('index', 'i32'), from: constant(0), to: constant(4), step: 1, body, ...rest };
};
const tasks = (body: Stmt[]): Stmt => loop(body, { from: node('begin', 'i32'), to: node('end', 'i32') });

function kernel(body: Stmt[], rest: Partial<Kernel> = {}): Kernel {
  const params = [{ name: 'p', elem: 'f32' as const }];
  return { name: 'bad', lanes: 4, params, tasks: 1, body, exprCount: id, variableCount: 8, ...rest };
}

const fault = (...body: Stmt[]): string | null => findFault(kernel([tasks(body)]));
const variable = (n: number, type: Type): Variable => ({ id: n, type });

describe('the verifier finds', () => {
  test('nothing in a good kernel', () => {
    const v = variable(0, 'f32');
    const x = node('load', 'f32', [param()], { elem: 'f32' });
    const old = node('get', 'f32', [], { variable: v });
    const sum = node('add', 'f32', [old, x]);
    expect(
      fault(
        { kind: 'var', variable: v, init: constant(0, 'f32') },
        loop([def(x), def(old), def(sum), { kind: 'set', variable: v, value: sum }]),
      ),
    ).toBeNull();
  });

  test('uses before and outside the definition', () => {
    const x = node('load', 'f32', [param()], { elem: 'f32' });
    const twice = node('add', 'f32', [x, x]);
    expect(fault(def(twice), def(x))).toBe(`%${twice.id} = add: %${x.id} (load) is not defined here`);
    expect(fault(loop([def(x)]), def(twice))).toBe(`%${twice.id} = add: %${x.id} (load) is not defined here`);
    const inner = loop([]);
    const index = (inner as Extract<Stmt, { kind: 'loop' }>).index;
    expect(fault(inner, { kind: 'if', cond: index, body: [], otherwise: [] })).toBe(
      `if: %${index.id} (index) is not defined here`,
    );
  });

  test('a value defined twice', () => {
    const x = node('load', 'f32', [param()], { elem: 'f32' });
    expect(fault(def(x), def(x))).toBe(`%${x.id}: defined twice, or its id is out of range`);
  });

  test('variables out of scope, of another type, or with the id of another', () => {
    const v = variable(0, 'f32');
    const declare: Stmt = { kind: 'var', variable: v, init: constant(0, 'f32') };
    const set = (value: Expr): Stmt => ({ kind: 'set', variable: v, value });
    const get = node('get', 'f32', [], { variable: v });
    expect(fault(set(constant(0, 'f32')))).toBe('set v0: the variable is not in scope');
    expect(fault(loop([declare]), def(get))).toBe(`%${get.id} = get: the variable is not in scope`);
    expect(fault(declare, set(constant(0)))).toBe('set v0: is f32, gets i32');
    expect(fault({ kind: 'var', variable: v, init: constant(0) })).toBe('variable v0: is f32, starts as i32');
    expect(fault(declare, { ...declare, variable: variable(0, 'f32') })).toBe('variable v0: bad id');
  });

  test('a pointer that leaves its parameter', () => {
    const v = variable(1, 'ptr');
    const both = { params: [0, 1].map((i) => ({ name: `p${i}`, elem: 'f32' as const })) };
    const body: Stmt[] = [
      { kind: 'var', variable: v, init: param(0) },
      { kind: 'set', variable: v, value: param(1) },
    ];
    expect(findFault(kernel([tasks(body)], both))).toBe('set v1: the pointer moves to another parameter');
    expect(fault(def(node('ptrAdd', 'ptr', [param(3), constant(4)])))).toMatch(/parameter 3 does not exist/);
  });

  test.each<[string, () => Expr]>([
    ['takes 2 operands, has 1', () => node('add', 'i32', [constant(1)])],
    ['the operands are i32, f32', () => node('add', 'i32', [constant(1), constant(1, 'f32')])],
    ['i32, i32 do not give f32', () => node('add', 'f32', [constant(1), constant(1)])],
    ['vi, vi do not give vi', () => node('div', 'vi', [constant(1, 'vi'), constant(1, 'vi')])],
    ['shifts by 32', () => node('shl', 'i32', [constant(1)], { imm: 32 })],
    ['there is no lane 4', () => node('lane', 'f32', [constant(1, 'vf')], { imm: 4 })],
    ['constant 0.5 is not an int32', () => node('neg', 'i32', [constant(0.5)])],
    ['the address is i32', () => node('load', 'f32', [constant(0)], { elem: 'f32' })],
    ['f32 read as i32', () => node('load', 'i32', [param()], { elem: 'f32' })],
    ['offset 0.5', () => node('load', 'f32', [param()], { elem: 'f32', imm: 0.5 })],
    ['f32 read as f32', () => node('broadcast', 'f32', [param()], { elem: 'f32' })],
    ['ptr, f32 do not give ptr', () => node('ptrAdd', 'ptr', [param(), constant(1, 'f32')])],
    ['i32, vf, vf do not give vf', () => node('select', 'vf', [constant(1), constant(1, 'vf'), constant(1, 'vf')])],
    ['has 1 scalars for 4 lanes', () => node('lanesOf', 'vf', [constant(1, 'f32')])],
    ['stands in a let', () => constant(1)],
    ['the task range bounds the task loop only', () => node('neg', 'i32', [node('end', 'i32')])],
  ])('%s', (message, make) => {
    const value = make();
    expect(fault(def(value))).toBe(`%${value.id} = ${value.op}: ${message}`);
  });

  test('stores and loops that make no sense', () => {
    const store = { kind: 'store', elem: 'f32', address: param(), offset: 0, value: constant(1) } as const;
    expect(fault(store)).toBe('store: i32 into f32');
    expect(fault({ ...store, address: constant(0) })).toBe('store: the address is i32');
    expect(fault({ ...store, elem: 'u8', offset: 0.5 })).toBe('store: offset 0.5');
    expect(fault(loop([], { step: 0 }))).toBe('loop: step is 0');
    expect(fault(loop([], { to: constant(1, 'f32') }))).toBe('loop: bounds are i32, f32');
    expect(fault({ kind: 'if', cond: constant(0, 'f32'), body: [], otherwise: [] })).toBe('if: the condition is f32');
  });

  test('prefetches of what is no address, into caches that do not exist', () => {
    const prefetch = (rest: Partial<Extract<Stmt, { kind: 'prefetch' }>>): Stmt => {
      return { kind: 'prefetch', address: param(), offset: 1 << 20, level: 1, ...rest };
    };
    expect(fault(prefetch({}))).toBeNull();
    expect(fault(prefetch({ address: constant(0) }))).toBe('prefetch: the address is i32');
    expect(fault(prefetch({ address: param(3) }))).toBe('prefetch: parameter 3 does not exist');
    expect(fault(prefetch({ offset: 0.5 }))).toBe('prefetch: offset 0.5');
    expect(fault(prefetch({ level: 3 as 2 }))).toBe('prefetch: level 3');
  });

  test('task loops missing, twice, or within another block', () => {
    expect(findFault(kernel([]))).toBe('it has 0 task loops, must have one');
    expect(findFault(kernel([tasks([]), tasks([])]))).toBe('it has 2 task loops, must have one');
    expect(findFault(kernel([loop([tasks([])])]))).toBe('loop: the task range is used inside a block');
    expect(findFault(kernel([tasks([])], { lanes: 3 }))).toBe('lanes is 3');
  });

  test('and verify throws it with the kernel printed', () => {
    const bad = kernel([tasks([def(node('load', 'f32', [param(2)], { elem: 'f32' }))])]);
    expect(() => verify(bad)).toThrow(
      /^kernel bad: %\d+ = load: parameter 2 does not exist\nkernel bad\(p: f32\*\) 4 lanes/,
    );
  });
});
