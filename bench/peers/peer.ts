/** A peer in a process of its own: started once, asked again and again, idle in between. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type Answer, type Hello, Lines, parseAnswer, type Request } from './protocol.js';
import type { Workload } from './workloads.js';

/** Why a peer takes no part, as the end of a sentence that begins with its name. */
export class Cannot extends Error {}

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const startMs = 120_000;
const prepareMs = 240_000;
const runMs = 180_000;
/** Linux counts processor time of a process in hundredths of a second. */
const tickMs = 10;

export class PeerProcess {
  /** @throws {Cannot} when the peer cannot take part. */
  static async start(command: Command): Promise<PeerProcess> {
    const peer = new PeerProcess(command);
    try {
      const answer = await peer.answer(startMs);
      if ('cannot' in answer) throw new Cannot(answer.cannot);
      if (!('hello' in answer)) throw new Error(`it opened with ${Object.keys(answer)[0]}`);
      peer.hello = answer.hello;
      return peer;
    } catch (error) {
      peer.end();
      throw error;
    }
  }

  hello!: Hello;
  private readonly child: ChildProcess;
  private readonly answers: Answer[] = [];
  private wake: (() => void) | null = null;
  private ended: string | null = null;
  private errors = '';

  /** Starts the process only: for the ones that say one thing and end. */
  constructor({ program, args, env }: Command) {
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    const lines = new Lines();
    this.child.stdout!.setEncoding('utf8').on('data', (piece: string) => {
      for (const line of lines.push(piece)) {
        try {
          this.answers.push(parseAnswer(line));
        } catch (error) {
          this.answers.push({ failed: (error as Error).message });
        }
      }
      this.wake?.();
    });
    this.child.stderr!.setEncoding('utf8').on('data', (piece: string) => {
      this.errors = (this.errors + piece).slice(-4000);
    });
    this.child.stdin!.on('error', () => {}); // it ended: the exit says so
    this.child.once('error', (error: NodeJS.ErrnoException) => {
      this.ended = error.code === 'ENOENT' ? `${program} is not there` : error.message;
      this.wake?.();
    });
    this.child.once('close', (code, signal) => {
      this.ended ??= `its process ended with ${signal ?? code}${this.lastError()}`;
      this.wake?.();
    });
    endWithRunner(this.child);
  }

  /** The next answer. @throws when the process ends or takes longer than `timeoutMs`. */
  async answer(timeoutMs: number): Promise<Answer> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      const answer = this.answers.shift();
      if (answer !== undefined) return answer;
      if (this.ended !== null) throw new Cannot(this.ended);
      const left = until - performance.now();
      if (left <= 0) {
        this.end(); // or its late answer would be taken for the next one
        throw new Cannot(`took longer than ${Math.round(timeoutMs / 1000)} s, and was ended`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** @throws {Cannot} when the peer does not do this workload. */
  async prepare(workload: Workload): Promise<{ params?: number }> {
    const answer = await this.ask({ do: 'prepare', workload }, prepareMs);
    if (!('ready' in answer)) throw unexpected(answer);
    return answer.ready;
  }

  async run(times: number): Promise<readonly number[]> {
    const answer = await this.ask({ do: 'run', times }, runMs);
    if (!('ms' in answer)) throw unexpected(answer);
    return answer.ms;
  }

  async output(): Promise<readonly number[]> {
    const answer = await this.ask({ do: 'output' }, runMs);
    if (!('output' in answer)) throw unexpected(answer);
    return answer.output;
  }

  async release(): Promise<void> {
    await this.ask({ do: 'release' }, runMs);
  }

  private async ask(request: Request, timeoutMs: number): Promise<Answer> {
    this.child.stdin!.write(`${JSON.stringify(request)}\n`);
    const answer = await this.answer(timeoutMs);
    if ('cannot' in answer) throw new Cannot(answer.cannot);
    if ('failed' in answer) throw new Error(answer.failed);
    return answer;
  }

  get alive(): boolean {
    return this.ended === null;
  }

  /** Processor time the process has used so far, all its threads; null where the system does not say. */
  cpuMs(): number | null {
    const stat = this.readProc('stat');
    if (stat === null) return null;
    // The second field is the program's name in brackets, which may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * tickMs;
  }

  /** Memory it holds now, and the most it held since `forgetPeak`; null where the system does not say. */
  memory(): { residentBytes: number; peakBytes: number } | null {
    const status = this.readProc('status');
    const kib = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status ?? '')?.[1]);
    if (status === null || Number.isNaN(kib('VmHWM'))) return null;
    return { residentBytes: kib('VmRSS') * 1024, peakBytes: kib('VmHWM') * 1024 };
  }

  /** Lets the peak of memory begin anew, where the system can. */
  forgetPeak(): void {
    try {
      writeFileSync(`/proc/${this.child.pid}/clear_refs`, '5');
    } catch {} // the peak then counts from the start of the process
  }

  private readProc(file: string): string | null {
    try {
      return readFileSync(`/proc/${this.child.pid}/${file}`, 'utf8');
    } catch {
      return null;
    }
  }

  private lastError(): string {
    const line = this.errors
      .split('\n')
      .filter((l) => /error/i.test(l))
      .at(-1);
    return line === undefined ? '' : `: ${line.trim().slice(0, 200)}`;
  }

  end(): void {
    this.ended ??= 'its process was ended';
    this.child.kill('SIGKILL');
    processes.delete(this.child);
  }
}

const processes = new Set<ChildProcess>();
let watching = false;

/** None is left behind when the runner ends. */
function endWithRunner(child: ChildProcess): void {
  if (!watching) {
    watching = true;
    process.once('exit', () => {
      for (const left of processes) left.kill('SIGKILL');
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  }
  processes.add(child);
}

function unexpected(answer: Answer): Error {
  return new Error(`unexpected answer: ${JSON.stringify(answer).slice(0, 100)}`);
}
