/** `fovea bench-data PATH`: how fast pictures come, stage by stage, beside how fast a model takes them; so that one knows which of the two to speed up. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { measurePictures, openPictures, type PictureRates, type PictureStage, transforms } from '../data/all.node.js';
import { loadJpegTurbo } from '../io/jpeg-turbo.node.js';
import type { Preprocessing } from '../models/index.js';
import { preprocessing as preprocessingOf } from '../models/index.js';
import { totalLoss } from '../nn/index.js';
import { crossEntropy, nll } from '../nn/loss.js';
import { Adam } from '../optim/index.js';
import { manualSeed, rand, tensor } from '../tensor/index.js';
import { counted, grouped } from '../util/counts.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { print, printJson, table } from './output.js';
import { modelNamed } from './summary.js';
import { preprocessingFor } from './train/picture-settings.js';
import { oneOf, UsageError, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags {
  model?: string;
  size?: number;
  augment: transforms.PresetName;
  workers?: number;
  batch: number;
  seconds: number;
  json?: boolean;
}

const presetNames = Object.keys(transforms.presets) as transforms.PresetName[];
const defaultSize = 224;

export function command(): Command {
  return withJson(
    withDevice(
      newCommand(
        'bench-data',
        'Measures how many pictures a second each stage of the input pipeline makes, and names the slowest.',
        'fovea bench-data photos',
        'fovea bench-data photos --model resnet18 --augment light',
      )
        .argument('<path>', 'labelled pictures: a folder of class folders, a table, Parquet files, tar archives')
        .option('--model <name>', 'also measure its training step, and use its input size')
        .option('--size <n>', `height and width the pictures are brought to (default: ${defaultSize}, or the model's)`, wholeNumber()) // biome-ignore format: one line
        .option('--augment <name>', `random transforms: ${presetNames.join(', ')}`, oneOf(presetNames), 'standard')
        .option('--workers <n>', 'threads that decode (default: one per core)', wholeNumber())
        .option('--batch <n>', 'pictures in a batch', wholeNumber(), 32)
        .option('--seconds <n>', 'how long to measure the pipeline', wholeNumber(), 10),
    ),
  ).action(benchData);
}

async function benchData(path: string, flags: Flags): Promise<void> {
  const set = await openPictures(path);
  const build = flags.model === undefined ? null : modelNamed(flags.model);
  if (build !== null && (build.inputKind ?? 'picture') !== 'picture') {
    throw new UsageError(`${build.modelName} takes no pictures.`);
  }
  const preprocessing: Preprocessing =
    build === null
      ? preprocessingOf(flags.size ?? defaultSize)
      : preprocessingFor(build, null, { channels: build.input[0] === 1 ? 1 : 3, size: flags.size });
  const augment = flags.augment === 'none' ? [] : transforms.presetOf(flags.augment)(preprocessing.crop);
  const { seconds, batch: batchSize, workers } = flags;
  if (!flags.json) {
    print(`${counted(set.samples.length, 'picture')} of ${counted(set.classes.length, 'class', 'classes')}, to ${preprocessing.crop.join(' × ')} …\n`); // biome-ignore format: one line
  }
  const measured = await measurePictures(set, { preprocessing, augment, workers, seconds, batchSize });
  const step = build === null ? null : await stepRate(build, preprocessing, set.classes.length, flags);
  if (flags.json) {
    const { rates } = measured;
    const stages = Object.entries(rates).map(([stage, rate]) => [stage, rounded(rate)]);
    const facts = {
      workers: measured.workers,
      step: step === null ? null : rounded(step),
      jpegs: await jpegDecoder(),
      limit: limitOf(rates, step),
    };
    printJson({ event: 'data', ...Object.fromEntries(stages), ...facts });
    return;
  }
  print(await rateTable(measured, step, flags));
  print(`\n${verdict(measured.rates, step, flags)}`);
  const hasJpegs = set.samples.some(({ name }) => /\.jpe?g$/i.test(name));
  if (hasJpegs && (await jpegDecoder()) === 'sharp') print(`\n${fasterJpegs}`);
}

/** Who decodes plain JPEGs. */
async function jpegDecoder(): Promise<'libjpeg-turbo' | 'sharp'> {
  return (await loadJpegTurbo()) === null ? 'sharp' : 'libjpeg-turbo';
}

const fasterJpegs =
  'JPEGs decode three times as fast where libjpeg-turbo is installed: npm install @julusian/jpeg-turbo on Linux, brew install jpeg-turbo on a Mac.';

