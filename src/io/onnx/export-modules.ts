/**
 * Layers that fovea composes of many primitives and ONNX has as one operator with weights: normalisations. They are found by the module that
 * made a value, with the module's own tensors as operands, so the file's weights carry the names of the state.
 */

import type { Node } from '../../graph/node.js';
import {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  GroupNorm,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  LayerNorm,
  LayerNorm2d,
  PReLU,
} from '../../nn/index.js';
import { add, mul, neg, rsqrt } from '../../ops/elementwise.js';
import { reshape } from '../../ops/movement.js';
import { constant } from '../../ops/source.js';
import type { Tensor } from '../../tensor/index.js';
import { type Emission, type Match, type Rule, type RuleContext, single } from './export-emit.js';
import type { ValueType } from './export-graph.js';
import { layerAt } from './export-structured.js';
import type { Dims, Trace } from './export-trace.js';

type StatisticsNorm = BatchNorm1d | BatchNorm2d | BatchNorm3d | InstanceNorm1d | InstanceNorm2d | InstanceNorm3d;

export const moduleRule: Rule = (node, context) => {
  const call = context.trace.callOf(node);
  if (call === undefined) return null;
  const { module, input: x } = call;
  if (isStatisticsNorm(module)) return statisticsNorm(module, x, context);
  if (module instanceof LayerNorm) return layerNorm(module, x, context);
  if (module instanceof LayerNorm2d) return layerNorm2d(module, x, context);
  if (module instanceof GroupNorm) return groupNorm(module, x, context);
  if (module instanceof PReLU) return prelu(module, x, context);
  return null;
};

function isStatisticsNorm(module: unknown): module is StatisticsNorm {
  const classes = [BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d];
  return classes.some((kind) => module instanceof kind);
}

function statisticsNorm(norm: StatisticsNorm, x: Node, context: RuleContext): Match | null {
  const { trace } = context;
  const channels = [norm.numFeatures];
  const weight = norm.weight?.current ?? filled(1, channels, trace);
  const bias = norm.bias?.current ?? filled(0, channels, trace);
  if (norm.running_mean !== null) {
    const folded = context.foldBatchNorm ? foldInto(norm, x, context) : null;
    if (folded !== null) return folded;
    const statistics = [norm.running_mean.current, norm.running_var!.current];
    return single('BatchNormalization', [x, weight, bias, ...statistics], { epsilon: { f: norm.eps } });
  }
  const overSpace = !(norm instanceof BatchNorm1d || norm instanceof BatchNorm2d || norm instanceof BatchNorm3d);
  return overSpace ? single('InstanceNormalization', [x, weight, bias], { epsilon: { f: norm.eps } }) : null;
}

/** W' = W · γ / σ and b' = (b − μ) · γ / σ + β: see nn/fold-batch-norm.ts, which does this to a model for good. */
function foldInto(norm: StatisticsNorm, x: Node, context: RuleContext): Match | null {
  const { trace } = context;
  const layer = trace.uses(x) === 1 ? layerAt(x, context) : null;
  if (layer?.outputs == null) return null;
  const { axis, count } = layer.outputs;
  const inverse = rsqrt(add(norm.running_var!.current, norm.eps));
  const scale = norm.weight === null ? inverse : mul(inverse, norm.weight.current);
  const mean = neg(norm.running_mean!.current);
  const shifted = mul(layer.bias === null ? mean : add(layer.bias, mean), scale);
  const bias = norm.bias === null ? shifted : add(shifted, norm.bias.current);
  const weight = mul(layer.weight, reshape(scale, layer.weight.shape.map((_, i) => (i === axis ? count : 1)))); // biome-ignore format: one thought
  const folded = layer.apply(
    context.named(trace.fix(weight), layer.weight),
    context.renamed(trace.fix(bias), layer.weight, 'bias'),
  );
  return { ...folded, scope: layer.scope };
}

function layerNorm(norm: LayerNorm, x: Node, { trace }: RuleContext): Match {
  const weight = norm.weight?.current ?? filled(1, norm.normalizedShape, trace);
  const attributes = { axis: { i: -norm.normalizedShape.length }, epsilon: { f: norm.eps } };
  return single('LayerNormalization', [x, weight, ...operand(norm.bias)], attributes);
}

