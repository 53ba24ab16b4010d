/** `fovea import FILE`: a network of another framework as one of fovea's — what it is, and with --out a run that the other commands open. */

import { readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { type HostTensor, RunFolder } from '../io/all.node.js';
import { fileError } from '../io/file-error.node.js';
import {
  type ImportedNetwork,
  importedName,
  keepNetwork,
  nameInRun,
  openNetwork,
  openScores,
} from '../io/imported.node.js';
import { type GraphModule, inEvalMode } from '../nn/index.js';
import { Tensor, zeros } from '../tensor/index.js';
import { grouped } from '../util/counts.js';
import { ConfigError } from '../util/errors.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, print, printJson } from './output.js';
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

export function command(): Command {
  const made = newCommand(
    'import',
    'Reads a network of ONNX, Keras (.keras, .h5) or TensorFlow.js (model.json): says what it is, and with --out makes a run of it, for fovea predict.',
    'fovea import model.onnx',
    'fovea import model.keras --out runs/imported --classes labels.txt',
    'fovea import model.onnx --out runs/imported --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225',
  )
    .argument('<file>', 'the file of a network')
    .option('--out <run>', 'the folder of the run to make')
    .option('--classes <file>', 'names of the classes, one a line (default: those in the file, or numbers)')
    .option('--size <n>', 'height and width of pictures, where the file leaves them open', wholeNumber())
    .option('--mean <numbers>', 'mean of each channel, of values 0 … 1 (default: as the file says, or 0)', numbers)
    .option('--std <numbers>', 'deviation of each channel (default: as the file says, or 1)', numbers);
  return withJson(withDevice(made)).action(async (file: string, flags: Flags) => {
    const network = await openNetwork(file);
    if (flags.json) printJson({ event: 'model', file, ...facts(network) });
    else describe(file, network);
    if (flags.out === undefined) return;
    await onDevice(flags, () => makeRun(file, flags.out!, flags));
    if (flags.json) printJson({ event: 'done', run: flags.out });
    else print(`\nsaved in ${flags.out}\n  fovea predict ${flags.out} picture.jpg`);
  });
}

function facts({ model, operators, ...rest }: ImportedNetwork) {
  return { ...rest, operators: Object.fromEntries(operators), params: model.parameterCount() };
}

function describe(file: string, { model, format, maker, inputs, outputs, operators, classes }: ImportedNetwork): void {
  const count = [...operators.values()].reduce((a, b) => a + b, 0);
  print(`${pc.bold(file)}: ${format}${maker === '' ? '' : `, made by ${maker}`}`);
  for (const value of inputs) print(`input  ${valueText(value)}`);
  print(`output  ${outputs.join(', ')}`);
  const kinds = [...operators].slice(0, 8).map(([kind, n]) => `${n} ${kind}`);
  print(`${count} operations: ${kinds.join(', ')}${operators.size > kinds.length ? ' …' : ''}`);
  print(`${grouped(model.parameterCount())} parameters (${bytes(4 * model.parameterCount())})`);
  if (classes !== null)
    print(`${classes.length} classes: ${classes.slice(0, 6).join(', ')}${classes.length > 6 ? ' …' : ''}`);
}

type Value = ImportedNetwork['inputs'][number];

function valueText({ name, shape }: Value): string {
  return `${name} ${shape === null ? '(any shape)' : `[${['N', ...shape].map((n) => n ?? '?').join(', ')}]`}`;
}

/** The run's folder: the file with all its weights, the weights once more under the network's own names, and how to feed it. */
async function makeRun(file: string, path: string, flags: Flags): Promise<void> {
  const { network, outputs } = await openScores(file);
  if (network.outputs.length !== 1) {
    throw new ConfigError(
      `a run needs a network with one output, class scores; this one has ${network.outputs.join(', ')}`,
    );
  }
  const input = inputOf(network, flags);
  const classes = await classNames(network, input.shape, flags);
  const folder = await RunFolder.create(path, {
    format: 'fovea-run',
    version: 1,
    model: { name: importedName, options: { file: await nameInRun(file), outputs } },
    input,
    classes: [...classes],
    seed: 0,
    training: {},
    made: { by: `fovea ${await version()}`, from: basename(file) },
  });
  try {
    await keepNetwork(file, path);
    await folder.writeModel(await stateOf(network.model));
  } catch (error) {
    await rm(join(path, 'config.json'), { force: true }); // half a run is none
    throw error;
  }
}

function inputOf({ inputs, preprocessing }: ImportedNetwork, { size, mean, std }: Flags): RunFolder['config']['input'] {
  const [first] = inputs;
  if (inputs.length !== 1 || first.shape?.length !== 3) {
    throw new ConfigError(
      `a run needs a network of one input, pictures [N, C, H, W]; this one takes ${inputs.map(valueText).join(' and ')}`,
    );
  }
  const [channels, height, width] = first.shape;
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
  const numbers = { mean: each(mean, preprocessing?.mean, 0), std: each(std, preprocessing?.std, 1) };
  if (preprocessing === null) return { shape: shape as number[], ...numbers };
  const { resize, interpolation } = preprocessing;
  return { shape: shape as number[], ...numbers, resize, interpolation };
}

const whole = (n: number | string | null | undefined) => (typeof n === 'number' && n >= 1 ? n : undefined);

async function classNames(
  { model, classes: own }: ImportedNetwork,
  shape: readonly number[],
  { classes }: Flags,
): Promise<readonly string[]> {
  const scores = inEvalMode(model, () => model.forward(zeros([1, ...shape])));
  if (!(scores instanceof Tensor) || scores.ndim !== 2) {
    throw new ConfigError(
      `a run needs class scores [N, classes]; the network gives [${scores instanceof Tensor ? scores.shape : '…'}]`,
    );
  }
  const count = scores.shape[1];
  const names = classes === undefined ? own : await readLines(classes);
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

async function stateOf(model: GraphModule): Promise<[string, HostTensor][]> {
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
