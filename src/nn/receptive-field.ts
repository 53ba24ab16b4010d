/**
 * Receptive fields from the graph: which input elements an output element can see. For each spatial axis there is its size, the jump (how
 * many input elements lie between the fields of neighbouring outputs) and the start (the centre of the first output's field). A window of
 * span k = dilation·(kernel − 1) + 1 and stride s makes size += (k − 1)·jump, start += ((k − 1)/2 − padding)·jump, jump ·= s, so two 3 × 3
 * convolutions see 5 × 5. Means over all of space (squeeze-and-excitation, normalisation) that only rescale a map do not count.
 * Source: Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural networks", Distill.
 */

import type { Node } from '../graph/node.js';
import { convInputGradOp, convOp } from '../ops/conv.js';
import { matmulOp } from '../ops/matmul.js';
import { reshapeOp, type SliceAttrs, sliceOp } from '../ops/movement.js';
import { maxPoolIndicesOp, maxPoolOp, sumPoolOp } from '../ops/pool.js';
import { type ConvParams, spanOf, type Window } from '../ops/window.js';

export interface ReceptiveField {
  readonly size: readonly number[];
  readonly jump: readonly number[];
  readonly start: readonly number[];
}

/** A field, or 'all' of the input. */
export type FieldOf = ReceptiveField | 'all';

/** The fields of every node between `input` [N, C, spatial…] and `outputs`; nodes that do not depend on the input have none. */
export function receptiveFields(outputs: readonly Node[], input: Node): Map<Node, FieldOf> {
  const rank = input.shape.length - 2;
  const fields = new Map<Node, FieldOf>();
  if (rank < 1) return fields;
  const each = (value: number) => new Array<number>(rank).fill(value);
  fields.set(input, { size: each(1), jump: each(1), start: each(0) });
  for (const node of inOrder(outputs)) {
    if (fields.has(node)) continue;
    const field = fieldOf(node, fields, rank);
    if (field !== null) fields.set(node, field);
  }
  return fields;
}

function fieldOf(node: Node, fields: ReadonlyMap<Node, FieldOf>, rank: number): FieldOf | null {
  const seen = node.inputs.map((input) => fields.get(input)).filter((f) => f !== undefined);
  if (seen.length === 0) return null;
  const maps = seen.filter((f) => f !== 'all');
  if (maps.length === 0) return 'all';
  const field = maps.reduce(union);
  switch (node.op) {
    case convOp: {
      const p = node.attrs as ConvParams;
      return throughWindow(field, { ...p, kernelSize: node.inputs[1].shape.slice(2) });
    }
    case maxPoolOp:
    case maxPoolIndicesOp:
    case sumPoolOp:
      return throughWindow(field, node.attrs as Window);
    case convInputGradOp: {
      const p = node.attrs as ConvParams;
      return throughTransposed(field, { ...p, kernelSize: node.inputs[1].shape.slice(2) });
    }
    case sliceOp: {
      const { starts, steps } = node.attrs as SliceAttrs;
      return isMap(node, rank) ? sliced(field, starts.slice(2), steps.slice(2)) : field;
    }
    case matmulOp:
      // Two maps multiplied are attention; a flattened one has its space mixed.
      return maps.length > 1 || node.inputs.some((n) => fields.has(n) && n.shape.length === 2) ? 'all' : field;
    case reshapeOp:
      return field;
    default: {
      if (node.op.facts.reduction === undefined) return field;
      const { axes } = node.attrs as { axes: readonly number[] };
      const source = node.inputs[0];
      const mixed =
        source.shape.length === rank + 2
          ? axes.some((a) => a >= 2 && source.shape[a] > 1)
          : !axes.every((a) => a === source.shape.length - 1) || source.shape.length < rank + 2;
      return mixed ? 'all' : field;
    }
  }
}

function isMap(node: Node, rank: number): boolean {
  return node.shape.length === rank + 2;
}

function throughWindow({ size, jump, start }: ReceptiveField, w: Window): ReceptiveField {
  const reach = w.kernelSize.map((k, i) => spanOf(k, w.dilation[i]) - 1);
  return {
    size: size.map((r, i) => r + reach[i] * jump[i]),
    jump: jump.map((j, i) => j * w.stride[i]),
    start: start.map((s, i) => s + (reach[i] / 2 - w.padding[i][0]) * jump[i]),
  };
}

/** An output of a transposed convolution sees ⌈k / stride⌉ inputs at most. */
function throughTransposed({ size, jump, start }: ReceptiveField, w: Window): ReceptiveField {
  const span = w.kernelSize.map((k, i) => spanOf(k, w.dilation[i]));
  return {
    size: size.map((r, i) => r + (Math.ceil(span[i] / w.stride[i]) - 1) * jump[i]),
    jump: jump.map((j, i) => j / w.stride[i]),
    start: start.map((s, i) => s - (((span[i] - 1) / 2 - w.padding[i][0]) * jump[i]) / w.stride[i]),
  };
}

function sliced(
  { size, jump, start }: ReceptiveField,
  starts: readonly number[],
  steps: readonly number[],
): ReceptiveField {
  return { size, jump: jump.map((j, i) => j * steps[i]), start: start.map((s, i) => s + starts[i] * jump[i]) };
}

/** The smallest field around both: branches that are added or concatenated. */
function union(a: ReceptiveField, b: ReceptiveField): ReceptiveField {
  const size = a.size.map((_, i) => {
    const low = Math.min(a.start[i] - (a.size[i] - 1) / 2, b.start[i] - (b.size[i] - 1) / 2);
    const high = Math.max(a.start[i] + (a.size[i] - 1) / 2, b.start[i] + (b.size[i] - 1) / 2);
    return high - low + 1;
  });
  const start = a.size.map((_, i) => {
    const low = Math.min(a.start[i] - (a.size[i] - 1) / 2, b.start[i] - (b.size[i] - 1) / 2);
    return low + (size[i] - 1) / 2;
  });
  return { size, jump: a.jump.map((j, i) => Math.max(j, b.jump[i])), start };
}

/** All nodes the outputs need, inputs first. */
export function inOrder(outputs: readonly Node[]): Node[] {
  const seen = new Set<Node>(outputs);
  const stack = [...seen];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    for (const input of node.inputs) {
      if (seen.has(input)) continue;
      seen.add(input);
      stack.push(input);
    }
  }
  return [...seen].sort((a, b) => a.id - b.id); // nodes are numbered as they are recorded
}
