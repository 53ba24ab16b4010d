/** Data and model brought together, where samples are no files of pictures: arrays of anything, clips, texts. */

import { openClips } from '../../data/all.node.js';
import type { ClipAugment } from '../../data/index.js';
import type { JsonObject } from '../../io/index.js';
import type { ModelBuilder, Preprocessing } from '../../models/index.js';
import type { Normalization } from '../../train/index.js';
import { counted } from '../../util/counts.js';
import { divideArrays, readArrays, tokenCount } from '../data/arrays.js';
import { type DataChoice, type DataFormat, digestOf } from '../data/choice.js';
import { beginClips, type ClipShape, clipChannels } from '../data/clips.js';
import { defaultShare } from '../data/divide.js';
import type { OpenedData } from '../data/opened.js';
import { divideTexts, openTable, vocabularyOf } from '../data/texts.js';
import { print } from '../output.js';
import { UsageError } from '../usage.js';
import { checkFit } from './fit.js';
import { type Flags, flagName } from './flags.js';
import { LookReport } from './look-report.js';
import { makeModel } from './new-model.js';
import { epochsForLight, epochsForStandard, imagenet } from './picture-settings.js';
import type { Prepared } from './prepare.js';

/** Options that mean something for data of some formats only. */
const onlyFor: Partial<Record<keyof Flags, { readonly formats: readonly DataFormat[]; readonly words: string }>> = {
  size: {
    formats: ['mnist', 'idx', 'cifar', 'pictures', 'clips'],
    words: 'pictures that come as files, and clips; arrays have a size',
  },
  frames: { formats: ['clips'], words: 'folders of clips' },
  length: { formats: ['texts'], words: 'texts' },
  textColumn: { formats: ['texts'], words: 'texts' },
  labelColumn: { formats: ['pictures', 'texts'], words: 'tables' },
  pictureColumn: { formats: ['pictures'], words: 'tables of pictures' },
  layout: { formats: ['arrays'], words: 'arrays' },
  mixup: { formats: ['mnist', 'idx', 'cifar', 'pictures', 'clips', 'arrays'], words: 'pictures, clips and signals' },
  cutmix: { formats: ['mnist', 'idx', 'cifar', 'pictures', 'arrays'], words: 'pictures' },
};

/** @throws {UsageError} */
export function checkOptions(format: DataFormat, flags: Flags): void {
  for (const [name, { formats, words }] of Object.entries(onlyFor)) {
    if (flags[name as keyof Flags] === undefined || formats.includes(format)) continue;
    throw new UsageError(`${flagName(name)} is for ${words}. Leave it out.`);
  }
}

/** An .npz, a folder or a pair of .npy: whatever the model takes. */
export async function prepareArrays(build: ModelBuilder, choice: DataChoice, flags: Flags): Promise<Prepared> {
  const read = await readArrays(choice, build);
  const { shape, classes } = read.parts.train;
  const isTokens = build.inputKind === 'tokens';
  const channels = isTokens ? tokenCount(read.parts) : shape[0];
  if (flags.cutmix !== undefined && shape.length !== 3) throw new UsageError('--cutmix is for pictures. Leave it out.');
  if (flags.mixup !== undefined && isTokens)
    throw new UsageError('--mixup is for pictures, clips and signals. Leave it out.');
  const { model, options, wanted } = await makeModel(build, channels, classes, flags);
  checkFit({ build, options, numClasses: classes.length }, shape);
  const kept = {
    ...choice,
    ...(read.layout !== undefined && { layout: read.layout }),
    digest: await digestOf(choice.source),
  };
  const normalize = isTokens ? null : statisticsFor(wanted, channels, flags);
  const data = await divideArrays(read, kept, { seed: flags.seed, normalize });
  new LookReport(flags.json === true).close(data);
  return { data, choice: watching(kept, data), classes, model, options };
}

/** Says in config.json that there is a part to watch, also where nobody asked for one. */
function watching(choice: DataChoice, { validation }: OpenedData): DataChoice {
  return validation === null ? choice : { ...choice, validation: choice.validation ?? defaultShare };
}

