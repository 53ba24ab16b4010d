/**
 * Layers with maps. A convolution's output [N, C, h, w] is maps already; a vision transformer's tokens [N, T, C] and the channels-last stages of Swin
 * [N, h, w, C] are laid out as maps. Which layer to look at is asked of the model: the last one that still knows where things are.
 */

import type { Module } from '../nn/index.js';
import { grad, realize, Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, type Shape } from '../util/shape.js';
import { type Answer, classTensor, listen, type Outputs, scoresOf, type Target } from './ask.js';

/** How the output of a layer becomes maps. */
export interface MapForm {
  readonly kind: 'channels first' | 'channels last' | 'tokens';
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Tokens in front that stand for no place: class, distillation, registers. */
  readonly extra: number;
}

/** A layer of one run, looked at as maps. */
export interface MapLayer {
  readonly path: string;
  readonly output: Tensor;
  readonly form: MapForm;
}

/** How many tokens stand in front: none, a class token, one to distil by, four registers more (Darcet et al. 2023). */
const extraTokens = [0, 1, 2, 5];

/** The form of maps in the output of a layer for pictures of shape [N, C, H, W], or null where it has none. */
export function mapForm(shape: Shape, input: Shape): MapForm | null {
  const [count, , height, width] = input;
  if (shape[0] !== count) return null;
  const like = (h: number, w: number) => Math.abs(h * width - w * height) < Math.max(height, width);
  if (shape.length === 4) {
    const [, a, b, c] = shape;
    if (!like(b, c) && like(a, b)) return { kind: 'channels last', channels: c, height: a, width: b, extra: 0 };
    return { kind: 'channels first', channels: a, height: b, width: c, extra: 0 };
  }
  if (shape.length !== 3) return null;
  const [, tokens, channels] = shape;
  for (const extra of extraTokens) {
    const h = Math.round(Math.sqrt(((tokens - extra) * height) / width));
    const w = (tokens - extra) / h;
    if (w >= 1 && Number.isInteger(w) && like(h, w)) return { kind: 'tokens', channels, height: h, width: w, extra };
  }
  return null;
}

/** The output of a layer, or a gradient by it, as maps [N, C, h, w]. */
export function toMaps(x: Tensor, { kind, height, width, channels, extra }: MapForm): Tensor {
  if (kind === 'channels first') return x;
  if (kind === 'channels last') return x.permute([0, 3, 1, 2]);
  const placed = extra === 0 ? x : x.narrow(1, extra, height * width);
  return placed.permute([0, 2, 1]).reshape([x.shape[0], channels, height, width]);
}

/** All layers with maps, in the order in which the model calls them; one that only hands on another's tensor comes once, under the shorter path. */
export function mapLayers(answers: readonly Answer[], input: Shape): MapLayer[] {
  const layers = new Map<unknown, MapLayer>();
  for (const answer of answers) {
    const { path, output } = answer;
    const form = path === '' ? null : mapForm(output.shape, input);
    if (form === null || form.height * form.width <= 1 || onlyEnlarges(answer, form, input)) continue;
    const key = output.current;
    const known = layers.get(key);
    layers.delete(key); // again at the end
    layers.set(key, known !== undefined && known.path.length <= path.length ? known : { path, output, form });
  }
  return [...layers.values()];
}

/** True of VGG's adaptive pooling for small pictures and the like: without weights, it knows no more than what it enlarges. */
function onlyEnlarges({ module, inputs: [given] }: Answer, form: MapForm, input: Shape): boolean {
  if (!(given instanceof Tensor) || module.children().length > 0 || module.parameters().length > 0) return false;
  const before = mapForm(given.shape, input);
  return before !== null && before.height * before.width < form.height * form.width;
}

/** Paths of the layers that give maps for x, in the order in which the model calls them. */
export function mapLayerPaths(model: Module, x: Tensor): string[] {
  return mapLayers(listen(model, x).answers, x.shape).map(({ path }) => path);
}

/**
 * The layer at `path`, or with 'auto' the last one whose maps the answer depends on. Of a transformer that answers by its class token that is the
 * norm in front of the last attention: behind it the tokens of places are not read any more.
 * @throws {ConfigError} where the layer has no maps, or no layer has
 */
export async function findMapLayer(
  { outputs, answers }: { outputs: Outputs; answers: readonly Answer[] },
  path: string,
  x: Tensor,
  { classes, target }: { classes: Int32Array | null; target: Target | undefined },
): Promise<MapLayer> {
  const layers = mapLayers(answers, x.shape);
  if (path !== 'auto') return layerAt(path, answers, x, layers);
  const last = layers.at(-1);
  if (last === undefined) {
    throw new ConfigError(
      `layer: no layer of the model gives maps for pictures of ${formatShape(x.shape)}: nowhere does it still know where things are`,
    );
  }
  if (last.form.extra === 0) return last;
  const stream = layers.filter(
    ({ output, form }) => form.extra === last.form.extra && form.channels === last.form.channels && output.ndim === 3,
  );
  const recent = stream.slice(-12);
  const scores = scoresOf(outputs, classTensor(classes), target);
  const gradients = grad(
    scores.sum(),
    recent.map(({ output }) => output),
    { allowUnused: true },
  );
  const felt = gradients.map((g, i) => toMaps(g, recent[i].form).abs().amax());
  await realize(...felt);
  const reached = await Promise.all(felt.map((t) => t.item()));
  return recent[reached.findLastIndex((value) => value > 0)] ?? last;
}

function layerAt(path: string, answers: readonly Answer[], x: Tensor, layers: readonly MapLayer[]): MapLayer {
  const answer = answers.findLast((a) => a.path === path);
  const names = layers.map((layer) => layer.path);
  if (answer === undefined) {
    throw new ConfigError(`layer: the model never called ${path}; layers with maps: ${names.join(', ')}`);
  }
  const form = mapForm(answer.output.shape, x.shape);
  if (form === null) {
    throw new ConfigError(
      `layer: ${path} gives ${formatShape(answer.output.shape)}, which is no map; layers with maps: ${names.join(', ')}`,
    );
  }
  return { path, output: answer.output, form };
}

/** Layers that give each picture numbers by channel, as maps or as rows, with how many: what `maximizeActivations` can ask. */
export function channelLayers(model: Module, x: Tensor): { path: string; channels: number }[] {
  const found = new Map<string, number>();
  for (const { path, output } of listen(model, x).answers) {
    const channels = output.ndim === 2 ? output.shape[1] : mapForm(output.shape, x.shape)?.channels;
    if (path !== '' && output.shape[0] === x.shape[0] && channels !== undefined) found.set(path, channels);
  }
  return [...found].map(([path, channels]) => ({ path, channels }));
}
