import { availableParallelism } from 'node:os';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { availableThreads, nodeModule } from '../host.js';
import { compileOptimised, probeFeatures } from './features.js';

afterEach(() => vi.unstubAllGlobals());

describe('probeFeatures', () => {
  test('Node has SIMD, relaxed SIMD and threads', () => {
    expect(probeFeatures()).toEqual({ simd: true, relaxedSimd: true, threads: true, threadsNote: '' });
    expect(availableThreads()).toBe(availableParallelism());
  });

  test('a page without cross-origin isolation has no threads, and is told how to get them', () => {
    vi.stubGlobal('process', undefined);
    vi.stubGlobal('crossOriginIsolated', false);
    expect(nodeModule('node:os')).toBeUndefined();
    const { threads, threadsNote } = probeFeatures();
    expect(threads).toBe(false);
    expect(threadsNote).toContain('Cross-Origin-Opener-Policy: same-origin');
    expect(threadsNote).toContain('Cross-Origin-Embedder-Policy: require-corp');
  });

  test('an isolated page without workers has no threads; with workers it has', () => {
    vi.stubGlobal('process', undefined);
    vi.stubGlobal('crossOriginIsolated', true);
    vi.stubGlobal('Worker', undefined);
    expect(probeFeatures().threadsNote).toBe('this environment has no workers');
    vi.stubGlobal('Worker', class {});
    expect(probeFeatures().threads).toBe(true);
    vi.stubGlobal('navigator', { hardwareConcurrency: 6 });
    expect(availableThreads()).toBe(6);
  });
});

describe('compileOptimised', () => {
  test('functions are compiled when it resolves, not when they are first called', async () => {
    const module = await compileOptimised(heavyModule());
    const { work } = new WebAssembly.Instance(module).exports as { work(n: number): number };
    const first = timed(() => work(3));
    const again = Math.min(...[1, 2, 3].map(() => timed(() => work(3))));
    // Compiling this function takes tens of milliseconds, running it well under one.
    expect(first).toBeLessThan(again + 10);
  });

  test('bytes that are no module reject', async () => {
    await expect(compileOptimised(Uint8Array.of(1, 2, 3))).rejects.toThrow(WebAssembly.CompileError);
  });
});

function timed(action: () => void): number {
  const start = performance.now();
  action();
  return performance.now() - start;
}

/** One function of 30 000 additions and multiplications: long to compile, short to run. */
function heavyModule(): Uint8Array {
  const steps = Array.from({ length: 30_000 }, (_, i) => [0x20, 0, 0x41, i % 60, 0x6a, 0x20, 0, 0x6c, 0x21, 0]).flat();
  const body = [0, ...steps, 0x20, 0, 0x0b];
  const section = (id: number, bytes: number[]) => [id, ...leb(bytes.length), ...bytes];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, 0x60, 1, 0x7f, 1, 0x7f]),
    ...section(3, [1, 0]),
    ...section(7, [1, 4, ...new TextEncoder().encode('work'), 0, 0]),
    ...section(10, [1, ...leb(body.length), ...body]),
  ]);
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
