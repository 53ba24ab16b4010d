/** Pooling: modules where the window is fixed and fovea has it; functions for global pooling and what is rare. */

import { AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d } from '../../../nn/index.js';
import { arange, F, type Tensor, zeros } from '../../../tensor/index.js';
import { numel } from '../../../util/shape.js';
import type { OnnxNode } from '../import-node.js';
import {
  type Compute,
  checkedShape,
  computes,
  numbers,
  type Operator,
  type OperatorTable,
  required,
} from './operator.js';
import { autoPadding, type OnnxWindow, type Pads, windowOf } from './window.js';

const maxLayers = [MaxPool1d, MaxPool2d, MaxPool3d];
const avgLayers = [AvgPool1d, AvgPool2d, AvgPool3d];
const avgFunctions = [F.avgPool1d, F.avgPool2d, F.avgPool3d];
const maxFunctions = [F.maxPool1d, F.maxPool2d, F.maxPool3d];
const indexFunctions = [F.maxPool1dWithIndices, F.maxPool2dWithIndices, F.maxPool3dWithIndices];

/** fovea pads by at most half a window, so that no window lies outside; files may ask for more. */
function isModest({ kernelSize, dilation }: OnnxWindow, padding: Pads): boolean {
  return padding.every((pair, i) => 2 * Math.max(...pair) <= dilation[i] * (kernelSize[i] - 1) + 1);
}

function pick<T>(node: OnnxNode, entries: readonly T[], spatial: number): T {
  const entry = entries[spatial - 1];
  if (entry === undefined) throw node.fail(`its window has ${spatial} axes; fovea pools over 1, 2 or 3`);
  return entry;
}

const maxPool: Operator = {
  translate(node) {
    const window = windowOf(node, null);
    const { kernelSize, stride, dilation, padding } = window;
    const ceilMode = node.flag('ceil_mode');
    const spatial = kernelSize.length;
    const inputs = node.inputs.slice(0, 1);
    if (!node.wants(1) && padding !== null && isModest(window, padding)) {
      const Layer = pick(node, maxLayers, spatial);
      const run = new Layer([...kernelSize], { stride, padding, dilation, ceilMode: ceilMode || undefined });
      return { run, inputs, outputs: [node.outputs[0]] };
    }
    const run: Compute = (input) => {
      const x = required(node, input);
      const pads = padding ?? autoPadding(node, x.shape.slice(2), window);
      const options = { stride, dilation, ceilMode };
      if (!node.wants(1)) {
        if (isModest(window, pads))
          return pick(node, maxFunctions, spatial)(x, kernelSize, { ...options, padding: pads });
        const padded = x.pad(pads, { value: Number.NEGATIVE_INFINITY });
        return pick(node, maxFunctions, spatial)(padded, kernelSize, options);
      }
      if (node.int('storage_order', 0) !== 0)
        throw node.fail('column-major indices (storage_order = 1) are not supported');
      const { values, indices } = pick(node, indexFunctions, spatial)(x, kernelSize, { ...options, padding: pads });
      // ONNX counts through the whole tensor, fovea within a plane.
      const planes = arange(x.shape[0] * x.shape[1]).mul(numel(x.shape.slice(2)));
      const first = planes.reshape([x.shape[0], x.shape[1], ...kernelSize.map(() => 1)]);
      return [values, indices.add(first)];
    };
    return { run };
  },
};

