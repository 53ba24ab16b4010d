/** Opening what may be anything under the name of a file: a pipe that nobody writes to would be waited for without end, a device has no end itself. */

import { closeSync, constants, fstatSync, openSync, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { FileError, fileError } from './file-error.node.js';

/** An open file and how long it is. @throws {FileError} for folders, pipes and devices, and for what cannot be opened */
export function openRegular(path: string): { readonly descriptor: number; readonly sizeBytes: number } {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // Windows has no such flag, nor such pipes
    return { descriptor, sizeBytes: checked(path, fstatSync(descriptor)).size };
  } catch (error) {
    if (descriptor !== null) closeSync(descriptor);
    throw fileError('read', path, error);
  }
}

/** The same question before something else opens it. @throws {FileError} */
export async function checkRegular(path: string): Promise<void> {
  try {
    checked(path, await stat(path));
  } catch (error) {
    throw fileError('read', path, error);
  }
}

function checked(path: string, found: Stats): Stats {
  if (found.isFile()) return found;
  const what = found.isDirectory() ? 'a folder' : 'a pipe or a device';
  throw new FileError(`cannot read ${path}: it is ${what}, a file was expected`, path);
}
