/**
 * Runs a kernel in plain JavaScript, slowly and with every access checked: the sandbox and the oracle of the assemblers.
 * Floats are rounded to float32 after each operation; fma is fround(a · b + c) in float64. A vector is an array.
 */
import { invariant } from '../util/errors.js';
import { evaluateFloat, evaluateInt } from './evaluate.js';
import {
  ELEM_BYTES,
  type ElemType,
  type Expr,
  isFloat,
  isVector,
  type Kernel,
  type PlainOp,
  type Stmt,
  type Type,
  type Variable,
} from './types.js';

/** The bytes a parameter may touch. */
export interface Bound {
  readonly address: number;
  readonly size: number;
}

/** A pointer knows its parameter, so that it can be held to that one's bytes. */
interface Pointer {
  readonly address: number;
  readonly param: number;
}

type Runtime = number | readonly number[] | Pointer;

/**
 * Does the tasks begin ≤ task < end on `memory`, with the parameters' byte addresses in `args`.
 * @throws {InvariantError} at an access outside the memory, or outside its parameter's `bounds` if given.
 */
export function interpret(
  kernel: Kernel,
  memory: ArrayBufferLike,
  args: readonly number[],
  begin: number,
  end: number,
  bounds?: readonly Bound[],
): void {
  const { lanes, name } = kernel;
  invariant(
    args.length === kernel.params.length,
    () => `${name}: ${args.length} addresses for ${kernel.params.length} parameters`,
  );
  const view = new DataView(memory);
  const values: Runtime[] = new Array(kernel.exprCount);
  const variables: Runtime[] = new Array(kernel.variableCount);
  block(kernel.body);

  function block(stmts: readonly Stmt[]): void {
    for (const stmt of stmts) {
      switch (stmt.kind) {
        case 'let':
          values[stmt.value.id] = compute(stmt.value);
          break;
        case 'var':
          variables[stmt.variable.id] = valueAt(stmt.init);
          break;
        case 'set':
          variables[stmt.variable.id] = valueAt(stmt.value);
          break;
        case 'store': {
          const at = place(stmt.address, stmt.offset);
          const value = valueAt(stmt.value);
          if (typeof value === 'number') write(at, 0, stmt.elem, value);
          else {
            const lanes = lanesIn(value);
            const size = lanes.length * ELEM_BYTES[stmt.elem];
            if (stmt.streams === true) invariant(at.address % size === 0, () => `a stream to ${at.address}, no multiple of ${size}`); // biome-ignore format: one thought
            for (const [i, x] of lanes.entries()) write(at, i, stmt.elem, x);
          }
          break;
        }
        case 'prefetch':
          break;
        case 'loop': {
          const to = number(stmt.to);
          for (let i = number(stmt.from); i < to; i += stmt.step) {
            values[stmt.index.id] = i;
            block(stmt.body);
          }
          break;
        }
        case 'if':
          block(number(stmt.cond) !== 0 ? stmt.body : stmt.otherwise);
          break;
        default:
          stmt satisfies never;
      }
    }
  }

  function valueAt(expr: Expr): Runtime {
    switch (expr.op) {
      case 'const':
        return isVector(expr.type) ? new Array<number>(lanes).fill(expr.imm) : expr.imm;
      case 'param':
        return { address: args[expr.imm], param: expr.imm };
      case 'begin':
        return begin;
      case 'end':
        return end;
      default:
        return values[expr.id];
    }
  }

  function compute(expr: Expr): Runtime {
    const { op, type, args: operands, imm } = expr;
    switch (op) {
      case 'get':
        return variables[(expr.variable as Variable).id];
      case 'load':
      case 'broadcast': {
        const at = place(operands[0], imm);
        const elem = expr.elem as ElemType;
        if (!isVector(type)) return read(at, 0, elem);
        return Array.from({ length: lanes }, (_, i) => read(at, op === 'load' ? i : 0, elem));
      }
      case 'ptrAdd': {
        const { address, param } = pointer(operands[0]);
        return { address: address + number(operands[1]), param };
      }
      case 'select': {
        const [cond, a, b] = operands.map(valueAt);
        if (typeof cond === 'number') return cond !== 0 ? a : b;
        const [yes, no] = [lanesIn(a), lanesIn(b)];
        return lanesIn(cond).map((c, i) => (c !== 0 ? yes[i] : no[i]));
      }
      case 'lanesOf':
        return operands.map(number);
      case 'splat':
        return new Array<number>(lanes).fill(number(operands[0]));
      case 'lane':
        return lanesIn(valueAt(operands[0]))[imm];
      case 'sumLanes':
        return foldLanes('add', operands[0]);
      case 'maxLanes':
        return foldLanes('max', operands[0]);
      case 'minLanes':
        return foldLanes('min', operands[0]);
      case 'const':
      case 'param':
      case 'begin':
      case 'end':
      case 'index':
        return valueAt(expr);
      default:
        return elementwise(op, operands, imm);
    }
  }

  function elementwise(op: PlainOp, operands: readonly Expr[], imm: number): number | number[] {
    const { type } = operands[0];
    const [a, b, c] = operands.map(valueAt);
    if (!isVector(type)) return one(op, type, a as number, b as number, c as number, imm, 1);
    const [x, y, z] = [a, b, c].map((v) => (v === undefined ? [] : lanesIn(v)));
    return x.map((_, i) => one(op, type, x[i], y[i], z[i], imm, -1));
  }

  function one(op: PlainOp, type: Type, a: number, b: number, c: number, imm: number, yes: number): number {
    const result = isFloat(type) ? evaluateFloat(op, a, b, c, yes) : evaluateInt(op, a, b, imm, yes);
    invariant(result !== null, () => `${name}: ${op} of ${a} and ${b} traps`);
    return result;
  }

  /** The upper half onto the lower until one is left. */
  function foldLanes(op: 'add' | 'max' | 'min', expr: Expr): number {
    const vector = [...lanesIn(valueAt(expr))];
    for (let half = lanes / 2; half >= 1; half /= 2) {
      for (let i = 0; i < half; i++) vector[i] = one(op, expr.type, vector[i], vector[i + half], 0, 0, 1);
    }
    return vector[0];
  }

  function place(base: Expr, offset: number): Pointer {
    const { address, param } = pointer(base);
    return { address: address + offset, param };
  }

  function check({ address, param }: Pointer, i: number, elem: ElemType): number {
    const size = ELEM_BYTES[elem];
    const at = address + i * size;
    const { name: param_, elem: declared } = kernel.params[param];
    const where = (): string => `${name}: ${elem} at byte ${at}, through ${param_}: ${declared}* at ${args[param]},`;
    invariant(at >= 0 && at + size <= memory.byteLength, () => `${where()} is outside the ${memory.byteLength} bytes`);
    const bound = bounds?.[param];
    if (bound !== undefined) {
      invariant(
        at >= bound.address && at + size <= bound.address + bound.size,
        () => `${where()} is outside its ${bound.size} bytes at ${bound.address}`,
      );
    }
    return at;
  }

  function read(pointer: Pointer, i: number, elem: ElemType): number {
    const at = check(pointer, i, elem);
    if (elem === 'f32') return view.getFloat32(at, true);
    return elem === 'i32' ? view.getInt32(at, true) : view.getUint8(at);
  }

  function write(pointer: Pointer, i: number, elem: ElemType, value: number): void {
    const at = check(pointer, i, elem);
    if (elem === 'f32') view.setFloat32(at, value, true);
    else if (elem === 'i32') view.setInt32(at, value, true);
    else view.setUint8(at, value & 0xff);
  }

  function number(expr: Expr): number {
    const value = valueAt(expr);
    invariant(typeof value === 'number', () => `${name}: %${expr.id} is no scalar`);
    return value;
  }

  function pointer(expr: Expr): Pointer {
    const value = valueAt(expr);
    invariant(typeof value === 'object' && 'address' in value, () => `${name}: %${expr.id} is no pointer`);
    return value;
  }

  function lanesIn(value: Runtime): readonly number[] {
    invariant(Array.isArray(value), () => `${name}: not a vector`);
    return value;
  }
}
