/** `fovea train`: a model, pictures, a run folder. */

import { stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import type { Dataset } from '../data/index.js';
import {
  type JsonObject,
  type LoadReport,
  loadWeights,
  type RunConfig,
  RunFolder,
  writeFileAtomic,
} from '../io/all.node.js';
import { type ModelBuilder, type Preprocessing, pictureShape } from '../models/index.js';
import { freeze, type Module, summary } from '../nn/index.js';
import { crossEntropy, nll } from '../nn/loss.js';
import { Adam, AdamW, CosineAnnealingLR, type LRScheduler, SGD } from '../optim/index.js';
import { manualSeed, type OpenedDevice, type Parameter } from '../tensor/index.js';
import { EarlyStopping, type Evaluation, type FitResult, RunRecorder, Trainer } from '../train/all.node.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { chooseData, type DataChoice, fromJson, type OpenedData, openData, toJson } from './dataset.js';
import { exists } from './files.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, duration, grouped, print, printJson } from './output.js';
import { Progress } from './progress.js';
import { printEvaluation } from './report.js';
import { modelNamed } from './summary.js';
import { decimal, exitCodes, Interrupted, modelOption, oneOf, several, UsageError, wholeNumber } from './usage.js';
import { version } from './version.js';

const optimizers = ['adam', 'adamw', 'sgd'] as const;
const schedules = ['constant', 'cosine'] as const;

interface Flags extends DeviceFlags {
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
const trainingFlags = [
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
const dataFlags = ['limit', 'testLimit', 'validation'] as const;

export function command(): Command {
  const made = newCommand(
    'train',
    'Trains a model on labelled pictures and keeps the run in a folder.',
    'fovea train mnist --model classic --epochs 3 --seed 1 --out runs/a',
    'fovea train --resume --out runs/a            go on where it stopped',
    'fovea train --resume --out runs/a --epochs 5 train a finished run longer',
    'fovea train ./fashion --model lenet5         your own files in the format of MNIST',
    'fovea train ./cifar-10-batches-bin --model resnet18 --option stem=cifar',
  )
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
  return withJson(withDevice(made)).action((data: string | undefined, flags: Flags, self: Command) =>
    train(data, flags, (name) => self.getOptionValueSource(name) === 'cli'),
  );
}

async function train(dataName: string | undefined, flags: Flags, given: (flag: string) => boolean): Promise<void> {
  const run = flags.resume ? await reopen(dataName, flags, given) : await begin(dataName, flags);
  await onDevice(flags, (device) => work(run, flags, device));
}

/** A run about to start or to go on. */
interface Run {
  readonly folder: RunFolder;
  readonly data: OpenedData;
  readonly choice: DataChoice;
  readonly config: RunConfig;
  readonly model: Module;
}

async function begin(dataName: string | undefined, flags: Flags): Promise<Run> {
  if (dataName === undefined) throw new UsageError('Which pictures? For example: fovea train mnist');
  const build = modelNamed(flags.model);
  flags.lr ??= (flags.optimizer === 'adam' ? build.learningRate : undefined) ?? 1e-3;
  const choice: DataChoice = { source: await chooseData(dataName), ...pick(flags, dataFlags) };
  const data = await openData(choice, flags.seed);
  const [channels] = data.train.shape;
  const options: JsonObject = channels === build.input[0] ? flags.option : { inChannels: channels, ...flags.option };
  checkFit(build, options, data.train);
  manualSeed(flags.seed);
  const model = build({ ...options, numClasses: data.train.classes.length });
  const wanted = flags.weights === undefined ? null : await startFrom(model, flags.weights, flags);
  const { mean, std } = wanted !== null && wanted.mean.length === channels ? wanted : data.normalize;
  if (flags.freeze.length > 0) freeze(model, flags.freeze);
  const path = flags.out ?? (await freeFolder(`runs/${dataName === 'mnist' ? 'mnist' : 'folder'}-${flags.model}`));
  if (await exists(join(path, 'config.json'))) {
    throw new UsageError(
      `${path} already holds a run. Go on with it: fovea train --resume --out ${path}\n  Or choose another folder with --out.`,
    );
  }
  const config: RunConfig = {
    format: 'fovea-run',
    version: 1,
    model: { name: flags.model, options },
    input: { shape: [...data.train.shape], mean: [...mean], std: [...std] },
    classes: [...data.train.classes],
    seed: flags.seed,
    training: pick(flags, trainingFlags) as JsonObject,
    data: toJson(choice),
    made: { at: new Date().toISOString(), fovea: await version(), node: process.versions.node },
  };
  return { folder: await RunFolder.create(path, config), data, choice, config, model };
}

/** Loads weights to begin from; what they want pictures to be normalised by. A head of another number of classes is left out. */
async function startFrom(model: Module, file: string, { json }: Flags): Promise<Preprocessing | null> {
  let report: LoadReport;
  try {
    report = await loadWeights(model, file);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    report = await loadWeights(model, file, { head: 'drop' }).catch(() => {
      throw error; // it was not the head: the first report says what it was
    });
  }
  if (json)
    printJson({ event: 'weights', file, loaded: report.loaded.length, kept: report.kept, source: report.source });
  else print(`${report}\n`);
  return report.preprocessing;
}

/** Whether the model takes pictures of this size: asked of the model itself, which computes nothing for it. */
function checkFit(build: ModelBuilder, options: JsonObject, { shape, classes }: Dataset): void {
  const { modelName, input, task = 'classification' } = build;
  pictureShape(build);
  if (task !== 'classification') throw new UsageError(`${modelName} does ${task}; \`fovea train\` trains classifiers.`);
  try {
    summary(build({ ...options, numClasses: classes.length }), shape);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new UsageError(
      `${modelName} is made for pictures of [${input.join(', ')}]; these have [${shape.join(', ')}], which it cannot take:\n  ${error.message}`,
    );
  }
}

/** Opens a run with the options it was begun with. @throws {UsageError} when the command line contradicts them. */
async function reopen(dataName: string | undefined, flags: Flags, given: (flag: string) => boolean): Promise<Run> {
  if (flags.out === undefined) throw new UsageError('Which run? Name its folder: fovea train --resume --out runs/a');
  const folder = await RunFolder.open(flags.out);
  const { config } = folder;
  const choice = fromJson(config.data);
  const training = config.training as Partial<Flags>;
  const now: [name: string, then: unknown, now: unknown][] = [
    ...trainingFlags.map((name) => [name, training[name], flags[name]] as [string, unknown, unknown]),
    ...dataFlags.map((name) => [name, choice[name], flags[name]] as [string, unknown, unknown]),
    ['model', config.model.name, flags.model],
    ['option', config.model.options, flags.option],
    ['seed', config.seed, flags.seed],
  ];
  for (const [name, before, after] of now) {
    if (!given(name) || JSON.stringify(before) === JSON.stringify(after)) continue;
    if (name === 'epochs') continue;
    throw new UsageError(
      `${flags.out} was begun with ${flagName(name)} ${typeof before === 'object' ? JSON.stringify(before) : (before ?? '(none)')}; a resumed run keeps that. Leave the option out, or begin a new run.`,
    );
  }
  if (dataName !== undefined && (await chooseData(dataName)) !== choice.source) {
    throw new UsageError(`${flags.out} was begun on ${choice.source}; a resumed run keeps that.`);
  }
  for (const name of trainingFlags) {
    if (name === 'epochs' && given('epochs')) continue;
    Object.assign(flags, { [name]: training[name] });
  }
  const kept: RunConfig = { ...config, training: { ...config.training, epochs: flags.epochs } };
  if (flags.epochs !== training.epochs) {
    await writeFileAtomic(join(flags.out, 'config.json'), `${JSON.stringify(kept, null, 2)}\n`);
  }
  Object.assign(flags, { model: config.model.name, seed: config.seed });
  manualSeed(flags.seed);
  const model = modelNamed(config.model.name)({ ...config.model.options, numClasses: config.classes.length });
  if (flags.freeze !== undefined && flags.freeze.length > 0) freeze(model, flags.freeze); // older runs have none
  return { folder, data: await openData(choice, config.seed), choice, config: kept, model };
}

async function work({ folder, data, config, model }: Run, flags: Flags, device: OpenedDevice): Promise<void> {
  const { path } = folder;
  const json = flags.json === true;
  const build = modelNamed(flags.model);
  const trained = model.parameters().filter((parameter) => parameter.requiresGrad);
  if (trained.length === 0) throw new UsageError('--freeze leaves nothing to train');
  const optimizer = makeOptimizer(flags, trained);
  const progress = new Progress({ json, live: !json && process.stdout.isTTY === true });
  const recorder = new RunRecorder(folder, {
    every: flags.checkpointEvery,
    onCheckpoint: (name, step) => {
      if (json) printJson({ event: 'checkpoint', name, step, run: path });
    },
  });
  const trainer = new Trainer({
    model,
    optimizer,
    loss: build.output === 'logits' ? crossEntropy : nll,
    train: data.train,
    validation: data.validation ?? undefined,
    test: data.test,
    epochs: flags.epochs,
    batchSize: flags.batchSize,
    seed: flags.seed,
    normalize: { mean: config.input.mean, std: config.input.std },
    clipGradNorm: flags.clipGradNorm,
    scheduler: makeSchedule(flags, optimizer, Math.ceil(data.train.length / flags.batchSize)),
    scheduleEvery: 'step',
    callbacks: [
      ...(flags.patience === undefined ? [] : [new EarlyStopping({ patience: flags.patience })]),
      progress,
      recorder,
    ],
  });
  const resumed = flags.resume === true && (await recorder.resume(trainer));
  announce(flags, trainer, device, path, resumed);

  const firstStep = trainer.step;
  const signals = new Signals(trainer, json);
  let result: FitResult;
  try {
    result = await trainer.fit();
  } finally {
    signals.remove();
    progress.close();
  }
  const resume = `fovea train --resume --out ${path}`;
  if (result.interrupted) {
    if (json) printJson({ event: 'interrupted', step: trainer.step, run: path, resume });
    else
      print(
        `${pc.yellow('interrupted')} in step ${trainer.step}; everything up to it is saved. Go on with:\n  ${resume}`,
      );
    throw new Interrupted(signals.exitCode);
  }
  const fresh = trainer.validation === null && result.steps > firstStep ? progress.evaluation : null;
  const evaluation = fresh ?? (await trainer.evaluate());
  await finish({
    flags,
    trainer,
    device,
    path,
    result,
    evaluation,
    progress,
    steps: result.steps - firstStep,
    recorder,
  });
}

function announce(flags: Flags, trainer: Trainer, device: OpenedDevice, run: string, resumed: boolean): void {
  const params = trainer.model.parameterCount();
  const counts = { train: trainer.train.dataset.length, test: trainer.test!.dataset.length };
  const validation = trainer.validation?.dataset.length;
  if (flags.json) {
    printJson({
      event: 'start',
      model: flags.model,
      params,
      device: device.target.name,
      threads: device.threads,
      ...counts,
      ...(validation === undefined ? {} : { validation }),
      epochs: flags.epochs,
      batchSize: flags.batchSize,
      seed: flags.seed,
      step: trainer.step,
      resumed,
      run,
    });
    return;
  }
  const threads =
    device.target.name !== 'reference' ? `, ${device.threads} ${device.threads === 1 ? 'thread' : 'threads'}` : '';
  print(
    `${pc.bold(flags.model)}  ${grouped(params)} parameters, ${grouped(counts.train)} training pictures, ${validation === undefined ? '' : `${grouped(validation)} for validation, `}${grouped(counts.test)} for the test`,
  );
  print(`${pc.dim(`device ${device.target.name}${threads}; seed ${flags.seed}; keeps the run in ${run}`)}`);
  if (resumed) print(`goes on after step ${trainer.step}, in epoch ${Math.min(trainer.epoch + 1, flags.epochs)}`);
}

interface Finished {
  flags: Flags;
  trainer: Trainer;
  device: OpenedDevice;
  path: string;
  result: FitResult;
  evaluation: Evaluation;
  progress: Progress;
  recorder: RunRecorder;
  steps: number;
}

async function finish({
  flags,
  trainer,
  device,
  path,
  result,
  evaluation,
  progress,
  recorder,
  steps,
}: Finished): Promise<void> {
  const seconds = performance.now() / 1000; // since the process started
  const rate = progress.picturesPerSecond;
  if (flags.json) {
    const last = result.epochs.at(-1);
    const top = evaluation.topK === null ? {} : { [`testTop${evaluation.topK.k}Accuracy`]: evaluation.topK.accuracy };
    printJson({
      event: 'done',
      testAccuracy: evaluation.accuracy,
      testLoss: evaluation.loss,
      ...top,
      trainLoss: last?.trainLoss,
      trainAccuracy: last?.trainAccuracy,
      seconds: Number(seconds.toFixed(3)),
      trainSeconds: Number(result.seconds.toFixed(3)),
      picturesPerSecond: rate === null ? null : Number(rate.toFixed(1)),
      epochs: result.epochs.length,
      steps: result.steps,
      stopped: result.stopped,
      model: flags.model,
      params: trainer.model.parameterCount(),
      device: device.target.name,
      threads: device.threads,
      seed: flags.seed,
      run: path,
    });
    return;
  }
  if (result.stopped !== null) print(`stopped early: ${result.stopped}`);
  if (steps > 0)
    print(
      `trained ${grouped(steps)} steps${rate === null ? '' : ` at ${grouped(Math.round(rate))} pictures/s`}; ${duration(seconds)} from start to finish`,
    );
  print();
  await printEvaluation(evaluation);
  if (trainer.validation !== null && recorder.bestEpoch !== null)
    print(`\nThe weights are those of epoch ${recorder.bestEpoch + 1}, the best on the validation pictures.`);
  const { size } = await stat(join(path, 'model.safetensors'));
  print(`\nsaved in ${pc.bold(path)}: model.safetensors (${bytes(size)}), config.json, metrics.jsonl, checkpoint/`);
  print(`\n${pc.bold('next')}`);
  print(`  fovea predict ${path} digit.png        what is in a picture of yours`);
  print(`  fovea eval ${path}                     measure it again`);
  print(`  fovea train --resume --out ${path} --epochs ${flags.epochs + 2}   train it longer`);
  print(`  fovea summary ${flags.model}, fovea plan ${flags.model}    look inside`);
}

/** The first signal ends training after the step under way, the second at once. */
class Signals {
  exitCode: number = exitCodes.interrupted;
  readonly #handlers: [NodeJS.Signals, () => void][];

  constructor(trainer: Trainer, json: boolean) {
    let count = 0;
    const handle = (exitCode: number) => () => {
      this.exitCode = exitCode;
      if (++count > 1) process.exit(exitCode);
      if (!json) process.stderr.write('\nstopping after this step (again: at once, up to the last checkpoint)\n');
      trainer.stop('interrupted', { now: true });
    };
    this.#handlers = [
      ['SIGINT', handle(exitCodes.interrupted)],
      ['SIGTERM', handle(exitCodes.terminated)],
    ];
    for (const [signal, handler] of this.#handlers) process.on(signal, handler);
  }

  remove(): void {
    for (const [signal, handler] of this.#handlers) process.off(signal, handler);
  }
}

function makeOptimizer({ optimizer, lr, weightDecay }: Flags, params: Parameter[]): Adam | AdamW | SGD {
  switch (optimizer) {
    case 'adam':
      return new Adam(params, { lr, weightDecay });
    case 'adamw':
      return new AdamW(params, { lr, weightDecay });
    case 'sgd':
      return new SGD(params, { lr, weightDecay, momentum: 0.9 });
    default:
      return optimizer satisfies never;
  }
}

/** Cosine by default: after one epoch of MNIST the small last steps are worth 0.3 % of accuracy (98.26 → 98.56, the rest unchanged). */
function makeSchedule(
  { schedule, epochs }: Flags,
  optimizer: Adam | AdamW | SGD,
  stepsPerEpoch: number,
): LRScheduler | undefined {
  return schedule === 'cosine' ? new CosineAnnealingLR(optimizer, epochs * stepsPerEpoch) : undefined;
}

/** `name`, or `name-2`, `name-3` … if that is taken. */
async function freeFolder(name: string): Promise<string> {
  for (let n = 1; ; n++) {
    const path = n === 1 ? name : `${name}-${n}`;
    if (!(await exists(path))) return relative('.', path);
  }
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  const known = keys.filter((key) => from[key] !== undefined);
  return Object.fromEntries(known.map((key) => [key, from[key]])) as Pick<T, K>;
}

function flagName(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
