/** `fovea embed RUN [DATA]`: a data set as a map — what a layer answers to each sample, in two dimensions, coloured by class. */

import { basename } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { type Dataset, sampleName, sampleText } from '../data/index.js';
import { type Embedding, embed, neighbours, principalComponents, tsne, umap } from '../explain/index.js';
import { writeFileAtomic } from '../io/all.node.js';
import { picturesOf, renderMap } from '../report/index.node.js';
import { mapFindings, mapNumbers } from '../report/map-findings.js';
import type { MapContent, MapMethod } from '../report/map-page.js';
import type { OpenedDevice } from '../tensor/index.js';
import { type LoadedRun, loadRun, type RunWeights } from '../train/all.node.js';
import { suggest } from '../util/errors.js';
import { openForRun } from './data/for-run.js';
import { nounOf } from './data/kinds.js';
import type { PictureFlags } from './data/pictures.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, percent, print, printJson } from './output.js';
import { type Report, withProgress } from './task-progress.js';
import { decimal, oneOf, several, UsageError, wholeNumber } from './usage.js';
import { version } from './version.js';

const methods = ['pca', 'tsne', 'umap'] as const satisfies readonly MapMethod[];
const titles = { pca: 'PCA', tsne: 't-SNE', umap: 'UMAP' } as const;
/** In a page every sample is a mark. */
const defaultLimit = 2000;

interface Flags extends DeviceFlags, PictureFlags {
  method: MapMethod;
  layer: string;
  limit: number;
  perplexity?: number;
  neighbors?: number;
  minDistance: number;
  out: readonly string[];
  seed: number;
  weights?: RunWeights;
  batchSize: number;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'embed',
    'Draws a data set as a map: samples that a model finds alike lie side by side, coloured by class.',
    'fovea embed runs/pets --out map.html',
    'fovea embed runs/pets photos/new --method tsne --perplexity 20 --out map.html --out map.csv',
    'fovea embed runs/pets --method pca --layer layer3 --json',
  )
    .argument('<run>', 'the folder of a run')
    .argument('[data]', 'whatever fovea train takes, of any classes (default: the test of the run)')
    .option('--method <name>', 'umap or tsne keep neighbours, pca keeps directions', oneOf(methods), 'umap')
    .option('--layer <path>', 'whose answers; auto takes what goes into the classifier', 'auto')
    .option('--limit <n>', 'at most n samples', wholeNumber(), defaultLimit)
    .option('--perplexity <n>', 'of tsne: about how many neighbours a sample has (default: 30)', decimal({ above: 1 }))
    .option('--neighbors <n>', 'of umap: few show details, many the whole (default: 15)', wholeNumber(2))
    .option('--min-distance <d>', 'of umap: how close points may lie', decimal(), 0.1)
    .option(
      '--out <file>',
      'a page .html or a table .csv; may be given twice (default: map.html, with --json none)',
      several,
      [],
    )
    .option('--seed <n>', 'of tsne and umap', wholeNumber(0), 0)
    .option('--weights <which>', 'model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--batch-size <n>', 'samples at once', wholeNumber(), 64)
    .option('--workers <n>', 'threads that decode pictures (default: one per core)', wholeNumber())
    .option('--strict', 'a picture that cannot be read ends it');
  return withJson(withDevice(made)).action(async (path: string, dataName: string | undefined, flags: Flags) => {
    checkFlags(flags);
    const run = await loadRun(path, { weights: flags.weights });
    checkLayer(run, flags.layer);
    const measurable = await openForRun(dataName, run.folder, { ...flags, anyClasses: true });
    try {
      await onDevice(flags, (device) => draw(run, measurable.dataset, measurable.source, flags, device));
    } finally {
      await measurable.close();
    }
  });
}

async function draw(
  run: LoadedRun,
  dataset: Dataset,
  source: string,
  flags: Flags,
  device: OpenedDevice,
): Promise<void> {
  const live = !flags.json && process.stderr.isTTY === true;
  const { model, normalize } = run;
  const { batchSize, layer, method } = flags;
  const noun = nounOf(dataset.shape);
  const found = await withProgress(`asking the model about ${noun}`, live, (onProgress) =>
    embed(model, dataset, { layer, normalize, batchSize, onProgress }),
  );
  const [count, width] = found.shape;
  if (count < 3) throw new UsageError(`A map wants at least 3 ${noun}; ${source} has ${count}.`);
  const map = await withProgress(`drawing by ${titles[method]}`, live, (onProgress) => mapOf(found, flags, onProgress));
  const near = neighbours(found.features, width, map.coordinates, found.labels);
  const content: MapContent = {
    model: run.modelName,
    data: basename(source),
    classes: dataset.classes,
    labels: found.labels,
    method,
    layer: found.layer,
    into: layer === 'auto',
    features: width,
    neighbours: near,
    ...map,
    nameOf: (index) => sampleName(dataset, index) ?? `#${index}`,
    textOf: (index) => sampleText(dataset, index),
    facts: {
      parameters: model.parameterCount(),
      input: run.inputShape,
      weights: run.weights,
      device: device.target.name,
      threads: device.threads,
      seed: method === 'pca' ? undefined : flags.seed,
      version: await version(),
    },
  };
  tell(content, noun, flags);
  const files = flags.out.length > 0 ? flags.out : flags.json ? [] : ['map.html'];
  for (const file of files) {
    const written = /\.csv$/i.test(file)
      ? csvOf(content)
      : await withProgress('drawing the page', live, (onProgress) =>
          renderMap({ ...content, pictureOf: picturesOf(dataset), onProgress }),
        );
    const encoded = new TextEncoder().encode(written);
    await writeFileAtomic(file, encoded);
    if (flags.json) printJson({ event: 'saved', file, sizeBytes: encoded.length });
    else print(pc.dim(`saved ${file} (${bytes(encoded.length)})`));
  }
}

