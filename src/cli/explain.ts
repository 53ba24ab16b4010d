/** `fovea explain RUN PICTURE…`: where a model looks, what its layers answer and what its filters are, as a PNG and in numbers. */

import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import pc from 'picocolors';
import { batchTensors, normalizeTensor } from '../data/index.js';
import {
  type ExplainMethod,
  type Explanation,
  featureMaps,
  filters,
  type HeatSummary,
  mapLayerPaths,
  methods,
  type SanityStep,
  sanityCheck,
  summarizeHeat,
} from '../explain/index.js';
import { decodeImage, type Picture } from '../io/all.node.js';
import type { Tensor } from '../tensor/index.js';
import { type Classifier, openClassifier, type Prediction, type RunWeights } from '../train/all.node.js';
import { suggest } from '../util/errors.js';
import { drawFields } from './explain-fields.js';
import { drawMaximized } from './explain-maximize.js';
import { checkPng, classNamed, heated, isLive, large, plain, rounded, save } from './explain-parts.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { percent, print, printable, printJson, table } from './output.js';
import { pictureFiles } from './picture-files.js';
import type { Cell } from './picture-sheet.js';
import { withProgress } from './task-progress.js';
import { oneOf, UsageError, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags {
  method: readonly ExplainMethod[];
  layer: string;
  class: string;
  out?: string;
  featureMaps?: string | true;
  filters?: string | true;
  sanity?: boolean;
  maximize?: string | true;
  receptiveField?: string | true;
  steps: number;
  seed: number;
  samples?: number;
  invert?: boolean;
  weights?: RunWeights;
  model?: string;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'explain',
    'Shows where a model looks: heat maps over pictures, what layers answer, what filters look for.',
    'fovea explain runs/pets cat.jpg',
    'fovea explain runs/pets cat.jpg dog.jpg --method grad-cam,occlusion,smooth-grad --class cat --out why.png',
    'fovea explain runs/pets cat.jpg --feature-maps layer1,layer4',
    'fovea explain runs/pets --filters',
    'fovea explain runs/pets --maximize classes --out max.png     what picture is each class after?',
    'fovea explain runs/pets --maximize layer3:0-7,12 --seed 1',
    'fovea explain runs/pets --receptive-field all',
    'fovea explain runs/pets cat.jpg --receptive-field layer2,layer4 --out fields.png',
    'fovea explain runs/pets cat.jpg --method grad-cam,guided-backprop --sanity     does the map depend on the weights?',
  )
    .argument('<run>', 'the folder of a run, or a file of weights: .safetensors, .pth, .pt')
    .argument('[picture...]', 'PNG, JPEG, WebP … files, folders of them, patterns in quotes')
    .addOption(
      new Option('--method <names>', 'which methods, with commas between, or all; see below')
        .argParser(methodsNamed)
        .default(methodsNamed('grad-cam'), 'grad-cam'),
    )
    .option('--layer <path>', 'of class activation maps: the layer; auto takes the last one with maps', 'auto')
    .option('--class <name>', 'the class to explain: its name or number; top takes the likeliest', 'top')
    .option(
      '--out <file.png>',
      'where to write the pictures (default: explain.png, feature-maps.png, filters.png, sanity.png, maximized.png)',
    )
    .option(
      '--feature-maps [layers]',
      'draw what the channels of layers answer; left out, of six layers from first to last',
    )
    .option('--filters [layer]', 'draw the filters of a convolution; left out, of the first')
    .option('--sanity', 'randomise the weights layer by layer from the top: do the maps change?')
    .option(
      '--maximize [what]',
      'make up the pictures that are answered most: classes, classes:cat,dog, a layer, or some of its channels such as layer3:0-7,12 (left out: classes)',
    )
    .option(
      '--receptive-field [layers]',
      'how much of a picture a unit of each layer sees: layers with commas between, or all; with --out also what it listens to',
    )
    .option('--steps <n>', 'of --maximize: steps of the climb', wholeNumber(), 256)
    .option('--seed <n>', 'of --maximize and of the noise that --receptive-field is measured with', wholeNumber(0), 0)
    .option(
      '--samples <n>',
      'masks of rise, noisy copies of smooth-grad, steps of integrated-gradients, pictures of noise for --receptive-field',
      wholeNumber(2),
    )
    .option('--invert', 'exchange light and dark first')
    .option('--weights <which>', 'of a run: model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--model <name>', 'of a file of weights: which model it is for, where that cannot be told')
    .addHelpText('after', `\nMethods:\n${methods.map((m) => `  ${m.name.padEnd(22)}${m.summary}`).join('\n')}`);
  return withJson(withDevice(made)).action(async (path: string, given: string[], flags: Flags) => {
    checkOneThing(flags);
    if (flags.out !== undefined) checkPng(flags.out);
    const seer = await openClassifier(path, flags);
    await onDevice(flags, async () => {
      if (flags.filters !== undefined) return drawFilters(seer, flags);
      if (flags.maximize !== undefined) return drawMaximized(seer, given, flags);
      if (flags.receptiveField !== undefined) {
        return drawFields(seer, given.length === 0 ? [] : await read(given, seer, flags), flags);
      }
      const pictures = await read(given, seer, flags);
      if (flags.featureMaps !== undefined) return drawFeatureMaps(seer, pictures, flags);
      if (flags.sanity) return checkSanity(seer, pictures, flags);
      return explain(seer, pictures, flags);
    });
  });
}

