/** `fovea predict RUN PICTURE…`: what a trained model sees in pictures. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { decodeImage, encodePng, type Picture } from '../io/all.node.js';
import { type LoadedRun, loadRun, type Prediction, predict, type RunWeights } from '../train/all.node.js';
import { ConfigError } from '../util/errors.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { percent, print, printJson } from './output.js';
import { oneOf, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags {
  top: number;
  invert?: boolean;
  weights?: RunWeights;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'predict',
    'Says what is in pictures. They are brought to the size and colours the model was trained with.',
    'fovea predict runs/a digit.png',
    'fovea predict runs/a scans/*.png --invert --top 1',
  )
    .argument('<run>', 'the folder of a run')
    .argument('<picture...>', 'PNG, JPEG, WebP … files')
    .option('--top <n>', 'how many guesses to show', wholeNumber(), 3)
    .option('--invert', 'exchange light and dark: MNIST is white on black, ink on paper is the other way round')
    .option('--weights <which>', 'model (the finished ones), last, best', oneOf(['model', 'last', 'best']));
  return withJson(withDevice(made)).action(async (path: string, files: string[], flags: Flags) => {
    const run = await loadRun(path, { weights: flags.weights });
    const pictures: Picture[] = [];
    for (const file of files) pictures.push(await open(file, run, flags.invert === true));
    await onDevice(flags, async () => {
      // One at a time: however many there are, it is the same program.
      for (const [i, picture] of pictures.entries()) {
        const batch = { images: picture.data, shape: [1, ...picture.shape] as const };
        const [best] = await predict(run.model, batch, {
          classes: run.classes,
          normalize: run.normalize,
          top: flags.top,
        });
        show(files[i], best, flags);
        if (!flags.json && looksInverted(picture, run)) {
          print(pc.yellow('  looks dark on light, but the model learned light on dark: try --invert'));
        }
      }
    });
  });
}

async function open(
  file: string,
  { inputShape: [channels, height, width] }: LoadedRun,
  invert: boolean,
): Promise<Picture> {
  if (channels !== 1 && channels !== 3)
    throw new ConfigError(`pictures have 1 or 3 channels; the model takes ${channels}`);
  const fit = { channels, height, width, fit: 'contain' } as const;
  if (!invert) return decodeImage(file, fit);
  // Inverted before it is fitted: the bars around a picture of another shape stay black.
  const whole = await decodeImage(file, { channels });
  return decodeImage(await encodePng({ ...whole, data: whole.data.map((x) => 255 - x) }), fit);
}

function show(file: string, best: readonly Prediction[], { json }: Flags): void {
  if (json) {
    const top = best.map(({ name, index, probability }) => ({ class: name, index, probability }));
    printJson({ event: 'prediction', file, class: best[0].name, probability: best[0].probability, top });
    return;
  }
  const [first, ...others] = best.map(({ name, probability }) => `${name} ${percent(probability)}`);
  print(`${file}  ${pc.bold(pc.green(first))}${others.length > 0 ? pc.dim(`  then ${others.join(', ')}`) : ''}`);
}

/** Where training pictures were mostly dark and the border of this one is light. */
function looksInverted({ data, shape: [channels, height, width] }: Picture, { normalize }: LoadedRun): boolean {
  if (channels !== 1 || normalize.mean[0] > 0.3) return false;
  let sum = 0;
  let count = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (y > 0 && y < height - 1 && x > 0 && x < width - 1) continue;
      sum += data[y * width + x];
      count++;
    }
  }
  return sum / count > 127;
}
