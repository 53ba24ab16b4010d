/** `fovea explain RUN --maximize`: the pictures that classes, or channels of a layer, answer to most, made up from noise. */

import { channelLayers, maximizeActivations } from '../explain/index.js';
import type { Picture } from '../io/all.node.js';
import { zeros } from '../tensor/index.js';
import type { Classifier } from '../train/all.node.js';
import { suggest } from '../util/errors.js';
import { classNamed, isLive, large, rounded, save } from './explain-parts.js';
import { percent, print, printable, printJson, table } from './output.js';
import type { Cell } from './picture-sheet.js';
import { withProgress } from './task-progress.js';
import { UsageError } from './usage.js';

interface Flags {
  /** `classes`, `classes:NAME,…`, `LAYER`, `LAYER:0-7,12`; without a value: classes. */
  readonly maximize?: string | true;
  readonly out?: string;
  readonly steps: number;
  readonly seed: number;
  readonly json?: boolean;
}

/** Made when none are named: every class of a few; of the thousand of ImageNet no more than of channels, since each takes minutes. */
const mostClasses = 64;
const mostChannels = 16;
const mostColumns = 8;
/** Pictures that climb together; a large picture's gradients need memory. */
const together = { few: 4, many: 16, largePixels: 128 * 128 };

interface Wanted {
  /** null: the model's scores. */
  readonly layer: string | null;
  readonly channels: readonly number[];
  /** How many there are of them. */
  readonly all: number;
}

interface Made {
  readonly channel: number;
  readonly name: string;
  readonly picture: Picture;
  readonly before: number;
  readonly after: number;
  /** Of the class, in what the model says of the picture; null for a channel. */
  readonly probability: number | null;
}

/** Makes the pictures, prints what they are answered with, and draws them. @throws {UsageError} for a layer, class or channel that there is not */
export async function drawMaximized(seer: Classifier, given: readonly string[], flags: Flags): Promise<void> {
  if (given.length > 0) {
    throw new UsageError(`--maximize makes its own pictures: call it without ${printable(given[0])}.`);
  }
  const wanted = wantedOf(flags.maximize === true ? 'classes' : flags.maximize!, seer);
  const { layer, channels, all } = wanted;
  const made = await withProgress('climbing from noise', isLive(flags), (onProgress) =>
    make(seer, wanted, flags, onProgress),
  );
  if (flags.json) for (const one of made) printJson(record(one, wanted, flags));
  else await tell(made, wanted, seer);
  const some = channels.length < all ? ` (${channels.length} of ${all})` : '';
  const title =
    layer === null
      ? `What the classes of ${seer.modelName} answer to most${some}`
      : `What channels of ${layer} answer to most${some}`;
  await save({ title, rows: inRows(made.map(cellOf)), even: true }, flags.out ?? 'maximized.png', flags);
}

async function make(
  { model, inputShape, normalize, classes, predict }: Classifier,
  { layer, channels }: Wanted,
  { steps, seed }: Flags,
  onProgress: (done: number, total: number) => void,
): Promise<Made[]> {
  const { mean, std } = normalize;
  const limits = { low: mean.map((m, c) => -m / std[c]), high: mean.map((m, c) => (1 - m) / std[c]) };
  const [, height, width] = inputShape;
  const size = height * width > together.largePixels ? together.few : together.many;
  const made: Made[] = [];
  for (let from = 0; from < channels.length; from += size) {
    const some = channels.slice(from, from + size);
    const { pictures, before, after } = await maximizeActivations(model, {
      inputShape,
      layer: layer ?? undefined,
      channels: some,
      steps,
      seed: seed + from,
      limits,
      onProgress: (done) => onProgress(from * steps + done * some.length, channels.length * steps),
    });
    const values = (await pictures.data()) as Float32Array;
    const drawn = some.map((_, i) => bytesOf(values, i, inputShape, normalize));
    const said = layer === null ? await predict(drawn, {}) : null;
    for (const [i, channel] of some.entries()) {
      made.push({
        channel,
        name: layer === null ? classes[channel] : `channel ${channel}`,
        picture: drawn[i],
        before: before[i],
        after: after[i],
        probability: said?.[i].find(({ index }) => index === channel)?.probability ?? null,
      });
    }
  }
  return made;
}

