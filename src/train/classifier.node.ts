/**
 * A model that names what is in pictures, opened from a run folder or from a file of weights, together with all it needs for that: its classes and how
 * pictures are brought to it. What `predict`, `serve`, `explain` and the exported page ask.
 */

import { stat } from 'node:fs/promises';
import { contain, preprocess } from '../data/index.js';
import { type LoadReport, loadModel, loadWeights, type Picture } from '../io/all.node.js';
import { readFit } from '../io/fit.js';
import { imagenetClasses } from '../models/imagenet-classes.js';
import { builderOf, findModel, type ModelBuilder, type Preprocessing } from '../models/index.js';
import { inEvalMode, type Module } from '../nn/index.js';
import { type Tensor, zeros } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { type Normalization, type Prediction, predict } from './evaluate.js';
import { loadRun, type RunWeights } from './load-run.node.js';

export interface ClassifierOptions {
  /** Of a run: which weights. Left out, the finished ones if training is over, else those of the last checkpoint. */
  readonly weights?: RunWeights;
  /** Of a file of weights: the model it is for, where its names do not tell. */
  readonly model?: string;
}

export interface Classifier {
  /** In evaluation mode. */
  readonly model: Module;
  /** Of the registry; 'imported' for a network that came as a file of another framework. */
  readonly modelName: string;
  readonly classes: readonly string[];
  readonly channels: 1 | 3;
  /** One picture as the model takes it. */
  readonly inputShape: readonly [channels: number, height: number, width: number];
  readonly normalize: Normalization;
  readonly preprocessing: Preprocessing;
  /** Whether a picture is cut to the middle (`data.preprocess`), or shown as a whole in black bars (`data.contain`). */
  readonly fit: 'crop' | 'contain';
  /** Of a file of weights: what was loaded. */
  readonly report: LoadReport | null;
  /** A picture of any size with `channels` planes → bytes [C, H, W] of `inputShape`. @throws {ConfigError} for other channels */
  prepare(picture: Picture): Promise<Picture>;
  /** The `top` likeliest classes of each of some prepared pictures. All of one call are one batch. */
  predict(prepared: readonly Picture[], options?: { top?: number }): Promise<Prediction[][]>;
}

/**
 * @throws {FileError} where there is neither a run nor a file. @throws {FormatError} for damaged ones.
 * @throws {ConfigError} for a model that does something else than naming pictures, or whose preprocessing nobody knows
 */
export async function openClassifier(path: string, options: ClassifierOptions = {}): Promise<Classifier> {
  const found = await stat(path).catch(() => null);
  // What is not there is refused as a run.
  return found === null || found.isDirectory() ? ofRun(path, options) : ofFile(path, options);
}

async function ofRun(path: string, { weights }: ClassifierOptions): Promise<Classifier> {
  const { folder, model, modelName, classes, inputShape } = await loadRun(path, { weights });
  const { preprocessing } = folder;
  // All of a picture is shown to a model that was trained on whole pictures, such as MNIST's.
  const fit = folder.config.input.resize === undefined ? 'contain' : 'crop';
  return classifier({ model, modelName, classes, inputShape, preprocessing, fit, report: null });
}

async function ofFile(path: string, { model: name }: ClassifierOptions): Promise<Classifier> {
  const { model, report, modelName } = await openModel(path, name);
  const { preprocessing } = report;
  if (preprocessing === null) {
    throw new ConfigError(
      `${path} does not say what pictures ${modelName} wants; save it with saveWeights, which writes that down`,
    );
  }
  const outputs = outputsOf(model, findModel(modelName));
  const named = outputs === imagenetClasses.length ? imagenetClasses : null;
  const classes = report.classes ?? named ?? Array.from({ length: outputs }, (_, i) => `class ${i}`);
  const inputShape = [preprocessing.mean.length, ...preprocessing.crop];
  return classifier({ model, modelName, classes, inputShape, preprocessing, fit: readFit(report.metadata), report });
}

type Facts = Pick<Classifier, 'model' | 'modelName' | 'classes' | 'preprocessing' | 'fit' | 'report'>;

function classifier({ inputShape, ...facts }: Facts & { inputShape: readonly number[] }): Classifier {
  const { model, modelName, classes, preprocessing, fit } = facts;
  const [channels, height, width] = inputShape;
  if (inputShape.length !== 3 || (channels !== 1 && channels !== 3)) {
    throw new ConfigError(
      `${modelName} takes inputs of [${inputShape.join(', ')}]; this is for models of pictures only, [1, H, W] or [3, H, W]`,
    );
  }
  const normalize = { mean: preprocessing.mean, std: preprocessing.std };
  return {
    ...facts,
    channels,
    inputShape: [channels, height, width],
    normalize,
    prepare: async (picture) => (fit === 'contain' ? contain : preprocess)(picture, preprocessing),
    predict: (prepared, { top } = {}) => {
      const size = channels * height * width;
      const inputs = new Uint8Array(prepared.length * size);
      for (const [i, { data }] of prepared.entries()) inputs.set(data, i * size);
      return predict(model, { inputs, shape: [prepared.length, channels, height, width] }, { classes, normalize, top });
    },
  };
}

async function openModel(
  path: string,
  name: string | undefined,
): Promise<{ model: Module; report: LoadReport; modelName: string }> {
  if (name === undefined) {
    const { model, report, name: modelName } = await loadModel(path);
    return { model, report, modelName };
  }
  const build = findModel(name);
  const model = build().eval();
  return { model, report: await loadWeights(model, path), modelName: build.modelName };
}

/** How many classes the model gives: asked of it, without computing anything. */
function outputsOf(
  model: Module,
  { modelName, task = 'classification', input, inputKind = 'picture' }: ModelBuilder,
): number {
  if (task !== 'classification' || inputKind !== 'picture') {
    throw new ConfigError(`${modelName} does ${task} of ${inputKind}s; what is wanted is a model that names pictures`);
  }
  const channels = builderOf(model)?.options.inChannels ?? input[0];
  const output = inEvalMode(model, () => model.forward(zeros([1, channels, ...input.slice(1)]))) as Tensor;
  return output.shape[1];
}
