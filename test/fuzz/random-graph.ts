/**
 * Random graphs with one right answer. A graph is a list of moves, each a few numbers that a small machine turns into calls of `ops`, so that
 * fast-check can shrink it. All floats are whole numbers, and none grows past what float32 adds up exactly: the compiled step must give
 * what the float64 reference gives, to the bit, whatever order its kernels choose. NaN and infinities may be sprinkled in.
 */

import { canonical } from '../../src/compile/layout.js';
import { gradient } from '../../src/grad/reverse.js';
import { blocked, type Layout, plain } from '../../src/graph/layout.js';
import type { Node } from '../../src/graph/node.js';
import { Storage } from '../../src/graph/storage.js';
import type { Assignment } from '../../src/graph/target.js';
import { topological } from '../../src/graph/traverse.js';
import * as ops from '../../src/ops/index.js';
import type { DType } from '../../src/util/dtype.js';
import { ConfigError, ShapeError } from '../../src/util/errors.js';
import { numel, type Shape, sameShape } from '../../src/util/shape.js';

/** One move: which operation, and numbers it takes its choices from. */
export type Move = readonly number[];

export interface Recipe {
  /** Sizes to draw shapes from. */
  readonly sizes: readonly number[];
  readonly seed: number;
  /** Whether NaN, ±∞ and −0 are among the numbers. */
  readonly special: boolean;
  readonly moves: readonly Move[];
  /** Picks of roots, and of (storage, value) pairs to assign. */
  readonly roots: readonly number[];
  readonly assigns: readonly (readonly [number, number])[];
  /** Channels per block on the target it is for. */
  readonly block: number;
  /** How persistent storages lie already: 0 on the host, else a layout. */
  readonly layouts: readonly number[];
}

export interface RandomGraph {
  readonly roots: Node[];
  readonly assigns: Assignment[];
  /** Whether there are gradients in it, whose size nothing bounds. */
  readonly derived: boolean;
  resident(storage: Storage): Layout | null;
}

const mostElements = 3000;
/** Sums of this many times `mostElements` are still exact. */
const mostValue = 4096;

export function buildGraph(recipe: Recipe): RandomGraph {
  const m = new Machine(recipe);
  for (const move of recipe.moves) m.step(move);
  return m.finish();
}

/** A value with a bound on its finite magnitude. */
interface Entry {
  readonly node: Node;
  readonly bound: number;
}

class Machine {
  private readonly pool: Entry[] = [];
  private readonly storages: Storage[] = [];
  private state: number;
  derived = false;

  constructor(readonly recipe: Recipe) {
    this.state = recipe.seed | 1;
    this.leaf(this.shape(recipe.seed), 'float32', true);
    this.leaf(this.shape(recipe.seed >>> 7), 'float32', false);
  }

  step(move: Move): void {
    const kind = moves[move[0] % moves.length];
    try {
      const made = kind(this, new Choices(move));
      for (const node of Array.isArray(made) ? made : made === null ? [] : [made]) this.keep(node);
    } catch (error) {
      // Shapes that do not fit are refused when a node is recorded; such a move does nothing.
      if (!(error instanceof ShapeError) && !(error instanceof ConfigError)) throw error;
    }
  }

  finish(): RandomGraph {
    const { recipe, pool, storages } = this;
    const assigns: Assignment[] = [];
    const taken = new Set<Storage>();
    for (const [s, v] of recipe.assigns) {
      const storage = storages[s % storages.length];
      if (taken.has(storage)) continue;
      const fitting = pool.filter(({ node }) => node.dtype === storage.dtype && sameShape(node.shape, storage.shape));
      if (fitting.length === 0) continue;
      taken.add(storage);
      assigns.push({ storage, value: fitting[v % fitting.length].node });
    }
    const computed = pool.map((e) => e.node).filter((n) => n.op !== ops.bufferOp);
    const roots =
      computed.length === 0 ? [] : recipe.roots.map((r) => computed[computed.length - 1 - (r % computed.length)]);
    const resident = new Map(
      storages.map((s, i) => [s, layoutOf(s.shape, recipe.layouts[i % recipe.layouts.length], recipe.block)]),
    );
    return { roots: [...new Set(roots)], assigns, derived: this.derived, resident: (s) => resident.get(s) ?? null };
  }