/** What takes the place of heat maps, each by its option. */
const others = ['featureMaps', 'filters', 'sanity', 'maximize', 'receptiveField'] as const;

function checkOneThing(flags: Flags): void {
  const asked = others.filter((name) => flags[name] !== undefined);
  if (asked.length < 2) return;
  const names = asked.map((name) => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  throw new UsageError(`${names.join(' and ')} are two answers: ask for one at a time.`);
}

interface Shown {
  readonly name: string;
  readonly picture: Picture;
  /** As the model takes it, [1, C, H, W]. */
  readonly x: Tensor;
  readonly best: readonly Prediction[];
  /** The class to be explained, and how likely the model finds it. */
  readonly asked: Prediction;
}

async function explain(seer: Classifier, pictures: readonly Shown[], flags: Flags): Promise<void> {
  const rows: Cell[][] = [];
  for (const shown of pictures) {
    const [, height, width] = shown.picture.shape;
    const row: Cell[] = [{ picture: large(shown.picture), caption: `${basename(shown.name)}: ${captionOf(shown)}` }];
    if (!flags.json) print(`${printable(shown.name)}  ${pc.bold(pc.green(printable(captionOf(shown))))}`);
    for (const method of flags.method) {
      const started = performance.now();
      const found = await mapOf(method, seer, shown, flags);
      const heat = (await found.maps.data()) as Float32Array;
      const summary = summarizeHeat(heat, [height, width]);
      const layer = (found as { layer?: string }).layer;
      tell(method, shown, { summary, layer, seconds: (performance.now() - started) / 1000 }, flags);
      row.push({ picture: heated(shown.picture, heat), caption: layer === undefined ? undefined : `layer ${layer}` });
    }
    rows.push(row);
  }
  const heads = [seer.modelName, ...flags.method.map((m) => m.title)];
  const legend = ['nothing', 'speaks for the class'] as const;
  await save({ heads, rows, legend }, flags.out ?? 'explain.png', flags);
}

function mapOf(method: ExplainMethod, { model }: Classifier, { x, asked }: Shown, flags: Flags): Promise<Explanation> {
  return withProgress(method.title, method.long && isLive(flags), (onProgress) =>
    method.explain(model, x, { target: asked.index, layer: flags.layer, ...amounts(flags), onProgress }),
  );
}

/** `--samples` in the words of the methods. Without it RISE takes half of the paper's masks: it is for looking. */
function amounts({ samples }: Flags): object {
  return samples === undefined ? { masks: 2000 } : { masks: samples, samples, steps: samples };
}

function tell(
  method: ExplainMethod,
  { name, asked }: Shown,
  { summary, layer, seconds }: { summary: HeatSummary; layer: string | undefined; seconds: number },
  { json }: Flags,
): void {
  const { peak, center, halfMass } = summary;
  if (json) {
    printJson({
      event: 'explanation',
      file: name,
      method: method.name,
      class: asked.name,
      index: asked.index,
      probability: asked.probability,
      layer: layer ?? null,
      peak,
      center: { x: rounded(center.x), y: rounded(center.y) },
      halfMass: rounded(halfMass),
      seconds: rounded(seconds),
    });
    return;
  }
  const where =
    halfMass === 0 // the map is 0 everywhere
      ? 'nothing it sees speaks for the class: try another method or layer'
      : `strongest at (${peak.x}, ${peak.y}), half of it on ${percent(halfMass, 0)} of the picture`;
  print(
    `  ${method.title.padEnd(20)}  ${where}${pc.dim(`${layer === undefined ? '' : `  ${layer}`}  ${seconds.toFixed(2)} s`)}`,
  );
}

async function drawFeatureMaps({ model }: Classifier, pictures: readonly Shown[], flags: Flags): Promise<void> {
  const paths = flags.featureMaps === true ? undefined : (flags.featureMaps as string).split(',').map((p) => p.trim());
  const [{ name, x, picture }] = pictures;
  if (pictures.length > 1) throw new UsageError('--feature-maps draws one picture: name one.');
  const layers = await featureMaps(model, x, paths, { columns: 16, size: 64 });
  const rows: Cell[][] = [[{ picture: large(picture), caption: captionOf(pictures[0]) }]];
  for (const { path, shape, channels, grid } of layers) {
    const some = channels.length < shape[0] ? `, the ${channels.length} strongest` : '';
    const caption = `${path}: ${shape[0]} channels of ${shape[1]} × ${shape[2]}${some}`;
    rows.push([{ picture: grid, caption }]);
    if (flags.json) printJson({ event: 'featureMaps', file: name, layer: path, shape, channels });
    else print(caption);
  }
  await save({ title: `What the layers answer to ${basename(name)}`, rows }, flags.out ?? 'feature-maps.png', flags);
}

async function drawFilters({ model, modelName }: Classifier, flags: Flags): Promise<void> {
  const found = await filters(model, flags.filters === true ? undefined : flags.filters, {
    size: 48,
    columns: 16,
    gap: 4,
  });
  const [outputs, inputs, h, w] = found.shape;
  const caption = `${found.path}: ${outputs} × ${inputs} filters of ${h} × ${w}${inputs === 3 ? ', in colours' : ', blue below 0, red above'}`;
  if (flags.json) printJson({ event: 'filters', layer: found.path, shape: found.shape, shown: found.pictures.length });
  else print(caption);
  await save(
    { title: `Filters of ${modelName}`, rows: [[{ picture: found.grid, caption }]] },
    flags.out ?? 'filters.png',
    flags,
  );
}

async function checkSanity({ model }: Classifier, pictures: readonly Shown[], flags: Flags): Promise<void> {
  const [{ x, asked, picture, name }] = pictures;
  if (pictures.length > 1) throw new UsageError('--sanity looks at one picture: name one.');
  const rows: Cell[][] = [];
  let heads: string[] = [];
  for (const method of flags.method) {
    const fixed = { target: asked.index, layer: flags.layer === 'auto' ? undefined : flags.layer };
    const trained = await method.explain(model, x, { ...fixed, ...amounts(flags) });
    const steps = await withProgress(`${method.title} with random weights`, isLive(flags), (onProgress) =>
      sanityCheck(model, x, method, { ...fixed, options: amounts(flags), steps: 6, onProgress }),
    );
    for (const { layer, spearman, ssim } of steps) {
      if (flags.json)
        printJson({
          event: 'sanity',
          file: name,
          method: method.name,
          layer,
          spearman: rounded(spearman),
          ssim: rounded(ssim),
        });
    }
    if (!flags.json) {
      print(pc.bold(method.title));
      const lines = steps.map(({ layer, spearman, ssim }) => [layer, spearman.toFixed(2), ssim.toFixed(2)]);
      print(
        await table(
          [{ head: 'random down to' }, { head: 'rank correlation', align: 'right' }, { head: 'SSIM', align: 'right' }],
          lines,
        ),
      );
      print(verdict(method, steps));
    }
    heads = ['picture', 'trained', ...steps.map(({ layer }) => `… ${layer}`)];
    const maps = [
      { maps: trained.maps, caption: method.title },
      ...steps.map((s) => ({ maps: s.maps, caption: `SSIM ${s.ssim.toFixed(2)}` })),
    ];
    const cells = await Promise.all(
      maps.map(async ({ maps: m, caption }) => ({
        picture: plain(picture, (await m.data()) as Float32Array),
        caption,
      })),
    );
    rows.push([{ picture: large(picture), caption: captionOf(pictures[0]) }, ...cells]);
  }
  await save({ title: 'Weights made random from the top down', heads, rows }, flags.out ?? 'sanity.png', flags);
}

/** A map that keeps its order of pixels although the layers above are noise does not depend on them. */
function verdict({ title }: ExplainMethod, steps: readonly SanityStep[]): string {
  const mean = steps.reduce((sum, { spearman }) => sum + spearman, 0) / Math.max(1, steps.length);
  const said = `(rank correlation ${mean.toFixed(2)} on average)`;
  return mean > 0.6
    ? pc.yellow(
        `${title} changes little when weights are random ${said}: it shows the picture more than what was learned.\n`,
      )
    : pc.green(`${title} changes with the weights ${said}: it shows what was learned.\n`);
}

async function read(given: readonly string[], seer: Classifier, flags: Flags): Promise<Shown[]> {
  const files = await pictureFiles(given);
  const shown: Shown[] = [];
  for (const file of files) {
    const whole = await decodeImage(await file.read(), { channels: seer.channels });
    const picture = await seer.prepare(flags.invert ? { ...whole, data: whole.data.map((v) => 255 - v) } : whole);
    const [best] = await seer.predict([picture], {});
    const batch = { inputs: picture.data.slice(), shape: [1, ...seer.inputShape], labels: new Int32Array(1) };
    const { inputs } = batchTensors(batch);
    const x = normalizeTensor(inputs, seer.normalize.mean, seer.normalize.std);
    if (shown.length === 0) checkLayer(seer, x, flags.layer);
    const asked = flags.class === 'top' ? best[0].index : classNamed(flags.class, seer.classes);
    shown.push({
      name: file.name,
      picture,
      x,
      best,
      asked: best.find((p) => p.index === asked)!,
    });
  }
  return shown;
}

function checkLayer({ model }: Classifier, x: Tensor, layer: string): void {
  if (layer === 'auto') return;
  const layers = mapLayerPaths(model, x);
  if (layers.includes(layer) || [...model.namedModules()].some(([path]) => path === layer)) return;
  const near = suggest(layer, layers);
  throw new UsageError(
    `There is no layer '${layer}'${near === null ? '' : `. Did you mean ${near}?`}\nLayers with maps: ${layers.join(', ')}`,
  );
}

function methodsNamed(text: string): readonly ExplainMethod[] {
  const names = text === 'all' ? methods.map((m) => m.name) : text.split(',').map((name) => name.trim());
  return names.map((name) => {
    const method = methods.find((m) => m.name === name);
    if (method !== undefined) return method;
    const near = suggest(name, methods.map((m) => m.name)); // biome-ignore format: one thought
    throw new UsageError(
      `There is no method '${name}'. ${near === null ? `There are ${methods.map((m) => m.name).join(', ')}.` : `Did you mean ${near}?`}`,
    );
  });
}

function captionOf({ asked, best }: Shown): string {
  const top = best[0];
  const first = `${asked.name} ${percent(asked.probability, 1)}`;
  return top.index === asked.index ? first : `${first} (likeliest: ${top.name} ${percent(top.probability, 1)})`;
}
