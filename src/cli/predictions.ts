/** How predictions are printed: the likeliest class, and those after it. */

import pc from 'picocolors';
import type { JsonObject } from '../io/index.js';
import type { Prediction } from '../train/index.js';
import { percent, print, printable, printJson } from './output.js';

/** `name`: what was looked at, as the line calls it. `facts` stand in its place in JSON. */
export function showPrediction(
  name: string,
  best: readonly Prediction[],
  { json }: { readonly json?: boolean },
  facts: JsonObject = { file: name },
): void {
  if (json) {
    const top = best.map(({ name, index, probability }) => ({ class: name, index, probability }));
    printJson({ event: 'prediction', ...facts, class: best[0].name, probability: best[0].probability, top });
    return;
  }
  const [first, ...others] = best.map(({ name, probability }) => `${printable(name)} ${percent(probability)}`);
  print(
    `${printable(name)}  ${pc.bold(pc.green(first))}${others.length > 0 ? pc.dim(`  then ${others.join(', ')}`) : ''}`,
  );
}
