/** The `fovea` command as users meet it: a process of its own, made from the sources as they stand. */

import { type ChildProcess, spawn } from 'node:child_process';
import { packageFromSources } from './dist.js';

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
    readonly remove: () => Promise<void>,
  ) {}

  static async build(options?: { web?: boolean }): Promise<Command> {
    const { folder, main, remove } = await packageFromSources(options);
    return new Command(folder, main, remove);
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
