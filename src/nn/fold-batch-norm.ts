/**
 * Batch norm folded into the layer in front of it: in evaluation both are linear, γ · (W x + b − μ) / σ + β, so they are one layer with other
 * numbers (PyTorch's `fuse_conv_bn_eval`). Which pairs a model has is read off the graph that one forward records, not off names or positions,
 * so any `forward` will do; what changes are the modules themselves, so that the folded network is what runs, is exported and is saved.
 */

import type { Node } from '../graph/node.js';
import { Parameter, Tensor, zeros } from '../tensor/index.js';
import type { DType } from '../util/dtype.js';
import type { Shape } from '../util/shape.js';
import { ConvNd } from './conv.js';
import { Identity, Linear } from './linear.js';
import { inEvalMode, type Module, ownTensors } from './module.js';
import { BatchNorm1d, BatchNorm2d, BatchNorm3d } from './normalization.js';
import { inOrder } from './receptive-field.js';

type Layer = ConvNd | Linear;
type BatchNorm = BatchNorm1d | BatchNorm2d | BatchNorm3d;

/**
 * Folds each batch norm whose input is the result of a convolution or linear layer, and nothing else's, into that layer: the layer gets new
 * weights and a bias, an `Identity` takes the batch norm's place. Changes `model`, puts it into evaluation mode and returns it. Batch norms that
 * cannot be folded stay: behind a layer that is called twice or shares its weights, behind a result that others read too, without running
 * statistics. `inputShape` is that of one input without the batch, or of several. Numbers agree up to rounding.
 */
export function foldBatchNorm<M extends Module>(
  model: M,
  inputShape: Shape | readonly Shape[],
  { dtype = 'float32' }: { dtype?: DType } = {},
): M {
  const shapes = (
    inputShape.length > 0 && Array.isArray(inputShape[0]) ? inputShape : [inputShape]
  ) as readonly Shape[];
  const inputs = shapes.map((shape) => zeros([1, ...shape], { dtype }));
  for (const [layer, norm] of foldablePairs(model, inputs)) {
    fold(layer, norm);
    replaceModule(model, norm, new Identity().eval());
  }
  return model.eval();
}

function foldablePairs(model: Module, inputs: readonly Tensor[]): [Layer, BatchNorm][] {
  const calls = new Map<Module, number>();
  const makers = new Map<Node, Layer>(); // who made a value
  const readers = new Map<BatchNorm, Node>(); // what a batch norm was given
  const outputs = inEvalMode(model, () => {
    const handles = model.modules().flatMap((module) => [
      module.registerForwardPreHook((m, [x]) => {
        calls.set(m, (calls.get(m) ?? 0) + 1);
        if (isBatchNorm(m) && x instanceof Tensor) readers.set(m, x.current);
      }),
      module.registerForwardHook((m, _inputs, y) => {
        if (isLayer(m) && y instanceof Tensor) makers.set(y.current, m);
      }),
    ]);
    try {
      return tensorsIn(model.forward(...inputs)).map((t) => t.current);
    } finally {
      for (const handle of handles) handle.remove();
    }
  });

  const users = new Map<Node, number>();
  const use = (node: Node) => users.set(node, (users.get(node) ?? 0) + 1);
  for (const node of inOrder(outputs)) node.inputs.forEach(use);
  outputs.forEach(use);
  const holders = new Map<Tensor, number>();
  for (const module of model.modules()) {
    for (const [, tensor] of ownTensors(module)) holders.set(tensor, (holders.get(tensor) ?? 0) + 1);
  }
  const ownsWeights = (layer: Layer) =>
    holders.get(layer.weight) === 1 && (layer.bias === null || holders.get(layer.bias) === 1);
  const once = (module: Module) => calls.get(module) === 1;

  return [...readers].flatMap(([norm, read]): [Layer, BatchNorm][] => {
    const layer = makers.get(read);
    if (layer === undefined || norm.running_mean === null || !once(norm) || !once(layer)) return [];
    return users.get(read) === 1 && ownsWeights(layer) ? [[layer, norm]] : [];
  });
}

/** W' = W · γ / σ and b' = (b − μ) · γ / σ + β, for each output channel. */
function fold(layer: Layer, norm: BatchNorm): void {
  const inverse = norm.running_var!.add(norm.eps).rsqrt();
  const scale = norm.weight === null ? inverse : inverse.mul(norm.weight);
  const centred = layer.bias === null ? norm.running_mean!.neg() : layer.bias.sub(norm.running_mean!);
  const shifted = centred.mul(scale);
  const { requiresGrad } = layer.weight;
  const perOutput = [scale.size, ...layer.weight.shape.slice(1).map(() => 1)];
  layer.weight = new Parameter(layer.weight.mul(scale.reshape(perOutput)), { requiresGrad });
  layer.bias = new Parameter(norm.bias === null ? shifted : shifted.add(norm.bias), { requiresGrad });
}

/** Puts `replacement` wherever `old` stands below `root`, in fields and in arrays. */
function replaceModule(root: Module, old: Module, replacement: Module): void {
  for (const parent of root.modules()) {
    for (const [name, value] of Object.entries(parent)) {
      if (value === old) Object.defineProperty(parent, name, { value: replacement });
      else if (Array.isArray(value)) {
        for (const [i, entry] of value.entries()) if (entry === old) value[i] = replacement;
      }
    }
  }
}

function isLayer(module: Module): module is Layer {
  return module instanceof ConvNd || module instanceof Linear;
}

function isBatchNorm(module: Module): module is BatchNorm {
  return module instanceof BatchNorm1d || module instanceof BatchNorm2d || module instanceof BatchNorm3d;
}

/** The tensors of an output: one, or lists and records of them. */
function tensorsIn(output: unknown): Tensor[] {
  if (output instanceof Tensor) return [output];
  if (output === null || typeof output !== 'object') return [];
  return Object.values(output).flatMap(tensorsIn);
}
