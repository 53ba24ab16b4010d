/**
 * What becomes of a training when the machine fails it: a disk that takes no more, a folder that is gone, a target that cannot be written. Each ends in
 * an error that says what to do, and what was saved before is whole.
 */

import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunFolder } from '../src/io/index.node.js';
import { Command, last } from './command.js';

let command: Command;
beforeAll(async () => {
  command = await Command.build();
});
afterAll(() => command.remove());

const small = ['mnist', '--model', 'lenet5', '--limit', '640', '--test-limit', '100', '--json'];

describe('a training', () => {
  it('says that the disk is full, keeps the checkpoint before, and goes on when there is room', async () => {
    // Files may have 100 blocks of 1024 bytes here: less than a checkpoint of LeNet-5 with Adam's state (740 kB), more than its config.
    const whole = await command.run('train', ...small, '--epochs', '1', '--out', 'runs/full');
    expect(whole.code).toBe(0);
    const run = join(command.folder, 'runs/full');
    const before = await (await RunFolder.open(run)).loadCheckpoint('last');
    const limited = "ulimit -f 100; trap '' XFSZ";
    const full = await command.startAfter(limited, 'train', '--resume', '--out', 'runs/full', '--epochs', '3', '--json')
      .ended;
    expect(full.code).toBe(1);
    expect(`${full.out}${full.err}`).toMatch(
      /cannot write .*(last|best)\.safetensors: the file would be larger .* \(EFBIG\)/,
    );
    expect((await readdir(join(run, 'checkpoint'))).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    const after = await (await RunFolder.open(run)).loadCheckpoint('last');
    expect(after!.state).toEqual(before!.state);
    const resumed = await command.run('train', '--resume', '--out', 'runs/full', '--json');
    expect([resumed.code, last(resumed.out)]).toMatchObject([0, { event: 'done', epochs: 3 }]);
  });

  it('ends where its folder is taken away, and never writes elsewhere', async () => {
    const going = command.start('train', ...small, '--epochs', '60', '--checkpoint-every', '5', '--out', 'runs/gone');
    await going.event('checkpoint');
    await rename(join(command.folder, 'runs/gone'), join(command.folder, 'runs/moved'));
    const { code, out, err } = await going.ended;
    expect(code).toBe(1);
    expect(`${out}${err}`).toMatch(/runs\/gone.*: there is no such file or folder/);
    expect(existsSync(join(command.folder, 'runs/gone'))).toBe(false);
    const moved = await RunFolder.open(join(command.folder, 'runs/moved'));
    expect((await moved.loadCheckpoint('last'))!.tensors.size).toBeGreaterThan(10);
  });

  it('refuses a target it cannot write before it trains', async () => {
    await mkdir(join(command.folder, 'runs'), { recursive: true });
    await writeFile(join(command.folder, 'runs/file'), 'not a folder');
    const { code, err, out } = await command.run('train', ...small, '--out', 'runs/file/run');
    expect(code).toBe(1);
    expect(`${out}${err}`).toMatch(
      /cannot make runs\/file\/run: a part of the path is a file, not a folder \(ENOTDIR\)/,
    );
    if (process.platform === 'linux') {
      const readOnly = await command.run('train', ...small, '--out', '/proc/fovea/run');
      expect(readOnly.code).toBe(1);
      expect(`${readOnly.out}${readOnly.err}`).toMatch(/cannot make \/proc\/fovea\/run: /);
    }
    await rm(join(command.folder, 'runs/file'));
  });
});
