/** What pooling means: windows listed element by element, maxima found among them. */

import type { NdArray } from '../../graph/op.js';
import { numel, type Shape } from '../../util/shape.js';
import {
  maxPoolAtOp,
  maxPoolGradOp,
  maxPoolIndicesOp,
  maxPoolOp,
  poolGeometry,
  sumPoolGradOp,
  sumPoolOp,
} from '../pool.js';
import { tapsOfWindow, type Window, type WindowGeometry } from '../window.js';
import { meaning } from './meaning.js';

export const poolMeanings = [
  meaning(maxPoolOp, ([x], w, out) => {
    const y = new Float64Array(numel(out.shape)).fill(-Infinity);
    forEachMaximum(x, w, (xAt, yAt) => {
      y[yAt] = x.data[xAt];
    });
    return y;
  }),

  meaning(maxPoolIndicesOp, ([x], w, out) => {
    const y = new Int32Array(numel(out.shape)).fill(-1);
    const plane = numel(x.shape.slice(2));
    forEachMaximum(x, w, (xAt, yAt) => {
      y[yAt] = xAt % plane;
    });
    return y;
  }),

  meaning(maxPoolGradOp, ([dy, x], w, out) => {
    const dx = new Float64Array(numel(out.shape));
    forEachMaximum(x, w, (xAt, yAt) => {
      dx[xAt] += dy.data[yAt];
    });
    return dx;
  }),

  meaning(maxPoolAtOp, ([g, x], w, out) => {
    const y = new Float64Array(numel(out.shape));
    forEachMaximum(x, w, (xAt, yAt) => {
      y[yAt] = g.data[xAt];
    });
    return y;
  }),

  meaning(sumPoolOp, ([x], w, out) => {
    const y = new Float64Array(numel(out.shape));
    forEachTap(x.shape, w, (xAt, yAt) => {
      y[yAt] += x.data[xAt];
    });
    return y;
  }),

  meaning(sumPoolGradOp, ([dy], w, out) => {
    const dx = new Float64Array(numel(out.shape));
    forEachTap(w.xShape, w, (xAt, yAt) => {
      dx[xAt] += dy.data[yAt];
    });
    return dx;
  }),
];

/** Visits every element of every window, window by window, elements in row-major order. */
function forEachTap(xShape: Shape, w: Window, visit: (xAt: number, yAt: number) => void): void {
  const g = poolGeometry(xShape, w);
  const { starts, taps } = planeTaps(g);
  const windows = starts.length - 1;
  const planeSize = numel(g.in);
  for (let p = 0; p < g.planes; p++) {
    for (let o = 0; o < windows; o++) {
      for (let t = starts[o]; t < starts[o + 1]; t++) visit(p * planeSize + taps[t], p * windows + o);
    }
  }
}

/** Visits the first maximum of every window that has any element. */
function forEachMaximum(x: NdArray, w: Window, visit: (xAt: number, yAt: number) => void): void {
  let best = -1;
  let window = -1;
  forEachTap(x.shape, w, (xAt, yAt) => {
    if (yAt !== window) {
      if (window >= 0) visit(best, window);
      [best, window] = [xAt, yAt];
    } else if (x.data[xAt] > x.data[best] || (Number.isNaN(x.data[xAt]) && !Number.isNaN(x.data[best]))) {
      best = xAt;
    }
  });
  if (window >= 0) visit(best, window);
}

/** The elements of each window of one plane: taps[starts[o]] … taps[starts[o + 1] − 1] are positions in the plane. */
function planeTaps(g: WindowGeometry): { starts: Int32Array; taps: number[] } {
  const axis = (i: 0 | 1 | 2) =>
    Array.from({ length: g.out[i] }, (_, o) => {
      const [first, end] = tapsOfWindow(g, i, o);
      return Array.from({ length: end - first }, (_, k) => o * g.stride[i] - g.padLo[i] + (first + k) * g.dilation[i]);
    });
  const [ds, hs, ws] = [axis(0), axis(1), axis(2)];
  const starts = new Int32Array(numel(g.out) + 1);
  const taps: number[] = [];
  let o = 0;
  for (const inD of ds) {
    for (const inH of hs) {
      for (const inW of ws) {
        for (const d of inD) for (const h of inH) for (const c of inW) taps.push((d * g.in[1] + h) * g.in[2] + c);
        starts[++o] = taps.length;
      }
    }
  }
  return { starts, taps };
}
