/**
 * What every peer that runs in Node shares: it answers the questions of ../protocol.ts, one JSON object a line, until its input ends.
 * Answers keep standard output to themselves; what libraries print goes to standard error.
 */

import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** A workload (or a whole peer) that cannot take part; the message says why, as the end of a sentence that begins with the peer's name. */
export class Cannot extends Error {}

export function say(answer) {
  const bytes = Buffer.from(`${JSON.stringify(answer)}\n`);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(1, bytes, done);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error; // a full pipe: the reader is about to empty it
    }
  }
}

/**
 * `open()` loads the framework and gives { version, notes, prepare }; `prepare(workload)` gives { step, params?, output?, release? }:
 * `step` does the work once and waits until it is done, `output` gives what the last step of an inference computed.
 */
export async function serve(open) {
  console.log = console.info = console.warn = console.debug = (...texts) => console.error(...texts);
  let peer;
  try {
    peer = await open();
  } catch (error) {
    say({ cannot: reasonOf(error) });
    return;
  }
  say({ hello: { version: peer.version, notes: peer.notes } });
  let work = null;
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    try {
      if (request.do === 'prepare') {
        work = await peer.prepare(request.workload);
        say({ ready: { params: work.params } });
      } else if (request.do === 'run') {
        const ms = [];
        for (let i = 0; i < request.times; i++) {
          const start = performance.now();
          await work.step();
          ms.push(performance.now() - start);
        }
        say({ ms });
      } else if (request.do === 'output') {
        say({ output: Array.from(work.output()) });
      } else if (request.do === 'release') {
        await work?.release?.();
        work = null;
        say({ released: true });
      } else say({ failed: `no such request: ${request.do}` });
    } catch (error) {
      say(error instanceof Cannot ? { cannot: error.message } : { failed: String(error?.message ?? error) });
    }
  }
  process.exit(0); // threads of the framework may still wait for work
}

function reasonOf(error) {
  if (error instanceof Cannot) return error.message;
  if (error?.code === 'ERR_MODULE_NOT_FOUND' || error?.code === 'MODULE_NOT_FOUND') return 'is not installed';
  return `did not start: ${String(error?.message ?? error).split('\n')[0]}`;
}

/** The same numbers in every peer: sin(0.37 i) · cos(0.011 i). */
export function pictures(batch, [channels, height, width]) {
  return Float32Array.from(
    { length: batch * channels * height * width },
    (_, i) => Math.sin(i * 0.37) * Math.cos(i * 0.011),
  );
}
