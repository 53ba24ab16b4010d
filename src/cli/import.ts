/** `fovea import FILE`: an ONNX file as a network of fovea's — what it is, and with --out a run that the other commands open. */

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { type HostTensor, RunFolder } from '../io/all.node.js';
import { fileError } from '../io/file-error.node.js';
import type { OnnxModel, OnnxValue } from '../io/onnx/import.js';
import { copyOnnx, importedName, loadOnnx } from '../io/onnx/import.node.js';
import { inEvalMode, Softmax } from '../nn/index.js';
import { Tensor, zeros } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, grouped, print, printJson } from './output.js';
import { UsageError, wholeNumber } from './usage.js';
import { version } from './version.js';

interface Flags extends DeviceFlags {
  out?: string;
  classes?: string;
  size?: number;
  mean?: number[];
  std?: number[];
  json?: boolean;
}

const fileName = 'model.onnx';

export function command(): Command {
  const made = newCommand(
    'import',
    'Reads an ONNX file as a network of fovea: says what it is, and with --out makes a run of it, for fovea predict and for training on.',
    'fovea import model.onnx',
    'fovea import model.onnx --out runs/imported --classes labels.txt --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225',
  )
    .argument('<file>', 'an ONNX file')
    .option('--out <run>', 'the folder of the run to make')
    .option('--classes <file>', 'names of the classes, one a line (default: those in the file, or numbers)')
    .option('--size <n>', 'height and width of pictures, where the file leaves them open', wholeNumber())
    .option('--mean <numbers>', 'mean of each channel, of values 0 … 1 (default: as the file says, or 0)', numbers)
    .option('--std <numbers>', 'deviation of each channel (default: as the file says, or 1)', numbers);
  return withJson(withDevice(made)).action(async (file: string, flags: Flags) => {
    const model = await loadOnnx(file);
    if (flags.json) printJson({ event: 'model', file, ...facts(model) });
    else describe(file, model);
    if (flags.out === undefined) return;
    await onDevice(flags, () => makeRun(file, flags.out!, flags));
    if (flags.json) printJson({ event: 'done', run: flags.out });
    else print(`\nsaved in ${flags.out}\n  fovea predict ${flags.out} picture.jpg`);
  });
}

function facts(model: OnnxModel) {
  const { operators, properties: _, ...rest } = model.metadata;
  return { ...rest, operators: Object.fromEntries(operators), params: model.parameterCount() };
}

function describe(file: string, model: OnnxModel): void {
  const { opset, producer, inputs, outputs, operators, classes } = model.metadata;
  const count = [...operators.values()].reduce((a, b) => a + b, 0);
  print(
    `${pc.bold(file)}: ${producer === '' ? 'made by an unknown program' : `made by ${producer}`}, operator set ${opset}`,
  );
  for (const [what, values] of [['input', inputs], ['output', outputs]] as const) for (const value of values) print(`${what}  ${valueText(value)}`); // biome-ignore format: one thought
  const kinds = [...operators].slice(0, 8).map(([kind, n]) => `${n} ${kind}`);
  print(`${count} operators: ${kinds.join(', ')}${operators.size > kinds.length ? ' …' : ''}`);
  print(`${grouped(model.parameterCount())} parameters (${bytes(4 * model.parameterCount())})`);
  if (classes !== null)
    print(`${classes.length} classes: ${classes.slice(0, 6).join(', ')}${classes.length > 6 ? ' …' : ''}`);
}

function valueText({ name, dtype, shape }: OnnxValue): string {
  return `${name}: ${dtype} ${shape === null ? '(any shape)' : `[${shape.map((n) => n ?? '?').join(', ')}]`}`;
}

/** The run's folder: the file with all its weights inside, the weights once more under the network's own names, and how to feed it. */
async function makeRun(file: string, path: string, flags: Flags): Promise<void> {
  const { model, outputs } = await withScores(file);
  const input = inputOf(model, flags);
  const classes = await classNames(model, input.shape, flags);
  const folder = await RunFolder.create(path, {
    format: 'fovea-run',
    version: 1,
    model: { name: importedName, options: { file: fileName, outputs } },
    input,
    classes: [...classes],
    seed: 0,
    training: {},
    made: { by: `fovea ${await version()}`, from: file },
  });
  try {
    await copyOnnx(file, join(path, fileName));
    await folder.writeModel(await stateOf(model));
  } catch (error) {
    await rm(join(path, 'config.json'), { force: true }); // half a run is none
    throw error;
  }
}

