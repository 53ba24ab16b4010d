/**
 * A change of layout as index spaces walked by strides: blocked axes are split into whole blocks and the rest.
 * The same pieces drive the conversion kernels and the host's packing.
 */

import type { Layout } from '../graph/layout.js';
import { invariant } from '../util/errors.js';
import type { Shape } from '../util/shape.js';
import { ownStrides } from './layout.js';

export interface Piece {
  readonly sizes: number[];
  readonly from: number[];
  readonly to: number[];
  readonly fromOffset: number;
  readonly toOffset: number;
}

/**
 * Index spaces that cover a change of layout: blocked axes are split into whole blocks and the rest, so that every piece is walked by strides.
 * Axes run in the order of the result. What lies plain may be read through a view: by its strides.
 */
export function relayoutPieces(
  shape: Shape,
  from: Layout,
  to: Layout,
  viewStrides: readonly number[] = ownStrides(shape, from),
): Piece[] {
  const axes = to.order.length > 0 ? to.order : shape.map((_, i) => i);
  let pieces: Piece[] = [{ sizes: [], from: [], to: [], fromOffset: 0, toOffset: 0 }];
  const fromWalk = walkOf(shape, from, viewStrides);
  const toWalk = walkOf(shape, to, ownStrides(shape, to));
  const splits = new Set([from.blockAxis, to.blockAxis].filter((a) => a >= 0));
  invariant(
    from.blockAxis < 0 || to.blockAxis < 0 || from.blockAxis !== to.blockAxis || from.block === to.block,
    () => `relayout: blocks of ${from.block} and ${to.block} on one axis`,
  );
  for (const axis of axes) {
    if (!splits.has(axis)) {
      for (const p of pieces) {
        p.sizes.push(shape[axis]);
        p.from.push(fromWalk[axis].outer);
        p.to.push(toWalk[axis].outer);
      }
      continue;
    }
    const block = axis === to.blockAxis ? to.block : from.block;
    const whole = Math.floor(shape[axis] / block);
    const rest = shape[axis] - whole * block;
    const parts = [
      ...(whole > 0 ? [{ start: 0, blocks: whole, width: block }] : []),
      ...(rest > 0 ? [{ start: whole, blocks: 1, width: rest }] : []),
    ];
    const outerStride = (w: Walk, blockAxis: boolean) => (blockAxis ? w.outer : w.outer * block);
    const innerStride = (w: Walk, blockAxis: boolean) => (blockAxis ? w.inner : w.outer);
    pieces = pieces.flatMap((p) =>
      parts.map((part) => {
        const f = axis === from.blockAxis;
        const t = axis === to.blockAxis;
        return {
          sizes: [...p.sizes, part.blocks, part.width],
          from: [...p.from, outerStride(fromWalk[axis], f), innerStride(fromWalk[axis], f)],
          to: [...p.to, outerStride(toWalk[axis], t), innerStride(toWalk[axis], t)],
          fromOffset: p.fromOffset + part.start * outerStride(fromWalk[axis], f),
          toOffset: p.toOffset + part.start * outerStride(toWalk[axis], t),
        };
      }),
    );
  }
  // Move the inner half of the result's block to the very end.
  if (to.blockAxis >= 0) {
    const at =
      axes.indexOf(to.blockAxis) + axes.slice(0, axes.indexOf(to.blockAxis)).filter((a) => splits.has(a)).length + 1;
    for (const p of pieces) for (const list of [p.sizes, p.from, p.to]) list.push(list.splice(at, 1)[0]);
  }
  return pieces;
}

interface Walk {
  readonly outer: number;
  readonly inner: number;
}

/** Strides of each logical axis in a layout; for the blocked axis of its blocks (outer) and inside them (inner). */
function walkOf(shape: Shape, layout: Layout, own: readonly number[]): Walk[] {
  if (layout.order.length === 0) return own.map((s) => ({ outer: s, inner: s }));
  const out: Walk[] = shape.map(() => ({ outer: 0, inner: 0 }));
  layout.order.forEach((axis, d) => {
    out[axis] = { outer: own[d], inner: axis === layout.blockAxis ? own[layout.order.length] : own[d] };
  });
  return out;
}
