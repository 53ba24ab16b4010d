/** Convolutions and products with weights: modules whose weights are trained, or plain functions where the weights are computed. */

import {
  Conv1d,
  Conv2d,
  Conv3d,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  Linear,
  type Module,
} from '../../../nn/index.js';
import { F, type Parameter, type Tensor } from '../../../tensor/index.js';
import type { OnnxNode } from '../import-node.js';
import { type GraphContext, type Operator, type OperatorTable, type Part, required } from './operator.js';
import { autoPadding, type Pads, windowOf } from './window.js';

const convLayers = [Conv1d, Conv2d, Conv3d];
const convFunctions = [F.conv1d, F.conv2d, F.conv3d];
const transposeLayers = [ConvTranspose1d, ConvTranspose2d, ConvTranspose3d];
const transposeFunctions = [F.convTranspose1d, F.convTranspose2d, F.convTranspose3d];

const conv: Operator = {
  translate(node, graph) {
    const weight = graph.parameter(node.input(1));
    const groups = groupsOf(node);
    const bias = weight === null ? null : biasOf(node, graph, 2, weight.shape[0]);
    if (weight === null || (bias === null && node.input(2) !== null)) {
      return {
        run: (input, w, bias) => {
          const [x, kernel] = [required(node, input), required(node, w, 'its weight')];
          const window = windowOf(node, kernel.shape.slice(2));
          const { stride, dilation } = window;
          const padding = window.padding ?? autoPadding(node, x.shape.slice(2), window);
          return pick(node, convFunctions, kernel.ndim)(x, kernel, { stride, dilation, padding, groups, bias });
        },
      };
    }
    const window = windowOf(node, weight.shape.slice(2));
    const { kernelSize, stride, dilation } = window;
    const Layer = pick(node, convLayers, weight.ndim);
    const [outChannels, inChannels] = [weight.shape[0], weight.shape[1] * groups];
    const make = (padding: Pads): Module => {
      const layer = new Layer(inChannels, outChannels, [...kernelSize], {
        stride,
        padding,
        dilation,
        groups,
        bias: bias !== null,
      });
      return Object.assign(layer, { weight, bias });
    };
    const path = graph.placeOf(node.input(1));
    const [x, y] = [node.inputs[0], node.outputs[0]];
    if (window.padding !== null) return { run: make(window.padding), inputs: [x], path };
    // 'same' with a stride pads by the size of the input: that is a step of its own.
    const padded = graph.inner(node, 'padded');
    const pad: Part = {
      run: (input) => {
        const image = required(node, input);
        return image.pad(autoPadding(node, image.shape.slice(2), window));
      },
      inputs: [x],
      outputs: [padded],
    };
    return [pad, { run: make(kernelSize.map(() => [0, 0])), inputs: [padded], outputs: [y], path }];
  },
};

