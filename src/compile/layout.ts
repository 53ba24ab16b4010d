/**
 * Chooses how each stored value lies in memory, so that structured kernels find what they demand and nothing is reordered twice.
 * Elementwise groups and reductions follow their operands (blocked wins), or else the structured kernel that reads their result.
 * Persistent storages that are still free take the layout of the kernel that writes them, or of the first that reads them: weights and
 * optimiser state stay blocked from step to step. Where layouts still differ, a conversion is planned, once per value and layout.
 */

import { blocked, type Layout, physicalShape, plain } from '../graph/layout.js';
import type { Node } from '../graph/node.js';
import type { View } from '../graph/view.js';
import { contiguousStrides, numel, type Shape, sameShape } from '../util/shape.js';
import { type Fusion, type Group, isIdentity } from './fuse.js';
import { type InputAttrs, inputOp, type StepGraph } from './simplify.js';

export interface LayoutPlan {
  /** How a stored node's value lies. */
  of(node: Node): Layout;
  /** The index space of an elementwise group or of a reduction's input. */
  domain(group: Group): Layout;
}

/** Element strides along the physical axes of `layout`, for an operand with these strides along the logical axes. */
export function physicalStrides(strides: readonly number[], layout: Layout): number[] {
  if (layout.order.length === 0) return [...strides];
  const out = layout.order.map((axis) => (axis === layout.blockAxis ? strides[axis] * layout.block : strides[axis]));
  if (layout.blockAxis >= 0) out.push(strides[layout.blockAxis]);
  return out;
}

/** The strides of a value along the physical axes of its own layout. */
export function ownStrides(shape: Shape, layout: Layout): number[] {
  return contiguousStrides(physicalShape(shape, layout));
}

/**
 * The strides of an operand along the coordinates of a structured kernel: neighbouring physical axes merged as `coords` says.
 * null when the operand does not walk a merged pair as one.
 */
export function coordStrides(
  strides: readonly number[],
  shape: Shape,
  layout: Layout,
  coords: readonly number[],
): number[] | null {
  return mergeStrides(physicalStrides(strides, layout), physicalShape(shape, layout), coords);
}

export function mergeStrides(
  strides: readonly number[],
  sizes: readonly number[],
  coords: readonly number[],
): number[] | null {
  const out: number[] = [];
  let d = 0;
  for (const size of coords) {
    let merged = 1;
    let stride = 0;
    let started = false;
    while (merged < size || (d < sizes.length && sizes[d] === 1 && merged === size && started)) {
      if (d >= sizes.length) return null;
      if (sizes[d] !== 1) {
        if (started && stride !== strides[d] * sizes[d]) return null;
        stride = strides[d];
        started = true;
        merged *= sizes[d];
      }
      d++;
      if (merged === size) break;
    }
    while (d < sizes.length && sizes[d] === 1 && size === 1 && out.length < coords.length - (sizes.length - d)) d++;
    if (merged !== size) return null;
    out.push(stride);
  }
  for (; d < sizes.length; d++) if (sizes[d] !== 1) return null;
  return out;
}

/** Where the elements of a value lie in memory that holds more: strides along the physical axes of a layout, from an element on. */
export interface Cut {
  readonly strides: readonly number[];
  readonly offset: number;
}

/**
 * A view that is cut out of its base without leaving anything out between, such as a slice of the channels, where the base lies in `layout`.
 * null if it is not, or begins inside a block.
 */
export function cutOf({ base, shape, strides, offset }: View, layout: Layout): Cut | null {
  if (layout.order.length === 0 || shape.length !== base.shape.length || numel(shape) === 0) return null;
  const whole = contiguousStrides(base.shape);
  if (shape.some((n, axis) => n > 1 && strides[axis] !== whole[axis])) return null;
  let rest = offset;
  const starts = whole.map((stride) => {
    const start = Math.floor(rest / stride);
    rest -= start * stride;
    return start;
  });
  if (starts.some((start, axis) => start < 0 || start + shape[axis] > base.shape[axis])) return null;
  const { blockAxis, block } = layout;
  if (blockAxis >= 0 && starts[blockAxis] % block !== 0) return null;
  const own = ownStrides(base.shape, layout);
  const steps = layout.order.map((axis) => (axis === blockAxis ? starts[axis] / block : starts[axis]));
  return { strides: own, offset: steps.reduce((sum, step, d) => sum + step * own[d], 0) };
}

