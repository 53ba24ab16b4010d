/** Unit tests stand beside their sources, the rest under test/. Tests may import the package by its name, as users do. */

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^fovea$/, replacement: source('./src/index.ts') },
      { find: /^fovea\/io$/, replacement: source('./src/io.ts') },
      { find: /^fovea\/node$/, replacement: source('./src/node.ts') },
      { find: /^\.\/worker-file\.node\.js$/, replacement: source('./test/worker-file.ts') }, // Node's workers run no TypeScript
    ],
  },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    setupFiles: [source('./test/setup.ts')],
    environment: 'node',
    env: { FOVEA_VERIFY: '1', NO_COLOR: '1' }, // what the commands print is compared as plain text; a CI's own CI=1 would colour it
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
