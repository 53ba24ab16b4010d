/** `--find-lr`: a short search for the learning rate before the training, and what is said about it. */

import { join } from 'node:path';
import pc from 'picocolors';
import { writeFileAtomic } from '../../io/all.node.js';
import { findLearningRate } from '../../train/all.node.js';
import { print, printJson } from '../output.js';
import type { Flags } from './flags.js';
import type { Run } from './open-run.js';
import { trainerOptions } from './setup.js';

/** For the report's plot. */
export interface LearningRates {
  readonly points: readonly { readonly lr: number; readonly loss: number }[];
  readonly suggestion?: number;
}

const mostSteps = 100;

/** Takes the rate that the search suggests, and keeps it in config.json; the given one where the search finds none. */
export async function findRate({ folder, config, ...run }: Run, flags: Flags): Promise<LearningRates> {
  const options = await trainerOptions({ folder, config, ...run }, flags);
  const { points, suggestion } = await findLearningRate(options, {
    steps: mostSteps,
    onStep: (_, step, steps) => {
      if (!flags.json && process.stdout.isTTY)
        process.stdout.write(`\rlooking for a learning rate: step ${step} of ${steps}`);
      return true;
    },
  });
  if (!flags.json && process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  if (suggestion !== null) {
    flags.lr = Number(suggestion.toPrecision(2));
    Object.assign(config.training, { lr: flags.lr });
    await writeFileAtomic(join(folder.path, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  }
  if (flags.json) printJson({ event: 'learning-rate', suggestion, lr: flags.lr, points });
  else if (suggestion === null) print(`${pc.yellow('the loss fell at no learning rate')}: going on with ${flags.lr}`);
  else
    print(
      `learning rate ${pc.bold(String(flags.lr))}: the middle of where the loss fell, of ${points.length} steps tried`,
    );
  return { points: points.map(({ lr, smoothed }) => ({ lr, loss: smoothed })), suggestion: suggestion ?? undefined };
}
