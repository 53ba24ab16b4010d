/** Normalisation: modules with their weights and statistics where these are constants, as exporters write them; functions elsewhere. */

import {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  GroupNorm,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  LayerNorm,
  LocalResponseNorm,
  type Module,
} from '../../../nn/index.js';
import type { Tensor } from '../../../tensor/index.js';
import { axisOf, computes, type Operator, type OperatorTable, required } from './operator.js';

/** Where nothing says how many axes a value has: whatever comes. */
class BatchNorm extends BatchNorm2d {
  protected override check(_x: Tensor): void {}
}

const batchNorms = [null, null, BatchNorm1d, BatchNorm1d, BatchNorm2d, BatchNorm3d];
const instanceNorms = [null, null, null, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d];

/**
 * In training mode the module normalises by the batch and keeps statistics, as the network did before it was exported. ONNX's momentum is
 * the share that old statistics keep, fovea's (as PyTorch's) the share of the new.
 */
const batchNormalization: Operator = {
  translate(node, graph) {
    if (node.flag('training_mode')) {
      throw node.fail('it was exported in training mode; export the network for inference (model.eval()) instead');
    }
    if (node.int('spatial', 1) === 0)
      throw node.fail('statistics for each pixel (spatial = 0) were given up in version 9');
    const eps = node.float('epsilon', 1e-5);
    const [weight, bias] = [graph.parameter(node.input(1)), graph.parameter(node.input(2))];
    const [mean, variance] = [graph.constant(node.input(3)), graph.constant(node.input(4))];
    if (weight === null || bias === null || mean === null || variance === null) {
      return {
        run: (...inputs) => {
          const [x, scale, shift, mu, sigma2] = inputs.map((t) => required(node, t, 'an input'));
          const line = (t: Tensor) => t.reshape([t.size, ...new Array<number>(Math.max(0, x.ndim - 2)).fill(1)]);
          return x
            .sub(line(mu))
            .mul(line(sigma2.add(eps).rsqrt().mul(scale)))
            .add(line(shift));
        },
      };
    }
    const sizes = [weight, bias, mean, variance].map((t) => t.shape);
    if (sizes.some((shape) => shape.length !== 1 || shape[0] !== weight.size)) {
      throw node.fail(
        `scale, bias, mean and variance have shapes [${sizes.join('], [')}]; one number for each channel is expected`,
      );
    }
    const Layer = batchNorms[graph.rank(node.inputs[0]) ?? 0] ?? BatchNorm;
    const momentum = 1 - node.float('momentum', 0.9);
    const layer: Module = new Layer(weight.size, { eps, momentum });
    const running_mean = graph.buffer(node.inputs[3]);
    const running_var = graph.buffer(node.inputs[4]);
    Object.assign(layer, { weight, bias, running_mean, running_var });
    const path = graph.placeOf(node.input(1)) ?? graph.placeOf(node.input(3));
    return { run: layer, inputs: [node.inputs[0]], outputs: [node.outputs[0]], path };
  },
};

const instanceNormalization: Operator = {
  translate(node, graph) {
    const eps = node.float('epsilon', 1e-5);
    const [weight, bias] = [graph.parameter(node.input(1)), graph.parameter(node.input(2))];
    const Layer = instanceNorms[graph.rank(node.inputs[0]) ?? 0] ?? null;
    if (weight === null || bias === null || Layer === null || weight.ndim !== 1) {
      return {
        run: (input, scale, shift) => {
          const x = required(node, input);
          const axes = x.shape.map((_, i) => i).slice(2);
          const line = (t: Tensor | undefined) => required(node, t, 'a weight').reshape([-1, ...axes.map(() => 1)]);
          return standardized(x, axes, eps).mul(line(scale)).add(line(shift));
        },
      };
    }
    const layer: Module = new Layer(weight.size, { eps, affine: true });
    return {
      run: Object.assign(layer, { weight, bias }),
      inputs: [node.inputs[0]],
      path: graph.placeOf(node.input(1)),
    };
  },
};

const layerNormalization: Operator = {
  translate(node, graph) {
    const eps = node.float('epsilon', 1e-5);
    const axis = node.int('axis', -1);
    const weight = graph.parameter(node.input(1));
    const bias = node.input(2) === null ? null : graph.parameter(node.input(2));
    const rank = graph.rank(node.inputs[0]);
    const axes = axis < 0 ? -axis : rank === null ? null : rank - axis;
    const fits = weight !== null && weight.ndim === axes && (bias !== null || node.input(2) === null);
    if (fits && !node.wants(1) && !node.wants(2)) {
      const layer = new LayerNorm(weight.shape, { eps, bias: bias !== null });
      return { run: Object.assign(layer, { weight, bias }), inputs: [node.inputs[0]], outputs: [node.outputs[0]], path: graph.placeOf(node.input(1)) }; // biome-ignore format: one thought
    }
    return {
      run: (input, scale, shift) => {
        const x = required(node, input);
        const over = x.shape.map((_, i) => i).slice(axisOf(node, axis, x.ndim));
        const mean = x.mean(over, { keepDims: true });
        const centred = x.sub(mean);
        const inverse = centred.mul(centred).mean(over, { keepDims: true }).add(eps).rsqrt();
        const scaled = centred.mul(inverse).mul(required(node, scale, 'its scale'));
        return [shift === undefined ? scaled : scaled.add(shift), mean, inverse];
      },
    };
  },
};

