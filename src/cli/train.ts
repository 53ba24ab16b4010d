/** `fovea train`: a model, pictures, a run folder. */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { sampleName } from '../data/index.js';
import type { OpenedDevice } from '../tensor/index.js';
import {
  CsvLog,
  EarlyStopping,
  type Evaluation,
  type FitResult,
  RunRecorder,
  TensorBoardLog,
  Trainer,
} from '../train/all.node.js';
import { counted, grouped } from '../util/counts.js';
import { kindOfShape, nounOf } from './data/kinds.js';
import { newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, duration, print, printJson } from './output.js';
import { Progress } from './progress.js';
import { printEvaluation } from './report.js';
import { quoted, writeRunReport } from './run-report.js';
import { findRate, type LearningRates } from './train/find-rate.js';
import { type Flags, withTraining } from './train/flags.js';
import { begin, type Run, reopen } from './train/open-run.js';
import { trainerOptions } from './train/setup.js';
import { Signals } from './train/signals.js';
import { Interrupted } from './usage.js';

export function command(): Command {
  const made = newCommand(
    'train',
    'Trains a model on labelled pictures, clips, signals or texts, and keeps the run in a folder.',
    'fovea train mnist --model classic --epochs 3 --seed 1 --out runs/a',
    'fovea train ./photos --model mobilenet_v2 --weights mnv2.safetensors --epochs 10 --out runs/pets',
    'fovea train --resume --out runs/a            go on where it stopped',
    'fovea train --resume --out runs/a --epochs 5 train a finished run longer',
    'fovea train ./fashion --model lenet5         your own files in the format of MNIST',
    'fovea train ./cifar-10-batches-bin --model resnet18 --option stem=cifar',
    'fovea train data.npz --model lenet5          arrays: x and y, or x_train, y_train, x_test, y_test',
    'fovea train x.npy,y.npy --model resnet1d18   signals [N, C, L], and their classes',
    'fovea train ./clips --model r3d_18           folders of frames, or volumes as .npy',
    'fovea train reviews.csv --model textcnn      texts: a table with the columns text and label',
  );
  return withJson(withDevice(withTraining(made))).action((data: string | undefined, flags: Flags, self: Command) =>
    train(data, flags, (name) => self.getOptionValueSource(name) === 'cli'),
  );
}

async function train(dataName: string | undefined, flags: Flags, given: (flag: string) => boolean): Promise<void> {
  const run = flags.resume ? await reopen(dataName, flags, given) : await begin(dataName, flags);
  try {
    await onDevice(flags, (device) => work(run, flags, device));
  } finally {
    await run.data.close();
  }
}

