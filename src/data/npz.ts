/** NumPy's `.npz` files: a zip archive of `.npy` files, one for each array. Source: NumPy, "numpy.savez". */

import { zipSync } from 'fflate';
import { asSource, type BytesLike } from '../io/byte-source.js';
import type { HostTensor } from '../io/index.js';
import { openZip, readZipEntry } from '../io/zip.js';
import { ConfigError, FormatError } from '../util/errors.js';
import { encodeNpy, parseNpy } from './npy.js';

/** The arrays of an archive; each is read when it is asked for. */
export interface NpzFile {
  readonly names: readonly string[];
  /** @throws {ConfigError} where there is none of this name. @throws {FormatError} for a damaged one */
  read(name: string): HostTensor;
}

/** @throws {FormatError} for an archive that is not sound */
export function openNpz(bytes: BytesLike): NpzFile {
  const source = asSource(bytes);
  const entries = new Map<string, ReturnType<typeof openZip> extends Map<string, infer Entry> ? Entry : never>();
  for (const [name, entry] of openZip(source)) if (name.endsWith('.npy')) entries.set(name.slice(0, -4), entry);
  return {
    names: [...entries.keys()],
    read(name) {
      const entry = entries.get(name);
      if (entry === undefined)
        throw new ConfigError(`npz: there is no array '${name}'; there are ${[...entries.keys()].join(', ')}`);
      try {
        return parseNpy(readZipEntry(source, entry));
      } catch (error) {
        if (!(error instanceof FormatError) || error.message.includes(`'${entry.name}'`)) throw error;
        throw new FormatError(`npz: in '${entry.name}': ${error.message}`, entry.start);
      }
    },
  };
}

/** All arrays of a `.npz` file by name. @throws {FormatError} */
export function parseNpz(bytes: BytesLike): Map<string, HostTensor> {
  const file = openNpz(bytes);
  return new Map(file.names.map((name) => [name, file.read(name)]));
}

/** The bytes of a `.npz` file, as `numpy.savez` writes them; `compress` as `numpy.savez_compressed`. @throws {ConfigError} for names that are none */
export function encodeNpz(
  arrays: Iterable<readonly [name: string, array: HostTensor]>,
  { compress = false }: { compress?: boolean } = {},
): Uint8Array {
  const files: Record<string, [Uint8Array, { level: 0 | 6; mtime: Date }]> = {};
  for (const [name, array] of arrays) {
    const odd = name === '' || /[\\\p{Cc}]|^\/|^[a-zA-Z]:/u.test(name) || name.split('/').includes('..');
    if (odd || Object.hasOwn(files, name)) {
      throw new ConfigError(`encodeNpz: ${JSON.stringify(name)} ${odd ? 'is no name for an array' : 'is there twice'}`);
    }
    // A date of its own would make the same arrays other bytes each time; 1980 is where zip's dates begin.
    files[`${name}.npy`] = [encodeNpy(array), { level: compress ? 6 : 0, mtime: new Date(1980, 0, 1, 12) }];
  }
  return zipSync(files);
}
