#!/usr/bin/env node
/** The `fovea` command. */

import { run } from './program.js';

// A reader that has seen enough (`fovea models | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
process.exitCode = await run(process.argv.slice(2));