  /** A stored value of whole numbers in −bound … bound. */
  leaf(shape: Shape, dtype: DType, persistent: boolean, bound = 4): Node {
    const n = numel(shape);
    const number = () => this.random(2 * bound + 1) - bound;
    const data =
      dtype === 'float32'
        ? Float32Array.from({ length: n }, () =>
            this.recipe.special && this.random(12) === 0 ? this.pick(specials) : number(),
          )
        : dtype === 'int32'
          ? Int32Array.from({ length: n }, number)
          : Uint8Array.from({ length: n }, () => (dtype === 'bool' ? this.random(2) : this.random(bound + 1)));
    const storage = new Storage(shape, dtype, data, persistent);
    if (persistent) this.storages.push(storage);
    const node = ops.buffer(storage);
    this.pool.push({ node, bound });
    return node;
  }

  /** A node made earlier, the latest ones being likelier; `fits` narrows the choice. */
  any(pick: number, fits: (n: Node) => boolean = () => true): Node | null {
    const found = this.pool.filter(({ node }) => fits(node));
    if (found.length === 0) return null;
    const recent = Math.min(found.length, 6);
    return pick % 3 === 0
      ? found[((pick / 3) % found.length) | 0].node
      : found[found.length - 1 - (((pick / 3) | 0) % recent)].node;
  }

  bound(node: Node): number {
    return this.pool.find((e) => e.node === node)?.bound ?? mostValue;
  }

  /** Small enough to be multiplied or added up `terms` times. */
  small(node: Node, limit: number): Node {
    return node.dtype === 'bool' || this.bound(node) <= limit ? node : ops.clamp(node, { min: -limit, max: limit });
  }

  /** Finite and within ±limit: what may be multiplied with padding. */
  finite(node: Node, limit: number): Node {
    const x = ops.cast(node, 'float32');
    const real = this.recipe.special ? ops.where(ops.isNaN(x), 1, x) : x;
    return this.recipe.special ? ops.clamp(real, { min: -limit, max: limit }) : this.bound(node) <= limit ? real : ops.clamp(real, { min: -limit, max: limit }); // biome-ignore format: one thought
  }

  shape(pick: number): Shape {
    const rank = pick % 5;
    const shape = Array.from(
      { length: rank },
      (_, i) => this.recipe.sizes[((pick >>> (3 * i)) ^ (pick >>> 11)) % this.recipe.sizes.length],
    );
    while (numel(shape) > mostElements) shape[shape.indexOf(Math.max(...shape))] = 2;
    return shape;
  }

  size(pick: number): number {
    return this.recipe.sizes[pick % this.recipe.sizes.length];
  }

  private keep(node: Node): void {
    if (numel(node.shape) > mostElements || node.shape.length > 6) return;
    const bound = this.measure(node);
    this.pool.push({ node: bound > mostValue && node.dtype !== 'bool' ? ops.clamp(node, { min: -64, max: 64 }) : node, bound: bound > mostValue ? 64 : bound }); // biome-ignore format: one thought
  }

  /** A bound from the operation; what is not listed stays within its inputs' bounds. */
  private measure(node: Node): number {
    const known = this.pool.find((e) => e.node === node);
    if (known !== undefined) return known.bound;
    const inputs = node.inputs.map((i) => this.measure(i));
    const most = Math.max(1, ...inputs);
    const terms = node.inputs.length > 0 ? numel(node.inputs[0].shape) / Math.max(1, numel(node.shape)) : 1;
    switch (node.op) {
      case ops.constantOp:
        return Math.abs(ops.uniformValue(node)!);
      case ops.addOp:
      case ops.subOp:
        return inputs[0] + inputs[1];
      case ops.mulOp:
        return inputs[0] * inputs[1];
      case ops.padOp:
        return Math.max(most, 9);
      case ops.sumOp:
        return most * Math.max(1, terms);
      case ops.cumsumOp:
      case ops.scatterAddOp:
        return most * mostElements;
      case ops.convOp:
      case ops.convInputGradOp:
      case ops.convWeightGradOp:
      case ops.matmulOp:
      case ops.sumPoolOp:
      case ops.sumPoolGradOp:
      case ops.maxPoolGradOp:
      case ops.maxPoolIndicesOp:
        return mostValue;
      case ops.randomBitsOp:
        return 2 ** 31;
      case ops.sortIndicesOp:
      case ops.iotaOp:
        return mostElements;
      case ops.castOp:
        return node.dtype === 'uint8' ? 255 : most;
      default:
        return most;
    }
  }

