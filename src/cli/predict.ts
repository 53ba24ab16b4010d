/** `fovea predict RUN PICTURE…`: what a trained model, or one with published weights, sees in pictures. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { preprocess } from '../data/index.js';
import { decodeImage, encodePng, type LoadedModel, loadModel, loadWeights, type Picture } from '../io/all.node.js';
import { builderOf } from '../models/define.js';
import { imagenetClasses } from '../models/imagenet-classes.js';
import { findModel, type ModelBuilder } from '../models/index.js';
import { inEvalMode, type Module } from '../nn/index.js';
import { type Tensor, zeros } from '../tensor/index.js';
import { loadRun, type Normalization, type Prediction, predict, type RunWeights } from '../train/all.node.js';
import { ConfigError } from '../util/errors.js';
import { exists, isFolder } from './files.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { percent, print, printJson } from './output.js';
import { modelNamed } from './summary.js';
import { oneOf, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags {
  top: number;
  invert?: boolean;
  weights?: RunWeights;
  model?: string;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'predict',
    'Says what is in pictures. They are brought to the size and colours the model was trained with.',
    'fovea predict runs/a digit.png',
    'fovea predict runs/a scans/*.png --invert --top 1',
    'fovea predict resnet50.pth dog.jpg         weights from PyTorch or timm: the model is told from their names',
  )
    .argument('<run>', 'the folder of a run, or a file of weights: .safetensors, .pth, .pt')
    .argument('<picture...>', 'PNG, JPEG, WebP … files')
    .option('--top <n>', 'how many guesses to show', wholeNumber(), 3)
    .option('--invert', 'exchange light and dark: MNIST is white on black, ink on paper is the other way round')
    .option('--weights <which>', 'of a run: model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--model <name>', 'of a file of weights: which model it is for, where that cannot be told');
  return withJson(withDevice(made)).action(async (path: string, files: string[], flags: Flags) => {
    // What is not there is refused as a run.
    const isRun = (await isFolder(path)) || !(await exists(path));
    const seer = isRun ? await seerOfRun(path, flags) : await seerOfFile(path, flags);
    const pictures: Picture[] = [];
    for (const file of files) pictures.push(await open(file, seer, flags.invert === true));
    await onDevice(flags, async () => {
      // One at a time: however many there are, it is the same program.
      for (const [i, picture] of pictures.entries()) {
        const batch = { images: picture.data, shape: [1, ...picture.shape] as const };
        const { classes, normalize } = seer;
        const [best] = await predict(seer.model, batch, { classes, normalize, top: flags.top });
        show(files[i], best, flags);
        if (!flags.json && looksInverted(picture, seer)) {
          print(pc.yellow('  looks dark on light, but the model learned light on dark: try --invert'));
        }
      }
    });
  });
}

/** A model that looks at pictures, and how they are brought to it. */
interface Seer {
  readonly model: Module;
  readonly classes: readonly string[];
  readonly normalize: Normalization;
  readonly channels: number;
  /** Bytes of a picture → the size the model takes. */
  prepare(picture: Picture): Picture | Promise<Picture>;
}

async function seerOfRun(path: string, flags: Flags): Promise<Seer> {
  const { folder, model, classes, normalize, inputShape } = await loadRun(path, { weights: flags.weights });
  const [channels, height, width] = inputShape;
  const { preprocessing } = folder;
  if (folder.config.input.resize !== undefined) {
    return { model, classes, normalize, channels, prepare: (picture) => preprocess(picture, preprocessing) };
  }
  // All of a picture is shown: a run was trained on whole pictures.
  const prepare = async (picture: Picture) =>
    decodeImage(await encodePng(picture), { channels: channels as 1 | 3, height, width, fit: 'contain' });
  return { model, classes, normalize, channels, prepare };
}

async function seerOfFile(path: string, flags: Flags): Promise<Seer> {
  const { model, report, name } = await openModel(path, flags.model);
  const builder = findModel(name);
  const { preprocessing } = report;
  if (preprocessing === null) {
    throw new ConfigError(
      `${path} does not say what pictures ${name} wants; save it with saveWeights, which writes that down`,
    );
  }
  const outputs = summaryOutputs(model, builder);
  const classes = report.classes ?? (outputs === imagenetClasses.length ? imagenetClasses : Array.from({ length: outputs }, (_, i) => `class ${i}`)); // biome-ignore format: one choice
  if (!flags.json)
    print(
      pc.dim(
        `${name}, ${report.loaded.length} tensors${report.source === null ? '' : ` with the names of ${report.source}`}`,
      ),
    );
  return {
    model,
    classes,
    normalize: preprocessing,
    channels: preprocessing.mean.length,
    prepare: (picture) => preprocess(picture, preprocessing),
  };
}

async function openModel(
  path: string,
  name: string | undefined,
): Promise<Pick<LoadedModel, 'model' | 'report' | 'name'>> {
  if (name === undefined) return loadModel(path);
  const model = modelNamed(name)().eval();
  return { model, report: await loadWeights(model, path), name };
}

/** How many classes the model gives: asked of it, without computing anything. */
function summaryOutputs(
  model: Module,
  { modelName, task = 'classification', input, inputKind = 'picture' }: ModelBuilder,
): number {
  if (task !== 'classification' || inputKind !== 'picture') {
    throw new ConfigError(`${modelName} does ${task} of ${inputKind}s; \`fovea predict\` names the class of pictures`);
  }
  const channels = builderOf(model)?.options.inChannels ?? input[0];
  const output = inEvalMode(model, () => model.forward(zeros([1, channels, ...input.slice(1)]))) as Tensor;
  return output.shape[1];
}

async function open(file: string, { channels, prepare }: Seer, invert: boolean): Promise<Picture> {
  if (channels !== 1 && channels !== 3)
    throw new ConfigError(`pictures have 1 or 3 channels; the model takes ${channels}`);
  const whole = await decodeImage(file, { channels });
  // Inverted before it is fitted: the bars around a picture of another shape stay black.
  return prepare(invert ? { ...whole, data: whole.data.map((x) => 255 - x) } : whole);
}

function show(file: string, best: readonly Prediction[], { json }: Flags): void {
  if (json) {
    const top = best.map(({ name, index, probability }) => ({ class: name, index, probability }));
    printJson({ event: 'prediction', file, class: best[0].name, probability: best[0].probability, top });
    return;
  }
  const [first, ...others] = best.map(({ name, probability }) => `${name} ${percent(probability)}`);
  print(`${file}  ${pc.bold(pc.green(first))}${others.length > 0 ? pc.dim(`  then ${others.join(', ')}`) : ''}`);
}

/** Where training pictures were mostly dark and the border of this one is light. */
function looksInverted({ data, shape: [channels, height, width] }: Picture, { normalize }: Seer): boolean {
  if (channels !== 1 || normalize.mean[0] > 0.3) return false;
  let sum = 0;
  let count = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (y > 0 && y < height - 1 && x > 0 && x < width - 1) continue;
      sum += data[y * width + x];
      count++;
    }
  }
  return sum / count > 127;
}
