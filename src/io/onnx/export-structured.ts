/**
 * Structured primitives → ONNX operators: convolution, pooling, matrix products, reductions, movement, indexing. Where a few primitives
 * together are what ONNX calls one operator (a convolution and its bias, a mean, a linear layer), the rule at the last of them takes all.
 */

import type { AnyOp, Node } from '../../graph/node.js';
import { type ConvInputGradParams, convInputGradOp, convOp } from '../../ops/conv.js';
import { addOp, divOp, mulOp } from '../../ops/elementwise.js';
import type { AxisParams, CumsumParams, SortParams } from '../../ops/indexing.js';
import { type MatmulParams, matmulOp } from '../../ops/matmul.js';
import { expandOp, type PadAttrs, reshape, reshapeOp, type SliceAttrs } from '../../ops/movement.js';
import { sumPoolOp } from '../../ops/pool.js';
import { type ArgAttrs, type ReduceAttrs, sumOp } from '../../ops/reduce.js';
import { uniformValue } from '../../ops/source.js';
import { type ConvParams, spanOf, type Window } from '../../ops/window.js';
import { numel, type Shape, sameShape } from '../../util/shape.js';
import {
  type Attributes,
  alias,
  type Emission,
  type Match,
  type Rule,
  type RuleContext,
  single,
  unrepeated,
} from './export-emit.js';
import { dataTypes } from './export-graph.js';
import { batchError, type Dims, fixedDims, isOne, place, sameDim, sameDims, type Trace } from './export-trace.js';

export const structuredRule: Rule = (node, context) => {
  const [x] = node.inputs;
  switch (node.op.name) {
    case 'add':
      return layerAt(node, context)?.apply() ?? null;
    case 'mul':
      return meanAt(node, context) ?? averagePoolAt(node, context) ?? timesOne(node, context);
    case 'div':
      return averagePoolAt(node, context);
    case 'conv':
    case 'convInputGrad':
      return layerAt(node, context)!.apply();
    case 'matmul':
      return layerAt(node, context)?.apply() ?? matmul(node, context);
    case 'maxPool':
      return maxPool(node);
    case 'maxPoolIndices':
      return maxPoolIndices(node, context);
    case 'sumPool':
      return sumPool(node, context);
    case 'sum':
      return reduction('ReduceSum', x, node.attrs as ReduceAttrs, context);
    case 'prod':
      return reduction('ReduceProd', x, node.attrs as ReduceAttrs, context);
    case 'maxReduce':
      return extreme('ReduceMax', node, context);
    case 'minReduce':
      return extreme('ReduceMin', node, context);
    case 'argmax':
      return argExtreme('ArgMax', node, context);
    case 'argmin':
      return argExtreme('ArgMin', node, context);
    case 'softmax':
      return single('Softmax', [x], { axis: { i: (node.attrs as AxisParams).axis } });
    case 'logSoftmax':
      return single('LogSoftmax', [x], { axis: { i: (node.attrs as AxisParams).axis } });
    case 'reshape':
      return sharedMatmulAt(node, context) ?? reshaped(node, context);
    case 'permute':
      return single('Transpose', [x], { perm: { ints: (node.attrs as { axes: readonly number[] }).axes } });
    case 'expand':
      return expanded(node, context);
    case 'slice':
      return sliced(node, context);
    case 'flip':
      return flipped(node);
    case 'pad':
      return padded(node);
    case 'concat':
      return single('Concat', node.inputs, { axis: { i: (node.attrs as AxisParams).axis } });
    case 'gather':
      return gathered(node, context);
    case 'scatterAdd':
      return single('ScatterElements', node.inputs, {
        axis: { i: (node.attrs as AxisParams).axis },
        reduction: { s: 'add' },
      });
    case 'cumsum':
      return cumsum(x, node.attrs as CumsumParams);
    case 'sortIndices':
      return sorted(node, context);
    case 'constant':
      return filled(node, context);
    case 'iota':
      return counted(node, context);
    default:
      return null;
  }
};

