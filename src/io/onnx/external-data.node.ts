/**
 * Tensors that a model keeps in files beside it. A model may come from anywhere, so its paths lead nowhere but into its own folder: no absolute
 * path, no `..`, and no symbolic link that ends outside. Source: onnx.proto, TensorProto.external_data.
 */

import { closeSync, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import { FormatError } from '../../util/errors.js';
import { fileError } from '../file-error.node.js';
import type { ExternalData } from './tensor-value.js';

/** Reads the files beside a model that lies in `folder`. @throws {FormatError} as ExternalData says. @throws {FileError} */
export function externalDataIn(folder: string): ExternalData {
  return (location, offset, length) => {
    const path = inside(folder, location);
    let file: number | null = null;
    try {
      file = openSync(path, 'r');
      const stat = fstatSync(file);
      if (!stat.isFile()) throw new FormatError(`onnx: external data '${location}' is not a file`);
      if (offset + length > stat.size) {
        throw new FormatError(
          `onnx: external data '${location}' has ${stat.size} bytes, ${length} are wanted from byte ${offset} on`,
          stat.size,
        );
      }
      return read(file, offset, length, location);
    } catch (error) {
      throw fileError('read', path, error);
    } finally {
      if (file !== null) closeSync(file);
    }
  };
}

/** The path of `location`, links followed, which must lie in `folder`. */
function inside(folder: string, location: string): string {
  const parts = location.split(/[\\/]/);
  if (
    location === '' ||
    location.includes('\0') ||
    isAbsolute(location) ||
    /^[a-z]:/i.test(location) ||
    parts[0] === '' ||
    parts.includes('..')
  ) {
    throw new FormatError(
      `onnx: external data at '${location}': a path below the model's folder is expected, without '..'`,
    );
  }
  const path = join(folder, ...parts);
  let real: string;
  let root: string;
  try {
    [root, real] = [realpathSync(folder), realpathSync(path)];
  } catch (error) {
    throw fileError('read', path, error);
  }
  const way = relative(root, real);
  if (way === '' || way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way)) {
    throw new FormatError(`onnx: external data at '${location}' is a link that leads out of the model's folder`);
  }
  return real;
}

function read(file: number, offset: number, length: number, location: string): Uint8Array {
  const out = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const count = readSync(file, out, at, Math.min(length - at, 1 << 30), offset + at);
    if (count === 0)
      throw new FormatError(`onnx: external data '${location}' became shorter while it was read`, offset + at);
    at += count;
  }
  return out;
}
