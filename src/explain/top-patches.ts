/** Part detectors: for a channel of a layer, the places in a data set that it answers to most — wheels, beaks, letters — cut out of the pictures. */

import type { Dataset, Planes } from '../data/index.js';
import { type Module, receptiveFields } from '../nn/index.js';
import { compile, type Tensor, zeros } from '../tensor/index.js';
import type { Normalization } from '../train/index.js';
import { ConfigError } from '../util/errors.js';
import { asking, listen } from './ask.js';
import { equalBatches, ready } from './embed.js';
import { mapForm, toMaps } from './layers.js';
import { enlarge, type GridOptions, pictureGrid } from './pictures.js';
import { type FieldBox, fieldBox } from './receptive-field.js';

export interface TopPatchesOptions {
  /** Path of a layer with maps. */
  readonly layer: string;
  /** Which channels; default the first 16. */
  readonly channels?: readonly number[];
  /** Patches for each, default 9. */
  readonly count?: number;
  /** As in training. Left out, bytes become 0 … 1. */
  readonly normalize?: Normalization | null;
  readonly batchSize?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Patch {
  /** Which sample of the data set. */
  readonly index: number;
  readonly activation: number;
  /** The unit of the map. */
  readonly unit: readonly [y: number, x: number];
  /** What of the picture that unit can see; may reach over the edges, but is no larger than the picture. */
  readonly box: FieldBox;
  /** The part of the picture in the box, black outside of it. */
  readonly picture: Planes;
}

export interface ChannelPatches {
  readonly channel: number;
  /** The strongest first, one for each picture at most. */
  readonly patches: readonly Patch[];
}

/** The places of `dataset` (pictures as bytes) that channels of a layer answer to most. @throws {ConfigError} for a layer without maps, or samples that are no bytes */
export async function topPatches(
  model: Module,
  dataset: Dataset,
  { layer, channels, count = 9, normalize = null, batchSize = 64, onProgress }: TopPatchesOptions,
): Promise<ChannelPatches[]> {
  if (dataset.shape.length !== 3)
    throw new ConfigError(`topPatches: samples must be pictures [C, H, W], not [${dataset.shape.join(', ')}]`);
  const [, height, width] = dataset.shape;
  const probe = zeros([1, ...dataset.shape]);
  const maps = (x: Tensor) => mapsAt(model, x, layer);
  const { form } = maps(probe);
  const node = asking(model, () => outputAt(model, probe, layer)).current;
  const field = receptiveFields([node], probe.current).get(node) ?? 'all';
  const shown = channels ?? Array.from({ length: Math.min(16, form.channels) }, (_, i) => i);
  const wrong = shown.find((k) => !(Number.isInteger(k) && k >= 0 && k < form.channels));
  if (wrong !== undefined)
    throw new ConfigError(`topPatches: ${layer} has channels 0 … ${form.channels - 1}; got ${wrong}`);

  const run = compile((inputs: Tensor) => {
    const flat = maps(ready(inputs, normalize)).maps.flatten(2); // [N, C, h · w]
    return [flat.amax(2), flat.argmax(2)];
  });
  const best = new Map<number, Found[]>(shown.map((channel) => [channel, []]));
  for await (const { inputs, from, count: here } of equalBatches(dataset, batchSize)) {
    if (inputs.dtype !== 'uint8') throw new ConfigError('topPatches: samples must be bytes, so that they can be shown');
    const [most, where] = await run(inputs);
    const [values, places] = [await most.data(), await where.data()];
    for (const [channel, found] of best) {
      for (let n = 0; n < here; n++) {
        const at = n * form.channels + channel;
        insert(found, { index: from + n, activation: values[at], place: places[at] }, count);
      }
    }
    onProgress?.(from + here, dataset.length);
  }
  const results: ChannelPatches[] = [];
  for (const [channel, found] of best) {
    const { inputs } = await dataset.batch(found.map(({ index }) => index));
    const size = inputs.length / Math.max(1, found.length);
    const patches = found.map(({ index, activation, place }, i): Patch => {
      const unit = [Math.floor(place / form.width), place % form.width] as const;
      const box = within(fieldBox(field, unit, dataset.shape), height, width);
      const picture = {
        data: (inputs as Uint8Array).subarray(i * size, (i + 1) * size),
        shape: [dataset.shape[0], height, width] as const,
      };
      return { index, activation, unit, box, picture: cut(picture, box) };
    });
    results.push({ channel, patches });
  }
  return results;
}

/** Patches as one picture: a row for each channel. */
export function patchGrid(
  channels: readonly ChannelPatches[],
  { size = 48, ...grid }: { size?: number } & GridOptions = {},
): Planes {
  const pictures = channels.flatMap(({ patches }) => patches.map(({ picture }) => picture));
  const side = Math.max(...pictures.map(({ shape }) => Math.max(shape[1], shape[2])));
  const factor = Math.max(1, Math.round(size / side));
  const columns = Math.max(...channels.map(({ patches }) => patches.length));
  return pictureGrid(
    pictures.map((picture) => enlarge(picture, factor)),
    { columns, ...grid },
  );
}

/** A field as large as the picture or larger is all of the picture. */
function within(box: FieldBox, height: number, width: number): FieldBox {
  const tall = box.bottom - box.top + 1 >= height ? { top: 0, bottom: height - 1 } : {};
  const wide = box.right - box.left + 1 >= width ? { left: 0, right: width - 1 } : {};
  return { ...box, ...tall, ...wide };
}

interface Found {
  readonly index: number;
  readonly activation: number;
  readonly place: number;
}

function insert(found: Found[], entry: Found, most: number): void {
  if (found.length === most && !(entry.activation > found[most - 1].activation)) return;
  let at = found.length;
  while (at > 0 && found[at - 1].activation < entry.activation) at--;
  found.splice(at, 0, entry);
  if (found.length > most) found.pop();
}

function outputAt(model: Module, x: Tensor, layer: string): Tensor {
  const answer = listen(model, x).answers.findLast(({ path }) => path === layer);
  if (answer === undefined) throw new ConfigError(`topPatches: the model never called ${layer}`);
  return answer.output;
}

function mapsAt(model: Module, x: Tensor, layer: string) {
  const output = outputAt(model, x, layer);
  const form = mapForm(output.shape, x.shape);
  if (form === null) throw new ConfigError(`topPatches: ${layer} gives no maps`);
  return { maps: toMaps(output, form), form };
}

function cut({ data, shape: [channels, height, width] }: Planes, { top, left, bottom, right }: FieldBox): Planes {
  const [h, w] = [bottom - top + 1, right - left + 1];
  const out = new Uint8Array(channels * h * w);
  const [from, to] = [Math.max(0, left), Math.min(width, right + 1)];
  for (let c = 0; c < channels; c++) {
    for (let y = Math.max(0, top); y < Math.min(height, bottom + 1); y++) {
      const row = (c * height + y) * width;
      out.set(data.subarray(row + from, row + to), (c * h + y - top) * w + from - left);
    }
  }
  return { data: out, shape: [channels, h, w] };
}