// — layers: convolutions and matrix products with their bias —

/** A convolution, transposed convolution or matrix product with a weight. */
export interface Layer {
  /** Path of its module. */
  readonly scope: string | null;
  readonly weight: Node;
  /** Axis of the weight along which the outputs lie, and how many there are; null where groups make it no single axis. */
  readonly outputs: { readonly axis: number; readonly count: number } | null;
  readonly bias: Node | null;
  /** The ONNX node, with its own weight and bias or with others. */
  apply(weight?: Node, bias?: Node | null): Match;
}

/** The layer whose result `node` is, with its bias if it ends in one; null if it is none. */
export function layerAt(node: Node, context: RuleContext): Layer | null {
  const { trace } = context;
  if (node.op !== (addOp as AnyOp)) return plainLayer(node, null, trace);
  for (const [i, product] of node.inputs.entries()) {
    if (trace.uses(product) !== 1 || trace.isFixed(product)) continue;
    const layer = plainLayer(product, null, trace);
    if (layer === null) continue;
    const bias = biasOf(node.inputs[1 - i], product, context);
    if (bias !== null) return plainLayer(product, bias, trace);
  }
  return null;
}

function plainLayer(node: Node, bias: Node | null, trace: Trace): Layer | null {
  const [, weight] = node.inputs;
  if (node.op === (convOp as AnyOp)) {
    const attributes = windowAttributes(weight.shape.slice(2), node.attrs as ConvParams);
    return layer('Conv', node, bias, { axis: 0, count: weight.shape[0] }, attributes);
  }
  if (node.op === (convInputGradOp as AnyOp)) {
    const p = node.attrs as ConvInputGradParams;
    const attributes = { ...windowAttributes(weight.shape.slice(2), p), output_padding: { ints: outputPadding(node) } };
    const outputs = p.groups === 1 ? { axis: 1, count: weight.shape[1] } : null;
    return layer('ConvTranspose', node, bias, outputs, attributes);
  }
  if (node.op !== (matmulOp as AnyOp) || node.shape.length !== 2 || !trace.isFixed(weight)) return null;
  const { transA, transB } = node.attrs as MatmulParams;
  const outputs = { axis: transB ? 0 : 1, count: node.shape[1] };
  if (bias === null && !transA && !transB) return null;
  return layer('Gemm', node, bias, outputs, {
    ...(transA && { transA: { i: 1 } }),
    ...(transB && { transB: { i: 1 } }),
  });
}

function layer(
  opType: string,
  { scope, inputs: [x, weight] }: Node,
  bias: Node | null,
  outputs: Layer['outputs'],
  attributes: Attributes,
): Layer {
  const apply = (w = weight, b = bias) => single(opType, b === null ? [x, w] : [x, w, b], attributes);
  return { scope, weight, bias, outputs, apply };
}

/** `node` as one number for each channel (axis 1) of what it is added to, or null. */
function biasOf(node: Node, to: Node, { trace }: RuleContext): Node | null {
  const bare = unrepeated(node, trace);
  if (!trace.isFixed(bare)) return null;
  const channels = to.shape[1];
  const perChannel = [1, channels, ...to.shape.slice(2).map(() => 1)];
  const missing = perChannel.length - bare.shape.length;
  const fits = missing >= 0 && numel(bare.shape) === channels && sameShape(bare.shape, perChannel.slice(missing));
  return fits ? flat(bare, trace) : null;
}

/** A fixed value in one row. */
export function flat(node: Node, trace: Trace): Node {
  let at = node;
  while (at.shape.length !== 1 && at.op === (reshapeOp as AnyOp)) [at] = at.inputs;
  if (at.shape.length === 1) return at;
  return trace.fix(reshape(node, [numel(node.shape)]));
}

function windowAttributes(kernel: Shape, { stride, padding, dilation, groups }: ConvParams): Attributes {
  return { ...poolAttributes({ kernelSize: kernel, stride, padding, dilation }), group: { i: groups } };
}

