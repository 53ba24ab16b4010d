/**
 * Damaged files of every format, each of `formats` thousands of times: what comes of one is a value or a FormatError (or ConfigError) that says
 * something, soon and in little memory; never another error, a hang or a heap. A failure prints the seed, the path to the shrunk case and its
 * bytes; FUZZ_SEED and FUZZ_PATH run it again, FUZZ_FILES multiplies the mutations.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, FormatError } from '../../src/util/errors.js';
import { type FuzzFormat, formats, mutate, mutations } from './files.js';

const times = Number(process.env.FUZZ_FILES ?? 1);
const seed = process.env.FUZZ_SEED === undefined ? undefined : Number(process.env.FUZZ_SEED);
const path = process.env.FUZZ_PATH;

const runsOf = ({ runs = 5000 }: FuzzFormat) => Math.ceil(runs * times);
const mostMs = 1000;
/** Of one file, and of all of a format's: what is garbage counts until it is collected. */
const mostBytes = 256 << 20;
const mostBytesInAll = 768 << 20;

it('at least 20,000 damaged files are read', () => {
  expect(formats.reduce((sum, format) => sum + runsOf(format), 0)).toBeGreaterThanOrEqual(20_000 * times);
});

describe.each(formats.map((format) => [format.name, format] as const))('%s', (_, format) => {
  const corpus = format.corpus();

  it('sound files are read', async () => {
    expect(corpus.length).toBeGreaterThan(0);
    for (const file of corpus) await format.read(file);
  });

  it('damaged files are read or refused', { timeout: 600_000 }, async () => {
    const outcomes = { read: 0, refused: 0 };
    const before = process.memoryUsage.rss();
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 1000 }), mutations, async (which, changes) => {
        const bytes = mutate(corpus[which % corpus.length], changes, corpus);
        outcomes[await outcome(format, bytes)]++;
      }),
      { numRuns: runsOf(format), seed, path },
    );
    expect(process.memoryUsage.rss() - before).toBeLessThan(mostBytesInAll);
    // Damage that is never refused, or always, is damage that does not reach what it is for.
    if (path === undefined) {
      expect(outcomes.refused).toBeGreaterThan(0);
      expect(outcomes.read).toBeGreaterThan(0);
    }
  });
});

async function outcome({ read, wrapped }: FuzzFormat, bytes: Uint8Array): Promise<'read' | 'refused'> {
  const rss = process.memoryUsage.rss();
  const start = process.cpuUsage(); // not the clock: the machine may be busy with other things
  let result: 'read' | 'refused' = 'read';
  try {
    await read(bytes);
  } catch (error) {
    const isPlain = error instanceof FormatError || error instanceof ConfigError;
    if (!isPlain || error.message.length < 10) {
      throw new Error(`${shown(bytes)} ends in ${(error as Error)?.stack ?? String(error)}`, { cause: error });
    }
    const offset = error instanceof FormatError ? (error.offset ?? 0) : 0;
    if (!(Number.isInteger(offset) && offset >= 0 && (wrapped || offset <= bytes.length))) {
      throw new Error(`${shown(bytes)} is refused with the offset ${offset} of ${bytes.length}: ${error.message}`);
    }
    result = 'refused';
  }
  const ms = process.cpuUsage(start).user / 1000;
  const grown = process.memoryUsage.rss() - rss;
  if (ms > mostMs || grown > mostBytes) throw new Error(`${shown(bytes)} takes ${ms} ms and ${grown} bytes`);
  return result;
}

function shown(bytes: Uint8Array): string {
  return `a file of ${bytes.length} bytes, ${Buffer.from(bytes).toString('base64').slice(0, 4000)},`;
}