/** ONNX normalises over last axes: the channels go there and back. */
function layerNorm2d(norm: LayerNorm2d, x: Node, { trace }: RuleContext): Match {
  const dims = trace.dims(x);
  const there = [0, ...dims.map((_, i) => i).slice(2), 1];
  const back = [0, dims.length - 1, ...dims.map((_, i) => i).slice(1, -1)];
  const type: ValueType = { dtype: 'float32', dims: there.map((i) => dims[i]) };
  return {
    operands: [x, norm.weight.current, norm.bias.current],
    emit: (e, [name, ...weights]) => {
      const last = e.step('Transpose', [name], { perm: { ints: there } }, type);
      const attributes = { axis: { i: -1 }, epsilon: { f: norm.eps } };
      const normal = e.step('LayerNormalization', [last, ...weights], attributes, type);
      return e.result('Transpose', [normal], { perm: { ints: back } });
    },
  };
}

/** One operator from opset 21 on; before, ONNX scaled groups instead of channels, so the groups are normalised as instances. */
function groupNorm(norm: GroupNorm, x: Node, { trace, opset }: RuleContext): Match {
  const epsilon = { f: norm.eps };
  const groups = norm.numGroups;
  const weight = norm.weight?.current ?? filled(1, [norm.numChannels], trace);
  const bias = norm.bias?.current ?? filled(0, [norm.numChannels], trace);
  if (opset >= 21) return single('GroupNormalization', [x, weight, bias], { epsilon, num_groups: { i: groups } });
  const dims = trace.dims(x);
  const perChannel = (tensor: Tensor | null) =>
    tensor === null ? [] : [trace.fix(reshape(tensor.current, [norm.numChannels, ...dims.slice(2).map(() => 1)]))];
  return {
    operands: [
      x,
      filled(1, [groups], trace),
      filled(0, [groups], trace),
      ...perChannel(norm.weight),
      ...perChannel(norm.bias),
    ],
    emit: (e, [name, ones, zeros, scale, shift]) => {
      const size = x.shape.slice(1).reduce((n, d) => n * d, 1) / groups;
      const grouped: ValueType = { dtype: 'float32', dims: [dims[0], fixed(groups), fixed(size)] };
      const rows = e.step('Reshape', [name, e.graph.ints([0, groups, -1])], {}, grouped);
      const normal = e.step('InstanceNormalization', [rows, ones, zeros], { epsilon }, grouped);
      return affine(e, reshapeBack(e, normal, dims, scale === undefined), [scale, shift], dims);
    },
  };
}

function reshapeBack(e: Emission, name: string, dims: Dims, last: boolean): string {
  const shape = e.graph.ints(dims.map((dim, i) => (i === 0 ? 0 : dim.count)));
  return last ? e.result('Reshape', [name, shape]) : e.step('Reshape', [name, shape], {}, { dtype: 'float32', dims });
}

/** x · scale + shift, of which the last may be missing, or both. */
function affine(e: Emission, x: string, [scale, shift]: readonly (string | undefined)[], dims: Dims): string {
  if (scale === undefined) return x;
  if (shift === undefined) return e.result('Mul', [x, scale]);
  return e.result('Add', [e.step('Mul', [x, scale], {}, { dtype: 'float32', dims }), shift]);
}

/** One slope, or one for each channel. */
function prelu(module: PReLU, x: Node, { trace }: RuleContext): Match {
  const slopes = module.weight.current;
  const after = x.shape.length - 2;
  const fits = module.numParameters === 1 || after <= 0;
  const shaped = fits
    ? slopes
    : trace.fix(reshape(slopes, [module.numParameters, ...new Array<number>(after).fill(1)]));
  return single('PRelu', [x, shaped]);
}

function operand(tensor: Tensor | null): Node[] {
  return tensor === null ? [] : [tensor.current];
}

function filled(value: number, shape: readonly number[], trace: Trace): Node {
  return trace.fix(constant(value, shape));
}

function fixed(count: number) {
  return { count, perBatch: false };
}
