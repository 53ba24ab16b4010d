/** Activation functions: modules where fovea has one, so that hooks and explanations find them; functions elsewhere. */

import {
  CELU,
  Dropout,
  ELU,
  GELU,
  Hardsigmoid,
  Hardswish,
  Hardtanh,
  Identity,
  LeakyReLU,
  LogSoftmax,
  Mish,
  PReLU,
  ReLU,
  ReLU6,
  SELU,
  Sigmoid,
  SiLU,
  Softmax,
  Softplus,
  Softsign,
  Tanh,
} from '../../../nn/index.js';
import { F, type Tensor, where } from '../../../tensor/index.js';
import { numel } from '../../../util/shape.js';
import type { OnnxNode } from '../import-node.js';
import { elementwise } from './elementwise.js';
import { axisOf, type Compute, computes, layer, type Operator, type OperatorTable, required } from './operator.js';

const single = (f: (x: Tensor, node: OnnxNode) => Tensor): Operator =>
  computes((node) => (x) => f(required(node, x), node));

/** Before version 13 the axes from `axis` on (default 1) are taken together, after it one axis (default the last) counts. */
function alongAxis(
  make: (axis: number) => Softmax | LogSoftmax,
  compute: (x: Tensor, axis: number) => Tensor,
): Operator {
  return {
    translate(node) {
      if (node.version >= 13) return { run: make(node.int('axis', -1)) };
      const axis = node.int('axis', 1);
      const run: Compute = (input) => {
        const x = required(node, input);
        const at = axis === x.ndim ? axis : axisOf(node, axis, x.ndim);
        return compute(x.reshape([numel(x.shape.slice(0, at)), -1]), 1).reshape(x.shape);
      };
      return { run };
    },
  };
}

export const activations: OperatorTable = {
  Relu: layer(() => new ReLU()),
  LeakyRelu: layer((node) => new LeakyReLU(node.float('alpha', 0.01))),
  Elu: layer((node) => new ELU(node.float('alpha', 1))),
  Celu: layer((node) => new CELU(node.float('alpha', 1))),
  Sigmoid: layer(() => new Sigmoid()),
  Tanh: layer(() => new Tanh()),
  Softplus: layer(() => new Softplus()),
  Softsign: layer(() => new Softsign()),
  Mish: layer(() => new Mish()),
  HardSwish: layer(() => new Hardswish()),
  Gelu: layer((node) => new GELU({ approximate: node.word('approximate', ['none', 'tanh'], 'none') })),

  Selu: {
    translate(node, graph) {
      const [alpha, gamma] = [node.float('alpha', 1.6732632), node.float('gamma', 1.050701)];
      const standard = Math.abs(alpha - 1.6732632) < 1e-6 && Math.abs(gamma - 1.050701) < 1e-6;
      if (standard) return layer(() => new SELU()).translate(node, graph);
      return { run: (x) => required(node, x).elu(alpha).mul(gamma) };
    },
  },
  Swish: {
    translate(node, graph) {
      const alpha = node.float('alpha', 1);
      if (alpha === 1) return layer(() => new SiLU()).translate(node, graph);
      return { run: (x) => required(node, x).mul(required(node, x).mul(alpha).sigmoid()) };
    },
  },
  HardSigmoid: {
    translate(node, graph) {
      const [alpha, beta] = [node.float('alpha', 0.2), node.float('beta', 0.5)];
      if (Math.abs(alpha - 1 / 6) < 1e-7 && beta === 0.5) return layer(() => new Hardsigmoid()).translate(node, graph);
      return { run: (x) => required(node, x).mul(alpha).add(beta).clamp(0, 1) };
    },
  },
  ThresholdedRelu: single((x, node) => {
    const alpha = node.float('alpha', 1);
    return where(x.gt(alpha), x, 0);
  }),
  Shrink: single((x, node) => {
    const [lambd, bias] = [node.float('lambd', 0.5), node.float('bias', 0)];
    return where(x.lt(-lambd), x.add(bias), where(x.gt(lambd), x.sub(bias), 0));
  }),

  /** A limit to 0 … 6 is ReLU6; others with two constant limits are hard tanh. */
  Clip: {
    translate(node, graph) {
      const bound = (name: 'min' | 'max', i: number) => node.float(name) ?? graph.constant(node.input(i))?.values[0];
      const [low, high] = [bound('min', 1), bound('max', 2)];
      const finite =
        low !== undefined && high !== undefined && low < high && Number.isFinite(low) && Number.isFinite(high);
      // Sizes are clipped too, and must stay known.
      if (!finite || graph.isKnown(node.inputs[0])) return elementwise.Clip.translate(node, graph);
      const module = low === 0 && high === 6 ? new ReLU6() : new Hardtanh({ minVal: low, maxVal: high });
      return layer(() => module).translate(node, graph);
    },
  },

  /** Slopes may be for each channel, or broadcast in any other way. */
  PRelu: {
    translate(node, graph) {
      const slope = graph.constant(node.input(1));
      const rank = graph.rank(node.inputs[0]);
      const channels = slope?.shape[0] ?? 0;
      const perChannel = slope !== null && slope.size === channels && rank !== null && slope.ndim === rank - 1;
      if (slope !== null && (perChannel || (slope.size === 1 && slope.ndim <= 1))) {
        const module = new PReLU(slope.size);
        module.weight.assign(slope.values);
        return { run: module, inputs: [node.inputs[0]], path: graph.placeOf(node.input(1)) };
      }
      return {
        run: (input, slopes) => {
          const x = required(node, input);
          return where(x.gt(0), x, x.mul(required(node, slopes, 'its slope')));
        },
      };
    },
  },

  Softmax: alongAxis(
    (axis) => new Softmax(axis),
    (x, axis) => x.softmax(axis),
  ),
  LogSoftmax: alongAxis(
    (axis) => new LogSoftmax(axis),
    (x, axis) => x.logSoftmax(axis),
  ),
  Hardmax: single((x, node) => {
    const flat = node.version < 13;
    const axis = axisOf(node, node.int('axis', flat ? 1 : -1), x.ndim);
    const lines = flat ? x.reshape([numel(x.shape.slice(0, axis)), -1]) : x.moveaxis(axis, -1);
    const hot = oneAtFirstMaximum(lines);
    return flat ? hot.reshape(x.shape) : hot.moveaxis(-1, axis);
  }),

  /** Exports for inference keep it now and then; it drops in training mode. */
  Dropout: {
    translate(node, graph) {
      const ratio = node.float('ratio') ?? graph.constant(node.input(1))?.values[0] ?? 0.5;
      if (!(ratio >= 0 && ratio < 1)) throw node.fail(`its ratio is ${ratio}, a number from 0 to below 1 is expected`);
      const [x, y] = [node.inputs[0], node.outputs[0]];
      const dropout = { run: ratio === 0 ? new Identity() : new Dropout(ratio), inputs: [x], outputs: [y] };
      if (!node.wants(1)) return dropout;
      const mask: Compute = (input) => required(node, input).eq(required(node, input));
      return [dropout, { run: mask, inputs: [x], outputs: [node.outputs[1]] }];
    },
  },
};

function oneAtFirstMaximum(lines: Tensor): Tensor {
  return F.oneHot(lines.argmax(-1), lines.shape.at(-1)!);
}
