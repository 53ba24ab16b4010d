/**
 * Decides what is computed together. A *group* becomes one kernel: a structured operation, or reductions over one index space, or neither,
 * with elementwise work in front of it (reductions) and behind it. What a group does not store never touches memory.
 *
 * Elementwise nodes with one user, or cheap enough to repeat, are inlined into their users. The others are roots: each joins the group that
 * produces one of its operands, else a group that walks the same operands, else starts a group. A join must not make groups wait for each other.
 */

import { type Layout, plain, sameLayout } from '../graph/layout.js';
import type { Node } from '../graph/node.js';
import type { Lowering, TargetInfo } from '../graph/op.js';
import { topological } from '../graph/traverse.js';
import { isContiguous, type View, viewOf } from '../graph/view.js';
import { KernelBuilder, type Value } from '../ir/index.js';
import { ConfigError, invariant } from '../util/errors.js';
import { numel, type Shape, sameShape } from '../util/shape.js';
import { coordStrides, cutOf } from './layout.js';
import { type InputAttrs, inputOp, type StepGraph, uniform } from './simplify.js';

export type GroupKind = 'structured' | 'reduction' | 'pointwise';

export interface Group {
  readonly index: number;
  readonly kind: GroupKind;
  /** The structured node, or the reductions; none for pointwise work. */
  readonly anchors: Node[];
  /** Index space of the elementwise work behind the anchors; its shape. */
  readonly domain: Shape;
  /** Elementwise roots computed here, in order. Anchors come on top. */
  readonly roots: Node[];
  /** What the group writes to memory. */
  readonly stores: Node[];
  /** Groups that must run before. */
  readonly after: Set<Group>;
  /** How the structured node is computed. */
  readonly lowering: Lowering | null;
}

export interface Fusion {
  readonly groups: readonly Group[];
  readonly groupOf: ReadonlyMap<Node, Group>;
  /** Nodes whose value lies in memory: inputs and what groups store. */
  isStored(node: Node): boolean;
  /** What a node's value is read from: a stored node, through a view. */
  source(node: Node): View;
}

/** What computing a value from stored ones takes: instructions, the values read, and those among them as large as itself. */
interface Price {
  readonly instructions: number;
  readonly operands: ReadonlySet<Node>;
  readonly reads: ReadonlySet<Node>;
}

const repeatInstructions = 8;
/** Where a kernel gets too long: engines take 1000 parameters at most, and compile long functions slowly. */
const mostInstructions = 600;
const mostPointers = 64;

