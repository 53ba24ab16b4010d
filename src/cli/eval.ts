/** `fovea eval RUN [DATA]`: a trained model on its test pictures, or on others. */

import type { Command } from 'commander';
import { sampleName, withClasses } from '../data/index.js';
import { crossEntropy, nll } from '../nn/loss.js';
import { evaluate, loadRun, type RunWeights, testTimeViews, type ViewKind, viewKinds } from '../train/all.node.js';
import { chooseData, type DataChoice, fromJson, openData } from './dataset.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, print, printJson } from './output.js';
import { evaluationJson, printEvaluation } from './report.js';
import { quoted, writeRunReport } from './run-report.js';
import { oneOf, UsageError, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags {
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
    .option('--mistakes <n>', 'how many of the surest mistakes to list', wholeNumber(0), 5);
  return withJson(withDevice(made)).action(async (path: string, dataName: string | undefined, flags: Flags) => {
    if (dataName !== undefined && flags.data !== undefined && dataName !== flags.data) {
      throw new UsageError(`Which pictures: ${dataName} or ${flags.data}? Name them once.`);
    }
    const named = dataName ?? flags.data;
    const run = await loadRun(path, { weights: flags.weights });
    const own = named === undefined ? fromJson(run.folder.config.data) : null;
    const choice: DataChoice = {
      source: named === undefined ? own!.source : await chooseData(named),
      testLimit: flags.limit ?? own?.testLimit,
    };
    const opened = await openData(choice, run.folder.config.seed);
    const test = withClasses(opened.test, run.classes);
    const nameOf = (index: number) => sampleName(test, index);
    await onDevice(flags, async ({ target, threads }) => {
      const loss = run.output === 'logits' ? crossEntropy : nll;
      const { normalize } = run;
      const views = flags.tta === undefined ? undefined : testTimeViews(flags.tta === true ? 'flip' : flags.tta);
      const evaluation = await evaluate(run.model, test, { loss, normalize, views, batchSize: flags.batchSize });
      const html = flags.html;
      const written =
        html === undefined
          ? null
          : await writeRunReport(html, {
              folder: run.folder,
              evaluation,
              dataset: test,
              data: choice.source,
              parameters: run.model.parameterCount(),
              weights: run.weights,
              device: `${target.name}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
              command: again(path, named, flags),
            });
      if (flags.json) {
        printJson({
          event: 'evaluation',
          ...evaluationJson(evaluation, { mistakes: flags.mistakes, nameOf }),
          seconds: Number(evaluation.seconds.toFixed(3)),
          device: target.name,
          threads,
          weights: run.weights,
          model: run.modelName,
          run: path,
          ...(written === null ? {} : { html, htmlBytes: written.sizeBytes }),
        });
        return;
      }
      if (run.weights !== 'model') print(`weights of the checkpoint '${run.weights}'\n`);
      await printEvaluation(evaluation, { mistakes: flags.mistakes, nameOf });
      if (written !== null) print(`\nreport: ${html} (${bytes(written.sizeBytes)}; opens in any browser)`);
    });
  });
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