/** Scale and bias are for each channel from version 21 on, for each group before. */
const groupNormalization: Operator = {
  translate(node, graph) {
    const eps = node.float('epsilon', 1e-5);
    const groups = node.int('num_groups');
    if (groups === undefined) throw node.fail('num_groups is missing');
    const [weight, bias] = [graph.parameter(node.input(1)), graph.parameter(node.input(2))];
    if (node.version >= 21 && weight !== null && bias !== null) {
      const layer = new GroupNorm(groups, weight.size, { eps });
      return {
        run: Object.assign(layer, { weight, bias }),
        inputs: [node.inputs[0]],
        path: graph.placeOf(node.input(1)),
      };
    }
    return {
      run: (input, scale, shift) => {
        const x = required(node, input);
        const grouped = standardized(x.reshape([x.shape[0], groups, -1]), [2], eps);
        const [a, b] = [required(node, scale, 'its scale'), required(node, shift, 'its bias')];
        if (node.version < 21)
          return grouped
            .mul(a.reshape([groups, 1]))
            .add(b.reshape([groups, 1]))
            .reshape(x.shape);
        const line = [-1, ...x.shape.slice(2).map(() => 1)];
        return grouped.reshape(x.shape).mul(a.reshape(line)).add(b.reshape(line));
      },
    };
  },
};

/** ONNX's window over channels leans to the end where its size is even, fovea's (PyTorch's) to the beginning. */
const lrn: Operator = {
  translate(node) {
    const size = node.int('size', 0);
    const [alpha, beta, k] = [node.float('alpha', 1e-4), node.float('beta', 0.75), node.float('bias', 1)];
    if (!(size >= 1 && size <= 4096)) throw node.fail(`size is ${size}; it is from 1 to 4096`);
    if (size % 2 === 1) return { run: new LocalResponseNorm(size, { alpha, beta, k }) };
    return {
      run: (input) => {
        const x = required(node, input);
        const channels = x.shape[1];
        const padding = x.shape
          .slice(1)
          .map((_, i) => (i === 0 ? ([(size - 2) / 2, size / 2] as const) : ([0, 0] as const)));
        const squares = x.mul(x).pad(padding);
        let sum = squares.narrow(1, 0, channels);
        for (let i = 1; i < size; i++) sum = sum.add(squares.narrow(1, i, channels));
        return x.div(
          sum
            .mul(alpha / size)
            .add(k)
            .pow(beta),
        );
      },
    };
  },
};

export const normalization: OperatorTable = {
  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  GroupNormalization: groupNormalization,
  LRN: lrn,

  RMSNormalization: computes((node) => {
    const [axis, eps] = [node.int('axis', -1), node.float('epsilon', 1e-5)];
    return (input, scale) => {
      const x = required(node, input);
      const over = x.shape.map((_, i) => i).slice(axisOf(node, axis, x.ndim));
      const inverse = x.mul(x).mean(over, { keepDims: true }).add(eps).rsqrt();
      return x.mul(inverse).mul(required(node, scale, 'its scale'));
    };
  }),
  LpNormalization: computes((node) => {
    const [axis, p] = [node.int('axis', -1), node.int('p', 2)];
    if (p !== 1 && p !== 2) throw node.fail(`p is ${p}; it is 1 or 2`);
    return (input) => {
      const x = required(node, input);
      return x.div(x.norm(p, axisOf(node, axis, x.ndim), { keepDims: true }));
    };
  }),
  MeanVarianceNormalization: computes((node) => {
    const axes = node.ints('axes') ?? [0, 2, 3];
    return (input) => {
      const x = required(node, input);
      const over = axes.map((axis) => axisOf(node, axis, x.ndim));
      const centred = x.sub(x.mean(over, { keepDims: true }));
      // The specification's own formula adds this much to the deviation.
      return centred.div(centred.mul(centred).mean(over, { keepDims: true }).sqrt().add(1e-9));
    };
  }),
};

function standardized(x: Tensor, axes: readonly number[], eps: number): Tensor {
  const centred = x.sub(x.mean(axes, { keepDims: true }));
  return centred.mul(centred.mul(centred).mean(axes, { keepDims: true }).add(eps).rsqrt());
}
