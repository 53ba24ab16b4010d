/** `fovea eval RUN`: a trained model on its test pictures, or on others. */

import type { Command } from 'commander';
import { crossEntropy, nll } from '../nn/loss.js';
import { evaluate, loadRun, type RunWeights } from '../train/all.node.js';
import { chooseData, type DataChoice, fromJson, openData } from './dataset.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { print, printJson } from './output.js';
import { evaluationJson, printEvaluation } from './report.js';
import { oneOf, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags {
  data?: string;
  weights?: RunWeights;
  batchSize: number;
  limit?: number;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand('eval', 'Measures a trained model on its test pictures.', 'fovea eval runs/a')
    .argument('<run>', 'the folder of a run')
    .option('--data <data>', "other pictures: mnist, or a folder with MNIST's four IDX files")
    .option('--weights <which>', 'model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--batch-size <n>', 'pictures at once', wholeNumber(), 64)
    .option('--limit <n>', 'the first n pictures only', wholeNumber());
  return withJson(withDevice(made)).action(async (path: string, flags: Flags) => {
    const run = await loadRun(path, { weights: flags.weights });
    const own = flags.data === undefined ? fromJson(run.folder.config.data) : null;
    const choice: DataChoice = {
      source: flags.data === undefined ? own!.source : await chooseData(flags.data),
      testLimit: flags.limit ?? own?.testLimit,
    };
    const { test } = await openData(choice, run.folder.config.seed);
    await onDevice(flags, async ({ target, threads }) => {
      const loss = run.output === 'logits' ? crossEntropy : nll;
      const { normalize } = run;
      const evaluation = await evaluate(run.model, test, { loss, normalize, batchSize: flags.batchSize });
      const { seconds } = evaluation;
      if (flags.json) {
        const rest = {
          seconds: Number(seconds.toFixed(3)),
          device: target.name,
          threads,
          weights: run.weights,
          model: run.modelName,
          run: path,
        };
        printJson({ event: 'evaluation', ...evaluationJson(evaluation), ...rest });
        return;
      }
      if (run.weights !== 'model') print(`weights of the checkpoint '${run.weights}'\n`);
      await printEvaluation(evaluation);
    });
  });
}
