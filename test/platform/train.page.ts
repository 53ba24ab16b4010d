/** Trains in a page, with the package as a page would import it. */

import { type TrainingOptions, type TrainingReport, train } from './training.js';

export function main(options: TrainingOptions): Promise<TrainingReport> {
  return train(options);
}
