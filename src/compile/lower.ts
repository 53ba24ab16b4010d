/**
 * Turns scheduled groups into kernel launches: picks strides from layouts, writes each group's elementwise body, builds its kernel (once per
 * distinct shape and body, kept across steps), and adds the conversions between layouts that the plan still needs.
 */

import { type Layout, layoutKey, physicalShape, physicalSize, plain, sameLayout } from '../graph/layout.js';
import type { Node } from '../graph/node.js';
import type { Epilogue, LanePart, TargetInfo } from '../graph/op.js';
import type { View } from '../graph/view.js';
import { type Affine, type I32, type Kernel, KernelBuilder, type Ptr, type Value } from '../ir/index.js';
import {
  type Body,
  type BodyPointers,
  bodyKey,
  bodyTitle,
  declareBody,
  elemOf,
  emitBody,
  type Operand,
  offsetAt,
  type Step,
} from '../kernels/fused.js';
import { pointwiseKernel } from '../kernels/nest.js';
import { type Accumulation, planReduction, type ReductionStage } from '../kernels/reduce.js';
import { dtypeBytes } from '../util/dtype.js';
import { invariant } from '../util/errors.js';
import { contiguousStrides, numel, type Shape, sameShape } from '../util/shape.js';
import { WeakValues } from '../util/weak-values.js';
import { type Fusion, type Group, isIdentity } from './fuse.js';
import {
  type Cut,
  canonical,
  coordStrides,
  cutOf,
  type LayoutPlan,
  mergeStrides,
  ownStrides,
  physicalStrides,
} from './layout.js';
import { relayoutPieces } from './relayout.js';
import { uniform } from './simplify.js';

/** A piece of memory a launch touches: a stored node's value, a converted copy of it, or scratch. */
export interface Place {
  readonly node: Node | null;
  readonly layout: Layout;
  readonly sizeBytes: number;
}

export interface PlannedLaunch {
  readonly kernel: Kernel;
  readonly args: readonly { readonly place: Place; readonly offsetBytes: number; readonly writes: boolean }[];
  readonly title: string;
  /** Nodes computed here, anchors first. */
  readonly nodes: readonly Node[];
  readonly macs: number;
}

export interface Lowered {
  readonly launches: PlannedLaunch[];
  /** Where a stored node's value lies in a given layout. The first time one is asked for, its conversion is added to the launches. */
  place(node: Node, layout: Layout): Place;
}

interface Arg {
  place: Place;
  offsetBytes: number;
  writes: boolean;
}

/** Kernels are pure functions of their key: building one twice would be a waste. One that no program uses any more may go. */
const kernels = new WeakValues<Kernel>();

function cached(key: string, build: () => Kernel): Kernel {
  let kernel = kernels.get(key);
  if (kernel === undefined) {
    kernel = build();
    kernels.set(key, kernel);
  }
  return kernel;
}

