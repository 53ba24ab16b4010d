/**
 * The `fovea` command as users meet it: a process of its own. It is bundled afresh, so what is tested is the source as it stands.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Waits for an object whose event this is. */
  event(name: string): Promise<Record<string, unknown>>;
}

export class Command {
  private constructor(
    /** Where it runs: a folder of the test's own. */
    readonly folder: string,
    readonly main: string,
  ) {}

  /** Bundles the command, in a folder from which it finds the packages. */
  static async build(): Promise<Command> {
    const cache = join(root, 'node_modules', '.cache');
    await mkdir(cache, { recursive: true });
    const folder = await mkdtemp(join(cache, 'fovea-cli-'));
    await build({
      entryPoints: [join(root, 'src/cli/main.ts')],
      outdir: join(folder, 'dist', 'cli'),
      bundle: true,
      splitting: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      packages: 'external',
      logLevel: 'error',
    });
    await cp(join(root, 'package.json'), join(folder, 'package.json'));
    return new Command(folder, join(folder, 'dist', 'cli', 'main.js'));
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }

  /** Runs it to its end. */
  run(...args: string[]): Promise<Ended> {
    return this.start(...args).ended;
  }

  start(...args: string[]): Running {
    return this.startWith({}, ...args);
  }

  /** In an environment with more in it. */
  startWith(environment: Record<string, string>, ...args: string[]): Running {
    return watch(
      spawn(process.execPath, [this.main, ...args], { cwd: this.folder, env: plainEnvironment(environment) }),
    );
  }

  /** Through a shell: `before` is run first in it, such as `ulimit`. */
  startAfter(before: string, ...args: string[]): Running {
    const script = `${before}; exec "$0" "$@"`;
    const all = ['-c', script, process.execPath, this.main, ...args];
    return watch(spawn('bash', all, { cwd: this.folder, env: plainEnvironment({}) }));
  }
}

function plainEnvironment(more: Record<string, string>): NodeJS.ProcessEnv {
  return { ...process.env, NO_COLOR: '1', ...more };
}

function watch(child: ChildProcess): Running {
  let [out, err] = ['', ''];
  const waiting: { name: string; resolve: (found: Record<string, unknown>) => void }[] = [];
  child.stdout!.on('data', (text: Buffer) => {
    out += text;
    for (const record of records(out)) {
      for (const { name, resolve } of waiting) if (record.event === name) resolve(record);
    }
  });
  child.stderr!.on('data', (text: Buffer) => {
    err += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, out, err }));
  });
  return {
    child,
    ended,
    event: (name) =>
      new Promise((resolve, reject) => {
        waiting.push({ name, resolve });
        void ended.then(() => reject(new Error(`ended without '${name}':\n${out}${err}`)));
      }),
  };
}

/** The whole lines of `--json` output. */
export function records(out: string): Record<string, unknown>[] {
  return out
    .slice(0, out.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export function last(out: string): Record<string, unknown> {
  return records(out).at(-1)!;
}
