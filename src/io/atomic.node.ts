/**
 * Writing files whole or not at all: to a temporary file in the same folder, flushed to the disk, then renamed over the old one, then the
 * folder itself flushed. Whoever reads the name, at whatever moment, even after a power cut, finds the old content or the new.
 */

import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, opendir, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileError } from './file-error.node.js';

/** What to write: text, bytes, or bytes in pieces (large files need not be joined first). */
export type Content = string | Uint8Array | Iterable<Uint8Array>;

/** @throws {FileError} that says why (disk full, read-only, …); the old content is then untouched and nothing is left behind. */
export async function writeFileAtomic(path: string, content: Content): Promise<void> {
  let temporary: string | null = null;
  try {
    const target = await followLink(path);
    temporary = temporaryName(target);
    await writeFlushed(temporary, pieces(content));
    await rename(temporary, target);
    temporary = null;
    await flushFolder(dirname(target));
  } catch (error) {
    if (temporary !== null) await rm(temporary, { force: true }).catch(() => {});
    throw fileError('write', path, error);
  }
}

/**
 * Makes a folder, and those above it that are missing. Unlike Node's own `recursive`, it ends where a file system lets nobody make folders but says
 * that they are missing, as /proc does: Node 20 tries for ever. @throws {FileError}
 */
export async function makeFolder(path: string): Promise<void> {
  const missing: string[] = [];
  for (let folder = resolve(path); !(await isThere(folder)); folder = dirname(folder)) missing.unshift(folder);
  try {
    for (const folder of missing) {
      await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error; // somebody else made it meanwhile
      });
    }
    // A file in the place of the folder is found here.
    await opendir(path).then((folder) => folder.close());
  } catch (error) {
    throw fileError('make', path, error);
  }
}

/** Whether anything has this name; what stands in the way of looking counts as there, and is met when it is used. */
async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

/** Removes the temporary files that killed processes left in `folder`; those of processes that still run stay. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const match = /^\..+\.(\d+)-[0-9a-f]{12}\.tmp$/.exec(name);
    if (match && !isRunning(Number(match[1]))) await rm(join(folder, name), { force: true });
  }
}

/** Makes a rename or a new name in `folder` durable. Windows cannot open folders and needs no such step. */
async function flushFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network and FUSE file systems refuse to flush a folder; the file itself is already on the disk.
    if (!['EINVAL', 'ENOTSUP', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await handle.close();
  }
}

async function writeFlushed(path: string, content: Iterable<Uint8Array>): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    for (const piece of content) await writeAll(handle, piece);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A write may take only part of its bytes, for one when the disk fills up; the next one then says so. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, Math.min(bytes.length - at, maxWriteBytes));
    at += bytesWritten;
  }
}

const maxWriteBytes = 1 << 26;

function* pieces(content: Content): Iterable<Uint8Array> {
  if (typeof content === 'string') yield new TextEncoder().encode(content);
  else if (content instanceof Uint8Array) yield content;
  else yield* content;
}

/** A rename would replace a symbolic link itself; the user means the file behind it. */
async function followLink(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path;
    throw error;
  }
}

function temporaryName(target: string): string {
  return join(
    dirname(target),
    `.${basename(target).slice(0, 40)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`,
  );
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
