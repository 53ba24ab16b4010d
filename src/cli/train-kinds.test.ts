/** `fovea train` on arrays, clips and texts as users meet it: data in files, a process of its own, small networks. */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Command, type Ended, last, records } from '../../test/command.js';
import { encodeNpy, Random } from '../data/index.js';
import { encodeNpz } from '../data/npz.js';
import type { HostTensor } from '../io/index.js';
import { encodePng, RunFolder, readSafetensors } from '../io/index.node.js';

let command: Command;
beforeAll(async () => {
  command = await Command.build();
});
afterAll(() => command.remove());

const inFolder = (...names: string[]) => join(command.folder, ...names);
const config = async (run: string) => (await RunFolder.open(inFolder(run))).config;

/** Runs it with --json on one thread; what it printed last. @throws with all it said where it failed */
async function fovea(...args: string[]): Promise<Record<string, unknown>> {
  const ended = await command.run(...args, '--json', '--threads', '1');
  if (ended.code !== 0) throw new Error(`exit code ${ended.code}:\n${ended.out}${ended.err}`);
  return last(ended.out);
}

/** What it said when it was called wrongly. */
async function refused(...args: string[]): Promise<string> {
  const { code, err }: Ended = await command.run(...args);
  expect(code, err).toBe(2);
  return err;
}

const labelsOf = (count: number, classes: number) => Int32Array.from({ length: count }, (_, i) => i % classes);
const int32 = (data: Int32Array): HostTensor => ({ dtype: 'int32', shape: [data.length], data });

const npz = (arrays: Record<string, HostTensor>) => encodeNpz(Object.entries(arrays));

/** Noise with a bright bar, at a height that is the class. [count, 28, 28]. */
function bars(count: number, classes: number): Uint8Array {
  const random = new Random(1, 0, 0);
  return Uint8Array.from({ length: count * 784 }, (_, i) => {
    const [sample, y] = [Math.floor(i / 784), Math.floor((i % 784) / 28)];
    return Math.floor(y / 9) === sample % classes ? random.integer(150, 250) : random.integer(0, 80);
  });
}