export function fuse(graph: StepGraph, target: TargetInfo): Fusion {
  const results = new Set([...graph.roots, ...graph.assigns.map((a) => a.value)]);
  const order = topological([...results]);
  const users = countUsers(order);
  const copied = new Set<Node>(); // movement nodes that must really move their elements

  /** Looks through movement: the node that lies in memory, and how to walk it. */
  const views = new Map<Node, View>();
  const source = (node: Node): View => {
    let view = views.get(node);
    if (view === undefined) {
      view = node.op.facts.view === undefined || copied.has(node) ? viewOf(node) : moved(node);
      views.set(node, view);
    }
    return view;
  };
  /** The view that a movement amounts to. An input that cannot be looked through is copied first. */
  const moved = (node: Node): View => {
    const [input] = node.inputs;
    let view = node.op.facts.view!(source(input), node);
    if (view === null) {
      copy(input);
      view = node.op.facts.view!(viewOf(input), node);
    }
    invariant(view !== null, () => `${node.op.name}: no view even of a contiguous input`);
    return view;
  };
  const copy = (node: Node): void => {
    if (copied.has(node)) return;
    copied.add(node);
    views.clear();
    moved(node);
  };
  for (const result of results) if (result.op.facts.view !== undefined) copy(result);
  // Copies change what other views see, so all views are settled before anything is decided.
  for (let before = -1; before !== copied.size; ) {
    before = copied.size;
    for (const node of order) source(node);
  }

  const lowerings = new Map<Node, Lowering>();
  const isPointwise = (n: Node) => n.op.facts.pointwise !== undefined;
  const isMoved = (n: Node) => n.op.facts.view !== undefined && !copied.has(n);
  const isReduction = (n: Node) => n.op.facts.reduction !== undefined;
  const expected = new Map<Node, Layout>();
  for (const node of order) {
    expected.set(node, expectation(node));
    if (isPointwise(node) || isReduction(node) || node.op.facts.view !== undefined) continue;
    if (node.op === inputOp || uniform(node) !== null) continue;
    const ways = node.op.facts.lower?.(node, target) ?? [];
    if (ways.length === 0) {
      throw new ConfigError(
        `${node.op.name}: the ${target.name} target has no kernel for ${node.inputs.map((i) => `${i.dtype}[${i.shape.join(', ')}]`).join(', ')}`,
      );
    }
    const way = node.op.facts.followsOperands ? bestFit(node, ways) : ways[0];
    lowerings.set(node, way);
    expected.set(node, way.output);
  }

  /** How a value will likely lie, unless a structured operation says so: as the first operand that is not plain, or as what it is cut out of. */
  function expectation(node: Node): Layout {
    if (node.op === inputOp) return (node.attrs as InputAttrs).layout ?? plain;
    if (isPointwise(node)) {
      const like = node.inputs.filter((i) => sameShape(i.shape, node.shape)).map((i) => expected.get(i)!);
      return like.find((layout) => layout.order.length > 0) ?? plain;
    }
    const view = source(node);
    const around = expected.get(view.base) ?? plain;
    return cutOf(view, around) === null ? plain : around;
  }

  /** The way that takes most of the operands as they will lie, as far as structured operations in front of them tell. */
  function bestFit(node: Node, ways: readonly Lowering[]): Lowering {
    const fitting = ({ inputs }: Lowering) =>
      node.inputs.reduce((n, x, i) => n + (sameLayout(inputs[i], expected.get(x)!) ? numel(x.shape) : 0), 0);
    return ways.reduce((best, way) => (fitting(way) > fitting(best) ? way : best));
  }

  // What must lie in memory whatever the grouping: results, operands of structured nodes, whatever is read through a view.
  const stored = new Set<Node>();
  const demand = (node: Node, asWhole: boolean) => {
    const view = source(node);
    if (asWhole && (!isContiguous(view) || view.offset !== 0 || uniform(view.base) !== null) && view.base !== node)
      copy(node);
    stored.add(source(node).base);
  };
  // Each copy may turn a view that was whole into one that is not.
  for (let before = -1; before !== copied.size; ) {
    before = copied.size;
    stored.clear();
    for (const node of order) {
      if (lowerings.has(node)) {
        stored.add(node);
        for (const input of node.inputs) demand(input, true);
      } else if (isReduction(node)) {
        stored.add(node);
        if (isMoved(node.inputs[0])) demand(node.inputs[0], false);
      } else if (isPointwise(node)) {
        for (const input of node.inputs) if (isMoved(input)) demand(input, false);
      }
    }
  }
  for (const result of results) stored.add(result);
  for (const node of copied) {
    stored.add(node);
    stored.add(source(node.inputs[0]).base);
  }

  // Elementwise nodes with several users: repeat what is cheap, store the rest.
  const prices = new Map<Node, Price>();
  const price = (node: Node): Price => {
    if (uniform(node) !== null) return { instructions: 0, operands: new Set(), reads: new Set() };
    if (!isPointwise(node) || stored.has(node)) {
      const { base } = source(node);
      const full = numel(base.shape) >= numel(node.shape);
      return { instructions: 0, operands: new Set([base]), reads: new Set(full ? [base] : []) };
    }
    return prices.get(node)!;
  };
  for (const node of order) {
    if (!isPointwise(node)) continue;
    const parts = node.inputs.map(price);
    const instructions = parts.reduce((n, p) => n + p.instructions, instructionCount(node));
    const operands = new Set(parts.flatMap((p) => [...p.operands]));
    const reads = new Set(parts.flatMap((p) => [...p.reads]));
    prices.set(node, { instructions, operands, reads });
    const long = instructions > mostInstructions / 2 || operands.size > mostPointers / 2;
    const several = (users.get(node) ?? 0) > 1;
    const repeated = several && (instructions > repeatInstructions || reads.size > 1);
    if (long || repeated || (several && finishes(node, operands))) stored.add(node);
  }

  /** Whether storing `node` saves storing the result of a structured operation: nobody else reads that, and its kernel can go on to this. */
  function finishes(node: Node, operands: ReadonlySet<Node>): boolean {
    return [...operands].some(
      (o) =>
        lowerings.get(o)?.epilogue === true && users.get(o) === 1 && !results.has(o) && sameShape(o.shape, node.shape),
    );
  }

  // Groups.
  const groups: Group[] = [];
  const groupOf = new Map<Node, Group>();
  const open = (kind: GroupKind, anchors: Node[], domain: Shape, lowering: Lowering | null): Group => {
    const group: Group = {
      index: groups.length,
      kind,
      anchors,
      domain,
      roots: [],
      stores: [],
      after: new Set(),
      lowering,
    };
    groups.push(group);
    return group;
  };
  /** The stored nodes that computing `node` reads, found through inlined work. */
  const operands = (node: Node): readonly Node[] => {
    let known = operandsOf.get(node);
    if (known === undefined) {
      known = findOperands(node);
      operandsOf.set(node, known);
    }
    return known;
  };
  const operandsOf = new Map<Node, readonly Node[]>();
  const findOperands = (node: Node): Node[] => {
    const found = new Set<Node>();
    const visit = (n: Node) => {
      if (uniform(n) !== null) return;
      if (isPointwise(n) && !stored.has(n)) {
        for (const i of n.inputs) visit(i);
        return;
      }
      found.add(source(n).base);
    };
    if (copied.has(node)) found.add(source(node.inputs[0]).base);
    else for (const i of node.inputs) visit(i);
    return [...found].filter((n) => uniform(n) === null);
  };
  const needs = (nodes: readonly Node[]) => new Set(nodes.flatMap((n) => (groupOf.has(n) ? [groupOf.get(n)!] : [])));
  const readersOf = new Map<Node, Set<Group>>();
  /** Groups that read one of these values, oldest first. */
  const readers = (nodes: readonly Node[]): Group[] =>
    [...new Set(nodes.flatMap((n) => [...(readersOf.get(n) ?? [])]))].sort((a, b) => a.index - b.index);
  const sizes = new Map<Group, { instructions: number; pointers: number }>();
  const sizeOf = (node: Node) => {
    const p = prices.get(node);
    return { instructions: p?.instructions ?? 0, pointers: (p?.operands.size ?? 1) + 1 };
  };
  const attach = (group: Group, node: Node, deps: ReadonlySet<Group>) => {
    for (const d of deps) if (d !== group) group.after.add(d);
    groupOf.set(node, group);
    for (const o of operands(node)) {
      const readers = readersOf.get(o);
      if (readers === undefined) readersOf.set(o, new Set([group]));
      else readers.add(group);
    }
    const [old, more] = [sizes.get(group), sizeOf(node)];
    sizes.set(group, {
      instructions: (old?.instructions ?? 0) + more.instructions,
      pointers: (old?.pointers ?? 0) + more.pointers,
    });
  };
  const hasRoom = (group: Group, node: Node): boolean => {
    const [size, more] = [sizes.get(group)!, sizeOf(node)];
    return size.instructions + more.instructions <= mostInstructions && size.pointers + more.pointers <= mostPointers;
  };

  for (const node of order) {
    if (!stored.has(node) || node.op === inputOp || numel(node.shape) === 0) continue;
    if (lowerings.has(node)) {
      const lowering = lowerings.get(node)!;
      attach(open('structured', [node], node.shape, lowering), node, needs(node.inputs.map((i) => source(i).base)));
      continue;
    }
    const reads = operands(node);
    const deps = needs(reads);
    if (isReduction(node)) {
      const space = node.inputs[0].shape;
      const axes = node.op.facts.reduction!.axes(node.attrs).join();
      const twin = readers(reads).find(
        (g) =>
          g.kind === 'reduction' &&
          sameShape(g.anchors[0].inputs[0].shape, space) &&
          g.anchors[0].op.facts.reduction!.axes(g.anchors[0].attrs).join() === axes &&
          sameShape(g.domain, node.shape) &&
          hasRoom(g, node) &&
          g.anchors.some((a) => operands(a).some((o) => reads.includes(o) && numel(o.shape) >= numel(space))) &&
          !deps.has(g) &&
          !waitFor(deps, g),
      );
      const group = twin ?? open('reduction', [], node.shape, null);
      group.anchors.push(node);
      attach(group, node, deps);
      continue;
    }
    // Elementwise roots, and movement that must copy (never joined: its index order is its own).
    if (copied.has(node)) {
      const group = open('pointwise', [], node.shape, null);
      group.roots.push(node);
      attach(group, node, deps);
      continue;
    }
    const group = host(node, reads, deps) ?? open('pointwise', [], node.shape, null);
    group.roots.push(node);
    attach(group, node, deps);
  }

  /** The group that `node` can join: one that has just produced an operand, else one that walks the same operand. */
  function host(node: Node, reads: readonly Node[], deps: ReadonlySet<Group>): Group | null {
    const fits = (g: Group) =>
      hasRoom(g, node) &&
      canHost(g, node) &&
      reads.every((n) => groupOf.get(n) !== g || readsDirectly(node, n)) &&
      !waitFor(
        [...deps].filter((d) => d !== g),
        g,
      );
    const producers = [...deps].filter((g) => sameDomain(g, node)).sort((a, b) => b.index - a.index);
    for (const g of producers) if (fits(g)) return g;
    for (const g of readers(reads).reverse()) {
      if (g.kind !== 'pointwise' || deps.has(g) || !sameShape(g.domain, node.shape) || copied.has(g.roots[0])) continue;
      if (g.roots.some((r) => operands(r).some((o) => reads.includes(o) && sameShape(o.shape, node.shape))) && fits(g))
        return g;
    }
    return null;
  }

  function sameDomain(g: Group, node: Node): boolean {
    if (g.kind === 'pointwise' && copied.has(g.roots[0])) return false;
    if (sameShape(g.domain, node.shape)) return true;
    // A reduction that keeps one axis is a plain row of numbers, whatever the axes of size 1 around it.
    return g.kind === 'reduction' && isRow(g.domain) && isRow(node.shape) && numel(g.domain) === numel(node.shape);
  }

  /** Whether every operand of `node` can be walked in the order the group's kernel finishes its results. */
  function canHost(g: Group, node: Node): boolean {
    if (g.kind !== 'structured') return true;
    if (!g.lowering!.epilogue || !sameShape(g.domain, node.shape)) return false;
    let ok = true;
    const visit = (n: Node) => {
      if (!ok || uniform(n) !== null) return;
      if (isPointwise(n) && !stored.has(n)) {
        for (const i of n.inputs) visit(i);
        return;
      }
      const view = source(n);
      if (view.base === n) return;
      ok = coordStrides(view.strides, node.shape, g.lowering!.output, g.lowering!.coords) !== null;
    };
    for (const i of node.inputs) visit(i);
    return ok;
  }

  // A stored node whose every use ended up inside its own group needs no memory.
  const external = new Set<Node>(results);
  for (const group of groups) {
    const own = (n: Node) => groupOf.get(n) === group;
    for (const anchor of group.anchors) {
      const read = group.kind === 'structured' ? anchor.inputs.map((i) => source(i).base) : operands(anchor);
      for (const n of read) external.add(n);
    }
    for (const root of group.roots) {
      for (const n of operands(root)) if (!own(n) || !readsDirectly(root, n)) external.add(n);
    }
  }
  /** Whether `root` takes `n` at the same index only, so that the value can stay in a register. */
  function readsDirectly(root: Node, n: Node): boolean {
    let direct = true;
    const visit = (x: Node) => {
      if (uniform(x) !== null) return;
      if (isPointwise(x) && !stored.has(x)) {
        for (const i of x.inputs) visit(i);
        return;
      }
      const view = source(x);
      if (view.base === n && !isIdentity(view)) direct = false;
    };
    for (const i of root.inputs) visit(i);
    return direct;
  }
  for (const group of groups) {
    for (const n of [...group.anchors, ...group.roots]) if (external.has(n)) group.stores.push(n);
  }
  return {
    groups: groups.filter((g) => g.stores.length > 0),
    groupOf,
    isStored: (n) => n.op === inputOp || external.has(n),
    source,
  };
}

