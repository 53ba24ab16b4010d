/** `fovea explain RUN --receptive-field`: what a unit of each layer can see of a picture, and with a sheet, what it listens to. */

import { batchTensors, normalizeTensor } from '../data/index.js';
import {
  type EffectiveField,
  effectiveReceptiveField,
  type FieldBox,
  fieldBox,
  type LayerField,
  layerFields,
} from '../explain/index.js';
import type { Picture } from '../io/all.node.js';
import type { Tensor } from '../tensor/index.js';
import type { Classifier } from '../train/all.node.js';
import { suggest } from '../util/errors.js';
import { isLive, plain, rounded, save } from './explain-parts.js';
import { percent, print, printJson, table } from './output.js';
import type { Cell } from './picture-sheet.js';
import { withProgress } from './task-progress.js';
import { UsageError } from './usage.js';

interface Flags {
  /** Layers with commas between, or all; without a value: all. */
  readonly receptiveField?: string | true;
  readonly out?: string;
  readonly samples?: number;
  readonly seed: number;
  readonly json?: boolean;
}

/** Layers whose effective field is measured where all are asked for: each takes a run backwards. */
const mostMeasured = 12;
const noisePictures = 16;
const columns = 4;

/** A table of fields; with `out` also a sheet of the effective ones. Pictures, where there are some, are what gradients are taken at; else noise. */
export async function drawFields(
  seer: Classifier,
  pictures: readonly { readonly picture: Picture }[],
  flags: Flags,
): Promise<void> {
  const { model, inputShape, modelName } = seer;
  const layers = chosen(layerFields(model, inputShape), flags.receptiveField!);
  const measured = new Map<string, EffectiveField>();
  if (flags.out !== undefined) {
    const some =
      flags.receptiveField === true || flags.receptiveField === 'all' ? spread(layers, mostMeasured) : layers;
    const input = pictures.length === 0 ? inputShape : batchOf(seer, pictures);
    await withProgress('measuring fields', isLive(flags), async (onProgress) => {
      for (const [i, { path }] of some.entries()) {
        const { samples = noisePictures, seed } = flags;
        measured.set(path, await effectiveReceptiveField(model, input, path, { samples, seed }));
        onProgress(i + 1, some.length);
      }
    });
  } else if (pictures.length > 0) {
    throw new UsageError('Pictures are for the effective fields, which are drawn: add --out fields.png.');
  }
  const rows = layers.map((layer) => ({ layer, ...unitOf(layer, seer), effective: measured.get(layer.path) ?? null }));
  if (flags.json) for (const row of rows) printJson(record(row));
  else await tell(rows, seer, pictures.length);
  if (flags.out === undefined) return;
  const cells: Cell[] = [];
  for (const row of rows) if (row.effective !== null) cells.push(await cellOf(row, row.effective, seer));
  const sheet = Array.from({ length: Math.ceil(cells.length / columns) }, (_, r) =>
    cells.slice(r * columns, (r + 1) * columns),
  );
  const title = `Receptive fields of ${modelName}: sees → listens to, px`;
  await save({ title, rows: sheet, legend: ['nothing', 'most'], even: true }, flags.out, flags);
}

interface Row {
  readonly layer: LayerField;
  /** The unit in the middle, and what it can see; ends may lie beyond the picture. */
  readonly unit: readonly [y: number, x: number];
  readonly box: FieldBox;
  readonly effective: EffectiveField | null;
}

function unitOf(
  { field, shape: [, height, width] }: LayerField,
  { inputShape }: Classifier,
): Pick<Row, 'unit' | 'box'> {
  const unit = [height >> 1, width >> 1] as const;
  return { unit, box: fieldBox(field, unit, inputShape) };
}

function record({ layer: { path, shape, field }, unit, box, effective }: Row) {
  const all = field === 'all';
  return {
    event: 'receptiveField',
    layer: path,
    shape,
    all,
    size: all ? null : field.size,
    jump: all ? null : field.jump,
    start: all ? null : field.start,
    unit,
    box,
    ...(effective === null ? {} : { effectiveSize: rounded(effective.size) }),
  };
}

