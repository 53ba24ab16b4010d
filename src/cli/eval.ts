/** `fovea eval RUN [DATA]`: a trained model on its test pictures, or on others. */

import type { Command } from 'commander';
import { sampleName } from '../data/index.js';
import { crossEntropy, nll } from '../nn/loss.js';
import type { OpenedDevice } from '../tensor/index.js';
import {
  evaluate,
  type LoadedRun,
  loadRun,
  type RunWeights,
  testTimeViews,
  type ViewKind,
  viewKinds,
} from '../train/all.node.js';
import { type Measurable, openForRun } from './data/for-run.js';
import { nounOf } from './data/kinds.js';
import type { PictureFlags } from './data/pictures.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, print, printJson } from './output.js';
import { evaluationJson, printEvaluation } from './report.js';
import { quoted, writeRunReport } from './run-report.js';
import { oneOf, UsageError, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags, PictureFlags {
  data?: string;
  weights?: RunWeights;
  batchSize: number;
  limit?: number;
  /** Without a value: flip. */
  tta?: ViewKind | true;
  html?: string;
  mistakes: number;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'eval',
    'Measures a trained model on its test pictures, or on others.',
    'fovea eval runs/a',
    'fovea eval runs/a photos/test --html report.html',
  )
    .argument('<run>', 'the folder of a run')
    .argument('[data]', 'other pictures: whatever fovea train takes')
    .option('--data <data>', 'the same')
    .option('--weights <which>', 'model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--batch-size <n>', 'pictures at once', wholeNumber(), 64)
    .option('--limit <n>', 'the first n pictures only', wholeNumber())
    .option(
      '--tta [views]',
      `test-time augmentation: average over views, ${viewKinds.join(', ')} (flip when none is named)`,
      oneOf(viewKinds),
    )
    .option('--html <file>', 'also write a report: one file with pictures and plots')
    .option('--workers <n>', 'threads that decode pictures (default: one per core)', wholeNumber())
    .option('--strict', 'a picture that cannot be read ends it')
    .option('--mistakes <n>', 'how many of the surest mistakes to list', wholeNumber(0), 5);
  return withJson(withDevice(made)).action(async (path: string, dataName: string | undefined, flags: Flags) => {
    if (dataName !== undefined && flags.data !== undefined && dataName !== flags.data) {
      throw new UsageError(`Which pictures: ${dataName} or ${flags.data}? Name them once.`);
    }
    const named = dataName ?? flags.data;
    const run = await loadRun(path, { weights: flags.weights });
    const measurable = await openForRun(named, run.folder, flags);
    try {
      await onDevice(flags, (device) => measure(run, measurable, flags, device, again(path, named, flags)));
    } finally {
      await measurable.close();
    }
  });
}

async function measure(
  run: LoadedRun,
  { dataset, part, source, summary }: Measurable,
  flags: Flags,
  { target, threads }: OpenedDevice,
  call: string,
): Promise<void> {
  const { model, normalize, folder, weights, modelName } = run;
  const { batchSize, html, mistakes } = flags;
  const loss = run.output === 'logits' ? crossEntropy : nll;
  const views = flags.tta === undefined ? undefined : testTimeViews(flags.tta === true ? 'flip' : flags.tta);
  const evaluation = await evaluate(model, dataset, { loss, normalize, views, batchSize });
  let htmlBytes: number | null = null;
  if (html !== undefined) {
    const machine = { device: target.name, threads };
    const parameters = model.parameterCount();
    const facts = {
      folder,
      evaluation,
      dataset,
      data: source,
      summary,
      parameters,
      weights,
      ...machine,
      command: call,
    };
    htmlBytes = (await writeRunReport(html, facts)).sizeBytes;
  }
  const nameOf = (index: number) => sampleName(dataset, index);
  if (flags.json) {
    printJson({
      event: 'evaluation',
      ...evaluationJson(evaluation, { mistakes, nameOf }),
      part,
      seconds: Number(evaluation.seconds.toFixed(3)),
      device: target.name,
      threads,
      weights,
      model: modelName,
      run: folder.path,
      ...(htmlBytes === null ? {} : { html, htmlBytes }),
    });
    return;
  }
  if (weights !== 'model') print(`weights of the checkpoint '${weights}'\n`);
  await printEvaluation(evaluation, { mistakes, nameOf, part, noun: nounOf(dataset.shape) });
  if (htmlBytes !== null) print(`\nreport: ${html} (${bytes(htmlBytes)}; opens in any browser)`);
}

/** The call, for the report. */
function again(path: string, data: string | undefined, { weights, limit, tta }: Flags): string {
  return [
    'fovea eval',
    quoted(path),
    ...(data === undefined ? [] : [quoted(data)]),
    ...(weights === undefined ? [] : ['--weights', weights]),
    ...(limit === undefined ? [] : ['--limit', limit]),
    ...(tta === undefined ? [] : ['--tta', ...(tta === true ? [] : [tta])]),
  ].join(' ');
}
