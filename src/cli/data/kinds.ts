/** What samples are — pictures, clips, signals, texts — and which models take them. */

import { type InputKind, type ModelBuilder, registry } from '../../models/index.js';
import { UsageError } from '../usage.js';
import type { DataFormat } from './choice.js';

/** What a user calls them. */
const words = { picture: 'pictures', video: 'clips or volumes', signal: 'signals', tokens: 'texts' } as const;

const mostNamed = 6;

/** @throws {UsageError} that names the models which take what the data has */
export function checkKind(
  { modelName, inputKind = 'picture' }: Pick<ModelBuilder, 'modelName' | 'inputKind'>,
  kind: InputKind,
  source: string,
): void {
  if (inputKind === kind) return;
  throw new UsageError(
    `${source} has ${words[kind]}; ${modelName} takes ${words[inputKind]}. For ${words[kind]}: ${modelsFor(kind)}.\n  ${wanted(inputKind)}`,
  );
}

/** c3d, r3d_18, … */
export function modelsFor(kind: InputKind): string {
  const names = registry
    .filter(({ inputKind = 'picture', task = 'classification' }) => inputKind === kind && task === 'classification')
    .map(({ modelName }) => modelName);
  if (names.length <= mostNamed) return names.join(', ');
  return `${names.slice(0, mostNamed).join(', ')} and others that \`fovea models\` lists`;
}

function wanted(kind: InputKind): string {
  switch (kind) {
    case 'picture':
      return 'Pictures are a folder of class folders, a table of files, a .parquet, a .tar, or an .npz with x of [N, H, W] or [N, H, W, C].';
    case 'video':
      return 'Clips are a folder of class folders, in each one folder of frames or one .npy for each sample; or an .npz with x of five axes.';
    case 'signal':
      return 'Signals are an .npz with x of [N, C, L] (or [N, L]) and y of [N], or such a pair: x.npy,y.npy.';
    case 'tokens':
      return 'Texts are a .csv or .tsv with the columns text and label.';
    default:
      return kind satisfies never;
  }
}

/** Of one sample: [C, H, W], [C, D, H, W], [C, L], or [L] tokens. */
export function kindOfShape(shape: readonly number[]): InputKind | null {
  return ([null, 'tokens', 'signal', 'picture', 'video'] as const)[shape.length] ?? null;
}

/** pictures, clips, signals, texts. */
export function nounOf(shape: readonly number[]): string {
  const kind = kindOfShape(shape);
  return kind === 'video' ? 'clips' : kind === null ? 'samples' : words[kind];
}

/** What there is in data of a format; arrays may be anything. */
export const kindOf = {
  mnist: 'picture',
  idx: 'picture',
  cifar: 'picture',
  pictures: 'picture',
  clips: 'video',
  texts: 'tokens',
} as const satisfies Record<Exclude<DataFormat, 'arrays'>, InputKind>;
