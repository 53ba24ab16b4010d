/** Files on disk: atomic writes under kills and failing disks, run folders, safetensors by tensor. */

import { spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { removeLeftovers, writeFileAtomic } from './atomic.node.js';
import { FileError, fileError } from './file-error.node.js';
import type { HostTensor } from './host-tensor.js';
import { type RunConfig, RunFolder } from './run-folder.node.js';
import { readSafetensors, SafetensorsFile, writeSafetensors } from './safetensors.node.js';
import { readFacts } from './weights-metadata.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fovea-io-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('writeFileAtomic', () => {
  it('writes text, bytes and pieces, and replaces what was there', async () => {
    const file = join(folder, 'f');
    await writeFileAtomic(file, 'größe');
    expect(readFileSync(file, 'utf8')).toBe('größe');
    await writeFileAtomic(file, Uint8Array.of(1, 2));
    expect([...readFileSync(file)]).toEqual([1, 2]);
    await writeFileAtomic(file, [Uint8Array.of(3), new Uint8Array(0), Uint8Array.of(4, 5).subarray(1)]);
    expect([...readFileSync(file)]).toEqual([3, 5]);
    expect(readdirSync(folder)).toEqual(['f']);
  });

  it('writes through a symbolic link', async () => {
    mkdirSync(join(folder, 'real'));
    writeFileSync(join(folder, 'real', 'target'), 'old');
    symlinkSync(join('real', 'target'), join(folder, 'link'));
    await writeFileAtomic(join(folder, 'link'), 'new');
    expect(readFileSync(join(folder, 'real', 'target'), 'utf8')).toBe('new');
    expect(readdirSync(join(folder, 'real'))).toEqual(['target']);
  });

  it('leaves the old content and nothing else when the content fails half-way', async () => {
    const file = join(folder, 'f');
    await writeFileAtomic(file, 'old');
    const failing = function* () {
      yield Uint8Array.of(1);
      throw new Error('out of data');
    };
    await expect(writeFileAtomic(file, failing())).rejects.toThrow('out of data');
    expect(readFileSync(file, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['f']);
  });

  it('says why in words', async () => {
    const file = join(folder, 'none', 'f');
    const error = await writeFileAtomic(file, 'x').catch((e) => e);
    expect(error).toBeInstanceOf(FileError);
    expect([error.message, error.code, error.path]).toEqual([
      `cannot write ${file}: there is no such file or folder (ENOENT)`,
      'ENOENT',
      file,
    ]);
    await expect(writeFileAtomic(folder, 'x')).rejects.toThrow(FileError);
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    expect((fileError('write', 'model.safetensors', full) as Error).message).toBe(
      'cannot write model.safetensors: the disk is full: free some space or choose another disk (ENOSPC)',
    );
  });

  it.skipIf(!existsSync('/dev/full'))('reports a full disk (Linux has one at /dev/full)', async () => {
    // A rename would replace the device by a file, so the append of metrics shows it.
    const run = await RunFolder.create(join(folder, 'run'), config);
    symlinkSync('/dev/full', run.metricsPath);
    await expect(run.appendMetrics({ epoch: 1 })).rejects.toThrow(
      'the disk is full: free some space or choose another disk (ENOSPC)',
    );
  });

  it('shows readers the old or the new content, whenever the writer is killed', { timeout: 60_000 }, async () => {
    const file = join(folder, 'state');
    const size = 3_000_000;
    await writeFileAtomic(file, new Uint8Array(size).fill(1));
    const script = join(folder, 'writer.mjs');
    for (const name of ['atomic.node', 'file-error.node']) {
      const source = readFileSync(fileURLToPath(new URL(`./${name}.ts`, import.meta.url)), 'utf8');
      writeFileSync(join(folder, `${name}.js`), transformSync(source, { loader: 'ts', format: 'esm' }).code);
    }
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(
      script,
      `import { writeFileAtomic } from './atomic.node.js';
       for (let i = 2; ; i++) {
         await writeFileAtomic(process.argv[2], new Uint8Array(${size}).fill(i % 256));
         if (i === 2) process.stdout.write('running');
       }`,
    );
    for (let round = 0; round < 6; round++) {
      const writer = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
      await new Promise((resolve) => writer.stdout.once('data', resolve));
      for (let look = 0; look < 5; look++) {
        expectWhole(readFileSync(file), size);
        await sleep(3 + 7 * round);
      }
      const ended = new Promise((resolve) => writer.once('exit', resolve));
      writer.kill('SIGKILL');
      await ended;
      expectWhole(readFileSync(file), size);
    }
    await removeLeftovers(folder);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('clears away the leftovers of dead processes only', async () => {
    const alive = `.model.safetensors.${process.pid}-0123456789ab.tmp`;
    for (const name of [alive, '.model.safetensors.999999999-0123456789ab.tmp', '.mine.tmp', 'notes.txt']) {
      writeFileSync(join(folder, name), '');
    }
    await removeLeftovers(folder);
    expect(readdirSync(folder).sort()).toEqual(['.mine.tmp', alive, 'notes.txt'].sort());
  });
});

describe('safetensors on disk', () => {
  it('reads one tensor at a time', async () => {
    const file = join(folder, 'm.safetensors');
    await writeSafetensors(file, tensors, { note: 'hi' });
    const open = await SafetensorsFile.open(file);
    expect(open.names.sort()).toEqual(['a', 'b']);
    expect(await open.read('b')).toEqual(tensors.get('b'));
    await expect(open.read('c')).rejects.toThrow(`${file}: there is no tensor 'c'`);
    await open.close();
    expect(await readSafetensors(file)).toEqual({ tensors, metadata: { note: 'hi' } });
  });

  it('names the file and the offset when it is damaged', async () => {
    const file = join(folder, 'm.safetensors');
    await writeSafetensors(file, tensors);
    truncateSync(file, readFileSync(file).length - 1);
    const error = await readSafetensors(file).catch((e) => e);
    expect(error.message).toMatch(
      /m\.safetensors: safetensors: its tensors end at byte \d+, the file has \d+: the file is cut short/,
    );
    expect(error.offset).toBe(readFileSync(file).length);
    writeFileSync(file, '');
    await expect(readSafetensors(file)).rejects.toThrow('the file has 0 bytes');
    await expect(readSafetensors(join(folder, 'none'))).rejects.toThrow('there is no such file or folder (ENOENT)');
  });
});

describe('RunFolder', () => {
  it('keeps config, model, metrics and checkpoints', async () => {
    const path = join(folder, 'deep', 'run');
    const run = await RunFolder.create(path, config);
    await run.writeModel(tensors);
    await run.appendMetrics({ epoch: 1, loss: 0.5 });
    await run.appendMetrics({ epoch: 2, loss: 0.25 });
    await run.saveCheckpoint('last', tensors, { epoch: 2, batch: 7 });

    const again = await RunFolder.open(path);
    expect(again.config).toEqual(config);
    expect(await again.readModel()).toEqual(tensors);
    expect(await again.readMetrics()).toEqual([
      { epoch: 1, loss: 0.5 },
      { epoch: 2, loss: 0.25 },
    ]);
    expect(await again.loadCheckpoint('last')).toEqual({ tensors, state: { epoch: 2, batch: 7 } });
    expect(await again.loadCheckpoint('best')).toBeNull();
    // The file of weights says by itself what it is, what pictures it wants, what its outputs are called.
    const { metadata } = await readSafetensors(again.modelPath);
    const { model, preprocessing, classes } = readFacts(metadata);
    expect(metadata.format).toBe('pt');
    expect(model).toEqual({
      name: config.model.name,
      options: { ...config.model.options, numClasses: config.classes.length },
    });
    expect(classes).toEqual(config.classes);
    const [, height, width] = config.input.shape;
    expect(preprocessing).toMatchObject({ crop: [height, width], mean: config.input.mean, std: config.input.std });
  });

  it('does not overwrite a run, and knows when there is none', async () => {
    await RunFolder.create(folder, config);
    await expect(RunFolder.create(folder, config)).rejects.toThrow(
      `${folder} already holds a run: resume that one, or choose another folder`,
    );
    mkdirSync(join(folder, 'empty'));
    const refusal = (name: string) => RunFolder.open(join(folder, name)).catch((error: Error) => error.message);
    expect(await refusal('empty')).toMatch(/empty holds no run: there is no config\.json in it$/);
    expect(await refusal('emtpy')).toMatch(/emtpy is not there\. Did you mean .*empty\?$/);
    expect(await refusal('something-else')).toMatch(/something-else is not there$/);
  });

  it('cuts a torn last line off before it appends', async () => {
    const run = await RunFolder.create(folder, config);
    await run.appendMetrics({ step: 1 });
    appendFileSync(run.metricsPath, '{"step":2,"lo'); // as a kill leaves it
    const again = await RunFolder.open(folder);
    expect(await again.readMetrics()).toEqual([{ step: 1 }]);
    await again.appendMetrics({ step: 2 });
    await again.appendMetrics({ step: 3 });
    expect(readFileSync(run.metricsPath, 'utf8')).toBe('{"step":1}\n{"step":2}\n{"step":3}\n');

    const long = `{"text":"${'x'.repeat(200_000)}`;
    for (const [before, after] of [
      [long, ''],
      [`{"a":1}\n${long}`, '{"a":1}\n'],
    ]) {
      writeFileSync(run.metricsPath, before);
      await (await RunFolder.open(folder)).appendMetrics({ b: 2 });
      expect(readFileSync(run.metricsPath, 'utf8')).toBe(`${after}{"b":2}\n`);
    }
  });

  it('drops what was logged after a checkpoint', async () => {
    const run = await RunFolder.create(folder, config);
    for (const step of [1, 2, 3, 4]) await run.appendMetrics({ step });
    await run.rewindMetrics((record) => (record.step as number) <= 2);
    await run.appendMetrics({ step: 3 });
    expect(await run.readMetrics()).toEqual([{ step: 1 }, { step: 2 }, { step: 3 }]);
  });

  it('names the line of a metrics file that somebody broke', async () => {
    const run = await RunFolder.create(folder, config);
    writeFileSync(run.metricsPath, '{"a":1}\nnonsense\n{"a":2}\n');
    await expect(run.readMetrics()).rejects.toThrow(`${run.metricsPath}:2: not valid JSON`);
    writeFileSync(run.metricsPath, '5\n');
    await expect(run.readMetrics()).rejects.toThrow(`${run.metricsPath}:1: the content must be an object, is 5`);
  });

  it('refuses a file that is no checkpoint', async () => {
    const run = await RunFolder.create(folder, config);
    await writeSafetensors(join(folder, 'checkpoint', 'best.safetensors'), tensors);
    await expect(run.loadCheckpoint('best')).rejects.toThrow(
      "not a checkpoint of fovea: its metadata has no 'fovea.state'",
    );
  });

  // biome-ignore format: a table
  const broken: [what: string, change: (c: RunConfig) => unknown, message: string][] = [
    ['another kind of file', () => [], 'config.json: the content must be an object, is []'],
    ['a later version', (c) => ({ ...c, version: 2 }), 'config.json: version must be 1, is 2'],
    ['a missing field', ({ seed: _, ...c }) => c, 'config.json: seed is missing'],
    ['a misspelt field', ({ seed, ...c }) => ({ ...c, sead: seed }), "config.json: sead is not a known field; did you mean 'seed'?"],
    ['a class that is no text', (c) => ({ ...c, classes: ['a', 5] }), 'config.json: classes[1] must be a string, is 5'],
    ['a shape that is none', (c) => ({ ...c, input: { ...c.input, shape: 28 } }), 'config.json: input.shape must be a list, is 28'],
    ['a size of 0', (c) => ({ ...c, input: { ...c.input, shape: [1, 0, 28] } }), 'config.json: input.shape[1] must be an integer of at least 1, is 0'],
    ['a deviation of 0', (c) => ({ ...c, input: { ...c.input, std: [0] } }), 'config.json: input.std[0] must be a number of at least 1e-12, is 0'],
    ['means for other channels', (c) => ({ ...c, input: { ...c.input, mean: [0, 0, 0] } }), 'config.json: input.mean has 3 values, input.shape has 1 channels'],
    ['options that are a list', (c) => ({ ...c, model: { name: 'x', options: [1] } }), 'config.json: model.options must be an object, is [1]'],
  ];

  it.each(broken)('says what is wrong with a config.json with %s', async (_, change, message) => {
    await RunFolder.create(folder, config);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(change(structuredClone(config))));
    await expect(RunFolder.open(folder)).rejects.toThrow(message);
    await expect(RunFolder.open(folder)).rejects.toMatchObject({ name: 'FormatError' });
  });

  it('says so when config.json is no JSON', async () => {
    await RunFolder.create(folder, config);
    writeFileSync(join(folder, 'config.json'), '{"format": ');
    await expect(RunFolder.open(folder)).rejects.toThrow('config.json: not valid JSON: Unexpected end of JSON input');
  });
});

const config: RunConfig = {
  format: 'fovea-run',
  version: 1,
  model: { name: 'classic', options: {} },
  input: { shape: [1, 28, 28], mean: [0.1307], std: [0.3081] },
  classes: ['0', '1'],
  seed: 7,
  training: { epochs: 1, optimizer: { name: 'sgd', lr: 0.01 } },
};

const tensors = new Map<string, HostTensor>([
  ['a', { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, -2.5, 1e-20, Infinity) }],
  ['b', { dtype: 'int32', shape: [], data: Int32Array.of(42) }],
]);

/** All bytes equal and none missing: no mixture of two writes. */
function expectWhole(bytes: Buffer, size: number): void {
  expect(bytes.length).toBe(size);
  expect(bytes.equals(Buffer.alloc(size, bytes[0]))).toBe(true);
}
