/** `fovea export RUN --onnx FILE --web DIR --safetensors FILE`: a trained model for other runtimes, for a web page, for PyTorch. */

import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { loadModel, loadWeights, saveWeights } from '../io/all.node.js';
import { type Fit, readFit, writeFit } from '../io/fit.js';
import { newestOpset, oldestOpset } from '../io/onnx/export.js';
import { type SavedOnnx, saveOnnx } from '../io/onnx/save.node.js';
import { rebuildable } from '../io/weights.js';
import { imagenetClasses } from '../models/imagenet-classes.js';
import { builderOf, findModel, type Preprocessing } from '../models/index.js';
import { inEvalMode, type Module } from '../nn/index.js';
import { type Tensor, zeros } from '../tensor/index.js';
import { loadRun, type RunWeights } from '../train/all.node.js';
import { counted, grouped } from '../util/counts.js';
import { exportWeb, type WebExported } from '../web/export.node.js';
import { exists, isFolder } from './files.js';
import { newCommand, onDevice, withJson } from './options.js';
import { bytes, print, printJson, shape } from './output.js';
import { modelNamed } from './summary.js';
import { oneOf, UsageError, wholeNumber } from './usage.js';

interface Flags {
  onnx?: string;
  web?: string;
  safetensors?: string;
  title?: string;
  force?: boolean;
  weights?: string;
  opset?: number;
  batch?: number;
  size?: number;
  foldBatchNorm?: boolean;
  json?: boolean;
}

/** A model and what goes into its file. */
interface Exported {
  readonly model: Module;
  readonly name: string;
  readonly input: readonly number[];
  readonly dtype: 'float32' | 'int32';
  readonly preprocessing?: Preprocessing;
  readonly classes?: readonly string[];
  /** How a picture of another aspect ratio meets the input. */
  readonly fit: Fit;
}

export function command(): Command {
  const made = newCommand(
    'export',
    'Writes a trained model for use elsewhere, with its preprocessing and class names inside: as an ONNX file, as a web page that classifies in ' +
      "the visitor's browser, as weights for PyTorch, timm and loadModel. Several at once, if you like.",
    'fovea export runs/a --onnx a.onnx',
    'fovea export runs/a --onnx a.onnx --fold-batch-norm --batch 1',
    'fovea export runs/a --web site                           then: npx serve site',
    'fovea export runs/a --safetensors a.safetensors',
    'fovea export resnet50.pth --onnx resnet50.onnx           weights from PyTorch or timm: the model is told from their names',
    'fovea export resnet50 --weights resnet50.pth --onnx resnet50.onnx',
  )
    .argument('<run>', 'the folder of a run, a file of weights, or a model from `fovea models` with --weights FILE')
    .option('--onnx <file>', 'an ONNX file to write')
    .option(
      '--web <folder>',
      'a folder to make for any static host: a page with drop and camera input, the model, the scripts',
    )
    .option('--safetensors <file>', 'a file of weights to write')
    .option('--weights <which>', 'of a run: model (the finished ones), last, best; of a model: a file of weights')
    .option('--title <text>', 'heading of the web page (default: the name of the run)')
    .option('--force', 'replace the folder of an earlier --web')
    .option(
      '--fold-batch-norm',
      'ONNX: put batch norms into the layers in front of them: smaller and faster, same numbers',
    )
    .option(
      '--opset <n>',
      `ONNX: version of its operators, ${oldestOpset} to ${newestOpset}`,
      wholeNumber(),
      oldestOpset,
    )
    .option('--batch <n>', 'ONNX: inputs at once, if only so many are ever given (default: any number)', wholeNumber())
    .option('--size <n>', 'ONNX: height and width of pictures, if not those of the model', wholeNumber());
  return withJson(made).action(async (what: string, flags: Flags) => {
    if (flags.opset! < oldestOpset || flags.opset! > newestOpset) {
      throw new UsageError(`--opset ${flags.opset}: it is ${oldestOpset} to ${newestOpset}`);
    }
    if (flags.onnx === undefined && flags.web === undefined && flags.safetensors === undefined) {
      throw new UsageError(
        `What as? --onnx FILE, --web FOLDER, --safetensors FILE: fovea export ${what} --onnx model.onnx`,
      );
    }
    const exported = (await isFolder(what)) ? await ofRun(what, flags) : await ofWeights(what, flags);
    // What follows from weights alone is computed here: little enough for one thread.
    await onDevice({ threads: 1 }, async () => {
      if (flags.onnx !== undefined) await writeOnnx(exported, flags.onnx, flags);
      if (flags.safetensors !== undefined) await writeSafetensors(exported, flags.safetensors, flags);
      if (flags.web !== undefined) await writeWeb(exported, flags.web, what, flags);
    });
  });
}

