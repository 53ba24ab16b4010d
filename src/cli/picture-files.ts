/** The pictures that a command is given: names, folders, patterns such as 'dir/*.webp' where no shell expanded them, and - for standard input. */

import { stat } from 'node:fs/promises';
import { sep } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { UsageError } from './usage.js';

/** Endings that are looked for in a folder; what a file holds is told from its bytes. */
const endings = ['jpg', 'jpeg', 'png', 'webp', 'gif', 'tif', 'tiff', 'avif', 'heic', 'bmp'];

/** A picture to be: where its bytes come from, and what it is called in what is printed. */
export interface PictureFile {
  readonly name: string;
  /** A path, or the bytes themselves. */
  read(): Promise<string | Uint8Array>;
}

/** More on standard input is no picture. */
const mostBytes = 256 * 1024 * 1024;

/** In the order given, those of a folder or pattern by name. @throws {UsageError} where nothing is meant, or nothing is found */
export async function pictureFiles(given: readonly string[]): Promise<PictureFile[]> {
  if (given.length === 0)
    throw new UsageError('Which pictures? Name files, a folder, a pattern in quotes, or - for standard input.');
  if (given.filter((name) => name === '-').length > 1)
    throw new UsageError('Standard input (-) is one picture: name it once.');
  const found: PictureFile[] = [];
  for (const name of given) {
    if (name === '-') found.push(standardInput);
    else found.push(...(await expanded(name)).map((path): PictureFile => ({ name: path, read: async () => path })));
  }
  return found;
}

const standardInput: PictureFile = {
  name: '(standard input)',
  async read() {
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of process.stdin) {
      pieces.push(piece as Buffer);
      length += (piece as Buffer).length;
      if (length > mostBytes)
        throw new UsageError(`Standard input goes on for more than ${mostBytes / 2 ** 20} MiB: that is no picture.`);
    }
    return new Uint8Array(Buffer.concat(pieces));
  },
};

/** A file as it is called, whether it is there or not; the pictures of a folder; what a pattern matches. */
async function expanded(name: string): Promise<string[]> {
  const found = await stat(name).catch(() => null);
  if (found !== null && !found.isDirectory()) return [name];
  if (found === null && !isDynamicPattern(name)) return [name]; // reading it says what is wrong
  const folder = found !== null;
  const pattern = folder ? `**/*.{${endings.join(',')}}` : name.replaceAll(sep, '/');
  const options = { onlyFiles: true, caseSensitiveMatch: false, followSymbolicLinks: false, expandDirectories: false };
  const files = await glob(pattern, folder ? { ...options, cwd: name } : options);
  if (files.length === 0)
    throw new UsageError(
      folder ? `There are no pictures in ${name} (${endings.join(', ')}).` : `No file matches '${name}'.`,
    );
  const prefix = folder ? `${name.replace(/[/\\]+$/, '')}/` : '';
  return files.map((file) => prefix + file).sort((a, b) => (a < b ? -1 : 1));
}
