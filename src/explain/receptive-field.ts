/**
 * What a unit of a layer can see of the picture (the theoretical receptive field, from the windows on the way), and what it does see (the effective one:
 * gradients by the pixels), which is smaller, and bell-shaped.
 */

import { type FieldOf, type Module, receptiveFields } from '../nn/index.js';
import { Generator, grad, randn, realize, type Tensor, zeros } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { type Answer, checkPictures, listen } from './ask.js';
import { mapForm, mapLayers, toMaps } from './layers.js';

/** A rectangle of input pixels, ends included; it may reach over the picture's edge into the padding. */
export interface FieldBox {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

export interface UnitField {
  /** Field size, jump and start of the layer; 'all' where every unit sees everything. */
  readonly field: FieldOf;
  /** What the unit at (y, x) sees. */
  readonly box: FieldBox;
}

/**
 * The theoretical field of the unit at (y, x) of the layer at `path` for pictures of `inputShape` [C, H, W]. @throws {ConfigError} for a layer without maps
 * Source: Araujo, Norris and Sim 2019, Distill; see `nn.receptiveFields`.
 */
export function receptiveField(
  model: Module,
  inputShape: readonly [channels: number, height: number, width: number],
  path: string,
  unit: readonly [y: number, x: number] = [0, 0],
): UnitField {
  const x = zeros([1, ...inputShape]);
  const output = outputAt(listen(model, x).answers, path);
  const field = receptiveFields([output.current], x.current).get(output.current);
  if (field === undefined) throw new ConfigError(`receptiveField: ${path} does not depend on the picture`);
  return { field, box: fieldBox(field, unit, inputShape) };
}

export interface LayerField {
  readonly path: string;
  /** [channels, height, width] of the layer's maps. */
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly field: FieldOf;
}

/** The theoretical fields of all layers with maps, in the order in which the model calls them. Nothing is computed. */
export function layerFields(
  model: Module,
  inputShape: readonly [channels: number, height: number, width: number],
): LayerField[] {
  const x = zeros([1, ...inputShape]);
  const layers = mapLayers(listen(model, x).answers, x.shape);
  const fields = receptiveFields(
    layers.map(({ output }) => output.current),
    x.current,
  );
  return layers.flatMap(({ path, output, form: { channels, height, width } }) => {
    const field = fields.get(output.current);
    return field === undefined ? [] : [{ path, shape: [channels, height, width] as const, field }];
  });
}

/** The pixels that the unit at (y, x) sees. */
export function fieldBox(
  field: FieldOf,
  [y, x]: readonly [number, number],
  [, height, width]: readonly number[],
): FieldBox {
  if (field === 'all') return { top: 0, left: 0, bottom: height - 1, right: width - 1 };
  const span = (axis: number, at: number) => {
    const center = field.start[axis] + at * field.jump[axis];
    const half = (field.size[axis] - 1) / 2;
    return [Math.ceil(center - half), Math.floor(center + half)] as const;
  };
  const [top, bottom] = span(0, y);
  const [left, right] = span(1, x);
  return { top, left, bottom, right };
}

export interface EffectiveField {
  /** [H, W] mean magnitude of the gradient of the middle unit. */
  readonly map: Tensor;
  /** Side of a square as large as the region that weighs more than 4.55 % of the strongest pixel (two standard deviations of a bell). */
  readonly size: number;
  /** The theoretical field's size, for comparison; null where every unit sees everything. */
  readonly theoretical: readonly number[] | null;
}

/**
 * The effective receptive field of the middle unit of a layer: |∂ Σ_c A_c[h/2, w/2] / ∂x| summed over the picture's channels, mean over `samples` pictures
 * of noise, or over the pictures given. @throws {ConfigError} for a layer without maps. Source: Luo et al. 2016, arXiv:1701.04128.
 */
export async function effectiveReceptiveField(
  model: Module,
  input: Tensor | readonly [channels: number, height: number, width: number],
  path: string,
  { samples = 16, seed = 0 }: { samples?: number; seed?: number } = {},
): Promise<EffectiveField> {
  const x = isShape(input) ? randn([samples, ...input], { generator: new Generator(seed) }) : input;
  checkPictures('effectiveReceptiveField', x);
  await realize(x);
  const output = outputAt(listen(model, x).answers, path);
  const form = mapForm(output.shape, x.shape);
  if (form === null) throw new ConfigError(`effectiveReceptiveField: ${path} gives no maps`);
  const middle = toMaps(output, form)
    .narrow(2, form.height >> 1, 1)
    .narrow(3, form.width >> 1, 1);
  const map = grad(middle.sum(), x).abs().sum(1).mean(0);
  const values = (await map.data()) as Float32Array;
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  const within = values.filter((v) => v > 0.0455 * most).length;
  const field = receptiveFields([output.current], x.current).get(output.current);
  return {
    map: map.detach(),
    size: Math.sqrt(within),
    theoretical: field === undefined || field === 'all' ? null : field.size,
  };
}

function isShape(input: Tensor | readonly number[]): input is readonly [number, number, number] {
  return Array.isArray(input);
}

function outputAt(answers: readonly Answer[], path: string): Tensor {
  const answer = answers.findLast((a) => a.path === path);
  if (answer === undefined) throw new ConfigError(`receptiveField: the model never called ${path}`);
  return answer.output;
}
