/** `fovea summary MODEL`: the layers of a model. */

import type { Command } from 'commander';
import type { JsonObject } from '../io/index.js';
import { findModel, type ModelBuilder } from '../models/index.js';
import { type Summary, summary } from '../nn/index.js';
import { grouped } from '../util/counts.js';
import { ConfigError } from '../util/errors.js';
import { newCommand, withJson } from './options.js';
import { bytes, print, printJson, shape, table } from './output.js';
import { modelOption, UsageError, wholeNumber } from './usage.js';

interface Flags {
  classes?: number;
  option: JsonObject;
  json?: boolean;
}

export function command(): Command {
  return withJson(
    newCommand(
      'summary',
      'Lists the layers of a model: output shape, parameters, multiply-adds for one input, receptive field.',
      'fovea summary classic',
      'fovea summary resnet50 --classes 10 --option inChannels=1',
    )
      .argument('<model>', 'a name from `fovea models`')
      .option('--classes <n>', 'outputs of the last layer', wholeNumber())
      .option('--option <name=value>', 'how the network is built, several times if need be', modelOption, {}),
  ).action(async (name: string, { classes, option, json }: Flags) => {
    const build = modelNamed(name);
    const channels = (option.inChannels as number | undefined) ?? build.input[0];
    const input = build.inputKind === 'tokens' ? build.input : [channels, ...build.input.slice(1)];
    const dtype = build.inputKind === 'tokens' ? 'int32' : 'float32';
    const made = summary(build({ ...option, numClasses: classes }), input, { dtype });
    const facts = {
      name: build.modelName,
      params: made.totalParams,
      macs: made.totalMacs,
      input,
      source: build.source,
    };
    if (json) printJson({ ...facts, layers: made.rows });
    else {
      print(`${build.modelName}: ${build.summary}\n`);
      print(await layerTable(made));
      print(
        `\n${build.inputKind ?? 'picture'} ${shape(input)}, ${grouped(made.totalParams)} parameters (${bytes(4 * made.totalParams)}), ${grouped(made.totalMacs)} multiply-adds`,
      );
      for (const line of about(build)) print(line);
    }
  });
}

/** Where a model comes from, what its published weights score and want. */
function about({ source, published, preprocessing, remaps = [], aliases = [] }: ModelBuilder): string[] {
  const lines = [`source: ${source}`];
  if (aliases.length > 0) lines.push(`also called ${aliases.join(', ')}`);
  if (published !== undefined) {
    const { top1, top5, weights, data = 'ImageNet-1k' } = published;
    lines.push(`published: top-1 ${top1} %, top-5 ${top5} % on ${data} with ${weights}`);
  }
  if (published !== undefined && preprocessing !== undefined) {
    const { resize, crop, interpolation } = preprocessing;
    const size = typeof resize === 'number' ? `shorter side to ${resize}` : `to ${resize.join(' × ')}`;
    lines.push(`its pictures: ${size} (${interpolation}), the middle ${crop.join(' × ')}`);
  }
  if (remaps.length > 0)
    lines.push(`files with the names of ${remaps.map((table) => table.source).join(', ')} are read too`);
  return lines;
}

/** A wrong name on the command line is a wrong call. */
export function modelNamed(name: string): ReturnType<typeof findModel> {
  try {
    return findModel(name);
  } catch (error) {
    if (error instanceof ConfigError) throw new UsageError(error.message);
    throw error;
  }
}

async function layerTable({ rows }: Summary): Promise<string> {
  const right = 'right' as const;
  return table(
    [
      { head: 'layer' },
      { head: 'type' },
      { head: 'output' },
      { head: 'parameters', align: right },
      { head: 'multiply-adds', align: right },
      { head: 'receptive field' },
    ],
    rows.map((row) => [
      row.path === '' ? '(model)' : row.path,
      row.type,
      row.outputShape === null ? 'not used' : shape(row.outputShape.slice(1)),
      grouped(row.params),
      grouped(row.macs),
      fieldText(row.receptiveField),
    ]),
  );
}

function fieldText(field: Summary['rows'][number]['receptiveField']): string {
  if (field === null) return '';
  if (field === 'all') return 'whole picture';
  const step = field.jump.every((j) => j === 1) ? '' : `, every ${field.jump.join('×')}`;
  return `${field.size.join('×')}${step}`;
}
