/**
 * Orders accumulations so that V8 keeps a register tile in registers.
 *
 * V8's TurboFan forgets the order of pure instructions and lists them again backwards from the end of a basic block: an
 * FMA is placed when the value that takes it has been, a load when its FMAs and the load after it have been. Written
 * naively, all loads come first and all FMAs last, and the tile spills. Two measures keep loads beside their FMAs:
 * - Within a step (each accumulator updated once) the FMAs are written in the reverse of the order in which the results
 *   are read at the end, which is the order in which V8 meets them, and each load just before its first use.
 * - A block of several steps is cut into basic blocks: all steps but the last stand in an `if` that always holds. A step
 *   whose operands would not fit the registers in that order is cut further, in the order of its author, so that those of
 *   each piece do.
 * Engines that keep the written order (V8's Turboshaft) find loads and FMAs interleaved as they should be.
 */
import { type Analysis, type Expr, isLeaf, isVector, type Kernel, type Stmt, type Variable } from '../../ir/index.js';

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

/** V8 keeps the sixteenth for itself. */
const REGISTERS = 15;

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
  for (const stmt of stmts) if (isAccumulation(stmt) && ++count === SMALLEST_TILE) return true;
  return false;
}

/** The block's statements, rearranged. `uses` are the analysis' counts before anything of the block is written. */
export function orderSteps(stmts: readonly Stmt[], { uses, inline }: Analysis, order: Int32Array): Piece[] {
  const pieces: { stmts: Stmt[]; cut: boolean }[] = [];
  let lastStep = -1; // the piece to cut if another step follows before any store, loop or if
  let i = 0;
  while (i < stmts.length) {
    let end = i;
    while (end < stmts.length && (isSilent(stmts[end]) || isAccumulation(stmts[end]))) end++;
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

/** A prefetch writes no code. */
const isSilent = (stmt: Stmt): boolean => stmt.kind === 'let' || stmt.kind === 'prefetch';

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
  if (stmt.kind !== 'set' || stmt.variable.type !== 'vf') return false;
  for (const arg of stmt.value.args) if (arg.variable === stmt.variable) return true;
  return false;
}

interface Step {
  readonly before: Stmt[]; // what other steps or later statements need too
  readonly inside: Stmt[];
  readonly after: Stmt[];
}

/** Orders a run of `let`s and accumulations, or gives null where an accumulator is read on the way. */
function orderRegion(stmts: readonly Stmt[], uses: Uint32Array, inline: Uint8Array, order: Int32Array): Step[] | null {
  const region = new Region(stmts, uses, inline);
  if (region.readsAccumulators()) return null;
  const room = REGISTERS - region.accumulators.size;
  const pieces = region.steps.flatMap((step) => {
    const backwards = step.toSorted((a, b) => order[b.variable.id] - order[a.variable.id]);
    return divide(backwards, step, (stmt) => region.vectors(stmt), room);
  });
  return region.place(pieces);
}

/** A run of `let`s and accumulations, which may be written in any order that keeps definitions before uses. */
class Region {
  readonly accumulators = new Set<Variable>();
  /** The accumulations, in lists that hold each accumulator once at most. */
  readonly steps: Accumulation[][] = [];
  private readonly lets = new Map<Expr, Let>(); // values of the region that have a local
  private readonly needed = new Map<Expr, readonly Expr[]>(); // see `needs`

  constructor(
    stmts: readonly Stmt[],
    private readonly uses: Uint32Array,
    private readonly inline: Uint8Array,
  ) {
    let inStep = new Set<Variable>();
    for (const stmt of stmts) {
      if (stmt.kind === 'let') {
        if (inline[stmt.value.id] === 0 && uses[stmt.value.id] > 0) this.lets.set(stmt.value, stmt);
      } else if (stmt.kind === 'set') {
        if (this.steps.length === 0 || inStep.has(stmt.variable)) {
          inStep = new Set();
          this.steps.push([]);
        }
        inStep.add(stmt.variable);
        this.accumulators.add(stmt.variable);
        this.steps[this.steps.length - 1].push(stmt);
      }
    }
  }

  /** Whether anything but its own accumulation reads an accumulator: then the order matters. */
  readsAccumulators(): boolean {
    const reads = (expr: Expr, own: Variable | null): boolean => {
      const { variable } = expr;
      if (variable !== null && variable !== own && this.accumulators.has(variable)) return true;
      return expr.args.some((arg) => !isLeaf(arg) && this.inline[arg.id] === 1 && reads(arg, own));
    };
    for (const value of this.lets.keys()) if (reads(value, null)) return true;
    return this.steps.flat().some(({ value, variable }) => this.inline[value.id] === 0 || reads(value, variable));
  }

  /** The vectors of this region that an accumulation takes, directly or not. */
  vectors(stmt: Accumulation): readonly Expr[] {
    const found = new Set<Expr>();
    const visit = (expr: Expr): void => {
      for (const operand of this.needs(expr)) {
        if (found.has(operand)) continue;
        found.add(operand);
        visit(operand);
      }
    };
    visit(stmt.value);
    return [...found].filter((expr) => isVector(expr.type));
  }

  /** Puts each value in the piece that needs it first, just before its first use, or before that piece if others need it too. */
  place(pieces: readonly Accumulation[][]): Step[] {
    const pieceOf = new Map<Expr, number>();
    const usesHere = new Map<Expr, number>();
    const shared = new Set<Expr>();
    const inside: Stmt[][] = pieces.map(() => []);
    const require = (expr: Expr, piece: number): void => {
      for (const operand of this.needs(expr)) {
        usesHere.set(operand, (usesHere.get(operand) ?? 0) + 1);
        const first = pieceOf.get(operand);
        if (first === undefined) {
          pieceOf.set(operand, piece);
          require(operand, piece);
          inside[piece].push(this.lets.get(operand)!);
        } else if (first !== piece) shared.add(operand);
      }
    };
    for (const [piece, accumulations] of pieces.entries()) {
      for (const stmt of accumulations) {
        require(stmt.value, piece);
        inside[piece].push(stmt);
      }
    }
    for (const [expr, count] of usesHere) if (count < this.uses[expr.id]) shared.add(expr);
    // What a value before the piece is made of must stand before it too. Sets grow while one walks them.
    for (const expr of shared) for (const operand of this.needs(expr)) shared.add(operand);

    const rest = [...this.lets.values()].filter(({ value }) => !pieceOf.has(value));
    const isShared = (stmt: Stmt): boolean => stmt.kind === 'let' && shared.has(stmt.value);
    return inside.map((stmts, piece) => ({
      before: stmts.filter(isShared),
      inside: stmts.filter((stmt) => !isShared(stmt)),
      after: piece === inside.length - 1 ? rest : [],
    }));
  }

  /** The values of this region with a local that `expr` takes, in order of evaluation. */
  private needs(expr: Expr): readonly Expr[] {
    let found = this.needed.get(expr);
    if (found === undefined) {
      const operands: Expr[] = [];
      const visit = (e: Expr): void => {
        for (const arg of e.args) {
          if (this.inline[arg.id] === 1) visit(arg);
          else if (this.lets.has(arg)) operands.push(arg);
        }
      };
      visit(expr);
      found = operands;
      this.needed.set(expr, found);
    }
    return found;
  }
}

/** The step in one piece if its operands fit `room` registers when written `backwards`, else in pieces whose operands do. */
function divide(
  backwards: Accumulation[],
  step: readonly Accumulation[],
  vectors: (stmt: Accumulation) => readonly Expr[],
  room: number,
): Accumulation[][] {
  if (mostLive(backwards.map(vectors)) <= room) return [backwards];
  const operands = step.map(vectors);
  const lastUse = lastUses(operands);
  const pieces: Accumulation[][] = [[]];
  let live = new Set<Expr>(); // what the piece needs, and what later ones still do of what was there before
  for (const [i, stmt] of step.entries()) {
    const fresh = new Set(operands[i].filter((v) => !live.has(v)));
    const piece = pieces[pieces.length - 1];
    if (live.size + fresh.size > room && piece.length > 0) {
      live = new Set([...live].filter((v) => lastUse.get(v)! >= i));
      pieces.push([stmt]);
    } else piece.push(stmt);
    for (const v of fresh) live.add(v);
  }
  // Where most pieces are single FMAs there are more operands than registers at any rate.
  return pieces.length * 2 > step.length ? [backwards] : pieces;
}

/** The most vectors that are needed at once if each is made just before its first use. */
function mostLive(operands: readonly (readonly Expr[])[]): number {
  const lastUse = lastUses(operands);
  const live = new Set<Expr>();
  let most = 0;
  for (const [i, vectors] of operands.entries()) {
    for (const v of vectors) live.add(v);
    most = Math.max(most, live.size);
    for (const v of vectors) if (lastUse.get(v) === i) live.delete(v);
  }
  return most;
}

function lastUses(operands: readonly (readonly Expr[])[]): Map<Expr, number> {
  const last = new Map<Expr, number>();
  for (const [i, vectors] of operands.entries()) for (const v of vectors) last.set(v, i);
  return last;
}