async function work(run: Run, flags: Flags, device: OpenedDevice): Promise<void> {
  const { path } = run.folder;
  const json = flags.json === true;
  const found = flags.findLr && flags.resume !== true ? await findRate(run, flags) : null;
  const progress = new Progress({ json, live: !json && process.stdout.isTTY === true });
  const recorder = new RunRecorder(run.folder, {
    every: flags.checkpointEvery,
    onCheckpoint: (name, step) => {
      if (json) printJson({ event: 'checkpoint', name, step, run: path });
    },
  });
  const trainer = new Trainer({
    ...(await trainerOptions(run, flags)),
    callbacks: [
      ...(flags.patience === undefined ? [] : [new EarlyStopping({ patience: flags.patience })]),
      progress,
      recorder,
      new CsvLog(path),
      ...(flags.tensorboard ? [new TensorBoardLog(path, { hparams: run.config.training })] : []),
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
  const measured = trainer.test ?? trainer.validation;
  const evaluation = fresh ?? (await trainer.evaluate(measured));
  const report = flags.report === false ? null : await writeReport(run, { trainer, evaluation, device, found });
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
    report,
  });
}

interface Measured {
  readonly trainer: Trainer;
  readonly evaluation: Evaluation;
  readonly device: OpenedDevice;
  readonly found: LearningRates | null;
}

/** report.html in the run; its size. */
async function writeReport({ folder, data, choice }: Run, measured: Measured): Promise<number> {
  const { trainer, evaluation, device, found } = measured;
  const { sizeBytes } = await writeRunReport(join(folder.path, 'report.html'), {
    folder,
    evaluation,
    dataset: (trainer.test ?? trainer.validation)!.dataset,
    data: choice.source,
    parameters: trainer.model.parameterCount(),
    device: device.target.name,
    threads: device.threads,
    summary: data.summary,
    learningRates: found ?? undefined,
    command: `fovea eval ${quoted(folder.path)}`,
  });
  return sizeBytes;
}

function announce(flags: Flags, trainer: Trainer, device: OpenedDevice, run: string, resumed: boolean): void {
  const params = trainer.model.parameterCount();
  const counts = { train: trainer.train.dataset.length, test: trainer.test?.dataset.length ?? 0 };
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
    `${pc.bold(flags.model)}  ${grouped(params)} parameters, ${grouped(counts.train)} training ${nounOf(trainer.train.dataset.shape)}, ${validation === undefined ? '' : `${grouped(validation)} for validation, `}${grouped(counts.test)} for the test`,
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
  /** Bytes of report.html. */
  report: number | null;
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
  report,
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
  const { dataset } = (trainer.test ?? trainer.validation)!;
  if (result.stopped !== null) print(`stopped early: ${result.stopped}`);
  if (steps > 0)
    print(
      `trained ${counted(steps, 'step')}${rate === null ? '' : ` at ${grouped(Math.round(rate))} ${nounOf(dataset.shape)}/s`}; ${duration(seconds)} from start to finish`,
    );
  print();
  const part = trainer.test === null ? 'validation' : 'test';
  const noun = nounOf(dataset.shape);
  await printEvaluation(evaluation, { part, noun, nameOf: (index) => sampleName(dataset, index) });
  if (trainer.validation !== null && recorder.bestEpoch !== null)
    print(
      `\nThe weights are those of epoch ${recorder.bestEpoch + 1}, the best on the validation ${nounOf(dataset.shape)}.`,
    );
  const { size } = await stat(join(path, 'model.safetensors'));
  print(
    `\nsaved in ${pc.bold(path)}: model.safetensors (${bytes(size)}), config.json, metrics.jsonl, metrics.csv, checkpoint/`,
  );
  if (report !== null) print(`report: ${pc.bold(join(path, 'report.html'))} (${bytes(report)}; opens in any browser)`);
  print(`\n${pc.bold('next')}`);
  const calls = nextCalls(path, dataset.shape, flags);
  const width = Math.max(...calls.map(([call]) => call.length));
  for (const [call, what] of calls) print(`  ${call.padEnd(width)}  ${pc.dim(what)}`);
}

function nextCalls(path: string, shape: readonly number[], { epochs }: Flags): [call: string, what: string][] {
  const kind = kindOfShape(shape);
  const isPicture = kind === 'picture';
  const asking: [string, string][] = [
    [`fovea predict ${path} picture.png`, 'what is in a picture of yours'],
    [`fovea explain ${path} picture.png --out why.png`, 'where it looks'],
  ];
  const writing: [string, string][] = [
    [`fovea predict ${path} --text "…"`, 'what a text of yours is; --lines file.txt'],
  ];
  return [
    ...(isPicture ? asking : kind === 'tokens' ? writing : []),
    [`fovea eval ${path}`, `measure it again, or on other ${nounOf(shape)}`],
    [`fovea train --resume --out ${path} --epochs ${epochs + 2}`, 'train it longer'],
    ...(isPicture
      ? ([
          [`fovea export ${path} --web site`, 'a page that works anywhere; --onnx, --safetensors'],
          [`fovea serve ${path}`, 'answer over HTTP'],
        ] as [string, string][])
      : []),
  ];
}
