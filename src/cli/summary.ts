/** `fovea summary MODEL`: the layers of a model. */

import type { Command } from 'commander';
import { findModel } from '../models/index.js';
import { type Summary, summary } from '../nn/index.js';
import { ConfigError } from '../util/errors.js';
import { newCommand, withJson } from './options.js';
import { bytes, grouped, print, printJson, shape, table } from './output.js';
import { UsageError, wholeNumber } from './usage.js';

export function command(): Command {
  return withJson(
    newCommand(
      'summary',
      'Lists the layers of a model: output shape, parameters, multiply-adds for one picture, receptive field.',
      'fovea summary classic',
    )
      .argument('<model>', 'a name from `fovea models`')
      .option('--classes <n>', 'outputs of the last layer', wholeNumber()),
  ).action(async (name: string, { classes, json }: { classes?: number; json?: boolean }) => {
    const build = modelNamed(name);
    const made = summary(build({ numClasses: classes }), build.input);
    const facts = { name, params: made.totalParams, macs: made.totalMacs, input: build.input, source: build.source };
    if (json) printJson({ ...facts, layers: made.rows });
    else {
      print(`${name}: ${build.summary}\n`);
      print(await layerTable(made));
      print(
        `\npicture ${shape(build.input)}, ${grouped(made.totalParams)} parameters (${bytes(4 * made.totalParams)}), ${grouped(made.totalMacs)} multiply-adds`,
      );
      print(`source: ${build.source}`);
    }
  });
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
