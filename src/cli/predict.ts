/** `fovea predict RUN PICTURE…`: what a trained model, or one with published weights, sees in pictures; of a run on texts, what they are. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { decodeImage, FileError, type Picture } from '../io/all.node.js';
import { type Classifier, openClassifier, type RunWeights } from '../train/all.node.js';
import { counted } from '../util/counts.js';
import { FormatError } from '../util/errors.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { print } from './output.js';
import { type PictureFile, pictureFiles, tellRefused } from './picture-files.js';
import { knowsTexts, predictTexts } from './predict-texts.js';
import { showPrediction } from './predictions.js';
import { oneOf, several, wholeNumber } from './usage.js';

interface Flags extends DeviceFlags {
  top: number;
  invert?: boolean;
  weights?: RunWeights;
  model?: string;
  text: string[];
  lines?: boolean;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'predict',
    'Says what is in pictures, or what texts are. Pictures are brought to the size and colours the model was trained with.',
    'fovea predict runs/a digit.png',
    'fovea predict runs/a scans/*.png --invert --top 1',
    'fovea predict runs/pets photos "scans/*.webp" --top 5 --json      folders and patterns too',
    'curl -s https://example.org/cat.jpg | fovea predict runs/pets -',
    'fovea predict runs/reviews --text "A film to fall asleep in."      of a run on texts',
    'fovea predict runs/reviews --lines comments.txt                    each line is a text; - for standard input',
    'fovea predict resnet50.pth dog.jpg         weights from PyTorch or timm: the model is told from their names',
  )
    .argument('<run>', 'the folder of a run, or a file of weights: .safetensors, .pth, .pt')
    .argument(
      '[picture...]',
      'PNG, JPEG, WebP … files, folders of them, patterns in quotes, - for standard input; files of text',
    )
    .option('--top <n>', 'how many guesses to show', wholeNumber(), 3)
    .option('--invert', 'exchange light and dark: MNIST is white on black, ink on paper is the other way round')
    .option('--weights <which>', 'of a run: model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--text <text>', 'of a run on texts: the text itself, several times if need be', several, [])
    .option('--lines', 'of a run on texts: every line of the files is a text of its own')
    .option('--model <name>', 'of a file of weights: which model it is for, where that cannot be told')
    .addHelpText('after', exitCodesHelp);
  return withJson(withDevice(made)).action(async (path: string, given: string[], flags: Flags) => {
    if (flags.text.length > 0 || flags.lines === true || (await knowsTexts(path)))
      return predictTexts(path, given, flags);
    const files = await pictureFiles(given);
    const seer = await openClassifier(path, flags);
    if (seer.report !== null && !flags.json) announce(seer);
    let refused = 0;
    await onDevice(flags, async () => {
      // One at a time: however many there are, it is the same program. The next one is decoded meanwhile.
      let next = open(files[0], seer, flags);
      for (const [i, file] of files.entries()) {
        const picture = await next;
        if (i + 1 < files.length) next = open(files[i + 1], seer, flags);
        if (picture instanceof Error) {
          refused++;
          if (flags.json || files.length > 1) tellRefused(file, picture, flags.json);
          if (files.length === 1) throw picture;
          continue;
        }
        const [best] = await seer.predict([picture], { top: flags.top });
        showPrediction(file.name, best, flags);
        if (!flags.json && looksInverted(picture, seer)) {
          print(pc.yellow('  looks dark on light, but the model learned light on dark: try --invert'));
        }
      }
    });
    if (refused > 0) throw new FormatError(`${refused} of ${files.length} pictures could not be read`);
  });
}

const exitCodesHelp = `
Exit code: 0 when everything was answered; 1 when a picture could not be read, which is named while the others are answered; 2 for a wrong call.
With --json standard output has one object a line: "prediction" or "refused" for each picture, "error" last where the exit code is not 0.`;

function announce({ modelName, report }: Classifier): void {
  const { loaded, source } = report!;
  print(
    pc.dim(`${modelName}, ${counted(loaded.length, 'tensor')}${source === null ? '' : ` with the names of ${source}`}`),
  );
}

/** The picture as the model takes it, or why it cannot be had: one bad file among many is no reason to stop. */
async function open(file: PictureFile, { channels, prepare }: Classifier, { invert }: Flags): Promise<Picture | Error> {
  try {
    const whole = await decodeImage(await file.read(), { channels, name: file.name });
    // Inverted before it is fitted: the bars around a picture of another shape stay black.
    return await prepare(invert ? { ...whole, data: whole.data.map((x) => 255 - x) } : whole);
  } catch (error) {
    if (error instanceof FormatError || error instanceof FileError) return error;
    throw error;
  }
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
