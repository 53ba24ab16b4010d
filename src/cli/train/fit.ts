/**
 * Whether a model takes samples of a size, and which sizes it takes: asked of the model itself, which records its layers for zeros and computes nothing.
 */

import type { JsonObject } from '../../io/index.js';
import { findModel, type InputKind, type ModelBuilder } from '../../models/index.js';
import { type Module, summary } from '../../nn/index.js';
import { ShapeError } from '../../util/errors.js';
import { UsageError } from '../usage.js';

/** How a network is to be built. */
export interface Built {
  readonly build: ModelBuilder;
  readonly options: JsonObject;
  readonly numClasses: number;
}

const plural = { picture: 'pictures', video: 'clips', signal: 'signals', tokens: 'texts' } as const;

/** Small ones that take nearly every size: they are named where another does not fit. */
const undemanding: Record<InputKind, readonly string[]> = {
  picture: ['mobilenet_v2', 'resnet18'],
  video: ['r3d_18'],
  signal: ['resnet1d18'],
  tokens: ['textcnn'],
};

/** Why the model does not take samples of this shape; null where it does. */
export function misfit({ build, options, numClasses }: Built, shape: readonly number[]): ShapeError | null {
  return refusal(build({ ...options, numClasses }), build, shape);
}

/**
 * `asked`: the options of the command line that the shape comes from; without any it is that of the samples themselves.
 * @throws {UsageError} that says which sizes the model takes
 */
export function checkFit(
  built: Built,
  shape: readonly number[],
  asked: { readonly size?: number; readonly frames?: number } = {},
): void {
  const error = misfit(built, shape);
  if (error === null) return;
  const { build, options, numClasses } = built;
  const { modelName, input, inputKind = 'picture' } = build;
  const model = build({ ...options, numClasses });
  const takes = (sizes: readonly number[]) => refusal(model, build, [shape[0], ...sizes]) === null;
  const own = input.slice(1);
  if (inputKind === 'tokens' || shape.length !== input.length || !takes(own)) {
    throw new UsageError(
      `${modelName} is made for ${plural[inputKind]} of [${input.join(', ')}]; these have [${shape.join(', ')}], which it cannot take:\n  ${error.message}`,
    );
  }
  const said = `${modelName} takes ${plural[inputKind]} of ${sizesOf(inputKind, own, takes)}`;
  if (asked.size === undefined && asked.frames === undefined) {
    throw new UsageError(`${said}; these have ${sizeText(inputKind, shape.slice(1))}.${others(built, shape)}`);
  }
  // Of clips either may be what is wrong.
  const wrong = asked.frames !== undefined && !takes([asked.frames, ...own.slice(-2)]) ? 'frames' : 'size';
  const usual = wrong === 'frames' ? own[0] : Math.max(...own.slice(-2));
  throw new UsageError(`${said}: leave --${wrong} out, or --${wrong} ${usual}.`);
}

function refusal(model: Module, { inputKind }: ModelBuilder, shape: readonly number[]): ShapeError | null {
  try {
    summary(model, [...shape], { dtype: inputKind === 'tokens' ? 'int32' : 'float32' });
    return null;
  } catch (error) {
    if (error instanceof ShapeError) return error;
    throw error;
  }
}

/** "28 × 28", "32 × 32 up", "16 × 16 up in steps of 16". What takes twice its own size takes every size, or every multiple, from some on. */
function sizesOf(kind: InputKind, own: readonly number[], takes: (sizes: readonly number[]) => boolean): string {
  const at = (side: number) => own.map((n, axis) => (isFrames(kind, axis) ? n : side));
  const usual = own[own.length - 1];
  const step = takes(at(2 * usual)) ? [1, 2, 4, 8, 16, 32].find((n) => takes(at(usual + n))) : undefined;
  if (step === undefined) return sizeText(kind, own);
  let [tooSmall, enough] = [0, Math.ceil(usual / step)];
  while (enough - tooSmall > 1) {
    const middle = (tooSmall + enough) >> 1;
    if (takes(at(middle * step))) enough = middle;
    else tooSmall = middle;
  }
  return `${sizeText(kind, at(enough * step))} up${step === 1 ? '' : ` in steps of ${step}`}`;
}

/** Frames come first, and only clips have them. */
function isFrames(kind: InputKind, axis: number): boolean {
  return kind === 'video' && axis === 0;
}

function sizeText(kind: InputKind, sizes: readonly number[]): string {
  const [first, ...rest] = sizes;
  if (kind === 'video') return `${first} frames of ${rest.join(' × ')}`;
  return sizes.join(' × ');
}

/** Models that take the samples as they are. */
function others({ build: { inputKind = 'picture' }, numClasses }: Built, shape: readonly number[]): string {
  const fitting = undemanding[inputKind].filter(
    (name) => misfit({ build: findModel(name), options: { inChannels: shape[0] }, numClasses }, shape) === null,
  );
  return fitting.length === 0 ? '' : ` These sizes fit ${fitting.join(' and ')}: --model ${fitting[0]}`;
}
