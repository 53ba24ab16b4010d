/** `fovea robustness RUN PICTURE…`: how far a model's answers hold when pictures are shifted, turned, zoomed, cut, blurred, noisy, darker or brighter. */

import type { Command } from 'commander';
import pc from 'picocolors';
import { permutation } from '../data/shuffle.js';
import { type Perturbation, perturbations, type Robustness, robustness } from '../explain/index.js';
import { decodeImage, FileError, type Picture, writeFileAtomic } from '../io/all.node.js';
import { renderRobustness } from '../report/index.node.js';
import { levelOf, robustnessFindings } from '../report/robustness-findings.js';
import type { OpenedDevice } from '../tensor/index.js';
import { type Classifier, openClassifier, type RunWeights } from '../train/all.node.js';
import { grouped } from '../util/counts.js';
import { FormatError, suggest } from '../util/errors.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { percent, print, printJson, table } from './output.js';
import { type PictureFile, pictureFiles, tellRefused } from './picture-files.js';
import { withProgress } from './task-progress.js';
import { oneOf, UsageError, wholeNumber } from './usage.js';
import { version } from './version.js';

/** In the page, as they look when disturbed. */
const shownPictures = 2;

interface Flags extends DeviceFlags {
  out?: string;
  only?: readonly Perturbation[];
  limit: number;
  seed: number;
  weights?: RunWeights;
  model?: string;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'robustness',
    'Measures how answers move when pictures are shifted, turned, zoomed, cut, blurred, noisy, darker or brighter.',
    'fovea robustness runs/pets photos',
    'fovea robustness runs/pets photos/*.jpg --out robustness.html',
    'fovea robustness runs/pets cat.jpg --only shift,rotation --json',
  )
    .argument('<run>', 'the folder of a run, or a file of weights: .safetensors, .pth, .pt')
    .argument('<picture...>', 'PNG, JPEG, WebP … files, folders of them, patterns in quotes')
    .option(
      '--only <names>',
      `some of ${perturbations.map((p) => p.name).join(', ')}, with commas between`,
      perturbationsNamed,
    )
    .option('--out <file>', 'write the plots: .html, .svg or .png')
    .option('--limit <n>', 'measure on so many of the pictures at most, chosen by the seed', wholeNumber(), 500)
    .option('--seed <n>', 'of the noise, and of the choice', wholeNumber(0), 0)
    .option('--weights <which>', 'of a run: model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--model <name>', 'of a file of weights: which model it is for, where that cannot be told');
  return withJson(withDevice(made)).action(async (path: string, given: string[], flags: Flags) => {
    if (flags.out !== undefined && !/\.(html|svg|png)$/i.test(flags.out)) {
      throw new UsageError(`--out writes .html, .svg or .png, not '${flags.out}'.`);
    }
    const files = someOf(await pictureFiles(given), flags);
    const seer = await openClassifier(path, flags);
    await onDevice(flags, async (device) => {
      const pictures = await readAll(files, seer, flags);
      const live = !flags.json && process.stderr.isTTY === true;
      const found = await withProgress('disturbing pictures', live, (onProgress) =>
        robustness((many) => probabilities(seer, many), pictures, {
          perturbations: flags.only,
          seed: flags.seed,
          samples: /\.html$/i.test(flags.out ?? '') ? shownPictures : 0,
          onProgress,
        }),
      );
      await tell(found, flags);
      if (flags.out === undefined) return;
      await writeFileAtomic(flags.out, await drawn(found, seer, flags, device));
      if (flags.json) printJson({ event: 'saved', file: flags.out });
      else print(pc.dim(`saved ${flags.out}`));
    });
  });
}

/** In their order. */
function someOf(files: readonly PictureFile[], { limit, seed, json }: Flags): readonly PictureFile[] {
  if (files.length <= limit) return files;
  if (!json) print(pc.dim(`${grouped(limit)} of ${grouped(files.length)} pictures, chosen by seed ${seed} (--limit)`));
  const chosen = permutation(files.length, { seed }).slice(0, limit).sort();
  return Array.from(chosen, (i) => files[i]);
}

