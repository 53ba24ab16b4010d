/**
 * The compiler, pass by pass: traced graph in, program out.
 *
 *   simplify → fuse → schedule → layout → lower → memory
 *
 * Pure: what comes out depends on the structure traced and on the target, not on numbers or on time.
 */

import { type Layout, layoutKey, physicalSize, plain } from '../graph/layout.js';
import type { Node } from '../graph/node.js';
import type { TargetInfo } from '../graph/op.js';
import { verify } from '../graph/verify.js';
import type { Arg, Program } from '../ir/index.js';
import { elemOf } from '../kernels/fused.js';
import { dtypeBytes } from '../util/dtype.js';
import { numel } from '../util/shape.js';
import { type Fusion, fuse } from './fuse.js';
import { chooseLayouts, type LayoutPlan } from './layout.js';
import { type Lowered, lower, type Place, type PlannedLaunch } from './lower.js';
import { type Lifetime, planMemory } from './memory.js';
import { type Schedule, schedule } from './schedule.js';
import { type InputAttrs, inputOp, type StepGraph, simplify } from './simplify.js';
import { storeCopy } from './store-copy.js';
import type { Trace } from './trace.js';

/** A compiled step: the program, and what to bind to it. Slot 0 of the program is the arena, slot i + 1 the traced storage i. */
export interface CompiledStep {
  readonly program: Program;
  readonly launches: readonly PlannedLaunch[];
  /** Host values to put into the arena before each run. */
  readonly staged: readonly { readonly storage: number; readonly offset: number }[];
  /** Persistent storages the program touches, and how they must lie. */
  readonly resident: readonly { readonly storage: number; readonly layout: Layout }[];
  /** Where each root's value is found after a run. */
  readonly results: readonly { readonly offset: number }[];
  /** Storages with a new value after a run. */
  readonly assigned: readonly number[];
}

/** What is known before any kernel is built: what is computed together, in which order, and how every value lies. */
export interface Decisions {
  readonly graph: StepGraph;
  readonly fusion: Fusion;
  readonly schedule: Schedule;
  readonly layouts: LayoutPlan;
  /** How each traced storage will lie, if the program touches it. */
  readonly storageLayout: readonly Layout[];
}

export function compile(
  trace: Trace,
  target: TargetInfo,
  residentLayout: (storage: number) => Layout | null,
  name: string,
): CompiledStep {
  return emit(decide(trace, target, residentLayout), target, name);
}

/** simplify → fuse → schedule → layout */
export function decide(
  trace: Trace,
  target: TargetInfo,
  residentLayout: (storage: number) => Layout | null,
): Decisions {
  if (checking()) verify([...trace.roots, ...trace.assigns.map((a) => a.value)], 'tracing', (n) => trace.leaves.has(n));
  const graph = simplify(trace, target, residentLayout);
  if (checking()) verify([...graph.roots, ...graph.assigns.map((a) => a.value)], 'simplify');
  const fusion = fuse(graph, target);
  const scheduled = schedule(graph, fusion);
  const layouts = chooseLayouts(graph, fusion, scheduled.order);
  return { graph, fusion, schedule: scheduled, layouts, storageLayout: graph.inputs.map((i) => layouts.of(i)) };
}