type Drawn = Pick<MapContent, 'coordinates' | 'variance' | 'settings'>;

/** Defaults shrink with the data: neighbours there are not cannot be asked for. What a user asked for stays. */
async function mapOf(
  { features, shape }: Embedding,
  { method, seed, perplexity, neighbors, minDistance }: Flags,
  onProgress: Report,
): Promise<Drawn> {
  const [count, width] = shape;
  switch (method) {
    case 'pca': {
      const { scores, shares } = principalComponents(features, shape, Math.min(2, width));
      const coordinates =
        width > 1 ? scores : Float64Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? scores[i / 2] : 0));
      return { coordinates, variance: [...shares], settings: {} };
    }
    case 'tsne': {
      const used = perplexity ?? Math.min(30, Math.max(1, Math.floor((count - 1) / 4)));
      return {
        coordinates: await tsne(features, shape, { perplexity: used, seed, onProgress }),
        settings: { perplexity: used },
      };
    }
    case 'umap': {
      const used = neighbors ?? Math.min(15, count - 1);
      const settings = { neighbors: used, minDistance };
      return { coordinates: await umap(features, shape, { ...settings, seed, onProgress }), settings };
    }
    default:
      return method satisfies never;
  }
}

function tell(content: MapContent, noun: string, { json, seed }: Flags): void {
  const {
    method,
    layer,
    into,
    features,
    labels,
    classes,
    coordinates,
    variance,
    settings,
    neighbours: near,
    nameOf,
  } = content;
  const { sameClass, sameClassOnMap, kept } = mapNumbers(near);
  if (json) {
    printJson({
      event: 'embedding',
      method,
      layer,
      of: into ? 'input' : 'output',
      features,
      count: labels.length,
      classes,
      ...(variance === undefined ? {} : { explainedVariance: variance.map(rounded) }),
      ...settings,
      ...(method === 'pca' ? {} : { seed }),
      neighbours: near.k,
      sameClass: rounded(sameClass),
      sameClassOnMap: rounded(sameClassOnMap),
      neighboursKept: rounded(kept),
    });
    for (let i = 0; i < labels.length; i++) {
      const [x, y] = [rounded(coordinates[2 * i]), rounded(coordinates[2 * i + 1])];
      printJson({ event: 'point', index: i, file: nameOf(i), label: labels[i], class: classes[labels[i]], x, y });
    }
    return;
  }
  const set = Object.entries({ ...settings, ...(method === 'pca' ? {} : { seed }) }).map(
    ([name, value]) => `${wordsOf[name]} ${value}`,
  );
  print(
    pc.bold(
      `${titles[method]} of ${labels.length} ${noun}, ${features} numbers each ${into ? 'on the way into' : 'from'} ${layer}${set.length > 0 ? ` (${set.join(', ')})` : ''}`,
    ),
  );
  if (variance !== undefined) print(`explained variance  ${variance.map((v) => percent(v, 1)).join(' + ')}`);
  print(
    `neighbours          ${percent(sameClass, 1)} of the ${near.k} most alike are of the same class; on the map ${percent(sameClassOnMap, 1)}`,
  );
  for (const { text } of mapFindings(near, labels.length, classes.length)) print(text.en);
}

const wordsOf: Record<string, string> = {
  perplexity: 'perplexity',
  neighbors: 'neighbours',
  minDistance: 'least distance',
  seed: 'seed',
};

function csvOf({ labels, classes, coordinates, nameOf }: MapContent): string {
  const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = Array.from(labels, (label, i) =>
    [cell(nameOf(i)), label, cell(classes[label]), rounded(coordinates[2 * i]), rounded(coordinates[2 * i + 1])].join(
      ',',
    ),
  );
  return `file,label,class,x,y\n${lines.join('\n')}\n`;
}

function checkFlags({ out, method, perplexity, neighbors }: Flags): void {
  for (const file of out) {
    if (!/\.(html|csv)$/i.test(file)) throw new UsageError(`--out writes .html or .csv, not '${basename(file)}'.`);
  }
  if (perplexity !== undefined && method !== 'tsne') throw new UsageError('--perplexity is for --method tsne.');
  if (neighbors !== undefined && method !== 'umap') throw new UsageError('--neighbors is for --method umap.');
}

/** @throws {UsageError} for a layer that the model does not have, with what is near */
export function checkLayer({ model, modelName }: Pick<LoadedRun, 'model' | 'modelName'>, layer: string): void {
  if (layer === 'auto') return;
  const paths = [...model.namedModules()].map(([path]) => path).filter((path) => path !== '');
  if (paths.includes(layer)) return;
  const near = suggest(layer, paths);
  const some = paths.length > 40 ? [...paths.slice(0, 40), '…'] : paths;
  throw new UsageError(
    `${modelName} has no layer '${layer}'${near === null ? '' : `. Did you mean ${near}?`}\nLayers: ${some.join(', ')}`,
  );
}

function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
