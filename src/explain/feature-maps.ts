/** Feature maps: what the channels of each layer answer to a picture, from edges in the first layers to parts in the last ones. */

import type { Planes } from '../data/index.js';
import { type Module, Sequential } from '../nn/index.js';
import { realize, type Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import type { Shape } from '../util/shape.js';
import { type Answer, checkPictures, listen } from './ask.js';
import type { ColorMap } from './color-map.js';
import { type MapLayer, mapForm, mapLayers, toMaps } from './layers.js';
import { colorize, enlarge, type GridOptions, pictureGrid } from './pictures.js';

export interface FeatureMapOptions extends GridOptions {
  /** How many channels to show at most: those with the largest mean magnitude, in their own order. Default 64. */
  readonly channels?: number;
  readonly colors?: ColorMap;
  /** Maps are enlarged by a whole factor to about this many pixels along the longer side. Default 48. */
  readonly size?: number;
}

export interface FeatureMaps {
  readonly path: string;
  /** Of the layer: channels, height, width. */
  readonly shape: readonly [channels: number, height: number, width: number];
  /** The channels shown, by number. */
  readonly channels: readonly number[];
  /** Each shown channel from its smallest number (dark) to its largest (bright). */
  readonly pictures: readonly Planes[];
  /** All of them in one picture. */
  readonly grid: Planes;
}

/**
 * What the layers at `paths` answer to the first picture of x [1, C, H, W]; left out, a choice of layers from the first to the last with maps.
 * @throws {ConfigError} for a layer that has no maps
 */
export async function featureMaps(
  model: Module,
  x: Tensor,
  paths?: readonly string[],
  options: FeatureMapOptions = {},
): Promise<FeatureMaps[]> {
  checkPictures('featureMaps', x);
  const { answers } = listen(model, x);
  const layers = mapLayers(answers, x.shape);
  const wanted = paths ?? spread(outermost(answers, layers, x.shape), 6);
  const chosen = wanted.map((path) => {
    const answer = answers.findLast((a) => a.path === path);
    const form = answer === undefined ? null : mapForm(answer.output.shape, x.shape);
    if (form === null) {
      throw new ConfigError(
        `featureMaps: ${path} gives no maps; layers that do: ${layers.map((l) => l.path).join(', ')}`,
      );
    }
    return { path, form, maps: toMaps(answer!.output, form).narrow(0, 0, 1) };
  });
  await realize(...chosen.map(({ maps }) => maps));
  return Promise.all(
    chosen.map(async ({ path, form: { channels, height, width }, maps }) =>
      drawn(path, [channels, height, width], (await maps.data()) as Float32Array, options),
    ),
  );
}

function drawn(
  path: string,
  shape: readonly [number, number, number],
  values: Float32Array,
  { channels: most = 64, colors = 'viridis', size = 48, ...grid }: FeatureMapOptions,
): FeatureMaps {
  const [channels, height, width] = shape;
  const area = height * width;
  const map = (c: number) => values.subarray(c * area, (c + 1) * area);
  const loudness = Array.from({ length: channels }, (_, c) => map(c).reduce((sum, v) => sum + Math.abs(v), 0));
  const shown = Array.from({ length: channels }, (_, c) => c)
    .sort((a, b) => loudness[b] - loudness[a])
    .slice(0, most)
    .sort((a, b) => a - b);
  const factor = Math.max(1, Math.round(size / Math.max(height, width)));
  const pictures = shown.map((c) => enlarge(colorize(stretched(map(c)), [height, width], colors), factor));
  return { path, shape, channels: shown, pictures, grid: pictureGrid(pictures, grid) };
}

/** From the smallest to the largest number → 0 … 1; a flat map is 0. */
function stretched(map: Float32Array): Float32Array {
  const low = map.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = map.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return map.map((v) => (high > low ? (v - low) / (high - low) : 0));
}

/**
 * Layers that are no part of a block which gives maps itself: the stem, each block. What merely chains others is no block. All layers where that leaves
 * next to nothing, as in a network wrapped in another.
 */
function outermost(answers: readonly Answer[], layers: readonly MapLayer[], input: Shape): string[] {
  const isBlock = ({ path, module, output }: Answer) =>
    path !== '' && !(module instanceof Sequential) && mapForm(output.shape, input) !== null;
  const blocks = answers.filter(isBlock).map(({ path }) => `${path}.`);
  const paths = layers.map(({ path }) => path);
  const outer = paths.filter((path) => !blocks.some((block) => path.startsWith(block)));
  return outer.length < 3 ? paths : outer;
}

/** `count` of a list, evenly, the first and the last among them. */
function spread<T>(list: readonly T[], count: number): T[] {
  if (list.length <= count) return [...list];
  return Array.from({ length: count }, (_, i) => list[Math.round((i * (list.length - 1)) / (count - 1))]);
}
