/** `fovea predict RUN PICTURE…`: what a trained model, or one with published weights, sees in pictures. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { decodeImage, type Picture } from '../io/all.node.js';
import { type Classifier, openClassifier, type Prediction, type RunWeights } from '../train/all.node.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { percent, print, printJson } from './output.js';
import { oneOf, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags {
  top: number;
  invert?: boolean;
  weights?: RunWeights;
  model?: string;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'predict',
    'Says what is in pictures. They are brought to the size and colours the model was trained with.',
    'fovea predict runs/a digit.png',
    'fovea predict runs/a scans/*.png --invert --top 1',
    'fovea predict resnet50.pth dog.jpg         weights from PyTorch or timm: the model is told from their names',
  )
    .argument('<run>', 'the folder of a run, or a file of weights: .safetensors, .pth, .pt')
    .argument('<picture...>', 'PNG, JPEG, WebP … files')
    .option('--top <n>', 'how many guesses to show', wholeNumber(), 3)
    .option('--invert', 'exchange light and dark: MNIST is white on black, ink on paper is the other way round')
    .option('--weights <which>', 'of a run: model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--model <name>', 'of a file of weights: which model it is for, where that cannot be told');
  return withJson(withDevice(made)).action(async (path: string, files: string[], flags: Flags) => {
    const seer = await openClassifier(path, flags);
    if (seer.report !== null && !flags.json) announce(seer);
    const pictures: Picture[] = [];
    for (const file of files) pictures.push(await open(file, seer, flags.invert === true));
    await onDevice(flags, async () => {
      // One at a time: however many there are, it is the same program.
      for (const [i, picture] of pictures.entries()) {
        const [best] = await seer.predict([picture], { top: flags.top });
        show(files[i], best, flags);
        if (!flags.json && looksInverted(picture, seer)) {
          print(pc.yellow('  looks dark on light, but the model learned light on dark: try --invert'));
        }
      }
    });
  });
}

function announce({ modelName, report }: Classifier): void {
  const { loaded, source } = report!;
  print(pc.dim(`${modelName}, ${loaded.length} tensors${source === null ? '' : ` with the names of ${source}`}`));
}

async function open(file: string, { channels, prepare }: Classifier, invert: boolean): Promise<Picture> {
  const whole = await decodeImage(file, { channels });
  // Inverted before it is fitted: the bars around a picture of another shape stay black.
  return prepare(invert ? { ...whole, data: whole.data.map((x) => 255 - x) } : whole);
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
function looksInverted({ data, shape: [channels, height, width] }: Picture, { normalize }: Classifier): boolean {
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
