/**
 * The way out of JavaScript: koffi, the foreign-function library, loaded when it is first wanted. It is an optional dependency, so there
 * may be none; whatever is missing is said in the ConfigError.
 */

import { createRequire } from 'node:module';
import { ConfigError } from '../../util/errors.js';

export type Koffi = typeof import('koffi').default;

export interface Foreign {
  readonly koffi: Koffi;
  /** Where workers find it. */
  readonly path: string;
}

export async function openForeign(): Promise<Foreign> {
  try {
    const koffi = (await import('koffi')).default;
    // First of all in every thread: koffi.call() crashes in a thread that has loaded no library yet (3.3.4).
    koffi.load(null);
    return { koffi, path: createRequire(import.meta.url).resolve('koffi') };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new ConfigError(
      `x64: machine code is called through the optional package koffi, which does not load (${reason}). npm install koffi`,
    );
  }
}