function poolAttributes({ kernelSize, stride, padding, dilation }: Window): Attributes {
  return {
    kernel_shape: { ints: kernelSize },
    strides: { ints: stride },
    pads: { ints: [...padding.map(([lo]) => lo), ...padding.map(([, hi]) => hi)] },
    ...(dilation.some((d) => d !== 1) && { dilations: { ints: dilation } }),
  };
}

/** What a strided convolution would have overlooked at the end of each axis. */
function outputPadding({ inputs: [dy, weight], attrs }: Node): number[] {
  const { stride, padding, dilation, xShape } = attrs as ConvInputGradParams;
  return stride.map((s, i) => {
    const [lo, hi] = padding[i];
    return xShape[i + 2] - ((dy.shape[i + 2] - 1) * s + spanOf(weight.shape[i + 2], dilation[i]) - lo - hi);
  });
}

/** Batched product: ONNX broadcasts the axes before the last two, and knows nothing of transposed operands. */
function matmul(node: Node, { trace }: RuleContext): Match {
  const { transA, transB } = node.attrs as MatmulParams;
  const operands = node.inputs.map((input) => {
    const bare = unrepeated(input, trace);
    return bare.shape.length >= 2 && sameShape(bare.shape.slice(-2), input.shape.slice(-2)) ? bare : input;
  });
  const batch = trace.dims(node).slice(0, -2);
  // One of them must still have the whole batch.
  if (!operands.some((operand) => sameDims(trace.dims(operand).slice(0, -2), batch))) operands[0] = node.inputs[0];
  return {
    operands,
    emit: (e, [a, b]) => {
      const left = transA ? transposed(e, a, trace.dims(operands[0])) : a;
      const right = transB ? transposed(e, b, trace.dims(operands[1])) : b;
      return e.result('MatMul', [left, right]);
    },
  };
}

/** x [.., K] times one matrix, which was recorded with the axes of x before K drawn together. */
function sharedMatmulAt(node: Node, { trace }: RuleContext): Match | null {
  const [product] = node.inputs;
  if (product.op !== (matmulOp as AnyOp) || product.shape.length !== 2 || trace.uses(product) !== 1) return null;
  const { transA, transB } = product.attrs as MatmulParams;
  const [rows, weight] = product.inputs;
  if (transA || rows.op !== (reshapeOp as AnyOp) || node.shape.length < 3) return null;
  const [x] = rows.inputs;
  const shape = [...x.shape.slice(0, -1), product.shape[1]];
  if (!sameShape(shape, node.shape) || x.shape.at(-1) !== rows.shape[1]) return null;
  return {
    operands: [x, weight],
    emit: (e, [a, b]) => e.result('MatMul', [a, transB ? transposed(e, b, trace.dims(weight)) : b]),
  };
}

/** The last two axes exchanged. */
function transposed(e: Emission, name: string, dims: Dims): string {
  const last = dims.length - 1;
  const perm = dims.map((_, i) => (i === last ? last - 1 : i === last - 1 ? last : i));
  return e.step('Transpose', [name], { perm: { ints: perm } }, { dtype: 'float32', dims: perm.map((i) => dims[i]) });
}

// — pooling —

function maxPool(node: Node): Match {
  const [x] = node.inputs;
  const w = node.attrs as Window;
  const whole = sameShape(w.kernelSize, x.shape.slice(2)) && w.padding.flat().every((p) => p === 0);
  return whole ? single('GlobalMaxPool', [x]) : single('MaxPool', [x], poolAttributes(w));
}

/** ONNX counts positions over the whole tensor, fovea in each plane. */
function maxPoolIndices(node: Node, { trace }: RuleContext): Match {
  const [x] = node.inputs;
  const dims = trace.dims(node);
  return {
    operands: [x],
    emit: (e, names) => {
      const types = [{ dtype: 'float32', dims }, { dtype: 'int64', dims }] as const; // biome-ignore format: one thought
      const [, positions] = e.steps('MaxPool', names, poolAttributes(node.attrs as Window), types);
      const inPlane = e.step('Mod', [positions, e.graph.int(numel(x.shape.slice(2)))], {}, types[1]);
      return e.result('Cast', [inPlane], { to: { i: dataTypes.int32 } });
    },
  };
}