  private random(below: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) | 0;
    return ((this.state >>> 8) % below) | 0;
  }

  private pick<T>(list: readonly T[]): T {
    return list[this.random(list.length)];
  }
}

const specials = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0];

/** The numbers of a move, taken one by one. */
class Choices {
  private at = 1;
  constructor(private readonly move: Move) {}

  next(): number {
    // A move that needs more numbers than it has goes on with mixtures of those.
    const i = this.at++;
    const n = this.move.length;
    return i < n ? this.move[i] : (Math.imul(this.move[1 + (i % (n - 1))] + i, 2654435761) >>> 5) % 65536;
  }

  below(n: number): number {
    return this.next() % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** Each axis or not. */
  axes(rank: number): number[] {
    const bits = this.next();
    return Array.from({ length: rank }, (_, i) => i).filter((i) => (bits >> i) & 1);
  }
}

type Kind = (m: Machine, c: Choices) => Node | Node[] | null;

const isFloat = (n: Node) => n.dtype === 'float32';
const isNumber = (n: Node) => n.dtype === 'float32' || n.dtype === 'int32';

/** An operand that broadcasts against `x`: an earlier value where one fits, else a new leaf with some axes cut to 1 or left out. */
function partner(m: Machine, c: Choices, x: Node, fits: (n: Node) => boolean = () => true): Node {
  const follows = (n: Node) =>
    fits(n) &&
    n.shape.length <= x.shape.length &&
    n.shape.every((s, i) => s === 1 || s === x.shape[i + x.shape.length - n.shape.length]);
  const how = c.next();
  const found = how % 4 === 0 ? null : m.any(c.next(), follows);
  if (found !== null) return found;
  const ones = c.axes(x.shape.length);
  const shape = x.shape
    .map((n, i) => (how % 8 < 4 && ones.includes(i) ? 1 : n))
    .slice(how % 5 === 0 ? Math.min(1, x.shape.length) : 0);
  const dtype = fits === isFloat ? 'float32' : c.pick(['float32', 'float32', 'int32', 'uint8', 'bool'] as const);
  const leaf = m.leaf(shape, dtype, how % 3 === 0);
  return leaf;
}

const newLeaf: Kind = (m, c) => {
  m.leaf(
    m.shape(c.next()),
    c.pick(['float32', 'float32', 'float32', 'int32', 'uint8', 'bool'] as const),
    c.below(2) === 0,
  );
  return null;
};

const unary: Kind = (m, c) => {
  const x = m.any(c.next())!;
  const f = ops.cast(x, 'float32');
  switch (c.below(14)) {
    case 0:
      return ops.neg(x.dtype === 'bool' ? f : x);
    case 1:
      return ops.abs(x);
    case 2:
      return ops.relu(x);
    case 3:
      return ops.sign(f);
    case 4:
      return ops.floor(ops.mul(f, 0.5));
    case 5:
      return ops.clamp(x, { min: -2, max: 3 });
    case 6: // infinities become the ends of int32, more than a float holds exactly
      return ops.clamp(ops.cast(x, 'int32'), { min: -64, max: 64 });
    case 7:
      return ops.cast(x, 'uint8');
    case 8:
      return ops.cast(x, 'bool');
    case 9:
      return f;
    case 10:
      return ops.logicalNot(x);
    case 11:
      return ops.isNaN(f);
    case 12:
      return ops.mod(x, c.pick([3, 7, -5]));
    default:
      return ops.round(ops.mul(ops.floor(ops.div(ops.ceil(ops.mul(f, 0.25)), 2)), 3));
  }
};

const binary: Kind = (m, c) => {
  const x = m.any(c.next())!;
  const scalar = c.below(5) === 0;
  const y = scalar ? c.pick([0, 1, -1, 2, 3]) : partner(m, c, x);
  const f = c.pick([ops.add, ops.sub, ops.mul, ops.max, ops.min, ops.add, ops.sub, ops.mul]);
  const small = (n: Node | number, limit: number) => (typeof n === 'number' ? n : m.small(n, limit));
  const [a, b] = f === ops.mul ? [small(x, 60), small(y, 60)] : [x, y];
  return c.below(3) === 0 ? f(b, a as Node) : f(a, b);
};

const compare: Kind = (m, c) => {
  const x = m.any(c.next())!;
  const y = c.below(4) === 0 ? c.pick([0, 1, -1]) : partner(m, c, x);
  const f = c.pick([ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge, ops.logicalAnd, ops.logicalOr, ops.logicalXor]);
  return f(x, y);
};

const select: Kind = (m, c) => {
  const x = m.any(c.next())!;
  const cond = partner(m, c, x);
  return ops.where(cond, x, c.below(3) === 0 ? c.pick([0, 1]) : partner(m, c, x));
};

const move: Kind = (m, c) => {
  const x = m.any(c.next())!;
  const rank = x.shape.length;
  switch (c.below(13)) {
    case 0:
    case 1: {
      const order = x.shape.map((_, i) => i);
      for (let i = rank - 1; i > 0; i--) {
        const j = c.below(i + 1);
        [order[i], order[j]] = [order[j], order[i]];
      }
      return ops.permute(x, order);
    }
    case 2:
    case 3:
      return ops.reshape(x, regrouped(c, x.shape));
    case 4:
    case 5:
      return ops.flip(x, c.axes(rank));
    case 6:
    case 7: {
      const starts = x.shape.map((n) => (n === 0 ? 0 : c.below(Math.min(n, 3))));
      const stops = x.shape.map((n, i) => Math.max(starts[i], c.below(3) === 0 ? c.below(n + 1) : n));
      return ops.slice(x, starts, stops, x.shape.map(() => c.pick([1, 1, 2, 3]))); // biome-ignore format: one thought
    }
    case 8:
      return ops.pad(x, x.shape.map(() => [c.below(3), c.below(3)]), x.dtype === 'bool' ? 1 : c.pick([0, 9])); // biome-ignore format: one thought
    case 9: {
      if (rank === 0) return null;
      const axis = c.below(rank);
      const fits = (n: Node) => n.shape.length === rank && n.shape.every((s, i) => i === axis || s === x.shape[i]);
      return ops.concat([x, m.any(c.next(), fits) ?? x, ...(c.below(3) === 0 ? [x] : [])], axis);
    }
    case 10:
      return ops.expand(ops.reshape(x, [...x.shape, 1]), [...x.shape, m.size(c.next())]);
    case 11:
      return rank === 0 ? null : ops.roll(x, 1 + c.below(3), c.below(rank));
    default:
      return ops.expand(x, [m.size(c.next()), ...x.shape]);
  }
};

/** The same number of elements under another shape: axes split, merged, or with sizes of 1 between. */
function regrouped(c: Choices, shape: Shape): number[] {
  const out: number[] = [];
  for (const n of shape) {
    const how = c.below(4);
    if (how === 0 && out.length > 0) out[out.length - 1] *= n;
    else if (how === 1 && n > 1) {
      const d = [2, 3, 4, 5, 7].find((p) => n % p === 0) ?? n;
      out.push(...(c.below(2) === 0 ? [d, n / d] : [n / d, d]));
    } else if (how === 2) out.push(n, 1);
    else out.push(n);
  }
  return out;
}

const reduce: Kind = (m, c) => {
  const x = m.any(c.next())!;
  const rank = x.shape.length;
  const axes = c.below(4) === 0 ? undefined : c.axes(rank);
  const keep = c.below(2) === 0;
  if (axes !== undefined && axes.length === 0) return null;
  switch (c.below(9)) {
    case 0:
    case 1:
    case 2:
      return ops.sum(m.small(x, 1000), axes, keep);
    case 3:
      return ops.amax(x, axes, keep);
    case 4:
      return ops.amin(x, axes, keep);
    case 5:
      return ops.prod(ops.sign(ops.cast(x, 'float32')), axes, keep);
    case 6:
      return rank === 0 ? null : c.pick([ops.argmax, ops.argmin])(x, c.below(rank), keep);
    case 7:
      return c.pick([ops.any, ops.all])(x, axes, keep);
    default:
      return ops.sum(ops.mul(m.small(x, 15), m.small(x, 15)), axes, keep);
  }
};

const index: Kind = (m, c) => {
  const x = m.any(c.next(), (n) => n.shape.length > 0 && isNumber(n));
  if (x === null) return null;
  const rank = x.shape.length;
  const axis = c.below(rank);
  const indexShape = x.shape.map((n, i) => (i === axis ? m.size(c.next()) : c.below(3) === 0 ? Math.max(1, n - 1) : n));
  const where = () => m.leaf(indexShape, 'int32', false, 6);
  switch (c.below(6)) {
    case 0:
      return ops.gather(x, axis, where());
    case 1: {
      const at = where();
      return ops.scatterAdd(m.small(x, 100), axis, at, ops.cast(m.leaf(indexShape, 'float32', false), x.dtype));
    }
    case 2:
      return ops.indexSelect(x, axis, m.leaf([m.size(c.next())], 'int32', false, 5));
    case 3:
      return ops.cumsum(m.small(x, 100), axis, c.below(2) === 0);
    case 4:
      return ops.sortIndices(x, axis, c.below(2) === 0);
    default:
      return ops.oneHot(ops.cast(m.small(x, 5), 'int32'), 3 + c.below(4));
  }
};

const matmul: Kind = (m, c) => {
  const x = m.any(c.next(), (n) => n.shape.length >= 1);
  if (x === null) return null;
  const k = x.shape[x.shape.length - 1];
  const limit = 3;
  const a = m.finite(x, limit);
  const n = m.size(c.next());
  const transB = c.below(2) === 0;
  if (x.shape.length === 1) return ops.matmul(a, m.finite(m.leaf([k, n], 'float32', c.below(2) === 0), limit));
  const batch = c.below(2) === 0 ? x.shape.slice(0, -2) : [];
  const b = m.finite(m.leaf([...batch, ...(transB ? [n, k] : [k, n])], 'float32', c.below(2) === 0), limit);
  return ops.matmul(a, b, { transB });
};

const conv: Kind = (m, c) => {
  const found = m.any(c.next(), (n) => n.shape.length >= 3 && n.shape.length <= 5);
  const x =
    found !== null && c.below(3) > 0
      ? found
      : m.leaf([1 + c.below(2), m.size(c.next()), 5 + c.below(4), 4 + c.below(5)], 'float32', false);
  const rank = x.shape.length - 2;
  const channels = x.shape[1];
  const depthwise = c.below(4) === 0;
  const out = depthwise ? channels : m.size(c.next());
  const kernel = Array.from({ length: rank }, (_, i) => Math.min(c.pick([1, 3, 3, 2]), Math.max(1, x.shape[i + 2])));
  const weight = m.finite(m.leaf([out, depthwise ? 1 : channels, ...kernel], 'float32', c.below(2) === 0), 2);
  const options = { padding: c.below(2), stride: c.pick([1, 1, 2]), groups: depthwise ? channels : 1 };
  if (numel(x.shape) === 0 || numel(weight.shape) === 0) return null;
  const y = ops.conv(m.finite(x, 2), weight, options);
  return c.below(2) === 0
    ? y
    : ops.relu(ops.add(y, ops.reshape(m.leaf([out], 'float32', true), [out, ...kernel.map(() => 1)])));
};

const pool: Kind = (m, c) => {
  const found = m.any(
    c.next(),
    (n) => n.shape.length >= 3 && n.shape.length <= 5 && n.shape.slice(2).every((s) => s > 1),
  );
  if (found === null) return null;
  const rank = found.shape.length - 2;
  const x = m.finite(found, 60);
  const kernelSize = Array.from({ length: rank }, () => c.pick([1, 2, 3]));
  const options = {
    kernelSize,
    stride: c.pick([1, 2, 2]),
    padding: c.below(3) === 0 && kernelSize.every((k) => k > 1) ? 1 : 0,
  };
  return c.pick([ops.maxPool, ops.maxPool, ops.sumPool, ops.maxPoolIndices])(x, options);
};

/** Channels cut where blocks begin, worked on, and put side by side or into a larger picture again: what may stay in blocks all the way. */
const parts: Kind = (m, c) => {
  const { block } = m.recipe;
  const found = m.any(c.next(), (n) => n.shape.length >= 3 && n.shape.length <= 5 && n.shape[1] > block);
  const channels = block * (1 + c.below(3)) + c.pick([0, 0, 3]);
  const x =
    found !== null && c.below(3) > 0
      ? found
      : m.leaf([1 + c.below(2), channels, 2 + c.below(2), 3], 'float32', c.below(2) === 0);
  const kernelSize = x.shape.slice(2).map(() => 1);
  const whole = c.below(2) === 0 ? x : ops.maxPool(m.finite(x, 60), { kernelSize });
  const all = whole.shape[1];
  const cut = block * c.below(Math.ceil(all / block) + 1);
  const pieces = [ops.narrow(whole, 1, 0, Math.min(cut, all)), ops.narrow(whole, 1, Math.min(cut, all), all)];
  const worked = pieces.map((p) => (c.below(2) === 0 ? p : ops.add(ops.relu(p), p)));
  switch (c.below(4)) {
    case 0:
      return worked;
    case 1:
      return ops.pad(worked[1], x.shape.map((_, d) => (d === 1 ? [block * c.below(2), c.below(2) * block] : [0, c.below(2)])), 9); // biome-ignore format: one thought
    case 2:
      return ops.concat([...worked].reverse(), 1);
    default:
      return [ops.concat(worked, 1), ops.concat([whole, ops.neg(whole)], c.below(2))];
  }
};

/** Gradients of a sum of earlier values by what they were computed from. */
const derive: Kind = (m, c) => {
  const y = m.any(c.next(), (n) => isFloat(n) && n.inputs.length > 0 && numel(n.shape) > 0);
  if (y === null) return null;
  const past = topological([y]).filter((n) => isFloat(n) && n !== y && numel(n.shape) <= mostElements);
  if (past.length === 0) return null;
  const wrt = [...new Set([c.pick(past), past[0]])];
  m.derived = true;
  return gradient([y], [ops.constant(1, y.shape)], wrt, {
    add: ops.add,
    zeros: (n) => ops.constant(0, n.shape, n.dtype),
  });
};

const noise: Kind = (m, c) => {
  const key = ops.buffer(new Storage([4], 'int32', Int32Array.of(c.next(), 1, c.below(9), 3)));
  const bits = ops.randomBits(key, m.shape(c.next()));
  return c.below(2) === 0 ? ops.mod(bits, 11) : ops.floor(ops.mul(ops.bitsToUniform(bits), 8));
};

const source: Kind = (m, c) =>
  c.below(2) === 0 ? ops.iota(m.size(c.next())) : ops.constant(c.below(5) - 2, m.shape(c.next()));

/** Sum, difference and product of several values of one shape with each other: what has many users. */
const mesh: Kind = (m, c) => {
  const x = m.any(c.next(), isFloat);
  if (x === null) return null;
  const y = ops.sub(x, partner(m, c, x, isFloat));
  return [y, ops.add(y, x), ops.mul(m.small(y, 30), 2), ops.max(y, ops.neg(x))];
};

const moves: readonly Kind[] = [
  newLeaf,
  unary,
  unary,
  unary,
  binary,
  binary,
  binary,
  compare,
  select,
  move,
  move,
  move,
  move,
  reduce,
  reduce,
  reduce,
  index,
  matmul,
  conv,
  conv,
  pool,
  parts,
  parts,
  derive,
  derive,
  noise,
  source,
  mesh,
];

/** Plain, or an order of axes with perhaps one in blocks. */
function layoutOf(shape: Shape, pick: number, block: number): Layout | null {
  if (pick === 0 || shape.length < 2) return pick % 2 === 0 ? null : plain;
  if (pick % 4 === 1) return plain;
  const order = shape.map((_, i) => i);
  if (pick % 4 === 2) order.push(order.shift()!);
  return canonical(shape, blocked(order, pick % 3 === 0 ? -1 : pick % shape.length, pick % 3 === 0 ? 1 : block));
}