async function tell(rows: readonly Row[], { inputShape }: Classifier, pictures: number): Promise<void> {
  const [, height, width] = inputShape;
  const measured = rows.filter(({ effective }) => effective !== null);
  const heads = [
    { head: 'layer' },
    { head: 'maps', align: 'right' },
    { head: 'sees', align: 'right' },
    { head: 'stride', align: 'right' },
    { head: 'start', align: 'right' },
    ...(measured.length === 0 ? [] : ([{ head: 'listens to', align: 'right' }] as const)),
  ] as const;
  const lines = rows.map(({ layer: { path, shape, field }, effective }) => [
    path,
    `${shape[0]} × ${shape[1]} × ${shape[2]}`,
    field === 'all' ? 'everything' : times(field.size),
    field === 'all' ? '' : times(field.jump),
    field === 'all' ? '' : pair(field.start),
    ...(measured.length === 0 ? [] : [effective === null ? '' : `${times([effective.size, effective.size])}`]),
  ]);
  print(await table(heads, lines));
  print(
    `\nsees: the pixels, of a picture of ${height} × ${width}, that can change what a unit says, by kernels and strides. stride: pixels from one unit to the next. ` +
      'start: the middle of the first unit’s field.',
  );
  if (measured.length === 0) return;
  const from = pictures === 0 ? 'noise' : `${pictures} ${pictures === 1 ? 'picture' : 'pictures'}`;
  const shares = measured.map(({ layer: { field }, effective }) => {
    const [h, w] =
      field === 'all' ? [height, width] : [Math.min(height, field.size[0]), Math.min(width, field.size[1])];
    return effective!.size ** 2 / (h * w);
  });
  const mean = shares.reduce((a, b) => a + b, 0) / shares.length;
  print(
    `listens to: a square as large as the pixels whose gradient is above 4.55 % of the largest (measured with ${from}). On average that is ` +
      `${percent(mean, 0)} of what could be seen: the middle counts most (Luo et al. 2016). In the picture the frame is what is seen, the heat what is listened to.`,
  );
}

function times([h, w]: readonly number[]): string {
  return `${short(h)} × ${short(w)}`;
}

function pair([y, x]: readonly number[]): string {
  return y === x ? short(y) : `${short(y)}, ${short(x)}`;
}

function short(value: number): string {
  return String(Number(value.toFixed(1))).replace('-', '−');
}

/** Square roots of gradients, so that the slopes of the bell can be seen; around it the frame of the theoretical field. */
async function cellOf(
  { layer: { path, field }, box }: Row,
  { map, size }: EffectiveField,
  { inputShape }: Classifier,
): Promise<Cell> {
  const [, height, width] = inputShape;
  const values = Float32Array.from(await map.data());
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  const heat = values.map((v) => (most > 0 ? Math.sqrt(v / most) : 0));
  const base: Picture = { data: new Uint8Array(height * width), shape: [1, height, width] };
  const picture = plain(base, heat);
  const factor = picture.shape[1] / height;
  frame(picture, box, factor);
  const sees =
    field === 'all' ? 'everything' : field.size[0] === field.size[1] ? short(field.size[0]) : times(field.size);
  const name = path.length > 20 ? `…${path.slice(-19)}` : path; // the end of a path tells more than its beginning
  return { picture, caption: `${name}: ${sees} → ${short(size)}` };
}

/** Two pixels wide, inside of the picture; a side that lies beyond the picture is not drawn. */
function frame({ data, shape: [, height, width] }: Picture, box: FieldBox, factor: number): void {
  const color = [120, 220, 255];
  const [top, left] = [box.top * factor, box.left * factor];
  const [bottom, right] = [(box.bottom + 1) * factor - 1, (box.right + 1) * factor - 1];
  const dot = (y: number, x: number) => {
    if (y < 0 || x < 0 || y >= height || x >= width) return;
    for (let c = 0; c < 3; c++) data[(c * height + y) * width + x] = color[c];
  };
  for (const inset of [0, 1]) {
    for (let x = Math.max(0, left); x <= Math.min(width - 1, right); x++) {
      dot(top + inset, x);
      dot(bottom - inset, x);
    }
    for (let y = Math.max(0, top); y <= Math.min(height - 1, bottom); y++) {
      dot(y, left + inset);
      dot(y, right - inset);
    }
  }
}

/** The pictures as the model takes them, [N, C, H, W]. */
function batchOf({ inputShape, normalize }: Classifier, pictures: readonly { readonly picture: Picture }[]): Tensor {
  const size = inputShape.reduce((a, b) => a * b, 1);
  const inputs = new Uint8Array(pictures.length * size);
  for (const [i, { picture }] of pictures.entries()) inputs.set(picture.data, i * size);
  const batch = { inputs, shape: [pictures.length, ...inputShape], labels: new Int32Array(pictures.length) };
  return normalizeTensor(batchTensors(batch).inputs, normalize.mean, normalize.std);
}

function chosen(all: readonly LayerField[], asked: string | true): readonly LayerField[] {
  if (asked === true || asked === 'all') return all;
  return asked.split(',').map((part) => {
    const path = part.trim();
    const found = all.find((layer) => layer.path === path);
    if (found !== undefined) return found;
    const paths = all.map((layer) => layer.path);
    const near = suggest(path, ['all', ...paths]);
    throw new UsageError(
      `There is no layer with maps '${path}'${near === null ? '' : `. Did you mean ${near}?`}\nThere are all, ${paths.join(', ')}`,
    );
  });
}

/** At most so many, from the first to the last. */
function spread<T>(list: readonly T[], most: number): readonly T[] {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, i) => list[Math.round((i * (list.length - 1)) / (most - 1))]);
}
