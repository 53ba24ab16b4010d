/**
 * Tells, for each value, how often it is used and whether it may be computed at its use instead of at its `let`.
 * The printer and the assemblers read it: what is inlined needs no name and no local. One walk, backwards, so that the
 * uses of a value are known before its definition is met; values nobody needs have no uses and are dropped.
 */
import type { Expr, Kernel, Stmt, Variable } from './types.js';

export interface Analysis {
  /** Uses by values and statements that are kept; 0 means the value is not needed. */
  readonly uses: Uint32Array;
  /** 1: compute at the use. Such a value has one use, in its own block; a `get` may have several. */
  readonly inline: Uint8Array;
}

/** Consts, params, task bounds and loop indices have no `let`: they can be named anywhere. */
export function isLeaf(expr: Expr): boolean {
  switch (expr.op) {
    case 'const':
    case 'param':
    case 'begin':
    case 'end':
    case 'index':
      return true;
    default:
      return false;
  }
}

/** Without `prefetches`, for targets that do without them, what only they need has no uses. */
export function analyse(kernel: Kernel, { prefetches = true } = {}): Analysis {
  const n = kernel.exprCount;
  const uses = new Uint32Array(n);
  const inline = new Uint8Array(n);
  const depthOf = new Int32Array(n).fill(-1); // nesting depth of the block with the `let`
  const lastUse = new Int32Array(n); // statement of that block in which the value is last needed
  const nestedUse = new Uint8Array(n); // used in a block inside
  const path: number[] = []; // the statement we are in, for each depth

  markDepths(kernel.body, 0);
  walk(kernel.body);
  return { uses, inline };

  function markDepths(stmts: readonly Stmt[], depth: number): void {
    for (const stmt of stmts) {
      if (stmt.kind === 'let') depthOf[stmt.value.id] = depth;
      else if (stmt.kind === 'loop') markDepths(stmt.body, depth + 1);
      else if (stmt.kind === 'if') {
        markDepths(stmt.body, depth + 1);
        markDepths(stmt.otherwise, depth + 1);
      }
    }
  }

  /** `at`: the statement of the innermost block where the value is really computed. */
  function use(expr: Expr, at: number): void {
    const depth = depthOf[expr.id];
    if (depth < 0) return;
    uses[expr.id]++;
    const here = depth === path.length - 1;
    if (!here) nestedUse[expr.id] = 1;
    lastUse[expr.id] = Math.max(lastUse[expr.id], here ? at : path[depth]);
  }

  /** Returns the variables set inside and whether anything is stored. */
  function walk(stmts: readonly Stmt[]): { sets: Map<Variable, number>; stores: boolean } {
    const sets = new Map<Variable, number>(); // the next statement, from here, that sets the variable
    let store = -1; // the next one that stores
    path.push(0);
    for (let i = stmts.length - 1; i >= 0; i--) {
      const stmt = stmts[i];
      path[path.length - 1] = i;
      switch (stmt.kind) {
        case 'let': {
          const { value } = stmt;
          if (uses[value.id] === 0) break;
          const last = lastUse[value.id];
          let canMove: boolean;
          if (value.op === 'get') {
            canMove = !changes(stmts, sets.get(value.variable as Variable) ?? -1, last);
          } else {
            const reads = value.op === 'load' || value.op === 'broadcast';
            canMove = uses[value.id] === 1 && nestedUse[value.id] === 0 && !(reads && changes(stmts, store, last));
          }
          if (canMove) inline[value.id] = 1;
          for (const arg of value.args) use(arg, canMove ? last : i);
          break;
        }
        case 'var':
          use(stmt.init, i);
          break;
        case 'set':
          use(stmt.value, i);
          sets.set(stmt.variable, i);
          break;
        case 'store':
          use(stmt.value, i);
          use(stmt.address, i);
          store = i;
          break;
        case 'prefetch':
          if (prefetches) use(stmt.address, i);
          break;
        case 'loop':
        case 'if': {
          for (const body of stmt.kind === 'loop' ? [stmt.body] : [stmt.body, stmt.otherwise]) {
            const inner = walk(body);
            for (const variable of inner.sets.keys()) sets.set(variable, i);
            if (inner.stores) store = i;
          }
          if (stmt.kind === 'if') use(stmt.cond, i);
          else {
            use(stmt.from, i);
            use(stmt.to, i);
          }
          break;
        }
        default:
          stmt satisfies never;
      }
    }
    path.pop();
    return { sets, stores: store >= 0 };
  }
}

/** Whether a change at statement `at` (-1: none) comes before or within the use at `last`. A plain one takes its operands first. */
function changes(stmts: readonly Stmt[], at: number, last: number): boolean {
  if (at < 0 || at > last) return false;
  return at < last || stmts[at].kind === 'loop' || stmts[at].kind === 'if';
}
