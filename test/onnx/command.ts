/** The `fovea` command run inside the test's own process. */

import { vi } from 'vitest';
import { run } from '../../src/cli/program.js';

/** Exit code and output of `fovea ARGS`. */
export async function fovea(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const catching = (stream: NodeJS.WriteStream, keep: (text: string) => void) =>
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      keep(String(text));
      return true;
    });
  const spies = [catching(process.stdout, (text) => (out += text)), catching(process.stderr, (text) => (err += text))];
  try {
    return { code: await run(args), out, err };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
