/**
 * Ten thousand broken and hostile pictures and archives through `fovea train`, and as many through `fovea predict`: the commands themselves, called in this
 * process. Trainings end with a model, and say what they left out; each picture that is asked about gets its line; errors are words without a stack; memory,
 * open files and temporary files are as they were. What the server makes of them: test/serve/hostile.test.ts.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeNpz } from '../../src/data/npz.js';
import { Random } from '../../src/data/random.js';
import { last, records } from '../command.js';
import { picture } from '../pictures.js';
import { type HostileFile, HostilePictures, makeTraps, polyglots, tarOf } from './hostile-pictures.js';
import { type Called, complaint, fovea, Leftovers } from './in-process.js';
import { plainParquet } from './plain-parquet.js';
import { storedZip } from './stored-zip.js';

const classes = ['a', 'b', 'c'];
const deadlineMs = 20_000;
const device = ['--device', 'wasm', '--threads', '1'];
const tiny = ['--model', 'lenet5', '--batch-size', '64', '--lr', '0.001', '--workers', '2', ...device]; // biome-ignore format: one line

const count = { train: 0, predict: 0 };
let corpus: HostilePictures;
let home: string;
let outside: string;
let left: Leftovers;
/** A folder of classes in which a few pictures are sound. */
let photos: string;
/** What an audit says cannot be read of `photos`, by name. */
let broken: string[];
let names: string[];

beforeAll(async () => {
  corpus = await HostilePictures.make();
  home = mkdtempSync(join(tmpdir(), 'fovea-commands-'));
  outside = write('outside/secret.png', await picture(999));
  photos = join(home, 'photos');
  const bad = corpus.files(5000, 21).map(({ name, bytes }, i) => ({ name: `${classes[i % 3]}/${name}`, bytes }));
  const good = await goodFiles(40);
  const large = await sharp({ create: { width: 9990, height: 9990, channels: 3, background: '#123' } }).png().toBuffer(); // biome-ignore format: one chain
  const most = [
    ...polyglots(corpus.good).map(({ name, bytes }) => ({ name: `c/${name}`, bytes })),
    { name: 'b/as large as is taken.png', bytes: large },
  ];
  for (const { name, bytes } of [...bad, ...good, ...most]) write(join('photos', name), bytes);
  names = [...bad, ...good, ...most].map(({ name }) => name);
  names.push(...makeTraps(join(photos, 'a'), outside).map((name) => `a/${name}`));
  left = new Leftovers();
}, 60_000);

afterAll(() => rmSync(home, { recursive: true, force: true }));