export function lower(
  order: readonly Group[],
  fusion: Fusion,
  layouts: LayoutPlan,
  target: TargetInfo,
  plainResults: ReadonlySet<Node>,
): Lowered {
  const launches: PlannedLaunch[] = [];
  const places = new Map<Node, Map<string, Place>>();
  const targetKey = `${target.lanes}/${target.registers}/${target.block}/${target.fma}/${target.threads}`;
  const builder = () => new KernelBuilder({ lanes: target.lanes, registers: target.registers, fma: true });

  const placeIn = (node: Node, layout: Layout): Place => {
    if (!places.has(node)) places.set(node, new Map());
    const byLayout = places.get(node)!;
    const own = canonical(node.shape, layout);
    const key = layoutKey(own);
    if (!byLayout.has(key)) {
      byLayout.set(key, { node, layout: own, sizeBytes: physicalSize(node.shape, own) * dtypeBytes[node.dtype] });
    }
    return byLayout.get(key)!;
  };
  const written = new Set<Place>();
  /** The value of a stored node in a layout; converts on first demand. */
  const fetch = (node: Node, layout: Layout): Place => {
    const wanted = placeIn(node, layout);
    const own = placeIn(node, layouts.of(node));
    if (wanted === own || written.has(wanted) || numel(node.shape) === 0) return wanted;
    written.add(wanted);
    launches.push(...convert(node, own, wanted));
    return wanted;
  };
  /** The value of a node that is a view, laid out by itself. */
  const fetchView = (node: Node, view: View, wantedLayout: Layout): Place => {
    const wanted = placeIn(node, wantedLayout);
    if (written.has(wanted)) return wanted;
    written.add(wanted);
    const layout = layouts.of(view.base);
    const cut = cutOf(view, layout);
    const [from, walk] = cut === null ? [plain, view] : [layout, cut];
    launches.push(...convert(node, fetch(view.base, from), wanted, walk));
    return wanted;
  };

  const convert = (node: Node, from: Place, to: Place, moved?: Cut): PlannedLaunch[] =>
    relayoutPieces(node.shape, from.layout, to.layout, moved?.strides).map((piece) => {
      const elem = elemOf(node.dtype);
      const body: Body = {
        steps: [{ kind: 'load', operand: 0 }],
        operands: [{ elem, strides: piece.from, offset: piece.fromOffset + (moved?.offset ?? 0) }],
        outputs: [{ step: 0, to: { elem, strides: piece.to, offset: piece.toOffset } }],
      };
      const name = `relayout_${piece.sizes.join('x')}`;
      const kernel = cached(`${targetKey}|${name}|${bodyKey(body)}`, () =>
        pointwiseKernel(builder(), name, piece.sizes, body),
      );
      return {
        kernel,
        args: [
          { place: from, offsetBytes: 0, writes: false },
          { place: to, offsetBytes: 0, writes: true },
        ],
        title: moved !== undefined ? node.op.name : `relayout ${layoutKey(from.layout)} → ${layoutKey(to.layout)}`,
        nodes: [node],
        macs: 0,
      };
    });

  /**
   * The body of `roots` over an index space: `walk(view strides)` gives a plain operand's strides there, `follow(strides, sizes)` those of one
   * that lies in the layout of the space, from its strides along the physical axes and their sizes (null if it does not go with the space).
   * Values in `anchors` come from the group's kernel. Returns the body and what its pointers point to.
   */
  const makeBody = (
    results: readonly Node[],
    stores: readonly Node[],
    inside: ReadonlySet<Node>,
    anchors: readonly Node[],
    shape: Shape,
    layout: Layout,
    walk: (strides: readonly number[], shape: Shape) => number[],
    follow: (strides: readonly number[], sizes: readonly number[]) => number[] | null,
  ): { body: Body; args: Arg[]; results: number[] } => {
    const steps: Step[] = [];
    const operands: Operand[] = [];
    const args: Arg[] = [];
    const seen = new Map<Node, number>();
    const loads = new Map<string, number>();
    const add = (step: Step): number => steps.push(step) - 1;
    /** A value that lies by itself in a layout, along the space. */
    const own = ({ shape }: Node, layout: Layout): number[] => {
      const strides = follow(ownStrides(shape, layout), physicalShape(shape, layout));
      invariant(strides !== null, () => `a value in ${layoutKey(layout)} does not follow the index space`);
      return strides;
    };
    /** What is cut out of a larger value, where that lies as the space is walked. */
    const readCut = (node: Node, view: View): { place: Place; strides: number[]; offset: number } | null => {
      const lies = layouts.of(view.base);
      if (view.base === node || !sameShape(node.shape, shape) || !sameLayout(lies, layout)) return null;
      const cut = cutOf(view, lies);
      const strides = cut && follow(cut.strides, physicalShape(shape, lies));
      return strides && { place: fetch(view.base, lies), strides, offset: cut!.offset };
    };
    const readWhole = (node: Node, view: View): { place: Place; strides: number[]; offset: number } => {
      const base = view.base;
      // What lies in a layout of its own and is walked index by index is read as the group walks it, everything else row by row.
      const direct = isIdentity(view) && sameShape(base.shape, shape) && layouts.of(base).order.length > 0;
      const place = direct
        ? fetch(base, layout)
        : overruns(view.strides, node.shape, shape, layout)
          ? base === node
            ? fetch(node, layout)
            : fetchView(node, view, layout)
          : fetch(base, plain);
      const strides = place.layout.order.length > 0 ? own(place.node!, place.layout) : walk(view.strides, node.shape);
      return { place, strides, offset: place.node === base ? view.offset : 0 };
    };
    const read = (node: Node): number => {
      const view = fusion.source(node);
      const { base } = view;
      const { place, strides, offset } = readCut(node, view) ?? readWhole(node, view);
      const key = `${place.node!.id}|${layoutKey(place.layout)}|${offset}|${strides.join()}`;
      const known = loads.get(key);
      if (known !== undefined) return known;
      operands.push({ elem: elemOf(base.dtype), strides, offset });
      args.push({ place, offsetBytes: 0, writes: false });
      const index = add({ kind: 'load', operand: operands.length - 1 });
      loads.set(key, index);
      return index;
    };
    const stepOf = (node: Node): number => {
      const known = seen.get(node);
      if (known !== undefined) return known;
      const value = uniform(node);
      const anchor = anchors.indexOf(node);
      let index: number;
      if (value !== null) index = add({ kind: 'constant', value, dtype: node.dtype });
      else if (anchor >= 0) index = add({ kind: 'anchor', index: anchor });
      else if (node.op.facts.view !== undefined) {
        const view = fusion.source(node);
        if (view.base !== node && inside.has(view.base) && isIdentity(view)) index = stepOf(view.base);
        else if (uniform(view.base) !== null)
          index = add({ kind: 'constant', value: uniform(view.base)!, dtype: node.dtype });
        else index = read(node);
      } else if (node.op.facts.pointwise !== undefined && (inside.has(node) || !fusion.isStored(node))) {
        const inputs = node.inputs.map(stepOf);
        index = add({
          kind: 'apply',
          op: node.op.name,
          emit: node.op.facts.pointwise as never,
          attrs: node.attrs,
          args: inputs,
        });
      } else index = read(node);
      seen.set(node, index);
      return index;
    };
    const computed = results.map(stepOf);
    const outputs = stores.map((n) => {
      const place = placeIn(n, layouts.of(n));
      written.add(place);
      args.push({ place, offsetBytes: 0, writes: true });
      const strides = place.layout.order.length > 0 ? own(n, place.layout) : walk(contiguousStrides(n.shape), n.shape);
      return { step: stepOf(n), to: { elem: elemOf(n.dtype), strides, offset: 0 } };
    });
    return { body: { steps, operands, outputs }, args, results: computed };
  };

  /** Movement that really moves its elements. */
  const copy = (group: Group): void => {
    const [node] = group.roots;
    const view = node.op.facts.view!(fusion.source(node.inputs[0]), node);
    invariant(view !== null, () => `${node.op.name}: neither a view nor a kernel`);
    fetchView(node, view, layouts.of(node));
  };

  const pointwise = (group: Group): PlannedLaunch => {
    const shape = group.domain;
    const layout = layouts.domain(group);
    const sizes = physicalShape(shape, layout);
    const walk = (strides: readonly number[], s: Shape) => physicalStrides(align(strides, s, shape), layout);
    const follow = (strides: readonly number[]) => [...strides];
    const { body, args } = makeBody(group.roots, group.stores, new Set(group.roots), [], shape, layout, walk, follow);
    const title = bodyTitle(body);
    const name = `${short(title) || 'fill'}_${sizes.join('x')}`;
    const kernel = cached(`${targetKey}|${name}|${bodyKey(body)}`, () => pointwiseKernel(builder(), name, sizes, body));
    return { kernel, args, title, nodes: group.roots, macs: 0 };
  };

  const reduction = (group: Group): PlannedLaunch[] => {
    const space = group.anchors[0].inputs[0].shape;
    const layout = layouts.domain(group);
    const facts = group.anchors.map((a) => a.op.facts.reduction!);
    const axes = facts[0].axes(group.anchors[0].attrs);
    const sizes = physicalShape(space, layout);
    const axisOf =
      layout.order.length === 0
        ? space.map((_, i) => i)
        : [...layout.order, ...(layout.blockAxis >= 0 ? [layout.blockAxis] : [])];
    const reduced = axisOf.map((axis) => axes.includes(axis));
    const inputs = group.anchors.map((a) => a.inputs[0]);
    const before = makeBody(
      inputs,
      [],
      new Set(),
      [],
      space,
      layout,
      (strides, s) => physicalStrides(align(strides, s, space), layout),
      (strides) => [...strides],
    );
    const accumulated: Body = {
      ...before.body,
      outputs: before.results.map((step) => ({ step, to: { elem: 'f32', strides: [], offset: 0 } })),
    };
    // The results' index space: kept axes of the input's, reduced ones walked with stride 0.
    const keptAxes = space.map((_, i) => i).filter((i) => !axes.includes(i));
    const ontoSpace = (strides: readonly number[], s: Shape): number[] => {
      const full = new Array<number>(space.length).fill(0);
      const sameRank = s.length === space.length && s.every((n, a) => n === (axes.includes(a) ? 1 : space[a]));
      if (sameRank) {
        for (const a of keptAxes) full[a] = strides[a];
      } else if (s.length === keptAxes.length && s.every((n, i) => n === space[keptAxes[i]])) {
        keptAxes.forEach((a, i) => {
          full[a] = strides[i];
        });
      } else {
        // A row of numbers, whatever the axes of size 1 around it.
        const from = s.findIndex((n) => n !== 1);
        const to = keptAxes.find((a) => space[a] !== 1);
        if (from >= 0 && to !== undefined) full[to] = strides[from];
      }
      return full;
    };
    const walkOut = (strides: readonly number[], s: Shape) => physicalStrides(ontoSpace(strides, s), layout);
    const followOut = (strides: readonly number[], sizesOut: readonly number[]) => {
      // A blocked result: lay its own physical strides over the kept physical axes of the input.
      const kept = sizes.map((size, d) => ({ size, d })).filter(({ d }) => !reduced[d]);
      const merged = mergeStrides(strides, sizesOut, kept.map((x) => x.size)); // biome-ignore format: one thought
      if (merged === null) return null;
      const full = new Array<number>(sizes.length).fill(0);
      kept.forEach(({ d }, i) => {
        full[d] = merged[i];
      });
      return full;
    };
    const inside = new Set([...group.anchors, ...group.roots]);
    const after = makeBody(
      [...group.roots],
      group.stores,
      inside,
      group.anchors,
      group.domain,
      layouts.of(group.stores[0]),
      walkOut,
      followOut,
    );
    const accumulations: Accumulation[] = group.anchors.map((a, i) => ({
      init: a.dtype === 'float32' ? facts[i].init : Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, facts[i].init)),
      float: a.dtype === 'float32',
      combine: facts[i].combine,
      fold: facts[i].fold,
    }));
    const what = group.anchors.map((a) => a.op.name).join('+');
    const title = [bodyTitle(before.body), what, bodyTitle(after.body)].filter((s) => s !== '').join(' → ');
    const name = `${what}_${sizes.map((n, d) => (reduced[d] ? `(${n})` : n)).join('x')}`;
    const key = `${targetKey}|${name}|${what}|${bodyKey(accumulated)}|${bodyKey(after.body)}`;
    const plan = planReduction(target.lanes, name, sizes, reduced, accumulated, accumulations, after.body);
    const partials = (writes: boolean): Arg[] => scratch.map((place) => ({ place, offsetBytes: 0, writes }));
    const scratch = (plan.partials > 0 ? accumulations : []).map(
      (): Place => ({ node: null, layout: plain, sizeBytes: plan.partials * 4 }),
    );
    const launch = (stage: ReductionStage, args: Arg[]): PlannedLaunch => ({
      kernel: cached(`${key}|${stage.name}`, () => stage.build(builder())),
      args,
      title,
      nodes: [...group.anchors, ...group.roots],
      macs: 0,
    });
    return [
      ...plan.first.map((stage) => launch(stage, [...before.args, ...partials(true)])),
      launch(plan.last, [...(plan.partials > 0 ? partials(false) : before.args), ...after.args]),
    ];
  };

  const structured = (group: Group): PlannedLaunch[] => {
    const [anchor] = group.anchors;
    const lowering = group.lowering!;
    const inputs = anchor.inputs.map((n, i): Arg => {
      const view = fusion.source(n);
      if (view.base === n) return { place: fetch(n, lowering.inputs[i]), offsetBytes: 0, writes: false };
      const layout = canonical(n.shape, lowering.inputs[i]);
      if (layout.order.length > 0) return { place: fetchView(n, view, layout), offsetBytes: 0, writes: false };
      return { place: fetch(view.base, plain), offsetBytes: view.offset * dtypeBytes[n.dtype], writes: false };
    });
    const output = lowering.output;
    const physical = physicalShape(group.domain, output);
    const walk = (strides: readonly number[], s: Shape): number[] => {
      const found = coordStrides(align(strides, s, group.domain), group.domain, output, lowering.coords);
      invariant(found !== null, () => `${anchor.op.name}: an operand does not follow the kernel's coordinates`);
      return found;
    };
    const follow = (strides: readonly number[]) => mergeStrides(strides, physical, lowering.coords);
    const inside = new Set([anchor, ...group.roots]);
    const { body, args } = makeBody(
      [...group.roots],
      group.stores,
      inside,
      [anchor],
      group.domain,
      output,
      walk,
      follow,
    );
    const scratch: Arg[] =
      (lowering.scratchBytes ?? 0) > 0
        ? [{ place: { node: null, layout: plain, sizeBytes: lowering.scratchBytes! }, offsetBytes: 0, writes: true }]
        : [];
    const before = lowering.before?.bind(lowering);
    const kernel = cached(`${targetKey}|${lowering.key}|${bodyKey(body)}`, () =>
      lowering.build(builder(), epilogueOf(body)),
    );
    const title = [lowering.key, bodyTitle(body)].filter((s) => s !== '').join(' → ');
    const macs = anchor.op.facts.macs?.(anchor) ?? 0;
    const last = { kernel, args: [...inputs, ...scratch, ...args], title, nodes: [anchor, ...group.roots], macs };
    if (before === undefined) return [last];
    const first = {
      kernel: cached(`${targetKey}|${lowering.key}|before`, () => before(builder())),
      args: [...inputs, ...scratch],
      title: lowering.key,
      nodes: [anchor],
      macs: lowering.prepares ? 0 : macs,
    };
    return [first, lowering.prepares ? last : { ...last, macs: 0 }];
  };

  for (const group of order) {
    // Conversions are pushed while a launch is prepared, so they come before it.
    if (group.kind === 'reduction') launches.push(...reduction(group));
    else if (group.kind === 'pointwise' && group.roots[0].op.facts.view !== undefined) copy(group);
    else if (group.kind === 'structured') launches.push(...structured(group));
    else launches.push(pointwise(group));
  }
  for (const node of plainResults) fetch(node, plain);
  return { launches, place: (node, layout) => fetch(node, layout) };
}