/** Sums of windows over their sizes. */
function averagePoolAt(node: Node, { trace }: RuleContext): Match | null {
  const at = node.inputs.findIndex((input) => input.op === (sumPoolOp as AnyOp) && !trace.isFixed(input));
  if (at < 0 || (at === 1 && node.op === (divOp as AnyOp))) return null;
  const [sums, other] = [node.inputs[at], node.inputs[1 - at]];
  const w = sums.attrs as Window;
  const average = (countPad: boolean) =>
    single('AveragePool', sums.inputs, { ...poolAttributes(w), count_include_pad: { i: countPad ? 1 : 0 } });
  if (node.op === (mulOp as AnyOp)) return trace.literal(other) === 1 / numel(w.kernelSize) ? average(true) : null;
  // The same window over ones: how many elements of the input itself each window has.
  const counts = unrepeated(other, trace);
  const ones = counts.op === (sumPoolOp as AnyOp) ? counts.inputs[0] : null;
  if (ones === null || trace.literal(ones) !== 1) return null;
  const over = counts.attrs as Window;
  const same =
    sameShape(ones.shape.slice(2), sums.inputs[0].shape.slice(2)) &&
    [over.kernelSize, over.stride, over.padding.flat()].join() === [w.kernelSize, w.stride, w.padding.flat()].join();
  return same ? average(false) : null;
}

function sumPool(node: Node, { trace }: RuleContext): Match {
  const w = node.attrs as Window;
  const type = { dtype: 'float32', dims: trace.dims(node) } as const;
  return {
    operands: node.inputs,
    emit: (e, names) => {
      const mean = e.step('AveragePool', names, { ...poolAttributes(w), count_include_pad: { i: 1 } }, type);
      return e.result('Mul', [mean, e.graph.scalar(numel(w.kernelSize), 'float32')]);
    },
  };
}

// — reductions —

/** A reduction along axes. */
export function reduction(opType: string, x: Node, { axes, keepDims }: ReduceAttrs, { opset }: RuleContext): Match {
  const keepdims = { i: keepDims ? 1 : 0 };
  // Axes became an input: of ReduceSum with opset 13, of the others with 18.
  if (opset < 18 && opType !== 'ReduceSum') return single(opType, [x], { axes: { ints: axes }, keepdims });
  return { operands: [x], emit: (e, [name]) => e.result(opType, [name, e.graph.ints(axes)], { keepdims }) };
}

/** A sum times one over the number of its terms. */
function meanAt(node: Node, context: RuleContext): Match | null {
  const at = node.inputs.findIndex((input) => input.op === (sumOp as AnyOp));
  if (at < 0) return null;
  const [sum, factor] = [node.inputs[at], node.inputs[1 - at]];
  const { trace } = context;
  const attrs = sum.attrs as ReduceAttrs;
  const isMean = [false, true].every((twin) => {
    const [s, f] = twin ? [trace.twin(sum), trace.twin(factor)] : [sum, factor];
    return uniformValue(f) === 1 / numel(attrs.axes.map((axis) => s.inputs[0].shape[axis]));
  });
  if (!isMean) return null;
  const [x] = sum.inputs;
  const spatial = x.shape.slice(2).map((_, i) => i + 2);
  if (attrs.keepDims && spatial.length > 1 && sameShape(attrs.axes, spatial)) return single('GlobalAveragePool', [x]);
  return reduction('ReduceMean', x, attrs, context);
}

function timesOne(node: Node, { trace }: RuleContext): Match | null {
  const at = node.inputs.findIndex((input) => trace.literal(input) === 1);
  return at < 0 ? null : alias(node.inputs[1 - at]);
}

