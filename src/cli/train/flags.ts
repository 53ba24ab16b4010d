/** The options of `fovea train`, and which of them decide the numbers of a run. */

import type { Command } from 'commander';
import type { ArrayLayout } from '../../data/index.js';
import type { JsonObject } from '../../io/index.js';
import type { DeviceFlags } from '../options.js';
import { amount, decimal, modelOption, oneOf, several, wholeNumber } from '../usage.js';

const layouts = ['NHW', 'NHWC', 'NCHW', 'NDHW', 'NDHWC', 'NCDHW', 'NCL', 'NLC'] as const;
const optimizers = ['adam', 'adamw', 'sgd'] as const;
const schedules = ['constant', 'cosine'] as const;
const augmentations = ['none', 'light', 'standard', 'rand', 'trivial', 'auto'] as const;
const statistics = ['fitted', 'imagenet'] as const;
const checks = ['full', 'headers'] as const;

export interface Flags extends DeviceFlags {
  /** Left out: what suits the data. */
  model?: string;
  /** Of the model's builder. */
  option: JsonObject;
  weights?: string;
  freeze: string[];
  headEpochs?: number;
  backboneRate?: number;
  size?: number;
  frames?: number;
  length?: number;
  layout?: ArrayLayout;
  pictureColumn?: string;
  textColumn?: string;
  labelColumn?: string;
  augment?: (typeof augmentations)[number];
  flip?: boolean;
  statistics?: (typeof statistics)[number];
  mixup?: number;
  cutmix?: number;
  epochs: number;
  batchSize: number;
  accumulate?: number;
  optimizer: (typeof optimizers)[number];
  lr: number;
  findLr?: boolean;
  weightDecay: number;
  schedule: (typeof schedules)[number];
  warmup?: number;
  clipGradNorm?: number;
  labelSmoothing?: number;
  weightClasses?: boolean;
  balance?: boolean;
  ema?: number;
  distill?: string;
  temperature?: number;
  teacherShare?: number;
  seed: number;
  limit?: number;
  testLimit?: number;
  validation?: number;
  test?: number;
  patience?: number;
  out?: string;
  resume?: boolean;
  checkpointEvery?: number;
  tensorboard?: boolean;
  report?: boolean;
  check?: (typeof checks)[number];
  workers?: number;
  cache?: number;
  strict?: boolean;
  json?: boolean;
}

/**
 * What decides the numbers of a run: kept in config.json, and not to be changed by resuming. Only `epochs` may grow; the learning rate then
 * goes on along the curve of the longer run.
 */
export const trainingFlags = [
  'epochs',
  'batchSize',
  'accumulate',
  'optimizer',
  'lr',
  'weightDecay',
  'schedule',
  'warmup',
  'clipGradNorm',
  'labelSmoothing',
  'weightClasses',
  'balance',
  'mixup',
  'cutmix',
  'ema',
  'distill',
  'temperature',
  'teacherShare',
  'patience',
  'weights',
  'freeze',
  'headEpochs',
  'backboneRate',
  'size',
  'frames',
  'length',
  'augment',
  'statistics',
] as const;
export const dataFlags = [
  'limit',
  'testLimit',
  'validation',
  'test',
  'layout',
  'pictureColumn',
  'textColumn',
  'labelColumn',
] as const;