function epilogueOf(body: Body): Epilogue {
  let pointers: BodyPointers | null = null;
  return {
    key: bodyKey(body),
    params(k: KernelBuilder) {
      pointers = declareBody(k, body);
    },
    emit(k: KernelBuilder, value: Value, coords: readonly (number | I32 | Affine)[], part?: LanePart) {
      emitBody(k, body, pointers!, value.width, [value], coords, part);
    },
    expect(k: KernelBuilder, coords: readonly (number | I32 | Affine)[]) {
      body.outputs.forEach((o, i) => {
        k.prefetch(pointers!.outputs[i], offsetAt(o.to, coords));
      });
    },
    output(): Ptr {
      return pointers!.outputs[0];
    },
  };
}

/** Strides of an operand of shape `from` over the axes of `to`: the same axes, sizes of 1 aside. */
function align(strides: readonly number[], from: Shape, to: Shape): number[] {
  if (from.length === to.length) return [...strides];
  const out = new Array<number>(to.length).fill(0);
  let j = 0;
  for (let i = 0; i < to.length; i++) {
    if (to[i] === 1) continue;
    while (j < from.length && from[j] === 1) j++;
    invariant(j < from.length && from[j] === to[i], () => `align: [${from}] does not follow [${to}]`);
    out[i] = strides[j++];
  }
  return out;
}

/** A kernel may read this much behind a value. */
const readAheadBytes = 60;

/**
 * Whether lanes past the end of a blocked axis would be read far outside an operand that is walked by strides. Conversions go element by
 * element there.
 */
function overruns(strides: readonly number[], from: Shape, space: Shape, { blockAxis, block }: Layout): boolean {
  if (blockAxis < 0 || !sameShape(from, space)) return false;
  const spare = Math.ceil(space[blockAxis] / block) * block - space[blockAxis];
  return spare * Math.abs(strides[blockAxis]) * 4 > readAheadBytes;
}

function short(title: string): string {
  return title.length <= 40 ? title : `${title.slice(0, 37)}…`;
}
