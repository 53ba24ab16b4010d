/** `fovea export RUN --onnx FILE`: a trained model for other runtimes. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { loadModel, loadWeights } from '../io/all.node.js';
import { newestOpset, oldestOpset } from '../io/onnx/export.js';
import { type SavedOnnx, saveOnnx } from '../io/onnx/save.node.js';
import { builderOf, findModel, type Preprocessing } from '../models/index.js';
import type { Module } from '../nn/index.js';
import { loadRun, type RunWeights } from '../train/all.node.js';
import { exists, isFolder } from './files.js';
import { newCommand, onDevice, withJson } from './options.js';
import { bytes, grouped, print, printJson, shape } from './output.js';
import { modelNamed } from './summary.js';
import { oneOf, UsageError, wholeNumber } from './usage.js';

interface Flags {
  onnx: string;
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
}

export function command(): Command {
  const made = newCommand(
    'export',
    'Writes a trained model as an ONNX file, with its weights, preprocessing and class names inside.',
    'fovea export runs/a --onnx a.onnx',
    'fovea export runs/a --onnx a.onnx --fold-batch-norm --batch 1',
    'fovea export resnet50.pth --onnx resnet50.onnx           weights from PyTorch or timm: the model is told from their names',
    'fovea export resnet50 --weights resnet50.pth --onnx resnet50.onnx',
  )
    .argument('<run>', 'the folder of a run, a file of weights, or a model from `fovea models` with --weights FILE')
    .requiredOption('--onnx <file>', 'the file to write')
    .option('--weights <which>', 'of a run: model (the finished ones), last, best; of a model: a file of weights')
    .option('--fold-batch-norm', 'put batch norms into the layers in front of them: smaller and faster, same numbers')
    .option('--opset <n>', `version of ONNX's operators, ${oldestOpset} to ${newestOpset}`, wholeNumber(), oldestOpset)
    .option('--batch <n>', 'inputs at once, if only so many are ever given (default: any number)', wholeNumber())
    .option('--size <n>', 'height and width of pictures, if not those of the model', wholeNumber());
  return withJson(made).action(async (what: string, flags: Flags) => {
    if (flags.opset! < oldestOpset || flags.opset! > newestOpset) {
      throw new UsageError(`--opset ${flags.opset}: it is ${oldestOpset} to ${newestOpset}`);
    }
    const exported = (await isFolder(what)) ? await ofRun(what, flags) : await ofWeights(what, flags);
    const { model, ...options } = exported;
    const { opset, batch, foldBatchNorm } = flags;
    const input = resized(options.input, flags.size);
    // What follows from weights alone is computed here: little enough for one thread.
    const saved = await onDevice({ threads: 1 }, () =>
      saveOnnx(model, flags.onnx, { ...options, input, opset, batch, foldBatchNorm }),
    );
    if (flags.json) writeJson(saved, exported.name, flags);
    else write(saved, exported.name, flags);
  });
}

async function ofRun(path: string, { weights }: Flags): Promise<Exported> {
  const which = weights === undefined ? undefined : runWeights(weights);
  const { folder, model, modelName, inputShape, classes } = await loadRun(path, { weights: which });
  const { preprocessing } = folder;
  return { model, name: modelName, input: inputShape, dtype: 'float32', preprocessing, classes };
}

async function ofWeights(what: string, { weights }: Flags): Promise<Exported> {
  if (weights !== undefined) {
    const model = modelNamed(what)();
    return described(model, what, await loadWeights(model, weights));
  }
  if (!(await exists(what))) {
    const known = modelNamed(what).modelName; // or says which there are
    throw new UsageError(`Which weights? Name their file: fovea export ${known} --weights FILE --onnx out.onnx`);
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

function resized(input: readonly number[], size: number | undefined): readonly number[] {
  if (size === undefined) return input;
  if (input.length !== 3) throw new UsageError(`--size is for models of pictures; this one takes ${shape(input)}`);
  return [input[0], size, size];
}

function write({ model, files }: SavedOnnx, name: string, { onnx, batch, foldBatchNorm }: Flags): void {
  const graph = model.graph!;
  const count = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const beside = files.length > 1 ? `, its weights in ${files[1].path}` : '';
  print(`${pc.bold(onnx)}: ${name}, ${bytes(count)}${beside}`);
  const folded = foldBatchNorm ? ', batch norms folded' : '';
  print(
    `${grouped(graph.node.length)} operations of opset ${model.opsetImport[0].version}${folded}; batch ${batch ?? 'open'}`,
  );
  for (const [what, values] of [['input', graph.input], ['output', graph.output]] as const) // biome-ignore format: one thought
    for (const value of values) print(`${what} ${value.name} ${shapeText(value.type)}`);
}

function writeJson({ model, files }: SavedOnnx, name: string, { batch, foldBatchNorm = false }: Flags): void {
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