/** True when a view is its base as it lies, axes of size 1 aside. */
export function isIdentity(view: View): boolean {
  return view.offset === 0 && isContiguous(view) && numel(view.shape) === numel(view.base.shape);
}

/** At most one axis longer than 1. */
export function isRow(shape: Shape): boolean {
  return shape.filter((n) => n !== 1).length <= 1;
}

/** Whether one of these groups can only run after `b`. */
export function waitFor(groups: Iterable<Group>, b: Group): boolean {
  const stack = [...groups];
  const seen = new Set<Group>(stack);
  while (stack.length > 0) {
    for (const g of stack.pop()!.after) {
      if (g === b) return true;
      if (!seen.has(g)) {
        seen.add(g);
        stack.push(g);
      }
    }
  }
  return false;
}

function countUsers(order: readonly Node[]): Map<Node, number> {
  const users = new Map<Node, number>();
  for (const node of order) for (const input of new Set(node.inputs)) users.set(input, (users.get(input) ?? 0) + 1);
  return users;
}

const counts = new WeakMap<object, number>();

/** How many IR instructions an elementwise op takes: asked of its own emitter. */
function instructionCount(node: Node): number {
  const known = counts.get(node.op);
  if (known !== undefined) return known;
  const k = new KernelBuilder({ lanes: 4 });
  let n = 1;
  k.tasks(1, () => {
    const args: Value[] = node.inputs.map((i) => {
      const p = k.param(`x${n++}`, i.dtype === 'float32' ? 'f32' : i.dtype === 'int32' ? 'i32' : 'u8');
      return k.load(p, 0);
    });
    node.op.facts.pointwise!(k, args, node.attrs);
  });
  const count = Math.max(1, k.finish('count').exprCount - 4 * node.inputs.length);
  counts.set(node.op, count);
  return count;
}
