/** The `fovea` command within this process, with what it prints, how long it takes, and what it leaves behind: thousands of calls would be too slow as processes. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { vi } from 'vitest';
import { run } from '../../src/cli/program.js';

export interface Called {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly milliseconds: number;
}

/** Runs it to its end. @throws what it throws, which is nothing but bugs: `run` answers with exit codes */
export async function fovea(args: readonly string[], input?: Uint8Array | typeof process.stdin): Promise<Called> {
  const printed = { out: '', err: '' };
  const into = (to: 'out' | 'err') => (text: unknown) => {
    printed[to] += String(text);
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(into('out')),
    vi.spyOn(process.stderr, 'write').mockImplementation(into('err')),
    ...(input === undefined
      ? []
      : [
          vi.spyOn(process, 'stdin', 'get').mockReturnValue(input instanceof Uint8Array ? standardInput(input) : input),
        ]),
  ];
  const start = performance.now();
  try {
    const code = await run(args);
    return { code, ...printed, milliseconds: performance.now() - start };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

function standardInput(bytes: Uint8Array): typeof process.stdin {
  const half = bytes.length >> 1;
  const pieces = [bytes.subarray(0, half), bytes.subarray(half)].filter(({ length }) => length > 0);
  return Readable.from(
    pieces.map((piece) => Buffer.from(piece)),
    { objectMode: true },
  ) as typeof process.stdin;
}

/** What a call that went wrong says: an error of ours, in words, without a stack. Null where it is as it should be. */
export function complaint({ code, err }: Called): string | null {
  if (code === 0) return null;
  if (code !== 1 && code !== 2) return `exit code ${code}`;
  const [last] = err
    .split('\n')
    .flatMap((line, i, lines) => (line.startsWith('error: ') ? [lines.slice(i).join('\n')] : []));
  if (last === undefined) return `no line of its own for the error: ${err.slice(-500)}`;
  if (/\n\s+at .*:\d+:\d+\)?$/m.test(last)) return `a stack: ${last}`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  return /[\0-\x08\x0b-\x1f\x7f]/.test(err) ? `signs that steer terminals: ${JSON.stringify(err)}` : null;
}

/**
 * What a test leaves behind: temporary files (all that is made from now on goes to a folder of the test's own), open files, and the most memory
 * that was in use meanwhile.
 */
export class Leftovers {
  readonly #folder = mkdtempSync(join(tmpdir(), 'fovea-fuzz-'));
  readonly #before = { TMPDIR: process.env.TMPDIR, files: openFiles(), rss: process.memoryUsage.rss() };
  readonly #timer: NodeJS.Timeout;
  #most = 0;

  constructor() {
    process.env.TMPDIR = this.#folder;
    this.#timer = setInterval(() => {
      this.#most = Math.max(this.#most, process.memoryUsage.rss());
    }, 20).unref();
  }

  /** Bytes more than at the beginning. */
  get peakGrowth(): number {
    return this.#most - this.#before.rss;
  }

  /** Ends the watch. */
  end(): { temporaryFiles: string[]; openFiles: number } {
    clearInterval(this.#timer);
    if (this.#before.TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = this.#before.TMPDIR;
    const temporaryFiles = readdirSync(this.#folder);
    rmSync(this.#folder, { recursive: true });
    return { temporaryFiles, openFiles: openFiles() - this.#before.files };
  }
}

/** Where the system says. */
function openFiles(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}
