/**
 * Orders accumulations so that V8 keeps a register tile in registers.
 *
 * V8's TurboFan forgets the order of pure instructions and lists them again backwards from the end of a basic block: an
 * FMA is placed when the value that takes it has been, a load when its FMAs and the load after it have been. Written
 * naively, all loads come first and all FMAs last, and the tile spills. Two measures keep loads beside their FMAs:
 * - Within a step (each accumulator updated once) the FMAs are written in the reverse of the order in which the results
 *   are read at the end, which is the order in which V8 meets them, and each load just before its first use.
 * - A block of several steps is cut into basic blocks: all steps but the last stand in an `if` that always holds.
 * Engines that keep the written order (V8's Turboshaft) find loads and FMAs interleaved as they should be.
 */
import type { Analysis, Expr, Kernel, Stmt, Variable } from '../../ir/index.js';
import { isLeaf } from '../../ir/index.js';

/** Statements in the order to write them. Those of a step that is `cut` go into an `if` of their own. */
export interface Piece {
  readonly stmts: readonly Stmt[];
  readonly cut: boolean;
}

type Let = Extract<Stmt, { kind: 'let' }>;
type Accumulation = Extract<Stmt, { kind: 'set' }>;

/** Fewer accumulators than this fit in registers in any order. */
const SMALLEST_TILE = 4;

const MOST_OFFSETS = 6;

/** When each variable is read last, in statement order: at the end of a kernel, the order of its results. */
export function readingOrder(kernel: Kernel): Int32Array {
  const order = new Int32Array(kernel.variableCount);
  let at = 0;
  const walk = (stmts: readonly Stmt[]): void => {
    for (const stmt of stmts) {
      if (stmt.kind === 'let' && stmt.value.op === 'get') order[stmt.value.variable!.id] = ++at;
      else if (stmt.kind === 'loop') walk(stmt.body);
      else if (stmt.kind === 'if') {
        walk(stmt.body);
        walk(stmt.otherwise);
      }
    }
  };
  walk(kernel.body);
  return order;
}

/** Whether the block itself, not one inside it, accumulates into a tile. */
export function accumulates(stmts: readonly Stmt[]): boolean {
  let count = 0;
  for (const stmt of stmts) if (isAccumulation(stmt)) count++;
  return count >= SMALLEST_TILE;
}

/** The block's statements, rearranged. `uses` are the analysis' counts before anything of the block is written. */
export function orderSteps(stmts: readonly Stmt[], { uses, inline }: Analysis, order: Int32Array): Piece[] {
  const pieces: { stmts: Stmt[]; cut: boolean }[] = [];
  let lastStep = -1; // the piece to cut if another step follows before any store, loop or if
  let i = 0;
  while (i < stmts.length) {
    let end = i;
    while (end < stmts.length && (stmts[end].kind === 'let' || isAccumulation(stmts[end]))) end++;
    const region = end > i ? stmts.slice(i, end) : [];
    const steps = accumulates(region) ? orderRegion(region, uses, inline, order) : null;
    if (steps === null) {
      if (region.length > 0) pieces.push({ stmts: region, cut: false });
    } else {
      for (const { before, inside, after } of steps) {
        if (lastStep >= 0) pieces[lastStep].cut = true;
        if (before.length > 0) pieces.push({ stmts: before, cut: false });
        lastStep = pieces.push({ stmts: inside, cut: broadcastOffsets(inside) > MOST_OFFSETS }) - 1;
        if (after.length > 0) pieces.push({ stmts: after, cut: false });
      }
    }
    if (end < stmts.length) {
      const stmt = stmts[end];
      if (stmt.kind !== 'set' && stmt.kind !== 'var') lastStep = -1;
      pieces.push({ stmts: [stmt], cut: false });
      end++;
    }
    i = end;
  }
  return pieces;
}

/** V8 cannot put the offset of a broadcast into the instruction: outside an `if` it keeps a register for each. */
function broadcastOffsets(stmts: readonly Stmt[]): number {
  const offsets = new Set<number>();
  for (const stmt of stmts) {
    if (stmt.kind === 'let' && stmt.value.op === 'broadcast' && stmt.value.imm !== 0) offsets.add(stmt.value.imm);
  }
  return offsets.size;
}