/** lower → memory */
export function emit(decisions: Decisions, target: TargetInfo, name: string): CompiledStep {
  const { graph, fusion, layouts, storageLayout } = decisions;
  const { order, inPlace, copies } = decisions.schedule;
  const lowered = lower(order, fusion, layouts, target, new Set(graph.roots));
  // A value whose storage lies in another layout than it was written in is converted into it.
  for (const [value, slot] of inPlace) lowered.place(value, storageLayout[slot]);
  const { launches } = lowered;
  const results = copyResults(graph, lowered, target);
  const finals = copyAssigned(copies, lowered, storageLayout, target);

  // Every place either is a storage, or lives in the arena from its first launch to its last.
  const slotOf = (place: Place): number | null => {
    if (place.node === null) return finals.get(place) ?? null;
    const written = inPlace.get(place.node);
    if (written !== undefined && layoutKey(place.layout) === layoutKey(storageLayout[written])) return written;
    if (place.node.op === inputOp) {
      const { slot, persistent } = place.node.attrs as InputAttrs;
      if (persistent && layoutKey(place.layout) === layoutKey(storageLayout[slot])) return slot;
    }
    return finals.get(place) ?? null;
  };
  const spans = new Map<Place, { from: number; to: number }>();
  const touch = (place: Place, at: number) => {
    if (slotOf(place) !== null) return;
    const span = spans.get(place);
    if (span === undefined) spans.set(place, { from: at, to: at });
    else span.to = at;
  };
  const end = launches.length;
  const staged: { place: Place; storage: number }[] = [];
  for (const input of graph.inputs) {
    const { slot, persistent } = input.attrs as InputAttrs;
    if (persistent) continue;
    const place = lowered.place(input, plain);
    staged.push({ place, storage: slot });
    touch(place, 0);
  }
  launches.forEach((launch, at) => {
    for (const arg of launch.args) touch(arg.place, at);
  });
  for (const place of results) touch(place, end);
  const places = [...spans.keys()];
  const lifetimes: Lifetime[] = places.map((p) => ({ sizeBytes: p.sizeBytes, ...spans.get(p)! }));
  const memory = planMemory(lifetimes);
  const offsets = new Map(places.map((p, i) => [p, memory.offsets[i]]));

  const program: Program = {
    name,
    slots: graph.inputs.length + 1,
    arenaBytes: memory.totalBytes + 256, // kernels may read a vector past the last value
    launches: launches.map((launch) => ({
      kernel: launch.kernel,
      args: launch.args.map(({ place, offsetBytes }): Arg => {
        const slot = slotOf(place);
        return slot !== null ? { slot: slot + 1, offset: offsetBytes } : { arena: offsets.get(place)! + offsetBytes };
      }),
    })),
  };
  const touched = new Set<number>();
  for (const launch of launches) {
    for (const { place } of launch.args) {
      const slot = slotOf(place);
      if (slot !== null) touched.add(slot);
    }
  }
  return {
    program,
    launches,
    staged: staged
      .filter((s) => offsets.has(s.place))
      .map((s) => ({ storage: s.storage, offset: offsets.get(s.place)! })),
    resident: [...touched].map((storage) => ({ storage, layout: storageLayout[storage] })),
    results: results.map((p) => ({ offset: offsets.get(p)! })),
    assigned: graph.assigns.map((a) => a.slot),
  };
}

/** FOVEA_VERIFY=1, as tests have it, checks the graph before and after it is rewritten. */
function checking(): boolean {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.FOVEA_VERIFY === '1';
}

/** Where results lie. One that is a persistent storage itself is copied, since the storage may be written next. */
function copyResults(graph: StepGraph, lowered: Lowered, target: TargetInfo): Place[] {
  return graph.roots.map((root) => {
    const place = lowered.place(root, plain);
    if (root.op !== inputOp || !(root.attrs as InputAttrs).persistent) return place;
    const result: Place = { node: null, layout: plain, sizeBytes: place.sizeBytes };
    lowered.launches.push(storeCopy(target, elemOf(root.dtype), numel(root.shape), root, place, result));
    return result;
  });
}

/**
 * Appends the copies of new values that could not be written in place. Values that are themselves storages are saved first, so that storages
 * may exchange their contents. Returns which places stand for which storages.
 */
function copyAssigned(
  copies: readonly { readonly slot: number; readonly value: Node }[],
  lowered: Lowered,
  storageLayout: readonly Layout[],
  target: TargetInfo,
): Map<Place, number> {
  const finals = new Map<Place, number>();
  const sources = copies
    .filter(({ value }) => numel(value.shape) > 0)
    .map(({ slot, value }) => ({ slot, value, place: lowered.place(value, storageLayout[slot]) }));
  const copy = (value: Node, from: Place, to: Place) => {
    const elements = physicalSize(value.shape, from.layout);
    lowered.launches.push(storeCopy(target, elemOf(value.dtype), elements, value, from, to));
  };
  const saved = sources.map(({ slot, value, place }) => {
    if (value.op !== inputOp) return { slot, value, place };
    const temporary: Place = { node: null, layout: place.layout, sizeBytes: place.sizeBytes };
    copy(value, place, temporary);
    return { slot, value, place: temporary };
  });
  for (const { slot, value, place } of saved) {
    const storage: Place = {
      node: null,
      layout: storageLayout[slot],
      sizeBytes: physicalSize(value.shape, storageLayout[slot]) * dtypeBytes[value.dtype],
    };
    finals.set(storage, slot);
    copy(value, place, storage);
  }
  return finals;
}