// —— what is exported ——

async function ofRun(path: string, { weights }: Flags): Promise<Exported> {
  const which = weights === undefined ? undefined : runWeights(weights);
  const { folder, model, modelName, inputShape, classes } = await loadRun(path, { weights: which });
  const { preprocessing, config } = folder;
  const fit: Fit = config.input.resize === undefined ? 'contain' : 'crop';
  const facts = inputShape.length >= 3 ? { preprocessing, fit } : { fit }; // signals and texts go through none
  const dtype = inputShape.length === 1 ? 'int32' : 'float32'; // a text is a row of tokens
  return { model, name: modelName, input: inputShape, dtype, classes, ...facts };
}

async function ofWeights(what: string, { weights, ...as }: Flags): Promise<Exported> {
  if (weights !== undefined) {
    const model = modelNamed(what)();
    return described(model, what, await loadWeights(model, weights));
  }
  if (!(await exists(what))) {
    const known = modelNamed(what).modelName; // or says which there are
    const target =
      as.onnx !== undefined ? '--onnx out.onnx' : as.web !== undefined ? '--web out' : '--safetensors out.safetensors';
    throw new UsageError(`Which weights? Name their file: fovea export ${known} --weights FILE ${target}`);
  }
  const { model, name, report } = await loadModel(what);
  return described(model, name, report);
}

function described(model: Module, name: string, report: Awaited<ReturnType<typeof loadWeights>>): Exported {
  const { modelName, input, inputKind } = findModel(name);
  const tokens = inputKind === 'tokens';
  const channels = builderOf(model)?.options.inChannels ?? input[0];
  return {
    model,
    name: modelName,
    input: tokens ? input : [channels, ...input.slice(1)],
    dtype: tokens ? 'int32' : 'float32',
    fit: readFit(report.metadata),
    ...(report.preprocessing !== null && { preprocessing: report.preprocessing }),
    ...(report.classes !== null && { classes: report.classes }),
  };
}

function runWeights(text: string): RunWeights {
  try {
    return oneOf(['model', 'last', 'best'])(text);
  } catch (error) {
    throw new UsageError(`--weights ${text}: of a run there are model, last and best. ${(error as Error).message}`);
  }
}

// —— ONNX ——

async function writeOnnx({ model, fit: _, ...options }: Exported, file: string, flags: Flags): Promise<void> {
  const { opset, batch, foldBatchNorm } = flags;
  const input = resized(options.input, flags.size);
  const saved = await saveOnnx(model, file, { ...options, input, opset, batch, foldBatchNorm });
  if (flags.json) printOnnxJson(saved, options.name, flags);
  else printOnnx(saved, options.name, file, flags);
}

function resized(input: readonly number[], size: number | undefined): readonly number[] {
  if (size === undefined) return input;
  if (input.length !== 3) throw new UsageError(`--size is for models of pictures; this one takes ${shape(input)}`);
  return [input[0], size, size];
}

function printOnnx({ model, files }: SavedOnnx, name: string, file: string, { batch, foldBatchNorm }: Flags): void {
  const graph = model.graph!;
  const count = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const beside = files.length > 1 ? `, its weights in ${files[1].path}` : '';
  print(`${pc.bold(file)}: ${name}, ${bytes(count)}${beside}`);
  const folded = foldBatchNorm ? ', batch norms folded' : '';
  print(
    `${grouped(graph.node.length)} operations of opset ${model.opsetImport[0].version}${folded}; batch ${batch ?? 'open'}`,
  );
  for (const [what, values] of [['input', graph.input], ['output', graph.output]] as const) // biome-ignore format: one thought
    for (const value of values) print(`${what} ${value.name} ${shapeText(value.type)}`);
}

