/** What a training is made of, from the options of the command line. */

import { balancedSampler, DataLoader, type Transform, transforms } from '../../data/index.js';
import { openClassifier, type TrainerOptions } from '../../train/all.node.js';
import { modelNamed } from '../summary.js';
import { UsageError } from '../usage.js';
import type { Flags } from './flags.js';
import type { Run } from './open-run.js';
import { makeLosses, makeOptimizer, makePhases, makeSchedule } from './optimizer.js';

/** Batches prepared ahead of files of pictures, so that decoding goes on while a step computes. */
const prefetch = 3;

export async function trainerOptions({ data, config, model }: Run, flags: Flags): Promise<TrainerOptions> {
  const build = modelNamed(config.model.name);
  if (!model.parameters().some((parameter) => parameter.requiresGrad)) {
    throw new UsageError('--freeze leaves nothing to train');
  }
  const { batchSize, seed, accumulate, ema } = flags;
  const { classes, labels } = data.train;
  const phases = makePhases(flags, build);
  return {
    model,
    optimizer: makeOptimizer(flags, model, build),
    ...makeLosses(flags, build, data.train),
    train: new DataLoader(data.train, {
      batchSize,
      seed,
      transform: mixing(flags, classes.length),
      prefetch: ['pictures', 'clips'].includes(String(config.data?.format)) ? prefetch : 1,
      ...(flags.balance ? { sampler: balancedSampler(labels) } : { shuffle: true }),
    }),
    validation: data.validation ?? undefined,
    test: data.test ?? undefined,
    epochs: flags.epochs,
    batchSize,
    seed,
    normalize: { mean: config.input.mean, std: config.input.std },
    clipGradNorm: flags.clipGradNorm,
    ...(phases === undefined ? { schedule: makeSchedule(flags, flags.epochs) } : { phases }),
    ...(accumulate === undefined ? {} : { accumulate }),
    ...(ema === undefined ? {} : { ema: { decay: ema, warmup: true } }),
    ...(flags.distill === undefined ? {} : { distillation: await teacher(flags, classes) }),
  };
}

/** MixUp, CutMix, or one of the two for each batch. */
function mixing({ mixup, cutmix }: Flags, classes: number): Transform | undefined {
  const chosen = [
    ...(mixup === undefined ? [] : [transforms.mixUp({ alpha: mixup, classes })]),
    ...(cutmix === undefined ? [] : [transforms.cutMix({ alpha: cutmix, classes })]),
  ];
  return chosen.length < 2 ? chosen[0] : transforms.randomBatchChoice(chosen);
}

async function teacher(
  { distill, temperature, teacherShare }: Flags,
  classes: readonly string[],
): Promise<NonNullable<TrainerOptions['distillation']>> {
  const opened = await openClassifier(distill!);
  if (opened.classes.join('\n') !== classes.join('\n')) {
    throw new UsageError(
      `--distill ${distill}: the teacher knows ${firstOf(opened.classes)}, the samples are of ${firstOf(classes)}; both need the same classes in the same order.`,
    );
  }
  return { teacher: opened.model, normalize: opened.normalize, temperature, alpha: teacherShare };
}

/** So many that one sees what they are. */
function firstOf(classes: readonly string[]): string {
  const most = 6;
  const named = classes.slice(0, most).join(', ');
  return classes.length <= most ? named : `${named} … (${classes.length} classes)`;
}