describe('fovea train data.npz', () => {
  it('trains on bytes, divides them by class, and keeps that for eval and resume', async () => {
    const data = {
      x: { dtype: 'uint8', shape: [120, 28, 28], data: bars(120, 3) },
      y: int32(labelsOf(120, 3)),
    } satisfies Record<string, HostTensor>;
    await writeFile(inFolder('bars.npz'), npz(data));
    const args = ['--model', 'lenet5', '--batch-size', '16', '--epochs', '3', '--lr', '0.01'];
    const done = await fovea('train', 'bars.npz', ...args, '--out', 'runs/bars', '--no-report');
    expect(done).toMatchObject({ event: 'done', testAccuracy: 1, steps: 18 });

    const { input, classes, data: kept } = await config('runs/bars');
    expect(input.shape).toEqual([1, 28, 28]);
    expect(input.mean[0]).toBeGreaterThan(0.3);
    expect(input.mean[0]).toBeLessThan(0.4); // a third of the rows at 200, the rest at 40, of 255
    expect(classes).toEqual(['0', '1', '2']);
    expect(kept).toMatchObject({ format: 'arrays', validation: 0.1 });

    // 12 of each part, 4 of each class.
    const own = await fovea('eval', 'runs/bars', '--html', 'bars.html');
    expect(own).toMatchObject({ count: 12, accuracy: done.testAccuracy, loss: done.testLoss, part: 'test' });
    const { document } = parseHTML(await readFile(inFolder('bars.html'), 'utf8'));
    const [again] = document.querySelector('pre')!.textContent!.split('\n');
    expect(again).toMatch(/^fovea train \/\S+bars\.npz /);
    expect(again).toContain('--model lenet5 --validation 0.1 --epochs 3');
    expect(again).not.toMatch(/digest|sha/);
    expect(await fovea('eval', 'runs/bars', 'bars.npz')).toMatchObject({ count: 120 });
    expect(await refused('predict', 'runs/bars', '--text', 'hello')).toContain(
      'runs/bars was not trained on texts: lenet5 takes pictures.',
    );

    const other = { x_test: data.x, y_test: data.y, x_train: data.x, y_train: int32(new Int32Array(120)) };
    await writeFile(inFolder('bars.npz'), npz(other));
    expect(await refused('eval', 'runs/bars')).toMatch(/bars\.npz has changed since the run was begun/);
    expect(await fovea('eval', 'runs/bars', 'bars.npz', '--limit', '30')).toMatchObject({ count: 30, accuracy: 1 });
  });

  it('takes floats with the parts that the file has, and the limits that are asked for', async () => {
    const floats = Float32Array.from(bars(90, 3), (v) => 20 * v - 1000); // of no usual scale
    const part = (from: number, to: number, sample = 784) => floats.slice(from * sample, to * sample);
    await writeFile(
      inFolder('parts.npz'),
      npz({
        x_train: { dtype: 'float32', shape: [60, 28, 28, 1], data: part(0, 60) },
        y_train: int32(labelsOf(60, 3)),
        x_test: { dtype: 'float32', shape: [30, 28, 28, 1], data: part(60, 90) },
        y_test: int32(labelsOf(30, 3)),
      }),
    );
    const limits = ['--limit', '24', '--test-limit', '9', '--validation', '0.2'];
    const ended = await command.run('train', 'parts.npz', '--model', 'lenet5', '--lr', '0.01', '--epochs', '8', '--batch-size', '8', ...limits, '--out', 'runs/parts', '--json'); // biome-ignore format: a command
    expect(records(ended.out).find(({ event }) => event === 'start')).toMatchObject({
      train: 24,
      validation: 12,
      test: 9,
    });
    expect(last(ended.out)).toMatchObject({ event: 'done', testAccuracy: 1 });
    const { input } = await config('runs/parts');
    expect(input.mean[0]).toBeGreaterThan(500); // fitted to the numbers as they are
    expect(input.std[0]).toBeGreaterThan(1000);
    expect(await readFile(inFolder('runs/parts/report.html'), 'utf8')).toContain('lenet5');
  });

  it('takes signals, of a pair of files', async () => {
    const random = new Random(2, 0, 0);
    const waves = Float32Array.from({ length: 32 * 64 * 2 }, (_, i) => {
      const [sample, t, c] = [Math.floor(i / 128), Math.floor((i % 128) / 2), i % 2];
      return 100 + 5 * Math.sin(t * (sample % 2 === 0 ? 0.3 : 0.9) + c) + random.normal();
    });
    // [N, L, C]: the longer axis is time.
    await writeFile(inFolder('x.npy'), encodeNpy({ dtype: 'float32', shape: [32, 64, 2], data: waves }));
    await writeFile(inFolder('y.npy'), encodeNpy(int32(labelsOf(32, 2))));
    const done = await fovea(
      'train',
      'x.npy,y.npy',
      '--model',
      'resnet1d18',
      '--batch-size',
      '8',
      '--out',
      'runs/waves',
      '--mixup',
      '0.2',
    );
    const { input, data } = await config('runs/waves');
    expect([input.shape, data]).toMatchObject([[2, 64], { layout: 'NLC', format: 'arrays' }]);
    for (const c of [0, 1]) expect(Math.abs(input.mean[c] - 100)).toBeLessThan(1); // of 5 · sin, over some periods
    expect(await fovea('eval', 'runs/waves')).toMatchObject({ count: 4, loss: done.testLoss });
    expect(await readFile(inFolder('runs/waves/report.html'), 'utf8')).toContain('--layout NLC');
  });

  it('says which models fit', async () => {
    expect(await refused('train', 'x.npy,y.npy', '--model', 'lenet5')).toContain(
      'lenet5 takes pictures of 28 × 28; these have 64 × 2. These sizes fit mobilenet_v2 and resnet18',
    );
    expect(await refused('train', 'x.npy', '--model', 'resnet1d18')).toContain(
      'Name both, with a comma between them: fovea train x.npy,y.npy',
    );
    expect(await refused('train', 'bars.npz', '--model', 'textcnn')).toMatch(
      /bars\.npz has pictures; textcnn takes texts\. For pictures: \w+, .* and others that `fovea models` lists/,
    );
    expect(await refused('train', 'bars.npz', '--model', 'lenet5', '--frames', '4')).toContain(
      '--frames is for folders of clips.',
    );
  });
});