/** Picture `i` of several that are normalised, as bytes. */
function bytesOf(
  values: Float32Array,
  i: number,
  [channels, height, width]: Classifier['inputShape'],
  { mean, std }: Classifier['normalize'],
): Picture {
  const plane = height * width;
  const data = new Uint8Array(channels * plane);
  for (let k = 0; k < data.length; k++) {
    const c = Math.floor(k / plane);
    data[k] = Math.round(255 * Math.min(1, Math.max(0, values[i * data.length + k] * std[c] + mean[c])));
  }
  return { data, shape: [channels, height, width] };
}

function record({ channel, name, before, after, probability }: Made, { layer }: Wanted, { steps, seed }: Flags) {
  return {
    event: 'maximized',
    layer,
    index: channel,
    ...(layer === null ? { class: name, probability: rounded(probability!) } : {}),
    before: rounded(before),
    after: rounded(after),
    steps,
    seed,
  };
}

async function tell(made: readonly Made[], { layer, channels, all }: Wanted, { modelName }: Classifier): Promise<void> {
  const columns = [
    { head: layer === null ? 'class' : layer },
    { head: 'answer to noise', align: 'right' },
    { head: 'to its picture', align: 'right' },
    ...(layer === null ? ([{ head: 'probability', align: 'right' }] as const) : []),
  ] as const;
  const lines = made.map(({ name, before, after, probability }) => [
    printable(name),
    before.toFixed(2),
    after.toFixed(2),
    ...(probability === null ? [] : [percent(probability, 1)]),
  ]);
  print(await table(columns, lines));
  if (channels.length < all) {
    const example =
      layer === null ? 'classes:name,name' : `${layer}:${mostChannels}-${Math.min(all, 2 * mostChannels) - 1}`;
    print(`\nThe first ${channels.length} of ${all}; name others as --maximize ${example}.`);
  }
  print(
    layer === null
      ? `\nEach picture was made up from noise until ${modelName} answered with its class as strongly as it could: it shows what the class is told by, not a picture of it.`
      : `\nEach picture was made up from noise until its channel of ${layer} answered as strongly as it could: it shows the pattern that the channel looks for.`,
  );
}

function cellOf({ name, picture, after, probability }: Made): Cell {
  return {
    picture: large(picture),
    caption: `${name}: ${probability === null ? after.toFixed(1) : percent(probability, 0)}`,
  };
}

function inRows(cells: readonly Cell[]): Cell[][] {
  const columns = Math.min(mostColumns, Math.max(3, Math.ceil(Math.sqrt(cells.length * 1.6))));
  return Array.from({ length: Math.ceil(cells.length / columns) }, (_, r) =>
    cells.slice(r * columns, (r + 1) * columns),
  );
}

function wantedOf(text: string, { model, classes, inputShape }: Classifier): Wanted {
  const at = text.indexOf(':');
  const [name, list] = at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
  const layers = channelLayers(model, zeros([1, ...inputShape]));
  const layer = layers.find(({ path }) => path === name);
  if (layer === undefined && name === 'classes') {
    const named = list?.split(',').map((one) => classNamed(one.trim(), classes));
    const first = Array.from({ length: classes.length <= mostClasses ? classes.length : mostChannels }, (_, i) => i);
    return { layer: null, channels: named ?? first, all: named?.length ?? classes.length };
  }
  if (layer === undefined) {
    const near = suggest(name, ['classes', ...layers.map(({ path }) => path)]);
    throw new UsageError(
      `There is no layer '${name}'${near === null ? '' : `. Did you mean ${near}?`}\nThere are classes, ${layers.map(({ path }) => path).join(', ')}`,
    );
  }
  const { path, channels } = layer;
  if (list === null) {
    const first = Array.from({ length: Math.min(channels, mostChannels) }, (_, i) => i);
    return { layer: path, channels: first, all: channels };
  }
  const chosen = list.split(',').flatMap((part) => range(part.trim(), path, channels));
  return { layer: path, channels: chosen, all: chosen.length };
}

/** 12, or 0-7 with both ends. */
function range(text: string, layer: string, channels: number): number[] {
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === undefined || from > to || to >= channels) {
    throw new UsageError(
      `${layer} has channels 0 to ${channels - 1}, such as ${layer}:0-3,${channels - 1}; not '${text}'.`,
    );
  }
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