/** Plain, when that is what a layout comes to for this shape (padding lanes at the very end aside). */
export function canonical(shape: Shape, layout: Layout): Layout {
  if (layout.order.length === 0) return plain;
  const rank = shape.length;
  const b = layout.blockAxis;
  // Axes in physical order, the blocked one twice: outer (unless it is a single block) and inner.
  const walk: number[] = [];
  for (const axis of layout.order)
    if (shape[axis] !== 1 && !(axis === b && shape[axis] <= layout.block)) walk.push(axis);
  if (b >= 0 && (shape[b] !== 1 || walk.length > 0)) {
    if (walk.includes(b)) {
      // outer and inner must be neighbours, in whole blocks unless nothing lies outside them
      const at = walk.indexOf(b);
      if (at !== walk.length - 1) return layout;
      if (shape[b] % layout.block !== 0 && walk.length > 1) return layout;
    } else {
      if (walk.length > 0 && shape[b] !== layout.block) return layout;
      walk.push(b);
    }
  }
  const inOrder = walk.every((axis, i) => i === 0 || walk[i - 1] < axis);
  return inOrder && walk.length <= rank ? plain : layout;
}

/** The layout of what remains of a value in `layout` when `axes` are reduced away. */
export function reducedLayout(inShape: Shape, layout: Layout, axes: readonly number[], outShape: Shape): Layout {
  if (layout.order.length === 0) return plain;
  const gone = new Set(axes);
  const keepDims = outShape.length === inShape.length;
  const rename = (axis: number) => (keepDims ? axis : axis - axes.filter((a) => a < axis).length);
  const kept = layout.order.filter((axis) => !gone.has(axis)).map(rename);
  const order = keepDims ? [...kept, ...layout.order.filter((axis) => gone.has(axis))] : kept;
  if (gone.has(layout.blockAxis) || layout.blockAxis < 0) return canonical(outShape, blocked(order, -1, 1));
  return canonical(outShape, blocked(order, rename(layout.blockAxis), layout.block));
}

export function chooseLayouts(graph: StepGraph, fusion: Fusion, schedule: readonly Group[]): LayoutPlan {
  const layouts = new Map<Node, Layout>();
  const domains = new Map<Group, Layout>();
  const demands = new Map<Node, Layout>();
  for (const group of schedule) {
    if (group.lowering === null) continue;
    group.anchors[0].inputs.forEach((input, i) => {
      const view = fusion.source(input);
      if (view.base !== input) return;
      const layout = canonical(input.shape, group.lowering!.inputs[i]);
      if (!demands.has(input)) demands.set(input, layout);
    });
  }

  // Stored values that come from outside.
  const free = new Set<Node>();
  for (const input of graph.inputs) {
    const { persistent, layout } = input.attrs as InputAttrs;
    layouts.set(input, layout ?? plain);
    if (persistent && layout === null) free.add(input);
  }
  const writes = new Map<Node, Node>(); // value → the persistent input it replaces
  for (const a of graph.assigns) writes.set(a.value, graph.inputs[a.slot]);

  /** Elementwise operands of a group that are walked index by index. */
  const direct = (nodes: readonly Node[], shape: Shape): Node[] => {
    const found = new Set<Node>();
    const visit = (n: Node) => {
      if (fusion.isStored(n) || n.op.facts.pointwise === undefined) {
        const view = fusion.source(n);
        if (sameShape(view.base.shape, shape) && view.base === n && isIdentity(view)) found.add(n);
        return;
      }
      for (const i of n.inputs) visit(i);
    };
    for (const n of nodes) for (const i of n.inputs) visit(i);
    return [...found];
  };

  /** The layout of a value that an operand of a group is cut out of, where the group may read it as it lies. */
  const around = (nodes: readonly Node[], shape: Shape): Layout | undefined => {
    let found: Layout | undefined;
    const visit = (n: Node) => {
      if (found !== undefined) return;
      if (!fusion.isStored(n) && n.op.facts.pointwise !== undefined) for (const i of n.inputs) visit(i);
      else found = layoutAround(n, shape);
    };
    for (const n of nodes) for (const i of n.inputs) visit(i);
    return found;
  };
  const layoutAround = (n: Node, shape: Shape): Layout | undefined => {
    const view = fusion.source(n);
    const layout = layouts.get(view.base);
    if (view.base === n || layout === undefined || free.has(view.base) || !sameShape(n.shape, shape)) return undefined;
    return cutOf(view, layout) === null ? undefined : layout;
  };

  /** Movement that must copy keeps the layout of what it is cut out of. */
  const layoutOfCopy = (n: Node): Layout | undefined => {
    const view = n.op.facts.view!(fusion.source(n.inputs[0]), n);
    const layout = view === null ? undefined : layouts.get(view.base);
    return layout === undefined || cutOf(view!, layout) === null ? undefined : layout;
  };

  for (const group of schedule) {
    if (group.kind === 'structured') {
      const out = canonical(group.domain, group.lowering!.output);
      domains.set(group, group.lowering!.output);
      settle(direct(group.roots, group.domain), group.lowering!.output, free, layouts);
      for (const n of group.stores) layouts.set(n, out);
    } else if (group.kind === 'reduction') {
      const space = group.anchors[0].inputs[0].shape;
      const axes = group.anchors[0].op.facts.reduction!.axes(group.anchors[0].attrs);
      const inner = group.anchors.flatMap((a) => direct([a], space));
      let domain = pick(inner, layouts, free) ?? around(group.anchors, space) ?? plain;
      if (!reducesWithin(space, domain, axes, group)) domain = plain;
      domains.set(group, domain);
      settle(inner, domain, free, layouts);
      for (const n of group.stores)
        layouts.set(n, sameShape(n.shape, group.domain) ? reducedLayout(space, domain, axes, group.domain) : plain);
    } else {
      const moved = group.roots[0].op.facts.view !== undefined;
      const inner = moved ? [] : direct(group.roots, group.domain);
      const asked = group.stores.map((n) => demands.get(n)).find((l) => l !== undefined && l.order.length > 0);
      const kept = group.stores.map((n) => writes.get(n)).find((i) => i !== undefined && !free.has(i));
      const domain =
        pick(inner, layouts, free) ??
        (moved ? undefined : around(group.roots, group.domain)) ??
        (kept !== undefined ? layouts.get(kept)! : undefined) ??
        asked ??
        weightLayout(inner, demands, free) ??
        (moved ? layoutOfCopy(group.roots[0]) : undefined) ??
        plain;
      domains.set(group, domain);
      settle(inner, domain, free, layouts);
      for (const n of group.stores) layouts.set(n, canonical(n.shape, domain));
    }
    // A persistent value that is still free takes the layout in which it is written.
    for (const n of group.stores) {
      const target = writes.get(n);
      if (target !== undefined && free.has(target)) {
        free.delete(target);
        layouts.set(target, layouts.get(n)!);
      }
    }
  }
  for (const input of free) layouts.set(input, demands.get(input) ?? plain);
  return { of: (n) => layouts.get(n) ?? plain, domain: (g) => domains.get(g)! };
}

