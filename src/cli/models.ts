/** `fovea models [WORD…]`: the registry as a table. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { type ModelBuilder, registry } from '../models/index.js';
import { grouped } from '../util/counts.js';
import { suggest } from '../util/errors.js';
import { newCommand, withJson } from './options.js';
import { print, printJson, shape, table } from './output.js';
import { UsageError } from './usage.js';

export function command(): Command {
  const made = newCommand(
    'models',
    'Lists the models there are: year, size, work, what they take, what their published weights score.',
    'fovea models',
    'fovea models resnet 2015      those with these words',
    'fovea models --json',
  ).argument('[word...]', 'only those with all of these in their name, year, task or idea');
  return withJson(made).action(async (words: string[], { json }: { json?: boolean }) => {
    const found = registry.filter((model) => words.every((word) => matches(model, word)));
    if (found.length === 0) {
      const near = suggest(words.join(' '), registry.map((m) => m.modelName)); // biome-ignore format: one list
      throw new UsageError(`No model has ${words.join(' and ')}.${near === null ? '' : ` Did you mean ${near}?`}`);
    }
    if (json) for (const model of found) printJson(facts(model));
    else await printTable(found);
  });
}

function matches(model: ModelBuilder, word: string): boolean {
  const { modelName, aliases = [], year, task = 'classification', inputKind = 'picture', summary } = model;
  const text = [modelName, ...aliases, year, task, inputKind, summary].join(' ').toLowerCase();
  return text.includes(word.toLowerCase());
}

/** Everything about a model but how its files are read. */
function facts({ modelName, remaps, ...facts }: ModelBuilder): Record<string, unknown> {
  return { name: modelName, ...facts, namesAlsoReadFrom: remaps?.map((table) => table.source) };
}

async function printTable(models: readonly ModelBuilder[]): Promise<void> {
  const right = 'right' as const;
  const columns = [
    { head: 'model' },
    { head: 'year' },
    { head: 'parameters', align: right },
    { head: 'multiply-adds', align: right },
    { head: 'input' },
    { head: 'top-1 / top-5' },
    { head: 'of the weights' },
    { head: 'idea' },
  ];
  const rows = models.map((m) => [
    m.modelName,
    String(m.year),
    grouped(m.params),
    grouped(m.macs),
    shape(m.input),
    m.published === undefined ? '' : `${m.published.top1.toFixed(2)} / ${m.published.top5.toFixed(2)}`,
    m.published?.weights ?? '',
    m.summary,
  ]);
  for (const line of (await table(columns, rows)).split('\n')) print(fitted(line));
  if (models.some((m) => m.published !== undefined)) {
    print(
      pc.dim(
        '\ntop-1 / top-5: per cent on ImageNet-1k (one centre crop) where nothing else is said, as published with those weights',
      ),
    );
  }
  print(`\n${models.length === 1 ? 'Its layers' : 'Layers of one'}: fovea summary ${models[0].modelName}`);
}

/** On a terminal, a line ends where the window does: wrapped tables cannot be read. */
function fitted(line: string): string {
  const { columns, isTTY } = process.stdout;
  if (isTTY !== true || line.length <= columns) return line;
  return `${line.slice(0, columns - 1)}…`;
}
