/** `fovea compare RUN RUN2 [DATA]`: how alike the layers of two models are, by what they answer to the same samples (linear CKA). */

import { basename } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { batchTensors, type Dataset, sampleName } from '../data/index.js';
import { compareByCka, ready } from '../explain/index.js';
import { writeFileAtomic } from '../io/all.node.js';
import { comparisonFindings, layerMatches } from '../report/comparison-findings.js';
import type { ComparisonContent } from '../report/comparison-page.js';
import type { OpenedDevice, Tensor } from '../tensor/index.js';
import { type LoadedRun, loadRun, type RunWeights } from '../train/all.node.js';
import { openForRun } from './data/for-run.js';
import { nounOf } from './data/kinds.js';
import type { PictureFlags } from './data/pictures.js';
import { checkLayer } from './embed.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, print, printable, printJson, table } from './output.js';
import { withProgress } from './task-progress.js';
import { oneOf, UsageError, wholeNumber } from './usage.js';
import { version } from './version.js';

/** All are held at once, with what every layer answers to them. */
const defaultLimit = 128;
/** A wider table does not fit on a screen; the matches say the most of it. */
const mostColumns = 10;

interface Flags extends DeviceFlags, PictureFlags {
  layers?: readonly string[];
  otherLayers?: readonly string[];
  limit: number;
  out?: string;
  weights?: RunWeights;
  otherWeights?: RunWeights;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'compare',
    'Compares two trained models layer by layer: how alike is what they see in the same samples (CKA)?',
    'fovea compare runs/a runs/b --out cka.html',
    'fovea compare runs/a runs/b photos/test --limit 256 --out cka.png',
    'fovea compare runs/a runs/b --layers layer1,layer4 --other-layers layer1,layer4 --json',
    'fovea compare runs/a runs/a --weights best --other-weights last     what did the last epochs change?',
  )
    .argument('<run>', 'the folder of a run')
    .argument('<other>', 'the folder of another, or the same')
    .argument('[data]', 'whatever fovea train takes, of any classes (default: the test of the first run)')
    .option('--layers <paths>', 'of the first model, with commas between (default: all with parameters)', paths)
    .option('--other-layers <paths>', 'of the other model', paths)
    .option('--limit <n>', 'at most n samples; all are held in memory at once', wholeNumber(3), defaultLimit)
    .option('--out <file>', 'write the map of likenesses: .html, .svg or .png')
    .option(
      '--weights <which>',
      'of the first run: model (the finished ones), last, best',
      oneOf(['model', 'last', 'best']),
    )
    .option('--other-weights <which>', 'of the other run', oneOf(['model', 'last', 'best']))
    .option('--workers <n>', 'threads that decode pictures (default: one per core)', wholeNumber())
    .option('--strict', 'a picture that cannot be read ends it');
  return withJson(withDevice(made)).action(
    async (path: string, otherPath: string, data: string | undefined, flags: Flags) => {
      if (flags.out !== undefined && !/\.(html|svg|png)$/i.test(flags.out)) {
        throw new UsageError(`--out writes .html, .svg or .png, not '${basename(flags.out)}'.`);
      }
      const run = await loadRun(path, { weights: flags.weights });
      const other = await loadRun(otherPath, { weights: flags.otherWeights });
      for (const layer of flags.layers ?? []) checkLayer(run, layer);
      for (const layer of flags.otherLayers ?? []) checkLayer(other, layer);
      await onDevice(flags, (device) => compare(run, other, data, flags, device));
    },
  );
}

async function compare(
  run: LoadedRun,
  other: LoadedRun,
  data: string | undefined,
  flags: Flags,
  device: OpenedDevice,
): Promise<void> {
  const { inputs, otherInputs, source, count, noun } = await samplesOf(run, other, data, flags);
  const live = !flags.json && process.stderr.isTTY === true;
  const { layers, otherLayers } = flags;
  const found = await withProgress(`comparing layers on ${count} ${noun}`, live, (onProgress) =>
    compareByCka(run.model, other.model, inputs, { layers, otherLayers, otherInputs, onProgress }),
  );
  const content: ComparisonContent = {
    ...namesOf(run, other),
    data: basename(source),
    count,
    found,
    facts: { device: device.target.name, threads: device.threads, version: await version() },
  };
  if (flags.json) {
    printJson({
      event: 'comparison',
      run: run.folder.path,
      other: other.folder.path,
      data: source,
      count,
      layers: found.layers,
      otherLayers: found.otherLayers,
      cka: found.matrix.map((row) => row.map(rounded)),
    });
  } else await tell(content, noun);
  if (flags.out === undefined) return;
  const written = await drawn(content, flags.out);
  await writeFileAtomic(flags.out, written);
  if (flags.json) printJson({ event: 'saved', file: flags.out, sizeBytes: written.length });
  else print(pc.dim(`saved ${flags.out} (${bytes(written.length)})`));
}

interface Samples {
  /** As the first model takes them, and as the other does. */
  readonly inputs: Tensor;
  readonly otherInputs: Tensor;
  readonly source: string;
  readonly count: number;
  readonly noun: string;
}

