/** The command as users meet it: a process of its own, real MNIST, signals. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Command, type Ended, last, type Running, records } from '../../test/command.js';
import { mnist } from '../data/index.node.js';
import { encodePng, RunFolder, readSafetensors } from '../io/index.node.js';

let command: Command;
let folder: string;

beforeAll(async () => {
  command = await Command.build();
  folder = command.folder;
});

afterAll(() => command.remove());

const fovea = (...args: string[]) => command.run(...args);
const start = (...args: string[]): Running => command.start(...args);
const startIn = (environment: Record<string, string>, ...args: string[]) => command.startWith(environment, ...args);

describe('fovea', () => {
  it('lists its commands, and starts fast', async () => {
    const times: number[] = [];
    for (let i = 0; i < 3; i++) {
      const begin = performance.now();
      const { code, out } = await fovea('--help');
      times.push(performance.now() - begin);
      expect(code).toBe(0);
      for (const name of ['train', 'eval', 'predict', 'summary', 'models', 'plan', 'profile', 'devices']) {
        expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'));
      }
    }
    // 0.14 s on an idle machine; the limit is for one that runs other tests beside this.
    expect(Math.min(...times)).toBeLessThan(1000);
    const { version } = JSON.parse(await readFile(join(command.folder, 'package.json'), 'utf8')) as { version: string };
    expect((await fovea('--version')).out).toBe(`${version}\n`);
  });

  it.each(['train', 'eval', 'predict', 'summary', 'models', 'plan', 'profile', 'devices'])(
    '%s --help has an example',
    async (name) => {
      const { code, out } = await fovea(name, '--help');
      expect(code).toBe(0);
      expect(out).toMatch(new RegExp(`^Usage: fovea ${name} `));
      expect(out).toMatch(new RegExp(`Examples?:\\n {2}\\$ fovea ${name}`));
    },
  );

  it.each([
    [['trian', 'mnist'], "unknown command 'trian'\n(Did you mean train?)"],
    [['train', 'mnist', '--epoch', '3'], "unknown option '--epoch'\n(Did you mean --epochs?)"],
    [['train', 'mnist', '--model', 'clasic'], "There is no model 'clasic'. Did you mean classic?"],
    [['summary', 'lenet'], "There is no model 'lenet'. Did you mean lenet5?"],
    [['train', 'mnits'], "There are no pictures 'mnits'. Did you mean mnist?"],
    [['train'], 'Which pictures? For example: fovea train mnist'],
    [['train', 'mnist', '--device', 'wsam'], 'Did you mean wasm?'],
    [['train', 'mnist', '--epochs', 'three'], 'It is a whole number from 1 up.'],
    [['train', 'mnist', '--option', 'stem'], 'It is name=value, such as stem=cifar.'],
    [['train', '--resume'], 'Which run? Name its folder: fovea train --resume --out runs/a'],
    [['predict', 'runs/a'], 'Which pictures? Name files, a folder, a pattern in quotes, or - for standard input.'],
  ])('refuses %j with exit code 2 and a way out', async (args, message) => {
    const { code, err, out } = await fovea(...args);
    expect(err).toContain(message);
    expect([code, out]).toEqual([2, '']);
  });

  it('--help shows defaults as one writes them, and none that say nothing', async () => {
    for (const name of ['train', 'predict', 'summary']) {
      expect((await fovea(name, '--help')).out).not.toMatch(/default: *(\[\]|\{\})/);
    }
    const help = (await fovea('serve', '--help')).out.replaceAll(/\s+/g, ' ');
    for (const shown of ['500kB, 10MB … (default: 10MB)', '50M … (default: 50M)', '2min (default: 10s)'])
      expect(help).toContain(shown);
    expect((await fovea('predict', '--help')).out).toMatch(
      /^Exit code: 0 when everything was answered; 1 when a picture could not be read/m,
    );
  });

  it('fails with exit code 1 where there is no run, in JSON too', async () => {
    const plain = await fovea('eval', 'nowhere');
    expect([plain.code, plain.err]).toEqual([1, 'error: nowhere is not there\n']);
    const json = await fovea('eval', 'nowhere', '--json');
    expect(json.code).toBe(1);
    expect(last(json.out)).toMatchObject({ event: 'error', name: 'FileError' });
  });
});

describe('fovea models, summary, plan, devices', () => {
  it('say the same numbers in words and in JSON', async () => {
    const models = records((await fovea('models', '--json')).out);
    expect(models.find((m) => m.name === 'classic')).toMatchObject({ params: 1_199_882, macs: 11_992_448 });
    expect((await fovea('models')).out).toMatch(/classic +2018 +1,199,882 +11,992,448 +\[1, 28, 28\]/);
    const few = (await fovea('models', 'resnet', '2015')).out;
    expect(few).toMatch(/resnet18 .* 69\.76 \/ 89\.08 +torchvision ResNet18_Weights\.IMAGENET1K_V1 +residual/);
    expect(few).not.toMatch(/vgg/);
    expect((await fovea('models', 'mobilnet_v2')).err).toContain('Did you mean mobilenet_v2?');

    const summary = last((await fovea('summary', 'classic', '--json')).out);
    expect(summary).toMatchObject({ name: 'classic', params: 1_199_882, macs: 11_992_448, input: [1, 28, 28] });
    const text = (await fovea('summary', 'classic')).out;
    expect(text).toMatch(/conv2 +Conv2d +\[64, 24, 24\] +18,496 +10,616,832 +5×5/);
    expect(text).toMatch(/fc1 +Linear +\[128\] +1,179,776 +1,179,648 +whole picture/);
  });

  it('plan lists the kernels of a step with their multiply-adds', async () => {
    const { code, out } = await fovea('plan', 'lenet5', '--batch', '8', '--json');
    expect(code).toBe(0);
    const kernels = records(out).filter((r) => r.event === 'kernel');
    const plan = last(out);
    expect(plan).toMatchObject({ event: 'plan', name: 'lenet5', batch: 8, inference: false, kernels: kernels.length });
    expect(kernels.reduce((sum, k) => sum + (k.macs as number), 0)).toBe(plan.macs);
    // Forward and two gradients, but none by the pictures.
    expect(plan.macs).toBe(8 * (3 * 416_520 - 117_600));
    const inference = last((await fovea('plan', 'lenet5', '--batch', '8', '--inference', '--json')).out);
    expect(inference).toMatchObject({ macs: 8 * 416_520, inference: true });
    expect((await fovea('plan', 'lenet5', '--batch', '8')).out).toContain(`${kernels.length} kernels`);
  });

  it('profile times every kernel, says how near it comes to the peaks, and writes a trace', async () => {
    const trace = join(folder, 'trace.json');
    const { code, out } = await fovea('profile', 'lenet5', '--batch', '4', '--runs', '3', '--json', '--trace', trace);
    expect(code).toBe(0);
    const kernels = records(out).filter((r) => r.event === 'kernel') as Record<string, number>[];
    const total = last(out) as Record<string, number>;
    expect(total).toMatchObject({
      event: 'profile',
      name: 'lenet5',
      batch: 4,
      inference: false,
      kernels: kernels.length,
    });
    expect(kernels.reduce((sum, k) => sum + k.ms, 0)).toBeCloseTo(total.ms, 9);
    expect(kernels.reduce((sum, k) => sum + k.share, 0)).toBeCloseTo(1, 9);
    expect(total.peakFlops).toBeGreaterThan(1e9);
    expect(total.peakBandwidth).toBeGreaterThan(1e8);
    for (const k of kernels) {
      expect(k.ms).toBeGreaterThan(0);
      expect(k.ofComputePeak).toBeCloseTo((2 * k.macs) / (k.ms / 1000) / total.peakFlops, 9);
    }
    const { traceEvents } = JSON.parse(await readFile(trace, 'utf8')) as { traceEvents: { ph: string; tid: number }[] };
    expect(traceEvents.filter((e) => e.ph === 'X' && e.tid === 1).length).toBe(kernels.length);
    const table = (await fovea('profile', 'lenet5', '--inference', '--runs', '2', '--top', '2')).out;
    expect(table).toMatch(/^lenet5, inference, 1 picture, on /m);
    expect(table).toMatch(/and \d+ more kernels/);
    const refused = await fovea('profile', 'lenet5', '--device', 'reference');
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('has no kernels')]);
  });

  it('devices says what was chosen and why', async () => {
    const { out } = await fovea('devices', '--json');
    const devices = records(out).filter((r) => r.event === 'device');
    expect(devices.map((d) => d.name)).toEqual(['x64-avx512', 'x64-avx2', 'wasm', 'reference']);
    const best = devices.find((d) => d.available)!;
    expect(last(out)).toMatchObject({ event: 'chosen', name: best.name });
    expect(last(out).reason).toMatch(/^the fastest device there is on this machine/);
    // What is not there says why.
    for (const d of devices) expect((d.notes as string[])[0]).toMatch(d.available ? /./ : /^x64/);
    const text = (await fovea('devices')).out;
    expect(text).toMatch(new RegExp(`^chosen +${best.name} with \\d+ threads?: the fastest`, 'm'));
    expect(text).toMatch(/^wasm +yes {2}\d+ threads?/m);
  });

  it('FOVEA_DEVICE decides where no --device does', async () => {
    const chosen = last((await startIn({ FOVEA_DEVICE: 'wasm' }, 'devices', '--json').ended).out);
    expect(chosen).toMatchObject({ name: 'wasm', reason: 'FOVEA_DEVICE=wasm in the environment' });
    const { code, err } = await startIn({ FOVEA_DEVICE: 'wasn' }, 'devices').ended;
    expect([code, err]).toEqual([1, "error: FOVEA_DEVICE: there is no device 'wasn'. Did you mean wasm?\n"]);
    const asked = await startIn({ FOVEA_DEVICE: 'wasn' }, 'plan', 'lenet5', '--device', 'wasm', '--json').ended;
    expect(last(asked.out)).toMatchObject({ event: 'plan', name: 'lenet5' });
  });
});

describe('fovea train on CIFAR', () => {
  it('trains the CIFAR form of ResNet-18, and keeps how it was built', async () => {
    const files = join(folder, 'cifar');
    await mkdir(files);
    // Two classes that differ in colour, in CIFAR-10's records: a label, then 32 × 32 of red, of green, of blue.
    const records = (count: number) =>
      Buffer.concat(
        Array.from({ length: count }, (_, i) =>
          Buffer.from(
            Uint8Array.from({ length: 3073 }, (_, at) =>
              at === 0 ? i % 2 : ((at * 37 + i * 11) % 97) + (at < 1025 ? 150 * (i % 2) : 40),
            ),
          ),
        ),
      );
    await writeFile(join(files, 'data_batch_1.bin'), records(64));
    await writeFile(join(files, 'test_batch.bin'), records(16));
    const run = join(folder, 'runs', 'cifar');
    const args = [
      '--model',
      'resnet18',
      '--option',
      'stem=cifar',
      '--epochs',
      '2',
      '--batch-size',
      '16',
      '--seed',
      '1',
    ];
    const trained = await fovea('train', files, ...args, '--out', run, '--json');
    expect(trained.err).toBe('');
    expect(last(trained.out)).toMatchObject({ event: 'done', model: 'resnet18', params: 11_173_962, testAccuracy: 1 });
    const { config } = await RunFolder.open(run);
    expect(config).toMatchObject({
      model: { name: 'resnet18', options: { stem: 'cifar' } },
      input: { shape: [3, 32, 32] },
    });
    expect(last((await fovea('eval', run, '--json')).out)).toMatchObject({ accuracy: 1 });
  });

  it('brings pictures to the size of a model that takes one only, and says which that is', async () => {
    const files = join(folder, 'cifar');
    const trained = await fovea(
      'train',
      files,
      '--model',
      'lenet5',
      '--limit',
      '60',
      '--no-report',
      '--out',
      'runs/l5',
    );
    expect(trained.out).toMatch(/^pictures of 32 × 32 are brought to 28 × 28, the size that lenet5 takes$/m);
    expect(trained.out).toMatch(/^trained 1 step; /m);
    expect((await RunFolder.open(join(folder, 'runs/l5'))).config.input.shape).toEqual([3, 28, 28]);
    const measured = last((await fovea('eval', 'runs/l5', '--json')).out);
    expect(measured).toMatchObject({ count: 16 });
    expect((await fovea('eval', 'runs/l5', files, '--json')).out).toContain(`"loss":${measured.loss}`);
    const asked = await fovea('train', files, '--model', 'resnet18', '--size', '24', '--limit', '8', '--test-limit', '4', '--no-report', '--out', 'runs/r24', '--json'); // biome-ignore format: a command
    expect([asked.err, (await RunFolder.open(join(folder, 'runs/r24'))).config.input.shape]).toEqual(['', [3, 24, 24]]);
    const wrong = await fovea('train', files, '--model', 'lenet5', '--size', '32');
    expect([wrong.code, wrong.err, wrong.out]).toEqual([
      2,
      'error: lenet5 takes pictures of 28 × 28: leave --size out, or --size 28.\n',
      '',
    ]);
    expect((await fovea('eval', 'runs/l6')).err).toBe('error: runs/l6 is not there. Did you mean runs/l5?\n');
  });

  it('goes on from weights, with layers frozen and another head; names pictures and lists tensors by the file alone', async () => {
    const files = join(folder, 'cifar');
    const weights = join(folder, 'runs', 'cifar', 'model.safetensors');
    const tuned = join(folder, 'runs', 'tuned');
    const args = [
      '--model',
      'resnet18',
      '--option',
      'stem=cifar',
      '--limit',
      '32',
      '--batch-size',
      '16',
      '--seed',
      '2',
    ];
    const from = ['--weights', weights, '--freeze', 'layer*', '--freeze', 'bn1'];
    const trained = await fovea('train', files, ...args, ...from, '--out', tuned, '--json');
    expect(trained.err).toBe('');
    expect(records(trained.out)[0]).toMatchObject({ event: 'weights', loaded: 122, kept: [], source: null });
    const [before, after] = [
      (await readSafetensors(weights)).tensors,
      (await readSafetensors(join(tuned, 'model.safetensors'))).tensors,
    ];
    const moved = [...after]
      .filter(([name, { data }]) => data.some((v, i) => v !== before.get(name)!.data[i]))
      .map(([name]) => name);
    expect(moved).toEqual(['conv1.weight', 'fc.bias', 'fc.weight']);
    const longer = await fovea('train', '--resume', '--out', tuned, '--epochs', '2', '--json');
    expect([longer.err, last(longer.out).event]).toEqual(['', 'done']);
    const resumed = (await readSafetensors(join(tuned, 'model.safetensors'))).tensors;
    expect(resumed.get('layer1.0.conv1.weight')).toEqual(before.get('layer1.0.conv1.weight'));
    expect((await fovea('train', files, ...args, '--freeze', 'layr1')).err).toContain('layer1');

    const picture = {
      data: Uint8Array.from({ length: 3 * 40 * 50 }, (_, i) => (i < 2000 ? 220 : 60)),
      shape: [3, 40, 50] as const,
    };
    await writeFile(join(folder, 'red.png'), await encodePng(picture));
    const named = last((await fovea('predict', weights, 'red.png', '--json')).out);
    expect(named).toMatchObject({ event: 'prediction', file: 'red.png', class: '1' });

    const listed = await fovea('inspect', weights);
    expect(listed.out).toMatch(/^fc\.weight +F32 +\[10, 512\] +5,120$/m);
    expect(listed.out).toContain('model: resnet18 {"stem":"cifar","numClasses":10}');
    expect(last((await fovea('inspect', weights, '--json')).out)).toMatchObject({
      event: 'file',
      format: 'safetensors',
      tensors: 122,
    });
  });
});

describe('fovea train', () => {
  const small = [
    'mnist',
    '--model',
    'lenet5',
    '--limit',
    '200',
    '--test-limit',
    '100',
    '--batch-size',
    '16',
    '--epochs',
    '3',
  ];

  it('trains, evaluates and predicts', async () => {
    const { code, out, err } = await fovea('train', ...small, '--seed', '1', '--out', 'runs/a', '--lr', '3e-3');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^epoch 3\/3 +100 % .* pictures\/s +loss \d+\.\d+ +accuracy \d+\.\d+ %/m); // lines, for there is no terminal
    expect(out).toMatch(/test accuracy {2}\d+\.\d+ %/);
    expect(out).toMatch(/^actual ↓ +0 +1 +2 +3 +4 +5 +6 +7 +8 +9 +recall$/m);
    expect(out).toContain('saved in runs/a: model.safetensors');
    expect(out).toContain('fovea predict runs/a picture.png');

    const run = await RunFolder.open(join(folder, 'runs/a'));
    expect(run.config.training).toMatchObject({ epochs: 3, batchSize: 16, lr: 3e-3, optimizer: 'adam' });
    expect(run.config.data).toEqual({ source: 'mnist', format: 'mnist', limit: 200, testLimit: 100 });
    const { tensors } = await readSafetensors(run.modelPath);
    expect([...tensors.values()].reduce((sum, t) => sum + t.data.length, 0)).toBe(61_706);
    const metrics = await run.readMetrics();
    expect(metrics.filter((m) => m.event === 'epoch').map((m) => m.step)).toEqual([13, 26, 39]);

    const evaluation = last((await fovea('eval', 'runs/a', '--json')).out);
    const said = /test accuracy {2}(\d+\.\d+) %/.exec(out)![1];
    expect((100 * (evaluation.accuracy as number)).toFixed(2)).toBe(said);
    expect(evaluation.count).toBe(100);
    expect((await fovea('eval', 'runs/a')).out).toContain(`test accuracy  ${said} %`);

    const { test } = await mnist();
    const { inputs } = test.batch([0]);
    await writeFile(join(folder, 'digit.png'), await encodePng({ data: inputs as Uint8Array, shape: [1, 28, 28] }));
    const ink = Uint8Array.from(inputs, (x) => 255 - x);
    await writeFile(join(folder, 'ink.png'), await encodePng({ data: ink, shape: [1, 28, 28] }));
    const both = records((await fovea('predict', 'runs/a', 'digit.png', '--top', '10', '--json')).out);
    const inverted = records((await fovea('predict', 'runs/a', 'ink.png', '--top', '10', '--invert', '--json')).out);
    expect(both[0].top).toEqual(inverted[0].top);
    const top = both[0].top as { class: string; probability: number }[];
    expect(top.length).toBe(10);
    expect(top.reduce((sum, t) => sum + t.probability, 0)).toBeCloseTo(1, 5);
    // Folders, patterns and standard input; one bad file among many is named, and the others are answered.
    await mkdir(join(folder, 'scans'));
    await writeFile(join(folder, 'scans/broken.png'), 'no picture');
    await writeFile(join(folder, 'scans/Ink.PNG'), await readFile(join(folder, 'ink.png')));
    const several = await fovea('predict', 'runs/a', 'scans', 'd*.png', '--invert', '--json');
    expect([several.code, records(several.out).map(({ event, file }) => [event, file])]).toEqual([
      1,
      [
        ['prediction', 'scans/Ink.PNG'],
        ['refused', 'scans/broken.png'],
        ['prediction', 'digit.png'],
        ['error', undefined],
      ],
    ]);
    expect(several.err).toContain('1 of 3 pictures could not be read');
    expect(records(several.out)[0].top).toEqual(
      records((await fovea('predict', 'runs/a', 'ink.png', '--invert', '--json')).out)[0].top,
    );
    const alone = await fovea('predict', 'runs/a', 'scans/broken.png', '--json');
    expect([
      alone.code,
      alone.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).event),
    ]).toEqual([1, ['refused', 'error']]);
    const piped = start('predict', 'runs/a', '-', '--top', '10', '--json');
    piped.child.stdin!.end(await readFile(join(folder, 'digit.png')));
    expect(records((await piped.ended).out)[0]).toMatchObject({ file: '(standard input)', top: both[0].top });
    expect((await fovea('predict', 'runs/a', 'nothing-*.png')).err).toContain("No file matches 'nothing-*.png'.");
    expect((await fovea('predict', 'runs/a', 'ink.png')).out).toContain('try --invert');
    expect((await fovea('predict', 'runs/a', 'digit.png')).out).not.toContain('--invert');
  });

  it('prints JSON only with --json, "done" last; refuses to overwrite and to change a run', async () => {
    const { code, out, err } = await fovea(
      'train',
      ...small,
      '--epochs',
      '1',
      '--out',
      'runs/j',
      '--json',
      '--validation',
      '0.2',
    );
    expect([code, err]).toEqual([0, '']);
    expect(records(out).length).toBe(out.trimEnd().split('\n').length);
    expect(records(out).map((r) => r.event)).toEqual(
      expect.arrayContaining(['start', 'step', 'epoch', 'checkpoint', 'done']),
    );
    const done = last(out);
    expect(done).toMatchObject({ event: 'done', model: 'lenet5', params: 61_706, epochs: 1, steps: 10, run: 'runs/j' });
    expect(done.testAccuracy).toBeGreaterThan(0);
    expect(done.seconds).toBeGreaterThan(0);

    const again = await fovea('train', ...small, '--out', 'runs/j');
    expect(again.code).toBe(2);
    expect(again.err).toContain('fovea train --resume --out runs/j');
    const other = await fovea('train', '--resume', '--out', 'runs/j', '--lr', '0.5');
    expect(other.err).toContain('runs/j was begun with --lr 0.002; a resumed run keeps that.');
    expect(other.code).toBe(2);
  });

  it('ends with the same bits, however often it is killed and resumed', async () => {
    const args = [...small, '--checkpoint-every', '2', '--json', '--threads', '2', '--seed', '4'];
    const unbroken = await fovea('train', ...args, '--out', 'runs/whole');
    expect(unbroken.code).toBe(0);

    let kills = 0;
    let positions = 0;
    let end: Ended | null = null;
    for (let attempt = 0; end === null; attempt++) {
      const resume = attempt > 0;
      const run = start(
        'train',
        ...(resume ? ['--resume', '--json', '--threads', '2', '--checkpoint-every', '2'] : args),
        '--out',
        'runs/broken',
      );
      if (attempt < 5) {
        // In turn: while it begins, after a checkpoint, and some time later, so that kills land anywhere in a step or a write.
        await (attempt === 1 ? run.event('start') : run.event('checkpoint')).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, [0, 5, 20, 60, 1][attempt]));
        run.child.kill('SIGKILL');
      }
      const ended = await run.ended;
      if (ended.signal === 'SIGKILL') kills++;
      else if (ended.code === 0) end = ended;
      else throw new Error(`attempt ${attempt} failed:\n${ended.out}${ended.err}`);
      if (resume && records(ended.out).some((r) => r.event === 'start' && (r.step as number) > 0)) positions++;
    }
    expect(kills).toBeGreaterThanOrEqual(3);
    expect(positions).toBeGreaterThanOrEqual(2);
    const bits = (run: string) => readFile(join(folder, run, 'model.safetensors'));
    expect((await bits('runs/broken')).equals(await bits('runs/whole'))).toBe(true);
    const [whole, broken] = [last(unbroken.out), last(end.out)];
    for (const key of ['testAccuracy', 'testLoss', 'trainLoss', 'trainAccuracy', 'steps'])
      expect(broken[key]).toBe(whole[key]);
    const steps = async (run: string) => {
      const lines = await (await RunFolder.open(join(folder, run))).readMetrics();
      return lines.map(({ seconds: _, ...line }) => line);
    };
    expect(await steps('runs/broken')).toEqual(await steps('runs/whole'));
  });

  it('saves on Ctrl-C, says how to resume, and trains a finished run longer', async () => {
    const run = start('train', ...small, '--epochs', '50', '--checkpoint-every', '5', '--json', '--out', 'runs/int');
    await run.event('checkpoint');
    run.child.kill('SIGINT');
    const { code, out, err } = await run.ended;
    expect([code, err]).toEqual([130, '']);
    const { event, resume, step } = last(out);
    expect([event, resume]).toEqual(['interrupted', 'fovea train --resume --out runs/int']);
    // Not finished, but its weights can be looked at.
    expect(last((await fovea('eval', 'runs/int', '--json')).out)).toMatchObject({
      event: 'evaluation',
      weights: 'last',
    });

    const epochs = Math.ceil((step as number) / 13) + 1;
    const longer = await fovea('train', '--resume', '--out', 'runs/int', '--epochs', String(epochs), '--json');
    expect(longer.code).toBe(0);
    expect(records(longer.out)[0]).toMatchObject({ event: 'start', step, resumed: true });
    expect(last(longer.out)).toMatchObject({ event: 'done', epochs, steps: 13 * epochs });
    expect((await RunFolder.open(join(folder, 'runs/int'))).config.training.epochs).toBe(epochs);
  });

  it('explains a training that diverges', async () => {
    const { code, err } = await fovea(
      'train',
      ...small,
      '--optimizer',
      'sgd',
      '--lr',
      '1e8',
      '--schedule',
      'constant',
      '--out',
      'runs/nan',
    );
    expect(code).toBe(1);
    expect(err).toMatch(
      /^error: training stopped in step \d+: the loss is (NaN|-?Infinity)\n {2}first in the output of \w+ /,
    );
    expect(err).toContain('learning rate 100000000');
  });
});
