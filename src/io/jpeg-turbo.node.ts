/**
 * libjpeg-turbo, where it is installed: decodes plain JPEGs in the calling thread, into memory that is used again, in a third of the time that sharp takes (sharp
 * hands each picture to other threads, and fresh memory back). It makes the same bytes, so nothing depends on it but time; and it never has the last word:
 * whatever is not plain and flawless (a colour profile, CMYK, an EXIF rotation, a warning) is sharp's.
 *
 * It is found in the package @julusian/jpeg-turbo if that is installed, else among the system's libraries (libturbojpeg0 of Debian, jpeg-turbo of Homebrew), and
 * called through koffi. The environment's FOVEA_TURBOJPEG names another file, or `off`.
 */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { openForeign } from '../devices/native/foreign.node.js';
import { plainJpeg } from './jpeg-header.js';
import type { DecodeLimits, InterleavedPicture } from './picture.node.js';

export interface JpegTurbo {
  /** The library's file. */
  readonly path: string;
  /**
   * The pixels of a plain JPEG: [H, W, 3], or [H, W, 1] of a grey one. They are valid until this thread decodes the next. Null for any other file, for
   * colours where one channel is wanted, and for whatever is not flawless.
   */
  decode(bytes: Uint8Array, options: DecodeLimits & { channels: 1 | 3 }): InterleavedPicture | null;
}

/** turbojpeg.h: TJPF_RGB, TJPF_GRAY; TJFLAG_STOPONWARNING, TJFLAG_LIMITSCANS. */
const formats = { 3: 0, 1: 6 } as const;
const flags = 8192 | 32768;

/** Memory for larger pictures is not kept. */
const keptBytes = 2 ** 26;
/** The longest that a thread is given to one picture without a chance to be asked to stop: about a second. */
const mostPixels = { sequential: 2 ** 26, progressive: 2 ** 22 } as const;

let loaded: Promise<JpegTurbo | null> | null = null;

/** Null where the library or koffi is not installed. */
export function loadJpegTurbo(): Promise<JpegTurbo | null> {
  loaded ??= open(process.env.FOVEA_TURBOJPEG);
  return loaded;
}

async function open(setting: string | undefined): Promise<JpegTurbo | null> {
  if (setting === 'off') return null;
  const foreign = await openForeign().catch(() => null);
  if (foreign === null) return null;
  const { koffi } = foreign;
  for (const path of setting ? [setting] : places()) {
    try {
      return bind(koffi.load(path), path);
    } catch {
      // Not there, or for another machine: the next.
    }
  }
  return null;
}

function bind(library: ReturnType<typeof import('koffi').default.load>, path: string): JpegTurbo {
  const handle: unknown = library.func('void *tjInitDecompress()')();
  const decompress = library.func(
    'int tjDecompress2(void *handle, const uint8_t *jpeg, unsigned long size, uint8_t *pixels, int width, int pitch, int height, int format, int flags)',
  );
  let memory = new Uint8Array(0);
  return {
    path,
    decode(bytes, { channels, maxPixels = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY }) {
      if (bytes.length > maxBytes) return null;
      const header = plainJpeg(bytes);
      if (header === null || header.channels > channels) return null;
      const { width, height, progressive, channels: own } = header;
      if (width * height > Math.min(maxPixels, mostPixels[progressive ? 'progressive' : 'sequential'])) return null;
      const size = width * height * own;
      const target = size <= memory.length ? memory : new Uint8Array(size);
      if (size <= keptBytes) memory = target;
      if (decompress(handle, bytes, bytes.length, target, width, 0, height, formats[own], flags) !== 0) return null;
      return { data: target.subarray(0, size), height, width, channels: own };
    },
  };
}

/** Where the library may be, the package's own first. */
function places(): string[] {
  const { platform, arch } = process;
  if (platform === 'linux') return [...inPackage(arch), 'libturbojpeg.so.0'];
  if (platform === 'darwin') {
    return ['/opt/homebrew/opt/jpeg-turbo/lib', '/usr/local/opt/jpeg-turbo/lib', '/opt/local/lib'].map((folder) =>
      join(folder, 'libturbojpeg.dylib'),
    );
  }
  return platform === 'win32' ? ['C:\\libjpeg-turbo64\\bin\\turbojpeg.dll'] : [];
}

function inPackage(arch: string): string[] {
  try {
    const root = dirname(createRequire(import.meta.url).resolve('@julusian/jpeg-turbo/package.json'));
    return ['', '-musl']
      .map((libc) => join(root, 'prebuilds', `jpeg-turbo-linux-${arch}${libc}`, 'libturbojpeg.so.0'))
      .filter((path) => existsSync(path));
  } catch {
    return [];
  }
}
