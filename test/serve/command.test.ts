/**
 * `fovea serve` and `fovea export --web` as users meet them: processes of their own, with workers that decode, signals, and the page. The command is
 * bundled afresh with the worker beside it, so what is tested is the source as it stands.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @ts-expect-error: plain JavaScript, which runs before there is anything to compile with
import { bundleWeb } from '../../scripts/web.mjs';
import { Buffers } from '../../src/serve/buffers.js';
import type { Decoder, DecoderOptions } from '../../src/serve/decoder.node.js';
import { makeRun, png } from './house.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
let run: string;

beforeAll(async () => {
  const cache = join(root, 'node_modules', '.cache');
  await mkdir(cache, { recursive: true });
  folder = await mkdtemp(join(cache, 'fovea-serve-'));
  await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/main.ts', 'src/serve/decoder.node.ts', 'src/serve/decode-worker.node.ts'],
    outdir: join(folder, 'dist'),
    outbase: 'src',
    chunkNames: 'serve/chunk-[hash]', // in the folder of the worker, which is looked for beside the code that starts it
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  });
  bundleWeb(join(folder, 'dist', 'page'));
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  run = await makeRun(join(folder, 'run'), { model: 'lenet5', classes: ['ant', 'bee', 'cat'], shape: [1, 28, 28] });
});
const children = new Set<ChildProcess>();
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL'); // those of tests that failed
  await rm(folder, { recursive: true, force: true });
});

interface Running {
  readonly child: ChildProcess;
  readonly listening: Record<string, unknown> & { url: string; port: number };
  readonly ended: Promise<{ code: number | null; lines: string[]; err: string }>;
}

function fovea(...args: string[]) {
  const env = { ...process.env, NO_COLOR: '1', FOVEA_TOKEN: '' };
  const child = spawn(process.execPath, [join(folder, 'dist/cli/main.js'), ...args], { cwd: folder, env });
  children.add(child);
  child.once('close', () => children.delete(child));
  const lines: string[] = [];
  let err = '';
  child.stderr.on('data', (text) => (err += text));
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  const ended = new Promise<{ code: number | null; lines: string[]; err: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, lines, err }));
  });
  return { child, reader, ended };
}

async function serving(...args: string[]): Promise<Running> {
  const { child, reader, ended } = fovea('serve', run, '--port', '0', '--json', ...args);
  const listening = await new Promise<Running['listening']>((resolve, reject) => {
    reader.on('line', (line) => {
      const record = JSON.parse(line);
      if (record.event === 'listening') resolve(record);
    });
    void ended.then(({ err }) => reject(new Error(err)));
  });
  return { child, listening, ended };
}

describe('fovea serve', () => {
  it('says where it listens, answers, logs when asked to, and ends with 0 on SIGTERM after what it was doing', async () => {
    const { child, listening, ended } = await serving(
      '--verbose',
      '--max-batch',
      '4',
      '--max-bytes',
      '50kB',
      '--timeout',
      '5s',
    );
    const { url, port } = listening;
    expect(listening).toMatchObject({
      model: 'lenet5',
      classes: 3,
      token: false,
      limits: { maxBatch: 4, maxBytes: 50_000, maxPixels: 50_000_000, timeoutMs: 5000, queue: 256, batchDelayMs: 2 },
    });
    const sizes = Object.keys(listening.batchMilliseconds as object);
    expect(sizes[0]).toBe('1');
    expect(sizes.every((size) => ['1', '2', '4'].includes(size))).toBe(true);
    const body = await png(1);
    const ask = () => fetch(`${url}/predict`, { method: 'POST', body });
    expect((await (await ask()).json()).predictions).toHaveLength(3);
    expect((await fetch(`${url}/predict`, { method: 'POST', body: new Uint8Array(50_001) })).status).toBe(413);
    const page = await (await fetch(url)).text();
    expect(page).toContain('<title>lenet5</title>');
    expect(await (await fetch(`${url}/page.js`)).text()).toContain('./predict');

    let finish = () => {};
    const late = new Promise<number>((resolve, reject) => {
      const sent = request(
        { port, method: 'POST', path: '/predict', headers: { 'Content-Length': body.length } },
        (r) => {
          r.resume().on('end', () => resolve(r.statusCode!));
        },
      );
      sent.on('error', reject);
      sent.write(body.subarray(0, 20));
      finish = () => sent.end(body.subarray(20));
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 300));
    finish();
    expect(await late).toBe(200);
    const { code, lines, err } = await ended;
    expect([code, err]).toEqual([0, '']);
    const records = lines.map((line) => JSON.parse(line));
    expect(records.at(-1)).toEqual({ event: 'stopped', signal: 'SIGTERM' });
    expect(
      records
        .filter(({ event }) => event === 'request')
        .map(({ method, path, status }) => `${status} ${method} ${path}`),
    ).toEqual(['200 POST /predict', '413 POST /predict', '200 GET /', '200 GET /page.js', '200 POST /predict']);
  });

  it('warns when others may come in without a token, and stops at once with nothing to do', async () => {
    const { child, ended } = await serving('--host', '0.0.0.0', '--max-batch', '1');
    child.kill('SIGINT');
    const { code, err } = await ended;
    expect(code).toBe(0);
    expect(err).toMatch(/^warning: 0\.0\.0\.0 lets other machines in, and there is no token: .* Set FOVEA_TOKEN\.\n$/);
  });

  it.each([
    [['serve', 'nothing'], 1, 'nothing is not there'],
    [['serve', '.', '--port', '-1'], 2, 'It is a whole number from 0 to 65535.'],
    [['serve', '.', '--port', '99999'], 2, 'It is a whole number from 0 to 65535.'],
    [['serve', '.', '--max-bytes', 'much'], 2, 'It is a number such as 500kB, 10MB or 50M.'],
    [['serve', '.', '--timeout', '1h'], 2, 'It is a time such as 500ms, 10s or 2min.'],
  ])('refuses %j', async (args, code, message) => {
    const found = await fovea(...args).ended;
    expect(found.err).toContain(message);
    expect(found.code).toBe(code);
  });

  it('says why it cannot listen', async () => {
    const { child, listening, ended } = await serving('--max-batch', '1');
    const second = await fovea('serve', run, '--port', String(listening.port), '--max-batch', '1').ended;
    expect(second).toMatchObject({
      code: 1,
      err: expect.stringContaining('the port is taken: choose another with --port'),
    });
    child.kill('SIGTERM');
    await ended;
  });
});

describe('fovea export --web', () => {
  it('makes the folder, and says how large the scripts are', async () => {
    const { code, lines, err } = await fovea(
      'export',
      run,
      '--web',
      join(folder, 'site'),
      '--title',
      'Insects',
      '--json',
    ).ended;
    expect([code, err]).toEqual([0, '']);
    const { event, modelFile, scriptsGzipBytes, files } = JSON.parse(lines[0]);
    expect([event, modelFile]).toEqual(['export', 'model.safetensors']);
    expect(scriptsGzipBytes).toBeLessThan(220_000);
    expect(files.length).toBeGreaterThan(8);
    expect(await readFile(join(folder, 'site', 'index.html'), 'utf8')).toContain('<h1>Insects</h1>');
    const again = await fovea('export', run, '--web', join(folder, 'site')).ended;
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining('is not empty') });
    const forced = await fovea('export', run, '--web', join(folder, 'site'), '--force').ended;
    expect(forced.code).toBe(0);
    expect(await readFile(join(folder, 'site', 'index.html'), 'utf8')).toContain('<h1>run</h1>');
  });
});

describe('the workers that decode', () => {
  const open = async (options: Partial<DecoderOptions> = {}): Promise<Decoder> => {
    const module = (await import(pathToFileURL(join(folder, 'dist/serve/decoder.node.js')).href)) as {
      Decoder: typeof Decoder;
    };
    const preprocessing = { resize: 8, crop: [8, 8], interpolation: 'bilinear', mean: [0], std: [1] } as const;
    const job = { channels: 1, preprocessing, fit: 'crop', maxPixels: 20_000_000, maxSeconds: 60 } as const;
    const buffers = new Buffers(2 ** 20);
    const decoder = new module.Decoder({ ...job, buffers, workers: 2, timeoutMs: 20_000, ...options });
    await decoder.start();
    return decoder;
  };
  const forever = new AbortController().signal;

  it('decode side by side, and name what is no picture', async () => {
    const decoder = await open();
    const bytes = await Promise.all(Array.from({ length: 12 }, (_, i) => png(i)));
    const decoded = await Promise.all(bytes.map((b) => decoder.decode(b, forever)));
    expect(decoded.map(({ length }) => length)).toEqual(new Array(12).fill(64));
    expect(new Set(decoded.map(({ buffer }) => buffer)).size).toBe(12);
    expect(new Set(decoded.map(String)).size).toBe(12);
    await expect(decoder.decode(Uint8Array.of(1, 2, 3), forever)).rejects.toMatchObject({ name: 'FormatError' });
    await decoder.close();
  });

  it('are spared what is decoded sooner than sent', async () => {
    const { encodePng } = await import('../../src/io/all.node.js');
    const decoder = await open({ workers: 1, timeoutMs: 5000 });
    const noise = Uint8Array.from({ length: 3000 * 3000 }, (_, i) => (i * i) >> 7);
    const slow = decoder.decode(new Uint8Array(await encodePng({ data: noise, shape: [1, 3000, 3000] })), forever);
    const order: string[] = [];
    const small = decoder.decode(await png(1), forever).then(() => order.push('small'));
    await Promise.all([slow.then(() => order.push('large')), small]);
    expect(order).toEqual(['small', 'large']);
    await decoder.close();
  });

  it('are replaced when one takes too long; who left is not decoded for', async () => {
    const { encodePng } = await import('../../src/io/all.node.js');
    const decoder = await open({ workers: 1, timeoutMs: 30 });
    const noise = Uint8Array.from({ length: 4000 * 4000 }, (_, i) => (i * i) >> 7);
    const large = new Uint8Array(await encodePng({ data: noise, shape: [1, 4000, 4000] }));
    const forWorkers = () => encodePng({ data: noise.subarray(0, 10_000), shape: [1, 100, 100] }); // too large to be decoded at once
    const slow = decoder.decode(large, forever);
    const leaving = new AbortController();
    const left = decoder.decode(await forWorkers(), leaving.signal);
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    await expect(slow).rejects.toThrow('the picture could not be decoded: it takes longer than 30 ms');
    // On a busy machine even a small picture may take that long: then once more, by the next worker.
    let decoded = 0;
    for (let tries = 0; tries < 20 && decoded === 0; tries++) {
      decoded = await decoder.decode(await forWorkers(), forever).then(
        ({ length }) => length,
        () => 0,
      );
    }
    expect(decoded).toBe(64);
    await decoder.close();
  });
});