/** A folder of clips or volumes. */
export async function prepareClips(build: ModelBuilder, choice: DataChoice, flags: Flags): Promise<Prepared> {
  const set = await openClips(choice.source);
  const { classes } = set;
  const given = flags.option.inChannels;
  const channels =
    given === 1 || given === 3
      ? given
      : flags.weights !== undefined
        ? build.input[0] === 1
          ? 1
          : 3
        : await clipChannels(set);
  const { model, options, wanted } = await makeModel(build, channels, classes, flags);
  const [, frames, height, width] = build.input;
  const shape: ClipShape = [channels, flags.frames ?? frames, flags.size ?? height, flags.size ?? width];
  checkFit({ build, options, numClasses: classes.length }, shape, flags);
  const chosen = { ...choice, augment: clipAugmentation(flags) };
  const report = new LookReport(flags.json === true);
  const hooks = report.hooks();
  const data = await beginClips(set, chosen, {
    ...flags,
    shape,
    normalize: statisticsFor(wanted, channels, flags),
    onProgress: hooks.onAuditProgress,
    onLeftOut: (name, reason) => report.leftOut(name, reason),
  });
  report.close(data);
  return { data, choice: chosen, classes, model, options };
}

/** What the weights want, or what the user asks for; null for what the training samples have. @throws {UsageError} */
function statisticsFor(wanted: Preprocessing | null, channels: number, { statistics }: Flags): Normalization | null {
  if (statistics === 'imagenet') {
    if (channels === 3) return imagenet;
    throw new UsageError(`--statistics imagenet are of three colours; these samples have ${channels} channels.`);
  }
  if (wanted === null || statistics === 'fitted' || wanted.mean.length !== channels) return null;
  return { mean: wanted.mean, std: wanted.std };
}

/** As with pictures, the more often clips are seen, the more they have to differ. */
function clipAugmentation({ augment, flip = true, epochs, weights }: Flags): ClipAugment | null {
  const usual =
    epochs >= epochsForStandard ? 'standard' : epochs >= epochsForLight || weights !== undefined ? 'light' : 'none';
  const mirrored = flip ? 0.5 : 0;
  switch (augment ?? usual) {
    case 'none':
      return null;
    case 'light':
      return { duration: 0.9, crop: 0.9, flip: mirrored };
    case 'standard':
      return { duration: 0.7, crop: 0.8, flip: mirrored };
    default:
      throw new UsageError(`--augment ${augment} is for pictures; for clips there are none, light and standard.`);
  }
}

/** A table of texts, with the vocabulary of its training part. */
export async function prepareTexts(build: ModelBuilder, choice: DataChoice, flags: Flags): Promise<Prepared> {
  const kept = { ...choice, digest: await digestOf(choice.source) };
  const set = await openTable(kept);
  const { classes } = set;
  const { inChannels: maxSize, ...option } = flags.option;
  if (maxSize !== undefined && !(typeof maxSize === 'number' && Number.isInteger(maxSize) && maxSize >= 3)) {
    throw new UsageError(`--option inChannels=${maxSize}: of texts it is how many words are known at most, from 3 up`);
  }
  const { seed, length, weights } = flags;
  const vocabulary = weights === undefined ? undefined : await vocabularyOf(weights, length);
  const data = divideTexts(set, kept, { seed, length, maxSize, vocabulary });
  const words = data.vocabulary.size;
  if (flags.json !== true) {
    const texts = set.train.length + set.validation.length + set.test.length;
    print(
      `${counted(texts, 'text')} of ${counted(classes.length, 'class', 'classes')}; ${counted(words, 'word')} known, ${data.vocabulary.length} of each text seen`,
    );
    if (set.leftOut > 0) print(`${counted(set.leftOut, 'row')} without a text or a label left out`);
  }
  new LookReport(flags.json === true).close(data);
  const { model, options } = await makeModel(build, words, classes, { ...flags, option: option as JsonObject });
  checkFit({ build, options, numClasses: classes.length }, data.input.shape);
  return { data, choice: watching(kept, data), classes, model, options, vocabulary: data.vocabulary };
}