const averagePool: Operator = {
  translate(node) {
    const window = windowOf(node, null);
    const { kernelSize, stride, dilation, padding } = window;
    const spatial = kernelSize.length;
    const countIncludePad = node.flag('count_include_pad');
    const ceilMode = node.flag('ceil_mode');
    const plain = dilation.every((d) => d === 1);
    if (plain && padding !== null && isModest(window, padding)) {
      const Layer = pick(node, avgLayers, spatial);
      return { run: new Layer([...kernelSize], { stride, padding, ceilMode: ceilMode || undefined, countIncludePad }) };
    }
    return {
      run: (input) => {
        const x = required(node, input);
        const pads = padding ?? autoPadding(node, x.shape.slice(2), window);
        if (plain && isModest(window, pads)) {
          return pick(node, avgFunctions, spatial)(x, kernelSize, { stride, padding: pads, ceilMode, countIncludePad });
        }
        if (ceilMode) throw node.fail('ceil_mode with dilations or with pads beyond half the window is not supported');
        const ones = zeros([1, 1, ...x.shape.slice(2)]).add(1);
        const sums = windowSum(node, x, window, pads);
        return countIncludePad ? sums.mul(1 / numel(kernelSize)) : sums.div(windowSum(node, ones, window, pads));
      },
    };
  },
};

/** Sums over windows of any dilation and padding: one shifted copy of x for each place in the window. */
function windowSum(node: OnnxNode, x: Tensor, { kernelSize, stride, dilation }: OnnxWindow, pads: Pads): Tensor {
  return kernelSize.reduce((y, kernel, i) => {
    const axis = i + 2;
    const padded = y.pad(y.shape.slice(2).map((_, at) => (at === i ? pads[i] : [0, 0])));
    if (kernel > 4096) throw node.fail(`a window of ${kernel} is beyond what fovea takes apart (4096)`);
    const outputs = Math.floor((padded.shape[axis] - dilation[i] * (kernel - 1) - 1) / stride[i]) + 1;
    if (outputs < 1) throw node.fail(`a window of ${kernel} does not fit into [${x.shape}]`);
    const taps = Array.from({ length: kernel }, (_, k) => {
      const start = k * dilation[i];
      const range = { start, stop: start + (outputs - 1) * stride[i] + 1, step: stride[i] };
      return padded.slice(...new Array<null>(axis).fill(null), range);
    });
    return taps.reduce((a, b) => a.add(b));
  }, x);
}

const spatialAxes = (x: Tensor) => x.shape.map((_, i) => i).slice(2);
const pooled = (f: (x: Tensor, axes: number[]) => Tensor): Operator =>
  computes((node) => (input) => f(required(node, input), spatialAxes(required(node, input))));

export const pooling: OperatorTable = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: pooled((x, axes) => x.mean(axes, { keepDims: true })),
  GlobalMaxPool: pooled((x, axes) => x.amax(axes, { keepDims: true })),
  GlobalLpPool: computes((node) => {
    const p = node.int('p', 2);
    return (input) => {
      const x = required(node, input);
      return x.norm(p, spatialAxes(x), { keepDims: true });
    };
  }),
  LpPool: {
    translate(node) {
      const window = windowOf(node, null);
      const p = node.int('p', 2);
      if (node.flag('ceil_mode')) throw node.fail('ceil_mode is not supported here');
      return {
        run: (input) => {
          const x = required(node, input);
          const pads = window.padding ?? autoPadding(node, x.shape.slice(2), window);
          return windowSum(node, x.abs().pow(p), window, pads).pow(1 / p);
        },
      };
    },
  },
  /** Values go back to where MaxPool found them; zeros elsewhere. */
  MaxUnpool: {
    known: [2],
    translate(node) {
      const { kernelSize, stride, padding } = windowOf(node, null);
      return {
        run: (input, indices, shape) => {
          const x = required(node, input);
          const grown = x.shape.slice(2).map((n, i) => {
            const [lo, hi] = padding?.[i] ?? [0, 0];
            return (n - 1) * stride[i] - lo - hi + kernelSize[i];
          });
          const sizes =
            shape === undefined ? [x.shape[0], x.shape[1], ...grown] : numbers(node, shape, 'its output shape');
          const target = checkedShape(node, sizes);
          const flat = zeros([numel(target)]);
          const places = required(node, indices, 'its indices').reshape([x.size]);
          return F.scatterAdd(flat, 0, places, x.reshape([x.size])).reshape(target);
        },
      };
    },
  },
};
