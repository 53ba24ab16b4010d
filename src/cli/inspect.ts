/** `fovea inspect FILE`: what is in a file of weights or a model, whatever made it. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { countElements, type Inspected, inspectFile } from '../io/all.node.js';
import { counted, grouped } from '../util/counts.js';
import { numel } from '../util/shape.js';
import { newCommand, withJson } from './options.js';
import { bytes, print, printJson, shape, table } from './output.js';

interface Flags {
  graph?: boolean;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'inspect',
    'Lists what is in a file: tensors with types and shapes, the graph, metadata. Reads .safetensors (and its index), .pt and .pth, .onnx, .keras, .h5 and model.json; runs none of it.',
    'fovea inspect resnet50.pth',
    'fovea inspect model.onnx --graph',
  )
    .argument('<file>', 'weights or a model')
    .option('--graph', 'also list every operation of the graph');
  return withJson(made).action(async (file: string, flags: Flags) => {
    const found = await inspectFile(file);
    if (flags.json) writeJson(file, found, flags);
    else await write(file, found, flags);
  });
}

function writeJson(file: string, { tensors, steps, ...rest }: Inspected, { graph }: Flags): void {
  for (const tensor of tensors) printJson({ event: 'tensor', ...tensor });
  if (graph) for (const step of steps) printJson({ event: 'step', ...step });
  const operators = Object.fromEntries(counts(steps));
  printJson({ event: 'file', file, ...rest, tensors: tensors.length, elements: countElements(tensors), operators });
}

async function write(file: string, found: Inspected, { graph }: Flags): Promise<void> {
  const { format, sizeBytes, facts, tensors, steps, metadata } = found;
  const right = 'right' as const;
  if (tensors.length > 0) {
    const columns = [{ head: 'tensor' }, { head: 'type' }, { head: 'shape' }, { head: 'elements', align: right }];
    const rows = tensors.map((t) => [t.name, t.type, shape(t.shape), grouped(numel(t.shape))]);
    print(`${await table(columns, rows)}\n`);
  }
  if (graph && steps.length > 0) {
    const columns = [{ head: 'operation' }, { head: 'kind' }, { head: 'reads' }, { head: 'makes' }];
    const rows = steps.map((step) => [step.name, step.kind, step.inputs.join(', '), step.outputs.join(', ')]);
    print(`${await table(columns, rows)}\n`);
  }
  print(
    `${pc.bold(file)}: ${format}, ${bytes(sizeBytes)}, ${counted(tensors.length, 'tensor')} with ${counted(countElements(tensors), 'element')}`,
  );
  for (const [what, text] of Object.entries(facts)) print(`${what}: ${text}`);
  if (steps.length > 0) {
    const kinds = counts(steps).map(([kind, count]) => `${count} ${kind}`);
    print(`operations: ${kinds.join(', ')}${graph ? '' : pc.dim('  (--graph lists them)')}`);
  }
  for (const [key, value] of Object.entries(metadata)) {
    print(
      `${pc.dim('metadata')} ${key}: ${value.length > 200 ? `${value.slice(0, 200)}… (${value.length} characters)` : value}`,
    );
  }
}

/** How often each kind of operation occurs, most frequent first. */
function counts(steps: Inspected['steps']): [kind: string, count: number][] {
  const found = new Map<string, number>();
  for (const { kind } of steps) found.set(kind, (found.get(kind) ?? 0) + 1);
  return [...found].sort(([, a], [, b]) => b - a);
}
