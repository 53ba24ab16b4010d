/** `fovea models`: the registry as a table. */

import type { Command } from 'commander';
import { registry } from '../models/index.js';
import { newCommand, withJson } from './options.js';
import { grouped, print, printJson, shape, table } from './output.js';

export function command(): Command {
  return withJson(
    newCommand('models', 'Lists the models there are, with their sizes.', 'fovea models', 'fovea models --json'),
  ).action(async ({ json }: { json?: boolean }) => {
    if (json) {
      for (const { modelName, params, macs, input, numClasses, output, summary, source, published } of registry) {
        printJson({ name: modelName, params, macs, input, numClasses, output, summary, source, published });
      }
      return;
    }
    const columns = [
      { head: 'model' },
      { head: 'parameters', align: 'right' as const },
      { head: 'multiply-adds', align: 'right' as const },
      { head: 'picture' },
      { head: 'what it is' },
    ];
    const rows = registry.map((m) => [m.modelName, grouped(m.params), grouped(m.macs), shape(m.input), m.summary]);
    print(await table(columns, rows));
    print('\nLayers of one: fovea summary classic');
  });
}