/** ONNX has no extremes of truth values. */
function extreme(opType: string, node: Node, context: RuleContext): Match {
  const [x] = node.inputs;
  const match = reduction(opType, x, node.attrs as ReduceAttrs, context);
  if (x.dtype !== 'bool') return match;
  const dims = context.trace.dims(x);
  const reduced = context.trace.dims(node);
  return {
    operands: [x],
    emit: (e, names) => {
      const counts = e.step('Cast', names, { to: { i: dataTypes.int32 } }, { dtype: 'int32', dims });
      const inner = { ...e, result: (op: string, inputs: readonly string[], attributes: Attributes = {}) => e.step(op, inputs, attributes, { dtype: 'int32', dims: reduced }) }; // biome-ignore format: one thought
      return e.result('Cast', [match.emit(inner, [counts])], { to: { i: dataTypes.bool } });
    },
  };
}

function argExtreme(opType: string, node: Node, { trace }: RuleContext): Match {
  const { axis, keepDims } = node.attrs as ArgAttrs;
  const type = { dtype: 'int64', dims: trace.dims(node) } as const;
  return {
    operands: node.inputs,
    emit: (e, names) => {
      const found = e.step(opType, names, { axis: { i: axis }, keepdims: { i: keepDims ? 1 : 0 } }, type);
      return e.result('Cast', [found], { to: { i: dataTypes.int32 } });
    },
  };
}

// — movement —

/** The same elements under another shape, whatever shapes they had on the way. */
function reshaped(node: Node, { trace }: RuleContext): Match {
  let [x] = node.inputs;
  while (x.op === (reshapeOp as AnyOp) && !trace.isFixed(x)) [x] = x.inputs;
  const [from, to] = [trace.dims(x), trace.dims(node)];
  if (sameDims(from, to)) return alias(x);
  if (to.length === 2 && from.length > 2 && sameDim(from[0], to[0])) return single('Flatten', [x], { axis: { i: 1 } });
  // 0 keeps the size that stands there, −1 follows from the rest.
  const target = to.map((dim, i) => (!dim.perBatch ? dim.count : i < from.length && sameDim(dim, from[i]) ? 0 : -1));
  if (target.filter((size) => size === -1).length > 1) {
    throw batchError('two sizes of a reshape follow it', place(node));
  }
  return { operands: [x], emit: (e, [name]) => e.result('Reshape', [name, e.graph.ints(target)]) };
}

/** Only what is repeated is named: ONNX keeps the other sizes where 1 is asked for. */
function expanded(node: Node, { trace }: RuleContext): Match {
  const [x] = node.inputs;
  const [from, to] = [trace.dims(x), trace.dims(node)];
  const target = to.map((dim, i) => (sameDim(dim, from[i]) ? fixedDims([1])[0] : dim));
  return { operands: [x], emit: (e, [name]) => e.result('Expand', [name, e.sizes(target)]) };
}

function sliced(node: Node, { trace }: RuleContext): Match {
  const [x] = node.inputs;
  const [a, b] = [node.attrs as SliceAttrs, trace.twin(node).attrs as SliceAttrs];
  const sizes = trace.dims(x);
  const cuts = a.starts.flatMap((start, axis) => {
    const whole = a.stops[axis] === x.shape[axis] && b.stops[axis] === trace.twin(x).shape[axis];
    const stop = whole ? Infinity : a.stops[axis];
    const step = a.steps[axis];
    if (b.starts[axis] !== start || (!whole && b.stops[axis] !== stop)) {
      throw batchError(`where a slice begins or ends along axis ${axis} follows it`, place(node));
    }
    return start === 0 && whole && step === 1
      ? []
      : [{ axis, start, stop: whole && !sizes[axis].perBatch ? a.stops[axis] : stop, step }];
  });
  const lists = [cuts.map((c) => c.start), cuts.map((c) => c.stop), cuts.map((c) => c.axis), cuts.map((c) => c.step)];
  return { operands: [x], emit: (e, [name]) => e.result('Slice', [name, ...lists.map((list) => e.graph.ints(list))]) };
}