/** ONNX's pads may differ at both ends, or follow from an output shape: what fovea's layer does not do is cut off or added behind it. */
const convTranspose: Operator = {
  translate(node, graph) {
    const weight = graph.parameter(node.input(1));
    const groups = groupsOf(node);
    const options = (spatial: readonly number[], kernel: readonly number[]) => {
      const window = windowOf(node, kernel);
      const extra = node.ints('output_padding') ?? kernel.map(() => 0);
      const outputShape = node.ints('output_shape');
      let padding = window.padding;
      if (outputShape !== undefined || padding === null) {
        const full = spatial.map(
          (n, i) => (n - 1) * window.stride[i] + window.dilation[i] * (kernel[i] - 1) + 1 + extra[i],
        );
        const sizes = outputShape?.slice(-kernel.length) ?? spatial.map((n, i) => n * window.stride[i]);
        const upper = node.string('auto_pad') === 'SAME_UPPER';
        padding = full.map((n, i): [number, number] => {
          const total = Math.max(0, n - sizes[i]);
          const half = Math.floor(total / 2);
          return upper ? [half, total - half] : [total - half, half];
        });
      }
      return { stride: window.stride, dilation: window.dilation, padding, outputPadding: extra, groups };
    };
    const bias = weight === null ? null : biasOf(node, graph, 2, weight.shape[1] * groups);
    const computed = weight === null || (bias === null && node.input(2) !== null);
    if (computed || node.has('output_shape') || node.string('auto_pad', 'NOTSET').startsWith('SAME')) {
      return {
        run: (input, w, bias) => {
          const [x, kernel] = [required(node, input), required(node, w, 'its weight')];
          const all = { ...options(x.shape.slice(2), kernel.shape.slice(2)), bias };
          return pick(node, transposeFunctions, kernel.ndim)(x, kernel, all);
        },
      };
    }
    const [inChannels, outChannels] = [weight.shape[0], weight.shape[1] * groups];
    const { groups: _, ...rest } = options([], weight.shape.slice(2));
    const Layer = pick(node, transposeLayers, weight.ndim);
    const layer = new Layer(inChannels, outChannels, weight.shape.slice(2), { ...rest, groups, bias: bias !== null });
    return {
      run: Object.assign(layer, { weight, bias }),
      inputs: [node.inputs[0]],
      path: graph.placeOf(node.input(1)),
    };
  },
};

/** alpha · A · B + beta · C, of which a fully connected layer is the usual case. */
const gemm: Operator = {
  translate(node, graph) {
    const [alpha, beta] = [node.float('alpha', 1), node.float('beta', 1)];
    const [transA, transB] = [node.flag('transA'), node.flag('transB')];
    const made = alpha === 1 && !transA ? linear(node, graph, transB) : null;
    if (made !== null) {
      const outFeatures = made.weight.shape[0];
      const c = node.input(2);
      if (c === null) return linearPart(node, graph, made, null);
      const bias = beta === 1 ? biasOf(node, graph, 2, outFeatures) : null;
      if (bias !== null) return linearPart(node, graph, made, bias);
    }
    return {
      run: (a, b, c) => {
        const left = transA ? required(node, a).transpose(0, 1) : required(node, a);
        const second = required(node, b, 'its second input');
        const product = left.matmul(transB ? second.transpose(0, 1) : second);
        const scaled = alpha === 1 ? product : product.mul(alpha);
        if (c === undefined) return scaled;
        return scaled.add(beta === 1 ? c : c.mul(beta));
      },
    };
  },
};

/** A product with a constant matrix is a fully connected layer; the bias that is added next belongs to it. */
const matmul: Operator = {
  translate(node, graph) {
    const product: Part = {
      run: (a, b) => required(node, a).matmul(required(node, b, 'its second input')),
    };
    if (graph.constant(node.inputs[0]) !== null) return product;
    const made = linear(node, graph, false);
    if (made === null) return product;
    const reader = graph.onlyReader(node.outputs[0]);
    const other = reader?.op === 'Add' ? reader.inputs.find((name) => name !== node.outputs[0]) : undefined;
    const bias = graph.constant(other ?? null);
    if (bias === null || bias.ndim !== 1 || bias.size !== made.weight.shape[0])
      return linearPart(node, graph, made, null);
    const parameter = graph.parameter(other!);
    if (parameter === null) return linearPart(node, graph, made, null);
    graph.absorb(reader!);
    const part = linearPart(node, graph, made, parameter);
    return { ...part, outputs: reader!.outputs, path: graph.placeOf(other!) ?? part.path };
  },
};

interface LinearWeight {
  readonly weight: Parameter;
  readonly name: string;
}

/** The second input as the weight [outFeatures, inFeatures] of a Linear; null if it is no constant matrix. */
function linear(node: OnnxNode, graph: GraphContext, transposed: boolean): LinearWeight | null {
  const name = node.input(1);
  if (name === null || graph.constant(name)?.ndim !== 2) return null;
  const weight = graph.parameter(name, transposed ? 'as it is' : 'transposed');
  return weight === null || weight.size === 0 ? null : { weight, name };
}