/** One that cannot be read among many is told of and left out. @throws {FormatError} where none can */
async function readAll(files: readonly PictureFile[], seer: Classifier, { json }: Flags): Promise<Picture[]> {
  const pictures: Picture[] = [];
  for (const file of files) {
    try {
      pictures.push(
        await seer.prepare(await decodeImage(await file.read(), { channels: seer.channels, name: file.name })),
      );
    } catch (error) {
      if (files.length === 1 || !(error instanceof FormatError || error instanceof FileError)) throw error;
      tellRefused(file, error, json);
    }
  }
  if (pictures.length === 0) throw new FormatError('none of the pictures can be read');
  return pictures;
}

async function probabilities({ predict, classes }: Classifier, pictures: readonly Picture[]): Promise<Float32Array> {
  const rows = await predict(pictures, {});
  const out = new Float32Array(rows.length * classes.length);
  for (const [i, row] of rows.entries())
    for (const { index, probability } of row) out[i * classes.length + index] = probability;
  return out;
}

async function tell(found: Robustness, { json }: Flags): Promise<void> {
  if (json) {
    const { pictures, classes, probability } = found;
    printJson({ event: 'robustness', pictures, classes, probability: rounded(probability) });
    for (const { perturbation, level, count, kept, probability, change } of found.rows) {
      const numbers = { kept: rounded(kept), probability: rounded(probability), change: rounded(change) };
      printJson({ event: 'perturbation', name: perturbation.name, level, unit: perturbation.unit, count, ...numbers });
    }
    return;
  }
  print(
    `${found.pictures} ${found.pictures === 1 ? 'picture' : 'pictures'}, undisturbed ${percent(found.probability, 1)} sure on average\n`,
  );
  const lines = found.rows.map((row, i) => {
    const first = found.rows[i - 1]?.perturbation !== row.perturbation;
    const change = `${row.change >= 0 ? '+' : '−'}${Math.abs(100 * row.change).toFixed(1)}`;
    return [first ? row.perturbation.title : '', levelOf(row).en, coloured(row.kept), change];
  });
  const columns = [
    { head: 'disturbed by' },
    { head: 'how much', align: 'right' },
    { head: 'class stays', align: 'right' },
    { head: 'probability, points', align: 'right' },
  ] as const;
  print(await table(columns, lines));
  print(
    `\n${robustnessFindings(found)
      .map(({ text }) => text.en)
      .join('\n')}`,
  );
}

function coloured(kept: number): string {
  const text = percent(kept, 1);
  return kept >= 0.95 ? pc.green(text) : kept >= 0.8 ? pc.yellow(text) : pc.red(text);
}

async function drawn(
  found: Robustness,
  seer: Classifier,
  { out = '', seed }: Flags,
  device: OpenedDevice,
): Promise<string | Uint8Array> {
  const { modelName, model, classes, inputShape } = seer;
  if (/\.html$/i.test(out)) {
    const facts = {
      parameters: model.parameterCount(),
      input: inputShape,
      device: device.target.name,
      threads: device.threads,
      seed,
      version: await version(),
    };
    return renderRobustness({ model: modelName, classes, found, facts });
  }
  const { robustnessPoster } = await import('../report/robustness-charts.js'); // loads the plotting library
  const picture = robustnessPoster(found, modelName);
  if (/\.svg$/i.test(out)) return picture;
  const { default: sharp } = await import('sharp');
  return new Uint8Array(await sharp(Buffer.from(picture), { density: 144 }).png({ compressionLevel: 9 }).toBuffer());
}

function perturbationsNamed(text: string): readonly Perturbation[] {
  return text.split(',').map((part) => {
    const name = part.trim();
    const found = perturbations.find((p) => p.name === name);
    if (found !== undefined) return found;
    const names = perturbations.map((p) => p.name);
    const near = suggest(name, names);
    throw new UsageError(
      `There is no '${name}'. ${near === null ? `There are ${names.join(', ')}.` : `Did you mean ${near}?`}`,
    );
  });
}

function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