function write(name: string, bytes: Uint8Array | string): string {
  const path = join(home, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

/** `each` sound pictures of every class: `a/sound 0.png` … */
async function goodFiles(each: number, seed = 0): Promise<HostileFile[]> {
  const formats = ['png', 'jpeg', 'webp'] as const;
  return Promise.all(
    Array.from({ length: 3 * each }, async (_, i) => {
      const format = formats[Math.floor(i / 3) % 3];
      const bytes = await picture(seed + i, { format, width: 20 + (i % 17), height: 20 + (i % 13) });
      return { name: `${classes[i % 3]}/sound ${i}.${format}`, bytes };
    }),
  );
}

/** Trains on it; the run's folder and what was printed. */
async function train(data: string, out: string, ...more: string[]): Promise<Called & { run: string }> {
  const run = join(home, 'runs', out);
  return { ...(await fovea(['train', data, ...tiny, '--epochs', '1', '--out', run, '--json', ...more])), run };
}

interface Audit {
  readonly count: number;
  readonly broken: readonly { readonly name: string; readonly reason: string }[];
  readonly leaveOut: readonly string[];
}

/** That a training ended with a model, left out what it says, and that no sound picture was among that. */
function expectTrained({ code, out, err, run }: Called & { run: string }, files: number): Audit {
  expect([err, code]).toEqual(['', 0]);
  const events = records(out);
  const audit = events.find(({ event }) => event === 'audit') as unknown as Audit;
  expect(audit.count).toBe(files);
  for (const { name, reason } of audit.broken) expect([name, reason.length > 10]).toEqual([name, true]);
  expect(audit.leaveOut.filter((name) => name.includes('sound'))).toEqual([]);
  const parts = events.find(({ event }) => event === 'parts') as Record<'train' | 'validation' | 'test', number>;
  expect(parts.train + parts.validation + parts.test).toBe(files - audit.leaveOut.length);
  expect(last(out)).toMatchObject({ event: 'done', epochs: 1 });
  expect(existsSync(join(run, 'model.safetensors'))).toBe(true);
  expect(readdirSync(run).filter((name) => /tmp|part/i.test(name))).toEqual([]);
  return audit;
}

describe('fovea train', () => {
  it('leaves out what is broken of a folder of 5,000, and says what', { timeout: 180_000 }, async () => {
    const trained = await train(photos, 'photos');
    const audit = expectTrained(trained, names.length);
    broken = audit.broken.map(({ name }) => name).sort();
    expect(broken.length).toBeGreaterThan(2500);
    const listed = JSON.parse(readFileSync(join(trained.run, 'data.json'), 'utf8')) as Record<string, string[]>;
    const used = [...listed.train, ...listed.validation, ...listed.test];
    expect([...used, ...audit.leaveOut].sort()).toEqual([...names].sort());
    expect(new Set(used).has('a/outside.png')).toBe(false);
    count.train += 5000;
  });

  it('finds while it trains what headers do not show, and goes on with others', { timeout: 180_000 }, async () => {
    const { code, out, err } = await train(photos, 'headers', '--check', 'headers', '--no-report');
    expect([err, code]).toEqual(['', 0]);
    const events = records(out);
    const early = (events.find(({ event }) => event === 'audit') as unknown as Audit).broken.map(({ name }) => name);
    const late = events.flatMap(({ event, name }) => (event === 'skipped' ? [name as string] : []));
    expect(late.length).toBeGreaterThan(500);
    expect([...early, ...late].sort()).toEqual(broken);
    expect(last(out)).toMatchObject({ event: 'done' });
  });

  it('does so with a table, archives and Parquet: 4,700 pictures', { timeout: 180_000 }, async () => {
    const good = await goodFiles(20, 500);
    const packed = (bad: HostileFile[]) =>
      [...bad.map(({ name, bytes }, i) => ({ name: `${classes[i % 3]}/${name}`, bytes })), ...good].map(
        ({ name, bytes }, i) => ({ name, bytes, label: classes.indexOf(name[0]), number: String(i).padStart(5, '0') }),
      );
    const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;

    const listed = packed(corpus.files(2000, 22));
    for (const { name, bytes } of listed) write(join('listed', name), bytes);
    const lines = listed.map(({ name, label }) => `${quoted(name)},${label}`);
    const lies = ['../outside/secret.png,0', `${outside},1`, '"a\0b",0', 'a/none.png,1', ',0', 'a/sound 0.png,'];
    const table = write('listed/all.csv', ['path,label', ...lines, ...lies].join('\n'));
    expectTrained(await train(table, 'table'), listed.length);

    const archived = packed(corpus.files(1000, 23));
    const members = archived.flatMap(({ number, name, label, bytes }) => [
      { name: `${number}${name.includes('sound') ? ' sound' : ''}.${name.slice(name.lastIndexOf('.') + 1)}`, bytes },
      { name: `${number}${name.includes('sound') ? ' sound' : ''}.cls`, bytes: Buffer.from(String(label)) },
    ]);
    const tar = await tarOf(members);
    expectTrained(await train(write('plain.tar', tar), 'tar'), archived.length);
    expectTrained(await train(write('packed.tar.gz', gzipSync(tar)), 'tar.gz', '--no-report'), archived.length);

    const rows = packed(corpus.files(1700, 24));
    expectTrained(await train(write('rows.parquet', plainParquet(rows)), 'parquet'), rows.length);
    count.train += 2000 + 1000 + 1700;
  });

  it('ends with a model or in words, whatever became of the file: 300', { timeout: 240_000 }, async () => {
    const good = await goodFiles(8, 700);
    const members = good.flatMap(({ name, bytes }, i) => [
      { name: `${i}.${name.slice(name.lastIndexOf('.') + 1)}`, bytes },
      { name: `${i}.cls`, bytes: Buffer.from(String(i % 3)) },
    ]);
    const tar = await tarOf(members);
    for (const { name, bytes } of good) write(join('table', name), bytes);
    const table = ['path,label,split', ...good.map(({ name }, i) => `${name},${name[0]},${i % 6 === 0 ? 'test' : 'train'}`)].join('\n'); // biome-ignore format: one line
    const x = { dtype: 'uint8', shape: [24, 28, 28], data: Uint8Array.from({ length: 24 * 784 }, (_, i) => i % 251) } as const; // biome-ignore format: one line
    const y = { dtype: 'int32', shape: [24], data: Int32Array.from({ length: 24 }, (_, i) => i % 3) } as const;
    const arrays = [['x', x], ['y', y]] as const; // biome-ignore format: one line
    const npy = encodeNpz(arrays);
    const golden = fileURLToPath(new URL('../golden/data/parquet/codec-zstd.parquet', import.meta.url));
    const originals: Record<string, readonly Uint8Array[]> = {
      tar: [tar],
      'tar.gz': [gzipSync(tar)], // half of them are mutated before they are packed: checksums find all else
      parquet: [plainParquet(good.map(({ bytes }, i) => ({ bytes, label: i % 3 }))), readFileSync(golden)],
      csv: [Buffer.from(table)],
      npz: [npy, encodeNpz(arrays, { compress: true }), storedZip(unzipped(npy))],
    };
    const random = new Random(25);
    const kinds = Object.keys(originals);
    const trained = new Map<string, number>();
    let rss = 0;
    for (let i = 0; i < 300; i++) {
      if (i === 100) rss = process.memoryUsage.rss();
      const kind = kinds[i % kinds.length];
      const inner = kind === 'tar.gz' && i % 2 === 0;
      const bytes = inner
        ? gzipSync(corpus.mutate(tar, random))
        : corpus.mutate(random.choice(originals[kind]), random);
      const file = write(`table/mutated.${kind}`, bytes);
      const called = await train(file, `mutated-${i}`, '--no-report', '--workers', '1');
      const what = `${kind} ${i}: ${called.err}`;
      expect([what, complaint(called)]).toEqual([what, null]);
      expect([what, called.milliseconds < deadlineMs]).toEqual([what, true]);
      if (called.code === 0) {
        expect(last(called.out)).toMatchObject({ event: 'done' });
        trained.set(kind, (trained.get(kind) ?? 0) + 1);
      } else expect(last(called.out)).toMatchObject({ event: 'error' });
      rmSync(file);
      rmSync(called.run, { recursive: true, force: true });
      count.train++;
    }
    expect([...trained.keys()].sort()).toEqual(kinds.sort()); // of each kind some were trained with
    expect(process.memoryUsage.rss() - rss).toBeLessThan(300 * 2 ** 20);
  });
});

// Windows has no such pipes.
it.skipIf(process.platform === 'win32')('neither waits for a pipe that is called as data or weights are', async () => {
  const pipe = (name: string) => {
    const path = join(home, 'pipes', name);
    mkdirSync(dirname(path), { recursive: true });
    execFileSync('mkfifo', [path]);
    return path;
  };
  const idx = ['train-images-idx3', 'train-labels-idx1', 't10k-images-idx3', 't10k-labels-idx1'];
  const folders = {
    arrays: ['x.npy', 'y.npy'],
    cifar: ['data_batch_1.bin', 'test_batch.bin', 'batches.meta.txt'],
    idx: idx.map((name) => `${name}-ubyte`),
  };
  for (const [folder, files] of Object.entries(folders)) for (const file of files) pipe(join(folder, file));
  const data = ['x.csv', 'x.tsv', 'x.npz', 'x.tar', 'x.tar.gz', 'x.parquet'].map(pipe);
  data.push(`${pipe('x.npy')},${pipe('y.npy')}`, ...Object.keys(folders).map((name) => join(home, 'pipes', name)));
  for (const source of data) {
    const called = await train(source, 'pipes');
    expect([source, called.code, complaint(called)]).toEqual([source, 1, null]);
    expect(called.err).toMatch(/a pipe or a device|neither a file nor a folder/);
  }
  for (const name of ['w.safetensors', 'w.pth']) {
    const called = await fovea(['predict', pipe(name), outside]);
    expect([name, called.code, complaint(called)]).toEqual([name, 1, null]);
  }
});

function unzipped(npz: Uint8Array): Record<string, Uint8Array> {
  // Stored without packing: the arrays follow their local headers.
  const files: Record<string, Uint8Array> = {};
  const view = Buffer.from(npz);
  for (let at = 0; view.readUInt32LE(at) === 0x04034b50; ) {
    const [size, nameLength, extra] = [view.readUInt32LE(at + 18), view.readUInt16LE(at + 26), view.readUInt16LE(at + 28)]; // biome-ignore format: one line
    const start = at + 30 + nameLength + extra;
    files[view.toString('latin1', at + 30, at + 30 + nameLength)] = npz.subarray(start, start + size);
    at = start + size;
  }
  return files;
}

describe('fovea predict', () => {
  const predict = (given: readonly string[], ...more: string[]) =>
    fovea(['predict', join(home, 'runs/photos'), ...given, ...device, ...more]);

  it('gives each picture of a folder of 5,000 its line, a prediction or why not', { timeout: 120_000 }, async () => {
    const called = await predict([photos], '--json');
    const lines = records(called.out);
    expect(lines.filter(({ event }) => event === 'refused').map(({ file }) => nameIn(photos, file)).sort()).toEqual(broken); // biome-ignore format: one chain
    expect(
      lines
        .map(({ file }) => nameIn(photos, file))
        .slice(0, -1)
        .sort(),
    ).toEqual([...names].sort());
    expect(called.code).toBe(1);
    expect(called.err).toBe(`error: ${broken.length} of ${names.length} pictures could not be read\n`);
    for (const line of lines) {
      if (line.event === 'prediction')
        expect((line.top as { probability: number }[]).reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 5); // biome-ignore format: one line
      else expect((line.message as string).length).toBeGreaterThan(10);
    }
    count.predict += 5000;
  });

  it('does so with patterns and lists of names: 4,600', { timeout: 120_000 }, async () => {
    const bad = corpus.files(4000, 31);
    for (const { name, bytes } of bad) write(join('flat', name), bytes);
    for (const { name, bytes } of await goodFiles(4, 800)) write(join('flat', name.slice(2)), bytes);
    const pattern = await predict([join(home, 'flat/*.*')], '--json');
    expect(pattern.code).toBe(1);
    expect(complaint(pattern)).toBe(null);
    const answers = records(pattern.out);
    // Patterns know no names that begin with a line break; folders do.
    const patterned = readdirSync(join(home, 'flat')).filter((name) => !name.startsWith('\n'));
    expect(
      answers
        .map(({ file }) => nameIn(join(home, 'flat'), file))
        .slice(0, -1)
        .sort(),
    ).toEqual(patterned.sort());
    const folder = await predict([join(home, 'flat')], '--json');
    expect(records(folder.out).length).toBe(4012 + 1);
    expect(answers.filter(({ event, file }) => event === 'prediction' && String(file).includes('sound')).length).toBe(12); // biome-ignore format: one line

    // By name all that may lie in a folder, and what is not there.
    const some = corpus.files(600, 32);
    const paths = some.map(({ name, bytes }) => write(join('single', name), bytes));
    const odd = ['folder.jpg', 'dangling.png', 'self.png', 'pipe.png'].map((name) => join(photos, 'a', name));
    odd.push('/dev/null', '/dev/zero', 'none.png', 'none/none.png', `${'x'.repeat(300)}.png`, join(photos, 'a/sound 0.png/x.png')); // biome-ignore format: one line
    const listed = await predict([...paths, ...odd.slice(1)], '--json');
    expect(complaint(listed)).toBe(null);
    expect(records(listed.out).map(({ file }) => file).slice(0, -1)).toEqual([...paths, ...odd.slice(1)]); // biome-ignore format: one chain
    count.predict += 4600;
  });

  it('does so with standard input: 400', { timeout: 120_000 }, async () => {
    const [sound] = await goodFiles(1);
    let rss = 0;
    let refused = 0;
    for (const [i, { name, bytes }] of corpus.files(400, 33).entries()) {
      if (i === 50) rss = process.memoryUsage.rss();
      const called = await fovea(['predict', join(home, 'runs/photos'), '-', '--json', ...device], bytes);
      expect([name, complaint(called)]).toEqual([name, null]);
      expect(called.milliseconds).toBeLessThan(deadlineMs);
      if (called.code !== 0) refused++;
      expect(last(called.out).event).toBe(called.code === 0 ? 'prediction' : 'error');
      count.predict++;
    }
    expect([refused > 200, refused < 400]).toEqual([true, true]);
    expect(process.memoryUsage.rss() - rss).toBeLessThan(200 * 2 ** 20);
    const file = await predict([join(photos, sound.name)], '--json');
    const stream = await fovea(['predict', join(home, 'runs/photos'), '-', '--json', ...device], sound.bytes);
    expect(last(stream.out).top).toEqual(last(file.out).top);
    expect([file.code, stream.code]).toEqual([0, 0]);
  });

  it('gives standard input up where it goes on and on, and answers to the rest', { timeout: 60_000 }, async () => {
    const piece = Buffer.alloc(1 << 24, 0xff);
    const endless = Readable.from(repeat(piece, 1000)) as typeof process.stdin;
    const [sound] = await goodFiles(1);
    const called = await fovea(['predict', join(home, 'runs/photos'), join(photos, sound.name), '-', '--json', ...device], endless); // biome-ignore format: one line
    expect(records(called.out).map(({ event }) => event)).toEqual(['prediction', 'refused', 'error']);
    expect(records(called.out)[1].message).toContain('for more than 256 MiB');
    expect(complaint(called)).toBe(null);
  });

  it('reads nothing outside the folder it is given, by links or otherwise', async () => {
    const folder = join(home, 'linked');
    write('linked/own.png', readFileSync(outside));
    makeTraps(folder, outside);
    execFileSync('ln', ['-s', photos, join(folder, 'photos')]);
    for (const given of [folder, `${folder}/`, join(folder, '**/*.png')]) {
      const called = await predict([given], '--json');
      const files = records(called.out).flatMap(({ file }) => (file === undefined ? [] : [nameIn(folder, file)]));
      expect(files.filter((name) => !name.startsWith('\ufffd'))).toEqual(['own.png']);
    }
  });

  it('prints a line for each, whatever signs are in the names', async () => {
    const folder = join(home, 'odd');
    const sound = (await goodFiles(1, 900))[0].bytes;
    for (const [i, name] of ['\x1b[2J\x1b[31m', 'a\nb.png  c 99 %\n', '\r', '\u202egnp', '<b>'].entries()) {
      write(join('odd', `${name}${i}.png`), sound);
      write(join('odd', `${name}${i} broken.png`), 'no picture');
    }
    const called = await predict([folder]);
    expect(complaint(called)).toBe(null);
    expect(called.out.trimEnd().split('\n').length).toBe(5);
    expect(called.err.trimEnd().split('\n').length).toBe(5 + 1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
    expect(called.out + called.err).not.toMatch(/[\0-\x09\x0b-\x1f\x7f\u202e]/);
  });
});

function* repeat<T>(value: T, times: number): Iterable<T> {
  for (let i = 0; i < times; i++) yield value;
}

function nameIn(folder: string, file: unknown): string {
  return String(file).slice(folder.length + 1);
}

it('ten thousand each, and nothing is left of them', async () => {
  expect(count).toEqual({ train: 10_000, predict: 10_000 });
  const { temporaryFiles, openFiles } = left.end();
  expect(temporaryFiles).toEqual([]);
  expect(openFiles).toBeLessThan(20);
  expect(left.peakGrowth).toBeLessThan(1200 * 2 ** 20);
});