function flipped(node: Node): Match {
  const { axes } = node.attrs as { readonly axes: readonly number[] };
  const lists = [axes.map(() => -1), axes.map(() => -Infinity), axes, axes.map(() => -1)];
  return {
    operands: node.inputs,
    emit: (e, [name]) => e.result('Slice', [name, ...lists.map((list) => e.graph.ints(list))]),
  };
}

function padded(node: Node): Match {
  const { padding, value } = node.attrs as PadAttrs;
  const pads = [...padding.map(([lo]) => lo), ...padding.map(([, hi]) => hi)];
  return {
    operands: node.inputs,
    emit: (e, [name]) => e.result('Pad', [name, e.graph.ints(pads), e.graph.scalar(value, node.dtype)]),
  };
}

// — indexing —

/** Whole slices where every index along the other axes is the same. */
function gathered(node: Node, { trace }: RuleContext): Match {
  const [x, index] = node.inputs;
  const axis = { i: (node.attrs as AxisParams).axis };
  const line = index.op === (expandOp as AnyOp) ? index.inputs[0] : index;
  const alone = line.shape.every((_, i) => i === axis.i || isOne(trace.dims(line)[i]));
  const wholeOf = trace.dims(node).every((dim, i) => i === axis.i || sameDim(dim, trace.dims(x)[i]));
  if (!alone || !wholeOf) return single('GatherElements', [x, index], { axis });
  const row = line.op === (reshapeOp as AnyOp) && line.inputs[0].shape.length === 1 ? line.inputs[0] : null;
  if (row !== null) return single('Gather', [x, row], { axis });
  const dims = [trace.dims(line)[axis.i]];
  return {
    operands: [x, line],
    emit: (e, [name, places]) => {
      const list = e.step('Reshape', [places, e.graph.ints([-1])], {}, { dtype: 'int32', dims });
      return e.result('Gather', [name, list], { axis });
    },
  };
}

function cumsum(x: Node, { axis, reverse }: CumsumParams): Match {
  return {
    operands: [x],
    emit: (e, [name]) => e.result('CumSum', [name, e.graph.int(axis)], reverse ? { reverse: { i: 1 } } : {}),
  };
}

/** All of an axis in order is its top k with k its size; of equals ONNX takes the first one first, too. */
function sorted(node: Node, { trace }: RuleContext): Match {
  const [x] = node.inputs;
  const { axis, descending } = node.attrs as SortParams;
  const dims = trace.dims(node);
  return {
    operands: [x],
    emit: (e, [name]) => {
      const types = [{ dtype: x.dtype, dims }, { dtype: 'int64', dims }] as const; // biome-ignore format: one thought
      const attributes = { axis: { i: axis }, largest: { i: descending ? 1 : 0 }, sorted: { i: 1 } };
      const [, order] = e.steps('TopK', [name, e.sizes([dims[axis]])], attributes, types);
      return e.result('Cast', [order], { to: { i: dataTypes.int32 } });
    },
  };
}

// — sources whose size follows the batch —

function filled(node: Node, { trace }: RuleContext): Match | null {
  const value = trace.literal(node);
  if (value === null) throw batchError('a constant follows it', place(node));
  return {
    operands: [],
    emit: (e) => e.result('Expand', [e.graph.scalar(value, node.dtype), e.sizes(trace.dims(node))]),
  };
}

function counted(node: Node, { trace }: RuleContext): Match {
  const dims = trace.dims(node);
  return {
    operands: [],
    emit: (e) => {
      const end = e.step('Squeeze', [e.sizes(dims)], {}, { dtype: 'int64', dims: [] });
      const range = e.step('Range', [e.graph.int(0), end, e.graph.int(1)], {}, { dtype: 'int64', dims });
      return e.result('Cast', [range], { to: { i: dataTypes.int32 } });
    },
  };
}