/** The same samples for both. Models may take them in other sizes and scales; then they are opened twice. */
async function samplesOf(run: LoadedRun, other: LoadedRun, data: string | undefined, flags: Flags): Promise<Samples> {
  const options = { ...flags, anyClasses: true, sampleSeed: run.folder.config.seed };
  const same = sameInput(run, other);
  if (!same && data === undefined) {
    const [a, b] = [run, other].map(({ folder }) => folder.path);
    throw new UsageError(
      `${a} and ${b} take samples of [${run.inputShape.join(', ')}] and [${other.inputShape.join(', ')}], prepared in ways of their own. ` +
        `Name the data that both are to see: fovea compare ${a} ${b} DATA`,
    );
  }
  const first = await openForRun(data, run.folder, options);
  try {
    const { dataset, source } = first;
    const [count, noun] = [Math.min(flags.limit, dataset.length), nounOf(dataset.shape)];
    if (count < 3) throw new UsageError(`A comparison wants at least 3 ${noun}; ${source} has ${count}.`);
    const raw = await firstOf(dataset, count);
    const facts = { inputs: ready(raw, run.normalize), source, count, noun };
    if (same) return { ...facts, otherInputs: ready(raw, other.normalize) };
    const second = await openForRun(data, other.folder, options);
    try {
      checkSame(dataset, second.dataset, count, source);
      return { ...facts, otherInputs: ready(await firstOf(second.dataset, count), other.normalize) };
    } finally {
      await second.close();
    }
  } finally {
    await first.close();
  }
}

async function firstOf(dataset: Dataset, count: number): Promise<Tensor> {
  const batch = await dataset.batch(Int32Array.from({ length: count }, (_, i) => i));
  return batchTensors(batch).inputs;
}

/** Whether one preparation serves both; of texts, each run has words of its own. */
function sameInput({ folder: a, inputShape }: LoadedRun, { folder: b }: LoadedRun): boolean {
  if (a.path === b.path) return true;
  const bytes = ({ config }: LoadedRun['folder']) => {
    const { mean: _mean, std: _std, ...rest } = config.input;
    return JSON.stringify(rest);
  };
  return inputShape.length > 1 && bytes(a) === bytes(b);
}

/** A picture that only one of them could read would move all others. */
function checkSame(a: Dataset, b: Dataset, count: number, source: string): void {
  for (let i = 0; i < count; i++) {
    if (i < b.length && sampleName(a, i) === sampleName(b, i) && a.labels[i] === b.labels[i]) continue;
    throw new UsageError(`${source} is not the same samples for both runs: number ${i} differs.`);
  }
}

/** Runs of one model are told apart by their folders, a run and itself by the weights. */
function namesOf(run: LoadedRun, other: LoadedRun): { model: string; other: string } {
  const name = ({ folder, modelName, weights }: LoadedRun) => {
    if (run.modelName !== other.modelName) return modelName;
    if (run.folder.path !== other.folder.path) return `${modelName} (${basename(folder.path)})`;
    return run.weights === other.weights ? modelName : `${modelName} (${weights})`;
  };
  return { model: name(run), other: name(other) };
}

async function tell({ model, other, count, found }: ComparisonContent, noun: string): Promise<void> {
  print(pc.bold(`${printable(model)} × ${printable(other)}: linear CKA on ${count} ${noun}\n`));
  const { layers, otherLayers, matrix } = found;
  if (otherLayers.length <= mostColumns) {
    const heads = otherLayers.map((head) => ({ head, align: 'right' as const }));
    const lines = layers.map((layer, r) => [layer, ...matrix[r].map((v) => coloured(v))]);
    print(await table([{ head: '' }, ...heads], lines));
  } else {
    const heads = [
      { head: 'layer' },
      { head: 'most alike' },
      { head: 'CKA', align: 'right' },
      { head: 'same place', align: 'right' },
    ] as const;
    const lines = layerMatches(found).map((m) => [
      m.layer,
      m.other,
      coloured(m.cka),
      m.samePlace === null ? '' : coloured(m.samePlace),
    ]);
    print(await table(heads, lines));
  }
  print(
    `\n1: the same but for turning and scaling all channels at once, 0: nothing in common.\n${comparisonFindings(
      found,
      count,
    )
      .map(({ text }) => text.en)
      .join('\n')}`,
  );
}

async function drawn(content: ComparisonContent, out: string): Promise<Uint8Array> {
  const { comparisonPoster, renderComparison } = await import('../report/comparison-page.js'); // loads the plotting library
  if (/\.html$/i.test(out)) return new TextEncoder().encode(await renderComparison(content));
  const picture = comparisonPoster(content);
  if (/\.svg$/i.test(out)) return new TextEncoder().encode(picture);
  const { default: sharp } = await import('sharp');
  return new Uint8Array(await sharp(Buffer.from(picture), { density: 144 }).png({ compressionLevel: 9 }).toBuffer());
}

function paths(text: string): readonly string[] {
  return text.split(',').map((path) => path.trim());
}

function coloured(cka: number): string {
  const text = cka.toFixed(2);
  return cka >= 0.8 ? pc.green(text) : cka < 0.4 ? pc.yellow(text) : text;
}

function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