/** v = op(… v …) on vectors of floats. */
function isAccumulation(stmt: Stmt): stmt is Accumulation {
  return (
    stmt.kind === 'set' && stmt.variable.type === 'vf' && stmt.value.args.some((a) => a.variable === stmt.variable)
  );
}

interface Step {
  readonly before: Stmt[]; // what other steps or later statements need too
  readonly inside: Stmt[];
  readonly after: Stmt[];
}

/** Orders a run of `let`s and accumulations, or gives null where an accumulator is read on the way. */
function orderRegion(region: readonly Stmt[], uses: Uint32Array, inline: Uint8Array, order: Int32Array): Step[] | null {
  const lets = new Map<Expr, Let>();
  const accumulators = new Set<Variable>();
  const sets: Accumulation[][] = [];
  let current = new Set<Variable>();
  for (const stmt of region) {
    if (stmt.kind === 'let') {
      if (inline[stmt.value.id] === 0 && uses[stmt.value.id] > 0) lets.set(stmt.value, stmt);
    } else if (stmt.kind === 'set') {
      if (sets.length === 0 || current.has(stmt.variable)) {
        current = new Set();
        sets.push([]);
      }
      current.add(stmt.variable);
      accumulators.add(stmt.variable);
      sets[sets.length - 1].push(stmt);
    }
  }

  let readsAccumulator = false;
  const usedHere = new Map<Expr, number>();
  /** The values with a local that `expr` needs, in order of evaluation. `own`: the accumulator it may read. */
  const needs = (expr: Expr, own: Variable | null, out: Expr[]): void => {
    for (const arg of expr.args) {
      if (isLeaf(arg)) continue;
      if (inline[arg.id] === 0) out.push(arg);
      else if (arg.variable !== null && arg.variable !== own && accumulators.has(arg.variable)) readsAccumulator = true;
      else needs(arg, own, out);
    }
  };

  const stepOf = new Map<Expr, number>(); // where a value is first needed
  const shared = new Set<Expr>();
  const inside: Stmt[][] = sets.map(() => []);
  const require = (expr: Expr, step: number): void => {
    const stmt = lets.get(expr);
    if (stmt === undefined) return;
    usedHere.set(expr, (usedHere.get(expr) ?? 0) + 1);
    const first = stepOf.get(expr);
    if (first !== undefined) {
      if (first !== step) shared.add(expr);
      return;
    }
    stepOf.set(expr, step);
    if (expr.variable !== null && accumulators.has(expr.variable)) readsAccumulator = true;
    const operands: Expr[] = [];
    needs(expr, null, operands);
    for (const operand of operands) require(operand, step);
    inside[step].push(stmt);
  };

  for (const [step, accumulations] of sets.entries()) {
    accumulations.sort((a, b) => order[b.variable.id] - order[a.variable.id]);
    for (const stmt of accumulations) {
      const operands: Expr[] = [];
      // The statement's own value is inlined: walk from its `set`.
      if (inline[stmt.value.id] === 0) return null;
      needs(stmt.value, stmt.variable, operands);
      for (const operand of operands) require(operand, step);
      inside[step].push(stmt);
    }
  }
  const rest = [...lets.values()].filter((stmt) => !stepOf.has(stmt.value));
  for (const { value } of rest) {
    if (value.variable !== null && accumulators.has(value.variable)) readsAccumulator = true;
    const operands: Expr[] = [];
    needs(value, null, operands);
    for (const operand of operands) if (stepOf.has(operand)) shared.add(operand);
  }
  if (readsAccumulator) return null;

  for (const [expr, count] of usedHere) if (count < uses[expr.id]) shared.add(expr);
  const markOperands = (expr: Expr): void => {
    const operands: Expr[] = [];
    needs(expr, null, operands);
    for (const operand of operands) {
      if (shared.has(operand)) continue;
      shared.add(operand);
      markOperands(operand);
    }
  };
  for (const expr of [...shared]) markOperands(expr);

  const isShared = (stmt: Stmt): boolean => stmt.kind === 'let' && shared.has(stmt.value);
  return inside.map((stmts, step) => ({
    before: stmts.filter(isShared),
    inside: stmts.filter((stmt) => !isShared(stmt)),
    after: step === inside.length - 1 ? rest : [],
  }));
}
