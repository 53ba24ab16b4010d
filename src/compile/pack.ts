/** Host side of layouts: puts row-major data into a physical layout and back. Used when a storage moves between host and device. */

import { type Layout, physicalSize, plain } from '../graph/layout.js';
import { allocate, type DType, type TypedArray } from '../util/dtype.js';
import { numel, type Shape } from '../util/shape.js';
import { relayoutPieces } from './relayout.js';

/** Row-major → `layout`; padding lanes are zero. */
export function pack(data: TypedArray, shape: Shape, dtype: DType, layout: Layout): TypedArray {
  if (layout.order.length === 0) return data;
  const out = allocate(dtype, physicalSize(shape, layout));
  move(data, out, shape, plain, layout);
  return out;
}

/** `layout` → row-major. */
export function unpack(data: TypedArray, shape: Shape, dtype: DType, layout: Layout): TypedArray {
  const out = allocate(dtype, numel(shape));
  if (layout.order.length === 0) out.set(data.subarray(0, out.length));
  else move(data, out, shape, layout, plain);
  return out;
}

function move(from: TypedArray, to: TypedArray, shape: Shape, fromLayout: Layout, toLayout: Layout): void {
  for (const p of relayoutPieces(shape, fromLayout, toLayout)) {
    const last = p.sizes.length - 1;
    const walk = (d: number, f: number, t: number): void => {
      const n = p.sizes[d];
      const fs = p.from[d];
      const ts = p.to[d];
      if (d === last) {
        for (let i = 0; i < n; i++) to[t + i * ts] = from[f + i * fs];
        return;
      }
      for (let i = 0; i < n; i++) walk(d + 1, f + i * fs, t + i * ts);
    };
    if (p.sizes.every((n) => n > 0)) walk(0, p.fromOffset, p.toOffset);
  }
}
