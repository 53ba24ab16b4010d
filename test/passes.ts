/** For tests of single compiler passes: graphs in short, and the passes up to the one looked at. */

import { type Fusion, fuse, type Group } from '../src/compile/fuse.js';
import { chooseLayouts, type LayoutPlan } from '../src/compile/layout.js';
import { type Schedule, schedule } from '../src/compile/schedule.js';
import { type StepGraph, simplify } from '../src/compile/simplify.js';
import { traceRequest } from '../src/compile/trace.js';
import type { Layout } from '../src/graph/layout.js';
import type { Node } from '../src/graph/node.js';
import { print } from '../src/graph/print.js';
import { Storage } from '../src/graph/storage.js';
import type { Assignment } from '../src/graph/target.js';
import { buffer } from '../src/ops/source.js';
import type { DType } from '../src/util/dtype.js';
import type { Shape } from '../src/util/shape.js';
import { wasmTarget } from './lowering-runner.js';

export interface Passes {
  readonly graph: StepGraph;
  readonly fusion: Fusion;
  readonly plan: Schedule;
  readonly layouts: LayoutPlan;
}

type Resident = (storage: Storage) => Layout | null;

export function simplified(
  roots: readonly Node[],
  assigns: readonly Assignment[] = [],
  resident: Resident = () => null,
): StepGraph {
  const trace = traceRequest(roots, assigns, resident);
  return simplify(trace, wasmTarget, (slot) => resident(trace.storages[slot]));
}

export function passes(roots: readonly Node[], assigns: readonly Assignment[] = [], resident?: Resident): Passes {
  const graph = simplified(roots, assigns, resident);
  const fusion = fuse(graph, wasmTarget);
  const plan = schedule(graph, fusion);
  return { graph, fusion, plan, layouts: chooseLayouts(graph, fusion, plan.order) };
}

/** What roots are simplified to, as text. */
export function text(...roots: Node[]): string {
  return print(simplified(roots).roots);
}

/** Each group in running order: its kind, its work, and in brackets what it stores. */
export function groups({ plan }: Passes): string[] {
  const names = (nodes: readonly Node[]) => nodes.map((n) => n.op.name).join(' ');
  return plan.order.map((g: Group) => `${g.kind}: ${names([...g.anchors, ...g.roots])} [${names(g.stores)}]`);
}

/** A value staged for each run. */
export function input(shape: Shape, dtype: DType = 'float32'): Node {
  return buffer(Storage.zeros(shape, dtype));
}

/** A value that stays on the device. */
export function stored(shape: Shape): Storage {
  return Storage.zeros(shape, 'float32', true);
}