function linearPart(node: OnnxNode, graph: GraphContext, { weight, name }: LinearWeight, bias: Parameter | null): Part {
  const [outFeatures, inFeatures] = weight.shape;
  const layer = new Linear(inFeatures, outFeatures, { bias: bias !== null });
  return { run: Object.assign(layer, { weight, bias }), inputs: [node.inputs[0]], path: graph.placeOf(name) };
}

/** A constant with one number for each output, trained; null if there is none of that kind. */
function biasOf(node: OnnxNode, graph: GraphContext, input: number, outputs: number): Parameter | null {
  const value = graph.constant(node.input(input));
  return value?.ndim === 1 && value.size === outputs ? graph.parameter(node.input(input)) : null;
}

function groupsOf(node: OnnxNode): number {
  const groups = node.int('group', 1);
  if (!Number.isInteger(groups) || groups < 1) throw node.fail(`group is ${groups}; it is at least 1`);
  return groups;
}

/** The entry for 1, 2 or 3 spatial axes of a weight with `rank` axes. */
function pick<T>(node: OnnxNode, entries: readonly T[], rank: number): T {
  const entry = entries[rank - 3];
  if (entry === undefined) throw node.fail(`its weight has ${rank} axes; fovea convolves over 1, 2 or 3 spatial ones`);
  return entry;
}

/** Integer products, computed as floats, which are exact below 2²⁴. */
const matmulInteger: Operator = {
  translate: (node) => ({
    run: (a, b, aZero, bZero) => product(node, [a, b], [aZero, bZero]).to('int32'),
  }),
};

function product(node: OnnxNode, [a, b]: (Tensor | undefined)[], zeros: (Tensor | undefined)[]): Tensor {
  const [left, right] = [a, b].map((t, i) => {
    const x = required(node, t, 'an input').to('float32');
    const zero = zeros[i]?.to('float32');
    if (zero === undefined) return x;
    return x.sub(zero.ndim === 1 && i === 0 && zero.size > 1 ? zero.reshape([zero.size, 1]) : zero);
  });
  return left.matmul(right);
}

/** A convolution on 8-bit integers: what they stand for is convolved in float32 and rounded back. */
const qLinearConv: Operator = {
  translate(node) {
    const groups = groupsOf(node);
    return {
      run: (x, xScale, xZero, w, wScale, wZero, yScale, yZero, bias) => {
        const all = [x, xScale, xZero, w, wScale, wZero, yScale, yZero].map((t) => required(node, t, 'an input'));
        const [input, sx, zx, kernel, sw, zw, sy, zy] = all.map((t) => t.to('float32'));
        const lead = (t: Tensor) =>
          t.size === 1 ? t.reshape([]) : t.reshape([t.size, ...kernel.shape.slice(1).map(() => 1)]);
        const window = windowOf(node, kernel.shape.slice(2));
        const padding = window.padding ?? autoPadding(node, input.shape.slice(2), window);
        const { stride, dilation } = window;
        const scale = sx.reshape([]).mul(sw.size === 1 ? sw.reshape([]) : sw);
        const y = pick(node, convFunctions, kernel.ndim)(
          input.sub(zx.reshape([])).mul(sx.reshape([])),
          kernel.sub(lead(zw)).mul(lead(sw)),
          { stride, dilation, padding, groups, bias: bias?.to('float32').mul(scale) },
        );
        const unsigned = all[7].dtype === 'uint8';
        const steps = y.div(sy.reshape([])).round().add(zy.reshape([]));
        return unsigned ? steps.clamp(0, 255).to('uint8') : steps.clamp(-128, 127).to('int32');
      },
    };
  },
};

export const convolution: OperatorTable = {
  Conv: conv,
  ConvTranspose: convTranspose,
  Gemm: gemm,
  MatMul: matmul,
  MatMulInteger: matmulInteger,
  QLinearConv: qLinearConv,
};