/** The network up to its class scores: a softmax at the end is left out, since prediction and the loss have their own. */
async function withScores(file: string): Promise<{ model: OnnxModel; outputs: string[] | null }> {
  const model = await loadOnnx(file);
  if (model.metadata.outputs.length !== 1) {
    const names = model.metadata.outputs.map(({ name }) => name).join(', ');
    throw new ConfigError(`a run needs a network with one output, class scores; this one has ${names}`);
  }
  const last = model.lastStep();
  if (!(last.run instanceof Softmax)) return { model, outputs: null };
  const outputs = [last.inputs[0]];
  return { model: await loadOnnx(file, { outputs }), outputs };
}

function inputOf(model: OnnxModel, { size, mean, std }: Flags): RunFolder['config']['input'] {
  const { inputs, preprocessing } = model.metadata;
  const [first] = inputs;
  if (inputs.length !== 1 || first.shape?.length !== 4) {
    throw new ConfigError(
      `a run needs a network of one input, pictures [N, C, H, W]; this one takes ${inputs.map(valueText).join(' and ')}`,
    );
  }
  const [, channels, height, width] = first.shape;
  const [cropHeight, cropWidth] = preprocessing?.crop ?? [undefined, undefined];
  const shape = [channels, whole(height) ?? size ?? cropHeight, whole(width) ?? size ?? cropWidth].map((n) => whole(n));
  if (whole(channels) === undefined)
    throw new ConfigError(`the file leaves the number of channels open: ${valueText(first)}`);
  if (shape.includes(undefined))
    throw new UsageError(`the file leaves the size of pictures open (${valueText(first)}): pass --size`);
  const each = (given: number[] | undefined, written: readonly number[] | undefined, otherwise: number): number[] => {
    const list = [...(given ?? written ?? [otherwise])];
    const spread = list.length === 1 ? new Array<number>(shape[0]!).fill(list[0]) : list;
    if (spread.length !== shape[0])
      throw new UsageError(`the pictures have ${shape[0]} channels; ${list.length} numbers were given`);
    return spread;
  };
  return { shape: shape as number[], mean: each(mean, preprocessing?.mean, 0), std: each(std, preprocessing?.std, 1) };
}

const whole = (n: number | string | null | undefined) => (typeof n === 'number' && n >= 1 ? n : undefined);

async function classNames(model: OnnxModel, shape: readonly number[], { classes }: Flags): Promise<readonly string[]> {
  const scores = inEvalMode(model, () => model.forward(zeros([1, ...shape])));
  if (!(scores instanceof Tensor) || scores.ndim !== 2) {
    throw new ConfigError(
      `a run needs class scores [N, classes]; the network gives [${scores instanceof Tensor ? scores.shape : '…'}]`,
    );
  }
  const count = scores.shape[1];
  const names = classes === undefined ? model.metadata.classes : await readLines(classes);
  if (names === null) return Array.from({ length: count }, (_, i) => String(i));
  if (names.length === count) return names;
  throw new UsageError(`${names.length} classes are named, the network has ${count}`);
}

async function readLines(file: string): Promise<string[]> {
  try {
    const lines = (await readFile(file, 'utf8')).split(/\r?\n/).map((line) => line.trim());
    return lines.filter((line) => line !== '');
  } catch (error) {
    throw fileError('read', file, error);
  }
}

async function stateOf(model: OnnxModel): Promise<[string, HostTensor][]> {
  const state: [string, HostTensor][] = [];
  for (const [name, t] of Object.entries(model.stateDict())) {
    state.push([name, { shape: t.shape, dtype: t.dtype, data: await t.data() }]);
  }
  return state;
}

function numbers(text: string): number[] {
  const list = text.split(',').map(Number);
  if (text.trim() === '' || !list.every(Number.isFinite))
    throw new UsageError(`'${text}' is no list of numbers, such as 0.5,0.5,0.5`);
  return list;
}
