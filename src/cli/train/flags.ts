/** The options of `fovea train`, and which of them decide the numbers of a run. */

import type { Command } from 'commander';
import type { JsonObject } from '../../io/index.js';
import type { DeviceFlags } from '../options.js';
import { decimal, modelOption, oneOf, several, wholeNumber } from '../usage.js';

const optimizers = ['adam', 'adamw', 'sgd'] as const;
const schedules = ['constant', 'cosine'] as const;

export interface Flags extends DeviceFlags {
  model: string;
  /** Of the model's builder. */
  option: JsonObject;
  weights?: string;
  freeze: string[];
  epochs: number;
  batchSize: number;
  optimizer: (typeof optimizers)[number];
  lr: number;
  weightDecay: number;
  schedule: (typeof schedules)[number];
  clipGradNorm?: number;
  seed: number;
  limit?: number;
  testLimit?: number;
  validation?: number;
  patience?: number;
  out?: string;
  resume?: boolean;
  checkpointEvery?: number;
  json?: boolean;
}

/**
 * What decides the numbers of a run: kept in config.json, and not to be changed by resuming. Only `epochs` may grow; the learning rate then
 * goes on along the curve of the longer run.
 */
export const trainingFlags = [
  'epochs',
  'batchSize',
  'optimizer',
  'lr',
  'weightDecay',
  'schedule',
  'clipGradNorm',
  'patience',
  'weights',
  'freeze',
] as const;
export const dataFlags = ['limit', 'testLimit', 'validation'] as const;

/** Declares them all. */
export function withTraining(command: Command): Command {
  return command
    .argument('[data]', "mnist, or a folder with MNIST's four IDX files or CIFAR's binary ones")
    .option('--model <name>', 'which network: a name from `fovea models`', 'classic')
    .option('--option <name=value>', 'how the network is built, several times if need be: stem=cifar', modelOption, {})
    .option(
      '--weights <file>',
      'begin from these weights: .safetensors, .pth, .pt; a head for other classes is left out',
    )
    .option(
      '--freeze <pattern>',
      'parameters that keep their values, several times if need be: layer1, "layer*.0.bn1", "**.bias"',
      several,
      [],
    )
    .option('--epochs <n>', 'how often to go through the training pictures', wholeNumber(), 1)
    .option('--batch-size <n>', 'pictures in a step', wholeNumber(), 64)
    .option('--optimizer <name>', optimizers.join(', '), oneOf(optimizers), 'adam')
    .option('--lr <rate>', 'learning rate (default: 0.001, with adam what suits the model)', decimal({ above: 0 }))
    .option('--weight-decay <x>', 'how strongly weights are drawn to zero', decimal(), 0)
    .option('--schedule <name>', `learning rate over time: ${schedules.join(', ')}`, oneOf(schedules), 'cosine')
    .option('--clip-grad-norm <x>', 'limit of the norm of all gradients together', decimal({ above: 0 }))
    .option('--seed <n>', 'decides first weights, order and dropout', wholeNumber(0), 0)
    .option('--limit <n>', 'train on the first n pictures only', wholeNumber())
    .option('--test-limit <n>', 'test on the first n pictures only', wholeNumber())
    .option(
      '--validation <share>',
      'share of training pictures set aside to choose the best epoch by',
      decimal({ above: 0, below: 1 }),
    )
    .option('--patience <epochs>', 'stop after so many epochs without improvement', wholeNumber())
    .option('--out <folder>', 'where to keep the run (default: a new folder in runs/)')
    .option('--resume', 'go on with the run in --out')
    .option(
      '--checkpoint-every <steps>',
      'save every so many steps (default: as often as it costs nothing)',
      wholeNumber(),
    );
}

/** How an option is written: batchSize → --batch-size. */
export function flagName(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