async function weightsOf(run: string): Promise<Map<string, HostTensor>> {
  return (await readSafetensors(inFolder(run, 'model.safetensors'))).tensors;
}

describe('fovea train ./clips', () => {
  const small = ['--model', 'c3d', '--option', 'width=1', '--option', 'hidden=8', '--size', '96'];

  it('trains on frames and volumes, measures and resumes', async () => {
    for (const [c, name] of ['left', 'right'].entries()) {
      for (let i = 0; i < 6; i++) await (i < 3 ? writeFrames : writeVolume)(inFolder('clips', name), i, c);
    }
    await writeFile(inFolder('clips/left/broken.npy'), 'this is no array');
    const ended = await command.run('train', 'clips', ...small, '--batch-size', '4', '--epochs', '1', '--augment', 'light', '--out', 'runs/clips', '--json'); // biome-ignore format: a command
    expect([ended.code, ended.err]).toEqual([0, '']);
    const events = records(ended.out);
    expect(events.find(({ event }) => event === 'left-out')).toMatchObject({ name: 'left/broken.npy' });
    expect(events.find(({ event }) => event === 'start')).toMatchObject({ train: 8, validation: 2, test: 2 });
    const { input, data, model } = await config('runs/clips');
    expect(input.shape).toEqual([1, 16, 96, 96]); // grey, as all of them are
    expect(model.options).toMatchObject({ inChannels: 1, width: 1 });
    expect(data).toMatchObject({ format: 'clips', augment: { duration: 0.9, crop: 0.9, flip: 0.5 } });
    expect(await readFile(inFolder('runs/clips/report.html'), 'utf8')).toContain(
      '1 clip could not be read, and left out.',
    );

    const all = await command.run('eval', 'runs/clips', 'clips');
    expect([all.code, all.out]).toEqual([0, expect.stringContaining('12 ')]);
    expect(all.err).toContain('left out  left/broken.npy: left/broken.npy');
    expect(await fovea('eval', 'runs/clips')).toMatchObject({ count: 2, loss: last(ended.out).testLoss });
    expect(await fovea('train', '--resume', '--out', 'runs/clips', '--epochs', '2', '--no-report')).toMatchObject({
      steps: 4,
    });
    await rename(inFolder('clips/left/clip0'), inFolder('clips/left/moved'));
    expect(await refused('eval', 'runs/clips')).toMatch(
      /of the clips that the run was begun with 1 is gone, such as left\/clip0/,
    );
  }, 60_000);

  it('sees that a model of pictures takes no volumes, and the other way round', async () => {
    await mkdir(inFolder('scans'));
    for (const c of [0, 1]) await writeVolume(inFolder('scans', `c${c}`), 0, c);
    expect(await refused('train', 'scans', '--model', 'lenet5')).toContain('scans has clips or volumes; lenet5 takes pictures. For clips or volumes: c3d, r3d_18, mc3_18, r2plus1d_18.'); // biome-ignore format: one message
    expect(await refused('train', 'mnist', '--model', 'c3d')).toContain(
      'mnist has pictures; c3d takes clips or volumes.',
    );
    expect(await refused('train', 'scans', ...small, '--augment', 'rand')).toContain(
      'for clips there are none, light and standard',
    );
  });
});

/** Six frames in which a bright square moves to one side. */
function square(d: number, c: number): Uint8Array {
  const at = c === 0 ? 14 - 2 * d : 2 * d + 2;
  return Uint8Array.from({ length: 400 }, (_, i) =>
    Math.abs((i % 20) - at) < 3 && Math.abs(Math.floor(i / 20) - 10) < 3 ? 230 : 20,
  );
}

async function writeFrames(folder: string, i: number, c: number): Promise<void> {
  const clip = join(folder, `clip${i}`);
  await mkdir(clip, { recursive: true });
  for (let d = 0; d < 6; d++)
    await writeFile(join(clip, `${d}.png`), await encodePng({ data: square(d, c), shape: [1, 20, 20] }));
}