/**
 * Whether lanes past the end of a blocked axis come to no harm in a reduction: they must not enter a sum, and where the axis is kept they must
 * land in such lanes of the result, or behind its last element.
 */
function reducesWithin(space: Shape, domain: Layout, axes: readonly number[], group: Group): boolean {
  const { domain: outShape, stores } = group;
  if (domain.blockAxis < 0 || space[domain.blockAxis] % domain.block === 0) return true;
  if (axes.includes(domain.blockAxis)) return false;
  const row = numel(outShape) > 1 && numel(outShape) === space[domain.blockAxis];
  if (row) return true;
  return (
    reducedLayout(space, domain, axes, outShape).order.length > 0 && stores.every((n) => sameShape(n.shape, outShape))
  );
}

/** The first layout among operands that is not plain. */
function pick(
  operands: readonly Node[],
  layouts: ReadonlyMap<Node, Layout>,
  free: ReadonlySet<Node>,
): Layout | undefined {
  for (const n of operands) {
    const l = layouts.get(n);
    if (!free.has(n) && l !== undefined && l.order.length > 0) return l;
  }
  return undefined;
}

/** Weights read by a structured kernel and updated elementwise: walk them the way the kernel wants them. */
function weightLayout(
  operands: readonly Node[],
  demands: ReadonlyMap<Node, Layout>,
  free: ReadonlySet<Node>,
): Layout | undefined {
  for (const n of operands) {
    const l = demands.get(n);
    if (free.has(n) && l !== undefined && l.order.length > 0) return l;
  }
  return undefined;
}

/** Free persistent operands adopt the layout in which they are walked. */
function settle(operands: readonly Node[], domain: Layout, free: Set<Node>, layouts: Map<Node, Layout>): void {
  for (const n of operands) {
    if (!free.has(n) || n.op !== inputOp) continue;
    free.delete(n);
    layouts.set(n, canonical(n.shape, domain));
  }
}