/** Pictures per second, to a tenth. */
function rounded(rate: number): number {
  return Math.round(10 * rate) / 10;
}

const titles: Record<PictureStage, string> = {
  read: 'read the file',
  decode: 'decode it',
  resize: 'resize it to the working size',
  transform: 'transform it',
  batches: 'hand out batches: the first epoch',
  cached: 'batches of pictures kept in memory: later epochs',
};

function rateTable({ rates, workers }: { rates: PictureRates; workers: number }, step: number | null, flags: Flags) {
  const stages = Object.keys(titles) as PictureStage[];
  const rows = stages.map((stage, i) => {
    const before = i === 0 || stage === 'cached' ? 0 : 1 / rates[stages[i - 1]];
    const own = Math.max(0, 1000 * workers * (1 / rates[stage] - before));
    return [titles[stage], grouped(Math.round(rates[stage])), own.toFixed(2)];
  });
  if (step !== null)
    rows.push([`training step of ${flags.model}, ${counted(flags.batch, 'picture')}`, grouped(Math.round(step)), '']);
  const threads = `${workers} ${workers === 1 ? 'thread' : 'threads'}`;
  const right = 'right' as const;
  return table(
    [{ head: `on ${threads}` }, { head: 'pictures/s', align: right }, { head: 'own ms', align: right }],
    rows,
  );
}

/** Which stage takes most of the time. */
function slowestOf(rates: PictureRates): PictureStage {
  const times = { read: 1 / rates.read, decode: 1 / rates.decode - 1 / rates.read, resize: 1 / rates.resize - 1 / rates.decode, transform: 1 / rates.transform - 1 / rates.resize }; // biome-ignore format: one line
  return (Object.keys(times) as (keyof typeof times)[]).reduce((worst, s) => (times[s] > times[worst] ? s : worst));
}

function limitOf(rates: PictureRates, step: number | null): 'model' | PictureStage {
  return step !== null && step < rates.batches ? 'model' : slowestOf(rates);
}

const advice: Partial<Record<PictureStage, string>> = {
  read: 'Reading is the limit: copy the pictures to a faster disk, or pack them into tar archives.',
  decode: 'Decoding is the limit in the first epoch: smaller files (not much larger than the model sees) decode faster; pictures kept in memory are not decoded again (--cache of fovea train).', // biome-ignore format: one line
  resize: 'Resizing is the limit: store the pictures at about the size the model sees.',
  transform: 'The random transforms are the limit: choose lighter ones with --augment.',
};

function verdict(rates: PictureRates, step: number | null, { model }: Flags): string {
  const whole = grouped(Math.round(rates.batches));
  if (step === null) return advice[slowestOf(rates)]!;
  const both = (rate: number) => grouped(Math.round(1 / (1 / rate + 1 / step)));
  const share = `Where both use the same cores, expect about ${both(rates.batches)} pictures/s in the first epoch and ${both(rates.cached)} in later ones.`;
  if (step < rates.batches) {
    return `${pc.bold('The model is the limit')}: ${model} takes ${grouped(Math.round(step))} pictures/s, the pipeline makes ${whole}. ${share}`;
  }
  return `${pc.bold('The pictures are the limit')}: the pipeline makes ${whole}/s, ${model} would take ${grouped(Math.round(step))}. ${advice[slowestOf(rates)]} ${share}`;
}

/** Pictures per second of training steps alone. */
async function stepRate(
  build: ReturnType<typeof modelNamed>,
  { crop, mean }: Preprocessing,
  classes: number,
  flags: Flags,
): Promise<number> {
  return onDevice(flags, async () => {
    manualSeed(0);
    const model = build({ numClasses: Math.max(2, classes), inChannels: mean.length });
    const optimizer = new Adam(model.parameters());
    const loss = build.output === 'logits' ? crossEntropy : nll;
    const inputs = rand([flags.batch, mean.length, ...crop]);
    const labels = tensor(Int32Array.from({ length: flags.batch }, (_, i) => i % Math.max(2, classes)));
    const times: number[] = [];
    const end = performance.now() + 500 * flags.seconds;
    // Compiling and first touches of memory are not counted.
    for (let i = 0; i < 4 || performance.now() < end; i++) {
      const start = performance.now();
      optimizer.zeroGrad();
      const value = totalLoss(loss, model.forward(inputs), labels);
      value.backward();
      await optimizer.step();
      await value.data();
      if (i >= 2) times.push(performance.now() - start);
    }
    return (1000 * flags.batch) / times.sort((a, b) => a - b)[times.length >> 1];
  });
}
