/** Files of pictures through the commands, as a user goes: look, train, kill, resume, measure, ask, ship. */

import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Command, last, records } from '../../test/command.js';
import { heicHeader } from '../../test/heic.js';
import { pixels } from '../../test/pictures.js';
import { readSafetensors } from '../io/index.node.js';

let command: Command;
let folder: string;
const fovea = (...args: string[]) => command.run(...args);

/** Greenish and reddish noise, in several formats and sizes; what is wrong is named. */
beforeAll(async () => {
  command = await Command.build();
  folder = command.folder;
  for (const [label, name] of ['grass', 'brick'].entries()) {
    await mkdir(join(folder, 'photos', name), { recursive: true });
    for (let i = 0; i < 24; i++) {
      const [width, height] = [50 + i, 44];
      const data = pixels(100 * label + i, { width, height });
      for (let k = 0; k < data.length; k += 3) data[k + (label === 0 ? 1 : 0)] = 255 - (data[k] >> 2);
      const format = (['png', 'jpeg', 'webp'] as const)[i % 3];
      const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
        .toFormat(format)
        .toBuffer();
      await writeFile(join(folder, 'photos', name, `${String(i).padStart(2, '0')}.${format}`), bytes);
    }
  }
  await writeFile(join(folder, 'photos/grass/broken.jpg'), 'no picture');
  await writeFile(join(folder, 'photos/grass/copy.png'), await readFile(join(folder, 'photos/grass/00.png')));
  await writeFile(join(folder, 'photos/brick/wrong.png'), await readFile(join(folder, 'photos/grass/03.png')));
}, 120_000);

afterAll(() => command.remove());

const small = ['--model', 'lenet5', '--size', '28', '--batch-size', '8', '--lr', '0.002', '--json'];

