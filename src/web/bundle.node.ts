/** What the build made for pages (scripts/web.mjs), found beside the compiled library. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { array, object, parseJson, string } from '../io/schema.js';
import { ConfigError } from '../util/errors.js';

export interface WebBundle {
  readonly folder: string;
  /** Paths in the folder: what every page loads, and what besides for a model of the zoo or an ONNX file. */
  readonly files: { readonly always: string[]; readonly zoo: string[]; readonly onnx: string[] };
}

/** The same place from src/web/ and from dist/web/. */
const builtFolder = fileURLToPath(new URL('../../dist/page', import.meta.url));

const filesSchema = object({ always: array(string), zoo: array(string), onnx: array(string) });

/** @throws {ConfigError} where the build was left out */
export async function openBundle(folder = builtFolder): Promise<WebBundle> {
  const file = join(folder, 'files.json');
  const text = await readFile(file, 'utf8').catch(() => {
    throw new ConfigError(
      `The scripts of pages are not built: there is no ${file}. In a clone of fovea: npm run build`,
    );
  });
  return { folder, files: parseJson(text, filesSchema, file) };
}

/** page.js alone, for a server; null where it was not built. */
export function readPageScript(folder = builtFolder): Promise<string | null> {
  return readFile(join(folder, 'page.js'), 'utf8').catch(() => null);
}