function printOnnxJson({ model, files }: SavedOnnx, name: string, { batch, foldBatchNorm = false }: Flags): void {
  const graph = model.graph!;
  printJson({
    event: 'export',
    model: name,
    files: files.map(({ path, sizeBytes }) => ({ path, bytes: sizeBytes })),
    opset: Number(model.opsetImport[0].version),
    operations: graph.node.length,
    batch: batch ?? null,
    foldBatchNorm,
    inputs: graph.input.map((value) => ({ name: value.name, shape: shapeText(value.type) })),
    outputs: graph.output.map((value) => ({ name: value.name, shape: shapeText(value.type) })),
  });
}

type ValueTypeProto = NonNullable<SavedOnnx['model']['graph']>['input'][number]['type'];

function shapeText(type: ValueTypeProto): string {
  const dims = type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : [];
  return `[${dims.map((dim) => String(dim.value.value)).join(', ')}]`;
}

// —— weights ——

async function writeSafetensors(exported: Exported, file: string, { json }: Flags): Promise<void> {
  const { model, name, preprocessing, classes, fit } = exported;
  await saveWeights(model, file, { preprocessing, classes, metadata: writeFit(fit) });
  const { size } = await stat(file);
  const tensors = Object.keys(model.stateDict()).length;
  const named = rebuildable(model) !== null;
  if (json) {
    printJson({ event: 'export', model: name, files: [{ path: file, bytes: size }], tensors, loadable: named });
    return;
  }
  print(`${pc.bold(file)}: ${name}, ${bytes(size)}, ${counted(tensors, 'tensor')}`);
  if (!named)
    print(pc.dim('  the network itself is not among fovea’s models: the file has its weights alone; --onnx has both'));
}

// —— a page ——

async function writeWeb(exported: Exported, folder: string, what: string, flags: Flags): Promise<void> {
  const { model, name, input, dtype, preprocessing, fit } = exported;
  if (dtype !== 'float32' || input.length !== 3 || preprocessing === undefined) {
    throw new UsageError(`--web is for models that name what is in pictures; ${name} takes ${shape(input)}`);
  }
  if (preprocessing.mean.length !== 1 && preprocessing.mean.length !== 3) {
    throw new UsageError(`--web is for pictures of 1 or 3 channels; ${name} takes ${preprocessing.mean.length}`);
  }
  const inputShape = [preprocessing.mean.length, ...preprocessing.crop] as const;
  const classes = exported.classes ?? classNames(model, inputShape);
  const title = flags.title ?? basename(resolve(what)).replace(/\.\w+$/, '');
  const web = { model, modelName: name, title, classes, inputShape, preprocessing, fit };
  const saved = await exportWeb(web, folder, { force: flags.force });
  if (flags.json) printWebJson(saved, name, folder);
  else printWeb(saved, name, folder);
}

/** Published weights come without names; ImageNet's are known. */
function classNames(model: Module, inputShape: readonly number[]): readonly string[] {
  const scores = inEvalMode(model, () => model.forward(zeros([1, ...inputShape]))) as Tensor;
  if (scores.shape?.length !== 2)
    throw new UsageError('--web is for models that give one row of scores for each picture');
  const count = scores.shape[1];
  return count === imagenetClasses.length ? imagenetClasses : Array.from({ length: count }, (_, i) => `class ${i}`);
}

function printWeb({ files, scriptsGzipBytes }: WebExported, name: string, folder: string): void {
  const count = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  print(
    `${pc.bold(folder)}: a page for ${name}, ${bytes(count)}, of which scripts ${bytes(scriptsGzipBytes)} compressed`,
  );
  print(pc.dim(`  npx serve ${folder}    README.md in it says how to use the model in your own page`));
}

function printWebJson({ files, scriptsGzipBytes, modelFile }: WebExported, name: string, folder: string): void {
  printJson({
    event: 'export',
    model: name,
    folder,
    modelFile,
    scriptsGzipBytes,
    files: files.map(({ path, sizeBytes }) => ({ path, bytes: sizeBytes })),
  });
}
