/** What surrounds the engine — Node or a browser — as far as devices must know: cores, workers, shared memory. */

import { ConfigError } from '../util/errors.js';

/** How many threads run at once here. */
export function availableThreads(): number {
  return nodeModule('node:os')?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1;
}

export function checkThreads(device: string, threads: number): void {
  if (Number.isSafeInteger(threads) && threads >= 1) return;
  throw new ConfigError(
    `${device}: threads is ${threads}; pass a whole number from 1 up, or leave it out for one per core.`,
  );
}

/** Why memory cannot be shared with workers here; empty where it can. */
export function whyNoThreads(): string {
  if (nodeModule('node:worker_threads')) return '';
  if (typeof SharedArrayBuffer === 'undefined' || !globalThis.crossOriginIsolated) {
    return 'this page is not cross-origin isolated, so there is no shared memory; serve it with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp';
  }
  if (typeof Worker === 'undefined') return 'this environment has no workers';
  return '';
}

/** Calls `leave` if the process exits before the answer of this function is called. A page that goes away asks nobody. */
export function onExit(leave: () => void): () => void {
  if (!listens) {
    listens = true;
    nodeModule('node:process')?.on('exit', () => {
      for (const each of leaving) each();
    });
  }
  leaving.add(leave);
  return () => leaving.delete(leave);
}

/** One listener for all: Node warns where there are more than ten. */
const leaving = new Set<() => void>();
let listens = false;

/** Taken now: who tests with clocks of their own may put another in its place. */
const { setImmediate } = globalThis as { setImmediate?: (task: () => void) => unknown };

/** Resolves when the event loop has turned: when whatever waits for it has been heard. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (setImmediate) {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel(); // a timer would wait for four milliseconds
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** A module of Node's own, or undefined elsewhere. Bundlers for browsers see no import. */
export function nodeModule<Name extends keyof NodeModules>(name: Name): NodeModules[Name] | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  return process?.getBuiltinModule?.(name) as NodeModules[Name] | undefined;
}

/** What is used of them, spelled out: a browser project need not know Node's types. */
interface NodeModules {
  'node:os': { availableParallelism(): number };
  'node:process': { on(event: 'exit', listener: () => void): void };
  'node:v8': { setFlagsFromString(flag: string): void };
  'node:worker_threads': { Worker: NodeWorkerConstructor };
}

export type NodeWorkerConstructor = new (
  source: string,
  options: { eval: true; execArgv: string[]; env: Record<string, string>; name: string },
) => NodeWorker;

interface NodeWorker {
  postMessage(message: unknown): void;
  on<Value>(event: 'message' | 'error' | 'exit', listener: (value: Value) => void): void;
  ref(): void;
  unref(): void;
  terminate(): Promise<unknown>;
}
