/**
 * Refuses a kernel that is not well formed: operand types, definition before use within scope, ids, one task loop at
 * the top level, sane loops and offsets. The tests run it on every kernel built, so an assembler may trust what it reads.
 */
import { InvariantError } from '../util/errors.js';
import { print } from './print.js';
import {
  type Expr,
  isInt,
  isPlainOp,
  isVector,
  type Kernel,
  laneOf,
  loadedType,
  OPS,
  resultType,
  type Stmt,
  type Type,
  type Variable,
} from './types.js';

/** @throws {InvariantError} that names the fault and prints the kernel. */
export function verify(kernel: Kernel): void {
  const fault = findFault(kernel);
  if (fault !== null) throw new InvariantError(`kernel ${kernel.name}: ${fault}\n${print(kernel)}`);
}

/** The first thing that is wrong, or null. */
export function findFault(kernel: Kernel): string | null {
  const visible = new Uint8Array(kernel.exprCount); // values of the blocks we are in
  const seen = new Uint8Array(kernel.exprCount); // values defined anywhere so far
  const variables = new Set<Variable>();
  const variableIds = new Set<number>();
  const roots = new Map<Variable, number>(); // the parameter a pointer variable walks in
  let taskLoops = 0;

  if (![4, 8, 16].includes(kernel.lanes)) return `lanes is ${kernel.lanes}`;
  if (!Number.isInteger(kernel.tasks) || kernel.tasks < 0) return 'it has no task loop';
  const fault = block(kernel.body, 0);
  if (fault !== null) return fault;
  return taskLoops === 1 ? null : `it has ${taskLoops} task loops, must have one`;

  function block(stmts: readonly Stmt[], depth: number): string | null {
    const defined: number[] = [];
    const declared: Variable[] = [];
    let fault: string | null = null;
    for (const stmt of stmts) {
      fault = statement(stmt, depth, defined, declared);
      if (fault !== null) return fault;
    }
    for (const id of defined) visible[id] = 0;
    for (const variable of declared) variables.delete(variable);
    return null;
  }

  function statement(stmt: Stmt, depth: number, defined: number[], declared: Variable[]): string | null {
    switch (stmt.kind) {
      case 'let': {
        const { value } = stmt;
        const wrong = operands(value) ?? typing(value);
        if (wrong !== null) return `%${value.id} = ${value.op}: ${wrong}`;
        if (value.id >= kernel.exprCount || seen[value.id])
          return `%${value.id}: defined twice, or its id is out of range`;
        seen[value.id] = visible[value.id] = 1;
        defined.push(value.id);
        return null;
      }
      case 'var': {
        const { variable, init } = stmt;
        if (variableIds.has(variable.id) || variable.id >= kernel.variableCount)
          return `variable v${variable.id}: bad id`;
        if (init.type !== variable.type) return `variable v${variable.id}: is ${variable.type}, starts as ${init.type}`;
        const wrong = operand(init);
        if (wrong !== null) return `variable v${variable.id}: ${wrong}`;
        variableIds.add(variable.id);
        variables.add(variable);
        declared.push(variable);
        if (variable.type === 'ptr') roots.set(variable, rootOf(init));
        return null;
      }
      case 'set': {
        const { variable, value } = stmt;
        if (!variables.has(variable)) return `set v${variable.id}: the variable is not in scope`;
        if (value.type !== variable.type) return `set v${variable.id}: is ${variable.type}, gets ${value.type}`;
        const wrong = operand(value);
        if (wrong !== null) return `set v${variable.id}: ${wrong}`;
        if (variable.type === 'ptr' && rootOf(value) !== roots.get(variable)) {
          return `set v${variable.id}: the pointer moves to another parameter`;
        }
        return null;
      }
      case 'store': {
        const wrong = operand(stmt.address) ?? operand(stmt.value);
        if (wrong !== null) return `store: ${wrong}`;
        if (stmt.address.type !== 'ptr') return `store: the address is ${stmt.address.type}`;
        if (stmt.value.type !== loadedType(stmt.elem, isVector(stmt.value.type))) {
          return `store: ${stmt.value.type} into ${stmt.elem}`;
        }
        if (stmt.streams === true && (stmt.elem === 'u8' || !isVector(stmt.value.type))) {
          return `store: only vectors of whole elements stream, not ${stmt.value.type} into ${stmt.elem}`;
        }
        return Number.isInteger(stmt.offset) ? null : `store: offset ${stmt.offset}`;
      }
      case 'prefetch': {
        const wrong = operand(stmt.address);
        if (wrong !== null) return `prefetch: ${wrong}`;
        if (stmt.address.type !== 'ptr') return `prefetch: the address is ${stmt.address.type}`;
        if (!inRange(stmt.level, 3)) return `prefetch: level ${stmt.level}`;
        return Number.isInteger(stmt.offset) ? null : `prefetch: offset ${stmt.offset}`;
      }
      case 'loop': {
        const { index, from, to, step } = stmt;
        const wrong = bound(from, depth) ?? bound(to, depth);
        if (wrong !== null) return `loop: ${wrong}`;
        if (from.type !== 'i32' || to.type !== 'i32') return `loop: bounds are ${from.type}, ${to.type}`;
        if (index.op !== 'index' || index.type !== 'i32' || seen[index.id]) return 'loop: bad index';
        if (!Number.isInteger(step) || step < 1) return `loop: step is ${step}`;
        seen[index.id] = visible[index.id] = 1;
        const inner = block(stmt.body, depth + 1);
        visible[index.id] = 0;
        return inner;
      }
      case 'if': {
        const wrong = operand(stmt.cond);
        if (wrong !== null) return `if: ${wrong}`;
        if (stmt.cond.type !== 'i32') return `if: the condition is ${stmt.cond.type}`;
        return block(stmt.body, depth + 1) ?? block(stmt.otherwise, depth + 1);
      }
      default:
        return stmt satisfies never;
    }
  }

  /** The task range may bound a loop at the top level, and that loop only. */
  function bound(expr: Expr, depth: number): string | null {
    if (expr.op !== 'begin' && expr.op !== 'end') return operand(expr);
    if (expr.op === 'begin') taskLoops++;
    return depth === 0 ? null : 'the task range is used inside a block';
  }

  function operands(expr: Expr): string | null {
    for (const arg of expr.args) {
      const wrong = operand(arg);
      if (wrong !== null) return wrong;
    }
    return null;
  }

  function operand(expr: Expr): string | null {
    switch (expr.op) {
      case 'const':
        if (expr.type === 'ptr') return 'a constant pointer';
        return !isInt(expr.type) || (expr.imm | 0) === expr.imm ? null : `constant ${expr.imm} is not an int32`;
      case 'param':
        return expr.type === 'ptr' && expr.imm >= 0 && expr.imm < kernel.params.length
          ? null
          : `parameter ${expr.imm} does not exist`;
      case 'begin':
      case 'end':
        return 'the task range bounds the task loop only';
      default:
        return visible[expr.id] === 1 ? null : `%${expr.id} (${expr.op}) is not defined here`;
    }
  }

  /** Whether the operands' types give the value's. */
  function typing(value: Expr): string | null {
    const { op, type, args, imm } = value;
    const types = args.map((a) => a.type).join(', ');
    if (isPlainOp(op)) {
      if (args.length !== OPS[op].arity) return `takes ${OPS[op].arity} operands, has ${args.length}`;
      if (args.some((a) => a.type !== args[0].type)) return `the operands are ${types}`;
      if (resultType(op, args[0].type) !== type) return `${types} do not give ${type}`;
      if ((op === 'shl' || op === 'shr' || op === 'shrU') && !inRange(imm, 32)) return `shifts by ${imm}`;
      if (op === 'lane' && !inRange(imm, kernel.lanes)) return `there is no lane ${imm}`;
      return null;
    }
    switch (op) {
      case 'get':
        if (value.variable === null || !variables.has(value.variable)) return 'the variable is not in scope';
        return value.variable.type === type ? null : `${value.variable.type} read as ${type}`;
      case 'load':
      case 'broadcast': {
        if (value.elem === null || types !== 'ptr') return `the address is ${types}`;
        if (!Number.isInteger(imm)) return `offset ${imm}`;
        const vector = op === 'broadcast' || isVector(type);
        return loadedType(value.elem, vector) === type ? null : `${value.elem} read as ${type}`;
      }
      case 'ptrAdd':
        return types === 'ptr, i32' && type === 'ptr' ? null : `${types} do not give ${type}`;
      case 'select': {
        const cond: Type = isVector(type) ? 'vi' : 'i32';
        return type !== 'ptr' && types === [cond, type, type].join(', ') ? null : `${types} do not give ${type}`;
      }
      case 'lanesOf':
        if (args.length !== kernel.lanes) return `has ${args.length} scalars for ${kernel.lanes} lanes`;
        return isVector(type) && args.every((a) => a.type === laneOf(type)) ? null : `${types} do not give ${type}`;
      case 'const':
      case 'param':
      case 'begin':
      case 'end':
      case 'index':
        return 'stands in a let';
      default:
        return op satisfies never;
    }
  }

  function rootOf(pointer: Expr): number {
    if (pointer.op === 'param') return pointer.imm;
    if (pointer.op === 'get') return roots.get(pointer.variable as Variable) ?? -1;
    return pointer.args.length > 0 ? rootOf(pointer.args[0]) : -1;
  }
}

const inRange = (n: number, end: number): boolean => Number.isInteger(n) && n >= 0 && n < end;
