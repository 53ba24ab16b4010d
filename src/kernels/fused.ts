/**
 * Fused elementwise work: a small straight-line program over values at one index. Leaves read operands through strides or take what a
 * structured kernel or a reduction has just computed (`anchor`); the results named in `outputs` are stored. The same program runs behind a
 * convolution, inside a reduction, or as a kernel of its own.
 */

import { attrsKey } from '../graph/key.js';
import type { LanePart } from '../graph/op.js';
import { type Affine, affine, type ElemType, type I32, type KernelBuilder, type Ptr, type Value } from '../ir/index.js';
import type { DType } from '../util/dtype.js';

export type Pointwise = (k: KernelBuilder, args: readonly Value[], attrs: unknown) => Value;

export type Step =
  | { readonly kind: 'load'; readonly operand: number }
  | { readonly kind: 'anchor'; readonly index: number }
  | { readonly kind: 'constant'; readonly value: number; readonly dtype: DType }
  | {
      readonly kind: 'apply';
      readonly op: string;
      readonly emit: Pointwise;
      readonly attrs: unknown;
      readonly args: readonly number[];
    };

/** Memory read or written in step with an index space: element strides per axis of that space. */
export interface Operand {
  readonly elem: ElemType;
  readonly strides: readonly number[];
  readonly offset: number;
}

export interface Body {
  readonly steps: readonly Step[];
  readonly operands: readonly Operand[];
  /** What is stored where: the value of step `step` through `to`. */
  readonly outputs: readonly { readonly step: number; readonly to: Operand }[];
}

export function elemOf(dtype: DType): ElemType {
  return dtype === 'float32' ? 'f32' : dtype === 'int32' ? 'i32' : 'u8';
}

/** Identity of a body: equal keys write equal kernels. */
export function bodyKey(body: Body): string {
  const steps = body.steps.map((s) => {
    switch (s.kind) {
      case 'load':
        return `$${s.operand}`;
      case 'anchor':
        return `@${s.index}`;
      case 'constant':
        return `${s.value}:${s.dtype}`;
      case 'apply':
        return `${s.op}${attrsKey(s.attrs)}(${s.args.join()})`;
      default:
        return s satisfies never;
    }
  });
  const memory = [...body.operands, ...body.outputs.map((o) => o.to)].map(
    (o) => `${o.elem}+${o.offset}[${o.strides.join()}]`,
  );
  return `${steps.join(';')}→${body.outputs.map((o) => o.step).join()}|${memory.join(';')}`;
}

/** What the body does, for people: the names of its operations in order. */
export function bodyTitle(body: Body): string {
  return body.steps.flatMap((s) => (s.kind === 'apply' ? [s.op] : [])).join('+');
}

/** Pointers of a body's operands and outputs, declared as kernel parameters in that order. */
export interface BodyPointers {
  readonly operands: readonly Ptr[];
  readonly outputs: readonly Ptr[];
}

export function declareBody(k: KernelBuilder, body: Body): BodyPointers {
  return {
    operands: body.operands.map((o, i) => k.param(`in${i}`, o.elem)).map((p, i) => startOf(k, p, body.operands[i])),
    outputs: body.outputs.map((o, i) => k.param(`out${i}`, o.to.elem)),
  };
}

/**
 * Operands walked backwards start from a pointer moved to their first element: an address below the buffer, though an offset would make up for
 * it, may not exist.
 */
export function startOf(k: KernelBuilder, p: Ptr, o: Operand): Ptr {
  return runsBackwards(o) ? k.ptrVar(p.at(o.offset)) : p;
}

const runsBackwards = (o: Operand): boolean => o.strides.some((s) => s < 0);

/** Where an operand's element for the given coordinates lies, from its pointer. */
export function offsetAt(o: Operand, coords: readonly (number | I32 | Affine)[]): Affine {
  let at = affine(runsBackwards(o) ? 0 : o.offset);
  for (let d = 0; d < coords.length; d++) if (o.strides[d] !== 0) at = at.plus(affine(coords[d]).times(o.strides[d]));
  return at;
}

/**
 * Reads `width` elements side by side along the last axis of an operand: a load, a broadcast, or lanes gathered one by one,
 * depending on its stride there. Of a vector of which only `part` counts, other lanes may be read as well if they lie side by side.
 */
export function loadLanes(k: KernelBuilder, p: Ptr, laneStride: number, width: number, part?: LanePart): Value {
  if (width === 1) return k.load(p, 0, 1);
  if (laneStride === 1) return k.load(p, 0, width);
  if (laneStride === 0) return k.broadcast(p, 0);
  const { first, count } = part ?? { first: 0, count: width };
  const counting = Array.from({ length: count }, (_, i) => k.load(p, (first + i) * laneStride, 1));
  const lanes = Array.from({ length: width }, (_, i) => counting[i - first] ?? counting[0]);
  if (p.elem === 'f32') return k.lanesOf(lanes as never);
  return (k.lanesOf(lanes.map((x) => (x as I32).asF()) as never) as unknown as { asI(): Value }).asI();
}

/** Values of the steps already known; `null` where still to compute. */
export type StepValues = (Value | null)[];

/** Computes every step not yet in `known`, in order. `load(i)` reads operand i. */
export function evaluateSteps(
  k: KernelBuilder,
  body: Body,
  width: number,
  load: (operand: number) => Value,
  anchors: readonly Value[],
  known: StepValues = [],
): Value[] {
  const values: Value[] = [];
  body.steps.forEach((s, i) => {
    values.push(known[i] ?? evaluateStep(k, s, width, load, anchors, values));
  });
  return values;
}

export function evaluateStep(
  k: KernelBuilder,
  s: Step,
  width: number,
  load: (operand: number) => Value,
  anchors: readonly Value[],
  values: readonly Value[],
): Value {
  switch (s.kind) {
    case 'load':
      return load(s.operand);
    case 'anchor':
      return anchors[s.index];
    case 'constant':
      return s.dtype === 'float32' ? k.f32(s.value, width) : k.int(s.value, width);
    case 'apply':
      return s.emit(
        k,
        s.args.map((a) => values[a]),
        s.attrs,
      );
    default:
      return s satisfies never;
  }
}

/** Loads, computes and stores a body at one place: the whole of an epilogue. Of a vector, only the lanes of `part` are stored. */
export function emitBody(
  k: KernelBuilder,
  body: Body,
  pointers: BodyPointers,
  width: number,
  anchors: readonly Value[],
  coords: readonly (number | I32 | Affine)[],
  part?: LanePart,
): void {
  const last = coords.length - 1;
  const values = evaluateSteps(
    k,
    body,
    width,
    (i) =>
      loadLanes(
        k,
        pointers.operands[i].at(offsetAt(body.operands[i], coords)),
        body.operands[i].strides[last] ?? 0,
        width,
        part,
      ),
    anchors,
  );
  body.outputs.forEach((o, i) => {
    storeLanes(k, pointers.outputs[i].at(offsetAt(o.to, coords)), o.to.strides[last] ?? 1, values[o.step], width, part);
  });
}

/** The counterpart of `loadLanes`. Stores with a stride or of a part go lane by lane. */
export function storeLanes(
  k: KernelBuilder,
  p: Ptr,
  laneStride: number,
  value: Value,
  width: number,
  part?: LanePart,
): void {
  if (width === 1 || (laneStride === 1 && part === undefined)) {
    k.store(p, 0, value);
    return;
  }
  const { first, count } = part ?? { first: 0, count: width };
  for (let i = first; i < first + count; i++) k.store(p, i * laneStride, value.lane(i));
}