describe('a folder of photographs', () => {
  it('is looked at, divided and learned; what is wrong is said and left out', async () => {
    const { code, out, err } = await fovea(
      'train',
      'photos',
      ...small,
      '--epochs',
      '6',
      '--out',
      'runs/a',
      '--tensorboard',
    );
    expect([err, code]).toEqual(['', 0]);
    const [audit, parts] = records(out);
    expect(audit).toMatchObject({ event: 'audit', count: 51, greyShare: 0 });
    expect((audit.broken as { name: string }[]).map(({ name }) => name)).toEqual(['grass/broken.jpg']);
    expect(audit.leaveOut).toEqual(expect.arrayContaining(['grass/broken.jpg', 'brick/wrong.png', 'grass/03.png']));
    expect(parts).toMatchObject({ event: 'parts', train: 40, validation: 4, test: 4 });
    expect(last(out)).toMatchObject({ event: 'done', epochs: 6 });
    expect(last(out).testAccuracy).toBe(1);

    const kept = JSON.parse(await readFile(join(folder, 'runs/a/data.json'), 'utf8'));
    const all = [...kept.train, ...kept.validation, ...kept.test];
    expect(new Set(all).size).toBe(48);
    const partOf = (name: string) => ['train', 'validation', 'test'].find((part) => kept[part].includes(name));
    expect(partOf('grass/copy.png')).toBe(partOf('grass/00.png'));
    const report = await readFile(join(folder, 'runs/a/report.html'), 'utf8');
    expect(report.length).toBeLessThan(3e6);
    expect(report).toContain('grass');
    const metrics = await readFile(join(folder, 'runs/a/metrics.csv'), 'utf8');
    expect(metrics.split('\n').length).toBe(8);
  });

  it('is measured on its own test and on other folders, whose bad pictures do not count', async () => {
    const own = last((await fovea('eval', 'runs/a', '--json')).out);
    expect(own).toMatchObject({ event: 'evaluation', part: 'test', count: 4, accuracy: 1 });
    const other = await fovea('eval', 'runs/a', 'photos', '--json');
    expect(last(other.out)).toMatchObject({ count: 50 });
    expect(last(other.out).accuracy).toBeGreaterThan(0.9);
    expect(other.out + other.err).toContain('grass/broken.jpg');
    await mkdir(join(folder, 'others/sand'), { recursive: true });
    await mkdir(join(folder, 'others/grass'), { recursive: true });
    for (const name of ['sand', 'grass'])
      await writeFile(join(folder, 'others', name, 'a.png'), await readFile(join(folder, 'photos/grass/00.png')));
    expect((await fovea('eval', 'runs/a', 'others')).err).toContain(
      "The data has a class 'sand', which the model does not know",
    );
  });

  it('may have HEIC of phones in it, which is counted and named with what to do', async () => {
    for (const name of ['grass', 'brick']) {
      await mkdir(join(folder, 'phone', name), { recursive: true });
      for (let i = 0; i < 6; i++) {
        await cp(
          join(folder, 'photos', name, `0${3 * Math.floor(i / 3)}.png`),
          join(folder, 'phone', name, `${i}.png`),
        );
        await writeFile(join(folder, 'phone', name, `IMG_${i}.HEIC`), heicHeader());
      }
    }
    const avif = await sharp(join(folder, 'photos/grass/01.jpeg')).avif().toBuffer();
    await writeFile(join(folder, 'phone/grass/saved.heif'), avif); // pictures that can be decoded count, whatever they are called
    const message = 'IMG_0.HEIC cannot be decoded: HEIC is not read here, convert it to JPEG or PNG';
    const trained = await fovea('train', 'phone', ...small.slice(0, -1), '--no-report', '--out', 'runs/phone');
    expect([trained.code, trained.err]).toEqual([0, '']);
    expect(trained.out).toMatch(
      /^- 12 pictures cannot be read and are left out\n +brick\/IMG_0\.HEIC cannot be decoded: HEIC is not read here, convert it to JPEG or PNG$/m,
    );
    const asked = await fovea('predict', 'runs/phone', 'phone/grass', '--json');
    expect([asked.code, records(asked.out).filter(({ event }) => event === 'prediction').length]).toEqual([1, 7]);
    expect(records(asked.out)).toContainEqual({
      event: 'refused',
      file: 'phone/grass/IMG_0.HEIC',
      message: `phone/grass/${message}`,
    });
    const measured = await fovea('eval', 'runs/phone', 'phone', '--limit', '5', '--json');
    expect(last(measured.out)).toMatchObject({ event: 'evaluation', count: 5 }); // what cannot be read is no part of the five
    const all = await fovea('eval', 'runs/phone', 'phone', '--limit', '40', '--json');
    expect(last(all.out)).toMatchObject({ count: 13 });
    await mkdir(join(folder, 'heic/a'), { recursive: true });
    await mkdir(join(folder, 'heic/b'), { recursive: true });
    for (const name of ['a', 'b']) await writeFile(join(folder, 'heic', name, 'IMG_0.HEIC'), heicHeader());
    expect((await fovea('train', 'heic', ...small)).err).toContain(`is left to train on. The first: a/${message}`);
  });

  it('says which classes a teacher knows where they are others', async () => {
    const { err } = await fovea('train', 'mnist', '--model', 'lenet5', '--limit', '20', '--distill', 'runs/a', '--out', 'runs/taught'); // biome-ignore format: a command
    expect(err).toContain(
      'the teacher knows brick, grass, the samples are of 0, 1, 2, 3, 4, 5 … (10 classes); both need',
    );
  });

  it('sees the same in predict as in eval, and in the file of weights as in the run', async () => {
    const ask = async (run: string) =>
      records((await fovea('predict', run, 'photos/brick/01.jpeg', 'photos/grass/05.webp', '--json')).out);
    const [brick, grass] = await ask('runs/a');
    expect([brick.class, grass.class]).toEqual(['brick', 'grass']);
    expect(await ask('runs/a/model.safetensors')).toEqual([brick, grass]);
  });

  it('goes on from its own weights: head first, then all, with everything that training can do', async () => {
    const more = [
      '--ema',
      '0.9',
      '--label-smoothing',
      '0.1',
      '--mixup',
      '0.2',
      '--accumulate',
      '2',
      '--weight-classes',
      '--warmup',
      '0.5',
    ];
    const from = [
      '--weights',
      'runs/a/model.safetensors',
      '--head-epochs',
      '1',
      '--weight-decay',
      '0.01',
      '--augment',
      'standard',
      '--distill',
      'runs/a',
    ];
    const args = ['train', 'photos', ...small, '--epochs', '3', ...from, ...more, '--seed', '5'];
    const whole = await fovea(...args, '--out', 'runs/whole');
    expect([whole.err, whole.code]).toEqual(['', 0]);
    expect(last(whole.out).testAccuracy).toBeGreaterThan(0.7);

    // The same, ended in the middle of an epoch, then killed, then resumed: the same bits, without a cache and with one thread for pictures.
    const begun = command.start(...args, '--checkpoint-every', '1', '--out', 'runs/parts');
    await begun.event('checkpoint');
    begun.child.kill('SIGINT');
    expect((await begun.ended).code).toBe(130);
    const again = command.start('train', '--resume', '--out', 'runs/parts', '--json', '--checkpoint-every', '1');
    await again.event('checkpoint');
    again.child.kill('SIGKILL');
    await again.ended;
    const end = await fovea('train', '--resume', '--out', 'runs/parts', '--json', '--cache', '0', '--workers', '1');
    expect([end.err, end.code]).toEqual(['', 0]);
    const bits = async (run: string) => (await readSafetensors(join(folder, run, 'model.safetensors'))).tensors;
    expect(await bits('runs/parts')).toEqual(await bits('runs/whole'));
  });

  it('may be listed in a table with any columns, which the run remembers', async () => {
    const rows = ['grass', 'brick'].flatMap((name) =>
      Array.from({ length: 12 }, (_, i) => {
        const file = `${name}/${String(i).padStart(2, '0')}.${['png', 'jpeg', 'webp'][i % 3]}`;
        return `${file};of ${name}`;
      }),
    );
    await writeFile(join(folder, 'photos/list.csv'), ['Bild;Klasse', ...rows].join('\n'));
    const train = ['train', 'photos/list.csv', ...small, '--no-report', '--out', 'runs/listed'];
    const unnamed = await fovea(...train);
    expect(unnamed.err).toContain('It has Bild, Klasse. Call it path, or name it with pathColumn (--picture-column).');
    const trained = await fovea(...train, '--picture-column', 'Bild', '--label-column', 'klasse');
    expect([trained.err, trained.code]).toEqual(['', 0]);
    expect(records(trained.out)[0]).toMatchObject({
      event: 'audit',
      classes: [{ name: 'of brick' }, { name: 'of grass' }],
    });
    const measured = await fovea('eval', 'runs/listed', '--json');
    expect([measured.err, measured.code]).toEqual(['', 0]);
    const others = await fovea('eval', 'runs/listed', 'photos/list.csv', '--json');
    expect(last(others.out)).toMatchObject({ count: 24 });
    const resumed = await fovea('train', '--resume', '--out', 'runs/listed', '--epochs', '2', '--json', '--no-report');
    expect([resumed.err, resumed.code]).toEqual(['', 0]);
    const folders = await fovea('train', 'photos', ...small, '--label-column', 'x');
    expect(folders.err).toContain('--label-column is for tables and Parquet files. Leave it out.');
    await rm(join(folder, 'photos/list.csv'));
  });

  it('may lose pictures after it was looked at: others of the class stand in, or it ends where that is wanted', async () => {
    await rm(join(folder, 'photos/grass/06.png'));
    await writeFile(join(folder, 'photos/grass/07.jpeg'), 'gone bad');
    const skipped = await fovea('train', '--resume', '--out', 'runs/a', '--epochs', '7', '--json');
    expect([skipped.err, skipped.code]).toEqual(['', 0]);
    const names = records(skipped.out).flatMap(({ event, name }) => (event === 'skipped' ? [name] : []));
    expect(names.length).toBeGreaterThan(0);
    expect(['grass/06.png', 'grass/07.jpeg']).toEqual(expect.arrayContaining(names));
    const strict = await fovea('train', '--resume', '--out', 'runs/a', '--epochs', '8', '--strict', '--json');
    expect(strict.code).toBe(1);
    expect(strict.err).toMatch(/grass\/0[67]\./);
  });

  it('finds a learning rate, and says which layouts there are where there is nothing to learn', async () => {
    const { out, code } = await fovea('train', 'photos', ...small, '--find-lr', '--epochs', '1', '--out', 'runs/rate');
    expect(code).toBe(0);
    const found = records(out).find(({ event }) => event === 'learning-rate')!;
    expect(found.lr).toBeGreaterThan(0);
    const config = JSON.parse(await readFile(join(folder, 'runs/rate/config.json'), 'utf8'));
    expect(config.training.lr).toBe(found.lr);
    await mkdir(join(folder, 'empty'), { recursive: true });
    const nothing = await fovea('train', 'empty', ...small);
    expect(nothing.code).not.toBe(0);
    expect(nothing.err).toMatch(/cats/);
    // As archives unpack: everything in one folder more.
    await cp(join(folder, 'photos'), join(folder, 'unpacked/photos'), { recursive: true });
    const wrapped = await fovea('train', 'unpacked', ...small);
    expect(wrapped.code).toBe(2);
    expect(wrapped.err).toContain('unpacked has pictures in one folder only, photos: one class');
    expect(wrapped.err).toContain(
      `If its folders are the classes, name it: fovea train ${join(folder, 'unpacked/photos')}`,
    );
    const single = await fovea('train', 'photos/grass', ...small);
    expect(single.err).toContain('has 25 pictures and no folders of classes in it.');
  });
});