async function writeVolume(folder: string, i: number, c: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const data = new Uint8Array(6 * 400);
  for (let d = 0; d < 6; d++) data.set(square(d, c), d * 400);
  await writeFile(join(folder, `scan${i}.npy`), encodeNpy({ dtype: 'uint8', shape: [6, 20, 20], data }));
}

describe('fovea train reviews.csv', () => {
  const good = ['a lovely film', 'I loved it', 'great acting', 'wonderful, truly'];
  const bad = ['a boring film', 'I hated it', 'terrible acting', 'awful, truly'];
  const rows = (count: number) => Array.from({ length: count }, (_, i) => {
    const words = i % 2 === 0 ? good : bad;
    return `"${words[(i >> 1) % 4]}; ${words[(i >> 3) % 4]}",${i % 2 === 0 ? 'good' : 'bad'}`;
  }); // biome-ignore format: rows

  beforeAll(async () => {
    await writeFile(inFolder('reviews.csv'), `text,label\n${rows(120).join('\n')}\nwithout a label,\n`);
    await writeFile(inFolder('others.csv'), `text,label\n${rows(8).join('\n')}\n`);
    await writeFile(inFolder('more.csv'), 'Review;Sentiment\ngreat film;good\nboring;bad\n');
    const args = [
      '--option',
      'embedDim=16',
      '--option',
      'maps=8',
      '--epochs',
      '4',
      '--batch-size',
      '16',
      '--lr',
      '0.02',
    ];
    await fovea('train', 'reviews.csv', '--model', 'textcnn', ...args, '--out', 'runs/reviews');
  }, 30_000);

  it('speaks of texts, not of pictures', async () => {
    const flags = ['--model', 'textcnn', '--option', 'embedDim=8', '--option', 'maps=4', '--batch-size', '8'];
    const { out } = await command.run('train', 'reviews.csv', ...flags, '--no-report', '--out', 'runs/spoken');
    expect(out).toMatch(/^epoch 1\/1 +100 % .* texts\/s /m);
    expect(out).toMatch(/^(test accuracy) .* 12 texts\)$/m);
    expect(out).not.toContain('picture');
  });

  it('keeps the vocabulary of the training texts, and resumes and measures with it', async () => {
    const { input, model, classes, data } = await config('runs/reviews');
    const { tokens, length } = JSON.parse(await readFile(inFolder('runs/reviews/vocabulary.json'), 'utf8'));
    expect(tokens).toEqual(expect.arrayContaining(['<pad>', '<unk>', 'film', 'truly', 'boring']));
    expect(input).toEqual({ shape: [length], mean: [], std: [] });
    expect(model.options).toEqual({ inChannels: tokens.length, embedDim: 16, maps: 8 });
    expect([classes, data]).toMatchObject([['bad', 'good'], { format: 'texts', validation: 0.1 }]);

    const own = await fovea('eval', 'runs/reviews', '--html', 'reviews.html');
    expect(own).toMatchObject({ count: 12, accuracy: 1, part: 'test' });
    const { document } = parseHTML(await readFile(inFolder('reviews.html'), 'utf8'));
    expect(document.querySelector('pre')!.textContent).toMatch(/--option inChannels=\d+ --option embedDim=16/);
    const onnx = await command.run('export', 'runs/reviews', '--onnx', 'reviews.onnx', '--json');
    expect(last(onnx.out)).toMatchObject({ event: 'export', inputs: [{ name: 'input', shape: `[N, ${length}]` }] });
    expect(await fovea('eval', 'runs/reviews', 'more.csv')).toMatchObject({ count: 2, accuracy: 1 });
    expect(await fovea('train', '--resume', '--out', 'runs/reviews', '--epochs', '5', '--option', 'maps=8', '--no-report')).toMatchObject({ steps: 30 }); // biome-ignore format: a command
  });

  it('ends with the very same weights when it is killed and resumed', async () => {
    const args = [
      'train',
      'reviews.csv',
      '--option',
      'embedDim=8',
      '--option',
      'maps=4',
      '--epochs',
      '8',
      '--batch-size',
      '8',
    ];
    const whole = await fovea(...args, '--out', 'runs/whole', '--no-report');
    const running = command.start(
      ...args,
      '--out',
      'runs/killed',
      '--checkpoint-every',
      '2',
      '--threads',
      '1',
      '--json',
    );
    await running.event('checkpoint');
    running.child.kill('SIGKILL');
    expect((await running.ended).signal).toBe('SIGKILL');
    const resumed = await command.run('train', '--resume', '--out', 'runs/killed', '--json', '--threads', '1');
    expect([resumed.code, resumed.err]).toEqual([0, '']);
    const start = records(resumed.out).find(({ event }) => event === 'start')!;
    expect(start).toMatchObject({ resumed: true });
    expect(start.step).toBeGreaterThan(0);
    expect(last(resumed.out)).toMatchObject({ testLoss: whole.testLoss, steps: whole.steps });
    expect(await weightsOf('runs/killed')).toEqual(await weightsOf('runs/whole'));
    expect(await readFile(inFolder('runs/killed/report.html'), 'utf8')).toContain('textcnn');
  }, 60_000);

  it('begins from weights only with the vocabulary that belongs to them', async () => {
    const weights = (file: string) => ['--weights', file, '--option', 'embedDim=16', '--option', 'maps=8'];
    await fovea(
      'train',
      'others.csv',
      ...weights('runs/reviews/model.safetensors'),
      '--out',
      'runs/more',
      '--no-report',
    );
    const files = ['runs/reviews/vocabulary.json', 'runs/more/vocabulary.json'];
    const [theirs, ours] = await Promise.all(files.map((file) => readFile(inFolder(file), 'utf8')));
    expect(ours).toBe(theirs);
    await writeFile(inFolder('alone.safetensors'), await readFile(inFolder('runs/reviews/model.safetensors')));
    expect(await refused('train', 'others.csv', ...weights('alone.safetensors'))).toContain(
      'which word has which number?',
    );
  });

  it('predict answers texts, files of them, and their lines', async () => {
    const asked = await command.run('predict', 'runs/reviews', '--text', 'I loved it', '--text', 'boring!', '--json');
    expect(records(asked.out)).toMatchObject([
      { text: 'I loved it', class: 'good' },
      { text: 'boring!', class: 'bad' },
    ]);
    await writeFile(inFolder('lines.txt'), 'great acting\r\n\r\nterrible acting');
    const lines = await command.run('predict', 'runs/reviews', '--lines', 'lines.txt', '--json', '--top', '1');
    expect(records(lines.out)).toMatchObject([
      { file: 'lines.txt', line: 1, class: 'good' },
      { line: 3, class: 'bad' },
    ]);
    const whole = await command.run('predict', 'runs/reviews', 'lines.txt');
    expect(whole.out).toMatch(/^"great acting terrible acting" {2}(good|bad) [\d.]+ % {2}then/);
    const input = command.start('predict', 'runs/reviews', '--lines', '--top', '1');
    input.child.stdin!.end('awful, truly\n');
    expect((await input.ended).out).toMatch(/^"awful, truly" {2}bad [\d.]+ %\n$/);
  });

  it('refuses what does not fit, with a way out', async () => {
    expect(await refused('train', 'reviews.csv', '--model', 'lenet5')).toContain(
      'reviews.csv has texts; lenet5 takes pictures. For texts: textcnn.',
    );
    expect(await refused('train', 'reviews.csv', '--mixup', '0.2')).toContain(
      '--mixup is for pictures, clips and signals.',
    );
    expect(await refused('eval', 'runs/reviews', 'mnist')).toContain('mnist has pictures; textcnn takes texts.');
    expect(await refused('train', 'more.csv')).toContain('nothing is left to measure with');
    expect(await refused('predict', 'runs/reviews')).toContain('Which texts?');
    const missing = await command.run('predict', 'runs/reviews', '--lines', 'nowhere.txt');
    expect([missing.code, missing.err]).toEqual([1, expect.stringContaining('cannot read nowhere.txt')]);
  });
});
