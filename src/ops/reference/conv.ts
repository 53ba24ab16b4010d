/** What convolution and its adjoints mean: one loop nest over the trilinear form serves all three. */

import { numel } from '../../util/shape.js';
import { type ConvGeometry, convGeometry, convInputGradOp, convOp, convWeightGradOp } from '../conv.js';
import { windowsOfTap } from '../window.js';
import { meaning } from './meaning.js';

export const convMeanings = [
  meaning(convOp, ([x, w], p, out) => {
    const y = new Float64Array(numel(out.shape));
    forEachRow(convGeometry(x.shape, w.shape, p), (xAt, xStep, wAt, yAt, count) => {
      const tap = w.data[wAt];
      for (let i = 0; i < count; i++) y[yAt + i] += tap * x.data[xAt + i * xStep];
    });
    return y;
  }),

  meaning(convInputGradOp, ([dy, w], p, out) => {
    const dx = new Float64Array(numel(out.shape));
    forEachRow(convGeometry(p.xShape, w.shape, p), (xAt, xStep, wAt, yAt, count) => {
      const tap = w.data[wAt];
      for (let i = 0; i < count; i++) dx[xAt + i * xStep] += tap * dy.data[yAt + i];
    });
    return dx;
  }),

  meaning(convWeightGradOp, ([dy, x], p, out) => {
    const dw = new Float64Array(numel(out.shape));
    forEachRow(convGeometry(x.shape, p.wShape, p), (xAt, xStep, wAt, yAt, count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += dy.data[yAt + i] * x.data[xAt + i * xStep];
      dw[wAt] += sum;
    });
    return dw;
  }),
];

/** Visits the trilinear form row by row: `count` outputs from yAt on, side by side, meet tap wAt and the inputs xAt, xAt + xStep … */
function forEachRow(
  g: ConvGeometry,
  visit: (xAt: number, xStep: number, wAt: number, yAt: number, count: number) => void,
): void {
  const [inD, inH, inW] = g.in;
  const [outD, outH, outW] = g.out;
  const [kD, kH, kW] = g.kernel;
  const inChannels = g.groups * g.inPerGroup;
  const outChannels = g.groups * g.outPerGroup;
  const input = (axis: 0 | 1 | 2, o: number, k: number) => o * g.stride[axis] - g.padLo[axis] + k * g.dilation[axis];
  for (let kd = 0; kd < kD; kd++) {
    const [d0, d1] = windowsOfTap(g, 0, kd);
    for (let kh = 0; kh < kH; kh++) {
      const [h0, h1] = windowsOfTap(g, 1, kh);
      for (let kw = 0; kw < kW; kw++) {
        const [w0, w1] = windowsOfTap(g, 2, kw);
        if (w1 === w0) continue;
        for (let n = 0; n < g.batch; n++) {
          for (let o = 0; o < outChannels; o++) {
            const group = Math.floor(o / g.outPerGroup);
            for (let c = 0; c < g.inPerGroup; c++) {
              const xPlane = (n * inChannels + group * g.inPerGroup + c) * inD;
              const yPlane = (n * outChannels + o) * outD;
              const wAt = (((o * g.inPerGroup + c) * kD + kd) * kH + kh) * kW + kw;
              for (let d = d0; d < d1; d++) {
                for (let h = h0; h < h1; h++) {
                  const xRow = (xPlane + input(0, d, kd)) * inH + input(1, h, kh);
                  const yRow = (yPlane + d) * outH + h;
                  visit(xRow * inW + input(2, w0, kw), g.stride[2], wAt, yRow * outW + w0, w1 - w0);
                }
              }
            }
          }
        }
      }
    }
  }
}
