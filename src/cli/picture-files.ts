/** The pictures that a command is given: names, folders, patterns such as 'dir/*.webp' where no shell expanded them, and - for standard input. */

import { stat } from 'node:fs/promises';
import { isAbsolute, sep } from 'node:path';
import pc from 'picocolors';
import { glob, isDynamicPattern } from 'tinyglobby';
import { filesBelow } from '../data/pictures/folder.node.js';
import { LeftOutList } from '../data/pictures/sample.js';
import { isPictureName, pictureEndings } from '../io/picture-format.js';
import { FormatError } from '../util/errors.js';
import { printable, printJson } from './output.js';
import { UsageError } from './usage.js';

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
    else found.push(...(await expanded(name)).map(({ name, path }): PictureFile => ({ name, read: async () => path })));
  }
  return found;
}

/** That a picture cannot be read, while others go on. */
export function tellRefused({ name }: PictureFile, { message }: Error, json: boolean | undefined): void {
  if (json) printJson({ event: 'refused', file: name, message });
  else process.stderr.write(`${pc.red('refused')}  ${printable(message)}\n`);
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
        throw new FormatError(`Standard input goes on for more than ${mostBytes / 2 ** 20} MiB: that is no picture.`);
    }
    return new Uint8Array(Buffer.concat(pieces));
  },
};

interface Found {
  readonly name: string;
  readonly path: string;
}

/** A file as it is called, whether it is there or not; the pictures of a folder; what a pattern matches. */
async function expanded(name: string): Promise<Found[]> {
  const found = await stat(name).catch(() => null);
  if (found?.isDirectory()) return picturesBelow(name);
  if (found !== null || !isDynamicPattern(name)) return [{ name, path: name }]; // reading it says what is wrong
  const options = { onlyFiles: true, caseSensitiveMatch: false, followSymbolicLinks: false, expandDirectories: false };
  const files = await glob(name.replaceAll(sep, '/'), { ...options, absolute: isAbsolute(name) });
  if (files.length === 0) throw new UsageError(`No file matches '${name}'.`);
  return files.sort((a, b) => (a < b ? -1 : 1)).map((file) => ({ name: file, path: file }));
}

/** Those that training would take: by the endings of their names, hidden ones and links that lead out of the folder left out. */
async function picturesBelow(folder: string): Promise<Found[]> {
  const files = await filesBelow(folder, new LeftOutList());
  const pictures = files.filter(({ parts }) => isPictureName(parts.at(-1)!));
  if (pictures.length === 0) throw new UsageError(`There are no pictures in ${folder} (${pictureEndings.join(', ')}).`);
  const prefix = folder.replace(/[/\\]+$/, '');
  return pictures.map(({ parts, path }) => ({ name: [prefix, ...parts].join('/'), path }));
}
