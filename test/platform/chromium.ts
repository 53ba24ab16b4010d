/**
 * Runs a TypeScript entry in a real page: bundles it with esbuild, serves it on 127.0.0.1 with or without the headers that make a page
 * cross-origin isolated (and so give it shared memory), opens it in Chromium, and hands back what its `main(args)` returns.
 *
 *     const chromium = await Chromium.launch();
 *     const sum = await chromium.run<number>('test/platform/sum.page.ts', { isolated: true, args: [1, 2] });
 *     await chromium.close();
 */

import { accessSync, constants } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';

export interface PageOptions {
  /** Serve with Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy: the page gets SharedArrayBuffer. */
  readonly isolated: boolean;
  /** Given to `main`; plain JSON, as is what it returns. */
  readonly args?: unknown;
  /** More for the page to fetch, by path: `{ '/model.safetensors': bytes }`. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
  /** Headers of every answer, besides those of `isolated`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Where Chromium is, or null. A path in the environment's `CHROMIUM` is the only one looked at. */
export function findChromium(): string | null {
  const places = process.env.CHROMIUM ? [process.env.CHROMIUM] : USUAL_PLACES;
  return places.find(isExecutable) ?? null;
}

export const noChromium = 'no Chromium found: install it, or put its path into the environment as CHROMIUM';

export class Chromium {
  static async launch(): Promise<Chromium> {
    const executablePath = findChromium();
    if (executablePath === null) throw new Error(noChromium);
    return new Chromium(await playwright.launch({ executablePath, args: CHROMIUM_ARGS }));
  }

  /** Null where there is none, said aloud: the reporter counts skipped tests but keeps their reasons to itself. */
  static async launchIfPresent(): Promise<Chromium | null> {
    if (findChromium() !== null) return Chromium.launch();
    console.warn(`browser tests are skipped: ${noChromium}`);
    return null;
  }

  private constructor(private readonly browser: Browser) {}

  /** Calls `main(args)` of the module at `entry` (a path from the root of the project) in a fresh page. */
  async run<Result>(entry: string, { args, timeoutMs = 60_000, ...options }: PageOptions): Promise<Result> {
    const files = { '/': PAGE, '/entry.js': await bundle(entry), ...options.files };
    const server = await serve(files, { ...(options.isolated ? ISOLATION : {}), ...options.headers });
    const page = await this.browser.newPage();
    const log: string[] = [];
    page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => log.push(`uncaught: ${error.stack ?? error.message}`));
    try {
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      return await withTimeout(callMain<Result>(page, args), timeoutMs);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error([`${entry} in Chromium: ${reason}`, ...log.slice(-20)].join('\n  '), { cause: error });
    } finally {
      await page.close();
      server.closeAllConnections();
      server.close();
    }
  }

  close(): Promise<void> {
    return this.browser.close();
  }
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = '<!doctype html><meta charset="utf-8"><title>fovea</title><link rel="icon" href="data:,">';

const USUAL_PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const CHROMIUM_ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** One ES module, built for a browser: an import of Node's own modules is an error here, as it would be for a user. */
async function bundle(entry: string): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    absWorkingDir: ROOT,
    alias: { fovea: './src/index.ts' },
    bundle: true,
    external: ['*.node.js'], // imported only behind a check for Node
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    sourcemap: 'inline',
    write: false,
    logLevel: 'silent', // what is wrong is in the error
  });
  return outputFiles[0].contents;
}

async function serve(
  files: Readonly<Record<string, Uint8Array | string>>,
  headers: Readonly<Record<string, string>>,
): Promise<Server> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    const body = Object.hasOwn(files, path) ? files[path] : undefined;
    response.writeHead(body === undefined ? 404 : 200, { 'Content-Type': contentType(path), ...headers });
    response.end(body);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return server;
}

function contentType(path: string): string {
  if (path === '/' || path.endsWith('.html')) return 'text/html';
  if (path.endsWith('.js')) return 'text/javascript';
  if (path.endsWith('.json')) return 'application/json';
  return 'application/octet-stream';
}

function callMain<Result>(page: Page, args: unknown): Promise<Result> {
  // As text, because the test runner rewrites import() in functions.
  return page.evaluate(`import('/entry.js').then(({ main }) => main(${JSON.stringify(args)}))`);
}

async function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer after ${timeoutMs} ms`)), timeoutMs);
  });
  promise.catch(() => {}); // closing the page ends it, after nobody listens any more
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
