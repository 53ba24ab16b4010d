/**
 * The program that draws initial weights on the device, each straight into the layout the first step wants it in: one launch a weight, all of
 * two or three kernels. What it cannot do (other layouts, few numbers) is drawn on the host, to the same bits.
 */

import type { Layout } from '../graph/layout.js';
import type { TargetInfo } from '../graph/op.js';
import { type Kernel, KernelBuilder, type Program } from '../ir/index.js';
import { type DrawVariant, drawKernel, drawTable, drawTableWords } from '../kernels/draw.js';
import type { RandomDraw } from '../util/draw.js';
import { numel, type Shape } from '../util/shape.js';

export interface DrawRequest {
  readonly shape: Shape;
  readonly layout: Layout;
  readonly draw: RandomDraw;
}

/** Fewer numbers in all are drawn on the host sooner than a program is made. */
export const worthDrawing = 2 ** 14;

/** Whether the kernels know the layout: plain, or the first axis in blocks and the rest row by row. */
export function canDraw({ shape, layout: { order, blockAxis } }: Pick<DrawRequest, 'shape' | 'layout'>): boolean {
  return numel(shape) > 0 && (order.length === 0 || (blockAxis === 0 && order.every((axis, i) => axis === i)));
}

/** Slot i + 1 of the program is the i-th weight; `tables` go to the start of the arena before it runs. */
export function drawProgram(
  requests: readonly DrawRequest[],
  target: TargetInfo,
): { readonly program: Program; readonly tables: Int32Array } {
  const kernels = new Map<string, Kernel>();
  const tables = new Int32Array(requests.length * drawTableWords);
  const launches = requests.map(({ shape, layout, draw }, i) => {
    const plain = layout.order.length === 0;
    const block = plain ? target.lanes : layout.block;
    const [o, k] = plain ? [numel(shape), 1] : [shape[0], numel(shape.slice(1))];
    const variant: DrawVariant = { kind: draw.kind, block, whole: o % (4 * block) === 0 };
    tables.set(drawTable(o, k, draw, variant), i * drawTableWords);
    const key = `${variant.kind} ${block} ${variant.whole}`;
    if (!kernels.has(key)) {
      const { lanes, registers } = target;
      kernels.set(key, drawKernel(new KernelBuilder({ lanes, registers }), variant));
    }
    return { kernel: kernels.get(key)!, args: [{ arena: i * drawTableWords * 4 }, { slot: i + 1 }] };
  });
  return {
    program: { name: 'draw', launches, slots: requests.length + 1, arenaBytes: tables.byteLength + 256 },
    tables,
  };
}