/** Declares them all, in groups as `--help` shows them. */
export function withTraining(command: Command): Command {
  const share = () => decimal({ above: 0, below: 1 });
  return command
    .argument(
      '[data]',
      'mnist; pictures: a folder of class folders, a .csv, .parquet or .tar, the files of MNIST or CIFAR; ' +
        'arrays: an .npz, or x.npy,y.npy; clips: a folder of class folders with a folder of frames or an .npy for each; texts: a .csv with the columns text and label',
    )
    .option(
      '--model <name>',
      'which network: a name from `fovea models` (default: classic for mnist and arrays, textcnn for texts, else mobilenet_v2)',
    )
    .option('--option <name=value>', 'how the network is built, several times if need be: stem=cifar', modelOption, {})
    .option('--out <folder>', 'where to keep the run (default: a new folder in runs/)')
    .option('--resume', 'go on with the run in --out')
    .option('--seed <n>', 'decides first weights, parts, order, transforms and dropout', wholeNumber(0), 0)

    .optionsGroup('Weights to begin from:')
    .option('--weights <file>', 'begin from these: .safetensors, .pth, .pt; a head for other classes is left out')
    .option(
      '--freeze <pattern>',
      'parameters that keep their values, several times if need be: layer1, "layer*.0.bn1", "**.bias"',
      several,
      [],
    )
    .option(
      '--head-epochs <n>',
      'train the new head alone first (default with --weights: 1 of 5 epochs or more)',
      wholeNumber(0),
    )
    .option(
      '--backbone-rate <x>',
      'what loaded layers learn at, in learning rates (default with --weights: 0.1 up to 5,000 samples, 1 from 50,000 on)',
      decimal(),
    )

    .optionsGroup('Pictures:')
    .option('--size <n>', 'height and width the model sees (default: its own)', wholeNumber())
    .option('--augment <name>', `random transforms: ${augmentations.join(', ')}`, oneOf(augmentations))
    .option('--no-flip', 'never mirror pictures: for letters, and whatever has a left and a right')
    .option('--statistics <which>', 'mean and deviation: fitted to the pictures, or imagenet', oneOf(statistics))
    .option('--mixup <alpha>', 'mix pictures and labels of a batch (0.2 is mild)', decimal({ above: 0 }))
    .option('--cutmix <alpha>', 'paste pieces of pictures into others (1 is usual)', decimal({ above: 0 }))
    .option(
      '--validation <share>',
      'set aside to choose the best epoch by (default for files of pictures: 0.1)',
      share(),
    )
    .option('--test <share>', 'set aside for the test (default for undivided pictures: 0.1)', share())
    .option('--limit <n>', 'train on n pictures only', wholeNumber())
    .option('--test-limit <n>', 'test on n pictures only', wholeNumber())
    .option('--check <how>', 'look at pictures whole or at headers (default: full up to 20,000)', oneOf(checks))
    .option('--strict', 'a picture that cannot be read ends the training')
    .option('--workers <n>', 'threads that decode (default: one per core)', wholeNumber())
    .option(
      '--cache <bytes>',
      'memory for resized pictures, such as 500MB; 0 keeps none (default: a quarter of what is free)',
      (text) => (text === '0' ? 0 : amount(text)),
    )

    .optionsGroup('Tables, clips, texts, arrays:')
    .option(
      '--picture-column <name>',
      'of a table or Parquet: the column of the pictures or their files (default: path, image …)',
    )
    .option('--frames <n>', 'of clips: how many frames the model sees (default: its own)', wholeNumber())
    .option('--length <n>', 'of texts: words the model sees (default: enough for 95 % of them)', wholeNumber())
    .option(
      '--text-column <name>',
      'of texts: the column they are in, by name or place from 0 (default: text, review …)',
    )
    .option(
      '--label-column <name>',
      'of a table, Parquet or texts: the column of the classes (default: label, class …)',
    )
    .option('--layout <axes>', `of arrays: which axis is which: ${layouts.join(', ')}`, oneOf(layouts))

    .optionsGroup('Training:')
    .option('--epochs <n>', 'how often to go through the training pictures', wholeNumber(), 1)
    .option('--batch-size <n>', 'pictures in a step', wholeNumber(), 64)
    .option('--accumulate <n>', 'batches in a step, where one as large does not fit the memory', wholeNumber())
    .option('--optimizer <name>', optimizers.join(', '), oneOf(optimizers), 'adam')
    .option('--lr <rate>', 'learning rate (default: 0.001, with adam what suits the model)', decimal({ above: 0 }))
    .option('--find-lr', 'try rates from small to large first, and take the one it suggests')
    .option('--weight-decay <x>', 'how strongly weights are drawn to zero; not biases and norms', decimal(), 0)
    .option('--schedule <name>', `learning rate over time: ${schedules.join(', ')}`, oneOf(schedules), 'cosine')
    .option('--warmup <epochs>', 'epochs over which the rate rises from nearly nothing', decimal())
    .option('--clip-grad-norm <x>', 'limit of the norm of all gradients together', decimal({ above: 0 }))
    .option('--label-smoothing <share>', 'share of each label that goes to all classes', share())
    .option('--weight-classes', 'mistakes on rare classes count more')
    .option('--balance', 'draw every class equally often')
    .option('--ema <decay>', 'keep a moving average of the weights: 0.999', share())
    .option('--distill <run>', 'learn from another model too: a run or a file of weights for the same classes')
    .option('--temperature <t>', 'of the distillation (default: 4)', decimal({ above: 0 }))
    .option('--teacher-share <share>', 'of the loss, the rest is the labels (default: 0.5)', share())
    .option('--patience <epochs>', 'stop after so many epochs without improvement', wholeNumber())

    .optionsGroup('Records:')
    .option(
      '--checkpoint-every <steps>',
      'save every so many steps (default: as often as it costs nothing)',
      wholeNumber(),
    )
    .option('--tensorboard', 'also write event files for TensorBoard')
    .option('--no-report', 'do not write report.html at the end');
}

/** How an option is written: batchSize → --batch-size. */
export function flagName(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
