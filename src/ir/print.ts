/**
 * A kernel as text, for people and snapshots. Values used once stand where they are used; names are given in the order
 * of definition (%0, %1 …, variables v0 …, loop indices i0 …), so equal kernels print alike.
 */
import { analyse } from './analyse.js';
import type { Expr, Kernel, Op, Stmt } from './types.js';

const INFIX: Partial<Record<Op, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  rem: '%',
  and: '&',
  or: '|',
  xor: '^',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
  ptrAdd: '+',
};

export function print(kernel: Kernel): string {
  const { uses, inline } = analyse(kernel);
  const names = new Map<number, string>();
  const lines: string[] = [];
  let values = 0;
  let loops = 0;

  const params = kernel.params.map((p) => `${p.name}: ${p.elem}*`).join(', ');
  const vectors = kernel.vectors === undefined ? '' : `, ${kernel.vectors} vectors`;
  lines.push(`kernel ${kernel.name}(${params}) ${kernel.lanes} lanes, ${kernel.tasks} tasks${vectors} {`);
  block(kernel.body, '  ');
  lines.push('}', '');
  return lines.join('\n');

  function block(stmts: readonly Stmt[], indent: string): void {
    for (const stmt of stmts) {
      switch (stmt.kind) {
        case 'let': {
          const { value } = stmt;
          if (uses[value.id] === 0 || inline[value.id]) break;
          const text = tree(value);
          names.set(value.id, `%${values++}`);
          lines.push(`${indent}${names.get(value.id)}: ${value.type} = ${text}`);
          break;
        }
        case 'var':
          lines.push(`${indent}var v${stmt.variable.id}: ${stmt.variable.type} = ${outer(stmt.init)}`);
          break;
        case 'set':
          lines.push(`${indent}v${stmt.variable.id} = ${outer(stmt.value)}`);
          break;
        case 'store':
          lines.push(
            `${indent}${stmt.streams === true ? 'stream ' : ''}${stmt.elem} [${address(stmt.address, stmt.offset)}] = ${outer(stmt.value)}`,
          );
          break;
        case 'prefetch':
          lines.push(`${indent}prefetch${stmt.level} [${address(stmt.address, stmt.offset)}]`);
          break;
        case 'loop': {
          const name = `i${loops++}`;
          names.set(stmt.index.id, name);
          const range = stmt.from.op === 'begin' ? 'tasks' : `loop ${outer(stmt.from)} .. ${outer(stmt.to)}`;
          const step = stmt.step === 1 ? '' : ` step ${stmt.step}`;
          lines.push(`${indent}${range}${step} as ${name} {`);
          block(stmt.body, `${indent}  `);
          lines.push(`${indent}}`);
          break;
        }
        case 'if':
          lines.push(`${indent}if ${outer(stmt.cond)} {`);
          block(stmt.body, `${indent}  `);
          if (stmt.otherwise.length > 0) {
            lines.push(`${indent}} else {`);
            block(stmt.otherwise, `${indent}  `);
          }
          lines.push(`${indent}}`);
          break;
        default:
          stmt satisfies never;
      }
    }
  }

  /** A use that needs no brackets around it. */
  function outer(expr: Expr): string {
    return isInlined(expr) ? tree(expr) : leaf(expr);
  }

  function inner(expr: Expr): string {
    const text = outer(expr);
    return isInlined(expr) && INFIX[expr.op] !== undefined ? `(${text})` : text;
  }

  function isInlined(expr: Expr): boolean {
    return inline[expr.id] === 1 && !names.has(expr.id);
  }

  function leaf(expr: Expr): string {
    switch (expr.op) {
      case 'const':
        return constant(expr);
      case 'param':
        return kernel.params[expr.imm]?.name ?? `param${expr.imm}`;
      case 'begin':
      case 'end':
        return expr.op;
      default:
        return names.get(expr.id) ?? `?${expr.id}`; // only an ill-formed kernel has the second
    }
  }

  function tree(expr: Expr): string {
    const { op, args, imm, elem } = expr;
    const infix = INFIX[op];
    if (infix !== undefined && args.length === 2) return `${inner(args[0])} ${infix} ${inner(args[1])}`;
    switch (op) {
      case 'get':
        return `v${expr.variable?.id}`;
      case 'load':
        return `${expr.type === 'vf' || expr.type === 'vi' ? 'load' : 'load1'} ${elem} [${address(args[0], imm)}]`;
      case 'broadcast':
        return `broadcast ${elem} [${address(args[0], imm)}]`;
      case 'shl':
      case 'shr':
      case 'shrU':
      case 'lane':
        return `${op}(${outer(args[0])}, ${imm})`;
      default:
        return `${op}(${args.map(outer).join(', ')})`;
    }
  }

  function address(base: Expr, offset: number): string {
    if (offset === 0) return outer(base);
    return `${outer(base)} ${offset < 0 ? '-' : '+'} ${Math.abs(offset)}`;
  }
}

/** Vectors show that they are: 1x stands for 1 in all lanes. Floats always have a point or an exponent. */
function constant({ type, imm }: Expr): string {
  const vector = type === 'vi' || type === 'vf' ? 'x' : '';
  if (type === 'i32' || type === 'vi') return `${imm}${vector}`;
  const text = Object.is(imm, -0) ? '-0' : `${imm}`;
  return (/^-?\d+$/.test(text) ? `${text}.0` : text) + vector;
}
