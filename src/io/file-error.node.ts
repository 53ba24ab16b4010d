/** What can go wrong with a file, in words: which file, what was being done, why, and what to do about it. */

/** `code` is the system's (`ENOSPC`, `EACCES`, …), `path` the file as the caller named it. */
export class FileError extends Error {
  override readonly name = 'FileError';
  constructor(
    message: string,
    readonly path: string,
    readonly code: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const reasons: Record<string, string> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'permission denied: check the owner and mode of the file and its folder',
  EPERM: 'the system does not permit it: check the owner, mode and attributes of the file and its folder',
  EROFS: 'the disk is mounted read-only: choose a folder on a writable disk',
  ENOSPC: 'the disk is full: free some space or choose another disk',
  EDQUOT: 'the disk quota is used up: free some space or choose another disk',
  EFBIG: 'the file would be larger than this file system allows',
  EISDIR: 'it is a folder, a file was expected',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EEXIST: 'it exists already',
  EMFILE: 'too many files are open in this process',
  ENAMETOOLONG: 'the name is too long for this file system',
  EIO: 'the disk reported an error',
};

/** `action` completes "cannot …", e.g. `write`. Errors that are not the system's pass through unchanged. */
export function fileError(action: string, path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException)?.code;
  if (!(error instanceof Error) || typeof code !== 'string' || error instanceof FileError) return error;
  return new FileError(`cannot ${action} ${path}: ${reasons[code] ?? error.message} (${code})`, path, code, {
    cause: error,
  });
}
