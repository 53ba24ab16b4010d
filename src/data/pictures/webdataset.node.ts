/**
 * WebDataset: tar archives in which files of one name belong together, `0001.jpg` with `0001.cls` (a number), `0001.txt` (a name) or `0001.json` (with a
 * label in it). Plain archives are listed once and read in slices; packed ones (.tar.gz) are unpacked into memory once, up to a limit.
 * Source: the format's description in the webdataset project.
 */

import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { createGunzip } from 'node:zlib';
import { type ByteSource, memorySource } from '../../io/byte-source.js';
import { FileSource } from '../../io/byte-source.node.js';
import { fileError } from '../../io/file-error.node.js';
import { isPictureName } from '../../io/picture-format.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import {
  clip,
  LeftOutList,
  type NamedSample,
  type PictureSet,
  type PictureSource,
  splitNamed,
  withLabels,
} from './sample.js';
import { tarEntries } from './tar.js';

export interface WebDatasetOptions {
  /** A packed archive that unpacks to more is refused. */
  readonly maxUnpackedBytes?: number;
}

/** Labels are short. */
const maxLabelBytes = 1 << 16;

export function isTarName(name: string): boolean {
  return /\.(tar|tar\.gz|tgz)$/i.test(name);
}

/** One set out of one or more archives; which part an archive is (`train-000.tar`, `val.tar`) its name or folder says. */
export async function webDatasetSet(
  path: string,
  files: readonly { readonly path: string; readonly name: string }[],
  { maxUnpackedBytes = 1 << 30 }: WebDatasetOptions = {},
): Promise<PictureSet> {
  const leftOut = new LeftOutList();
  const samples: NamedSample[] = [];
  let budget = maxUnpackedBytes;
  for (const file of files) {
    const split = splitOfName(file.name);
    const packed = !/\.tar$/i.test(file.path);
    const source = packed ? await unpack(file.path, budget, maxUnpackedBytes) : new FileSource(file.path);
    if (packed) budget -= source.sizeBytes;
    try {
      for (const { key, className, place } of pairs(source, file.path, leftOut)) {
        const where: PictureSource =
          source instanceof FileSource
            ? { kind: 'slice', path: file.path, ...place }
            : { kind: 'memory', memory: source.read(0, source.sizeBytes).buffer as SharedArrayBuffer, ...place };
        samples.push({ name: `${file.name}/${key}`, className, ...(split === null ? {} : { split }), source: where });
      }
    } finally {
      if (source instanceof FileSource) source.close();
    }
  }
  if (samples.length === 0) {
    throw new ConfigError(
      `${path} has no labelled pictures in it: archives hold pairs such as 0001.jpg and 0001.cls, .txt or .json with a "label".`,
    );
  }
  return {
    format: 'webdataset',
    path,
    ...withLabels(samples, path),
    leftOut: leftOut.list,
    leftOutCounts: leftOut.counts,
  };
}

/** `train-0000.tar` or `val/0000.tar` → the part; null where the name says none. */
export function splitOfName(name: string): ReturnType<typeof splitNamed> {
  for (const part of name.split('/').reverse()) {
    const word = /^[a-z]+/i.exec(part)?.[0];
    const split = word === undefined ? null : splitNamed(word);
    if (split !== null) return split;
  }
  return null;
}

interface Pair {
  readonly key: string;
  readonly className: string | number;
  readonly place: { readonly offset: number; readonly length: number };
}

interface Half {
  picture?: { readonly name: string; readonly offset: number; readonly length: number };
  className?: string | number;
}

/** Files of one key stand next to each other, so no more than one pair is kept in mind. */
function* pairs(source: ByteSource, where: string, leftOut: LeftOutList): Generator<Pair> {
  let key: string | null = null;
  let half: Half = {};
  const seen = new Set<string>();
  const finish = function* (): Generator<Pair> {
    if (key === null) return;
    const { picture, className } = half;
    if (picture === undefined) leftOut.add(clip(key), 'label without a picture');
    else if (className === undefined) leftOut.add(clip(picture.name), 'picture without a label');
    else if (seen.has(key)) leftOut.add(clip(key), 'listed twice');
    else {
      seen.add(key);
      yield { key: picture.name, className, place: { offset: picture.offset, length: picture.length } };
    }
  };
  for (const entry of tarEntries(source, where)) {
    const file = entry.name.replace(/^(\.\/)+/, '');
    if (file.split('/').some((part) => part.startsWith('.'))) {
      leftOut.add(clip(file), 'hidden');
      continue;
    }
    const [, stem, ending] = /^(.*?[^/]*?)\.([^/]*)$/.exec(file) ?? [undefined, file, ''];
    if (stem !== key) {
      yield* finish();
      key = stem!;
      half = {};
    }
    const { offset, length } = entry;
    if (isPictureName(file)) half.picture ??= { name: file, offset, length };
    else if (isLabel(ending)) {
      if (length > maxLabelBytes)
        throw new FormatError(`${where}: the label ${clip(file)} has ${length} bytes`, offset);
      half.className ??= labelOf(source.read(offset, offset + length), ending.toLowerCase(), `${where}: ${clip(file)}`);
    } else leftOut.add(clip(file), 'not a picture');
  }
  yield* finish();
}

function isLabel(ending: string): boolean {
  return ['cls', 'txt', 'json'].includes(ending.toLowerCase());
}

const jsonFields = ['label', 'class', 'cls', 'class_name', 'target', 'category'];

function labelOf(bytes: Uint8Array, ending: string, where: string): string | number | undefined {
  const content = new TextDecoder().decode(bytes).trim();
  if (ending === 'cls' || ending === 'txt') return content === '' ? undefined : content.slice(0, 1000);
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (error) {
    throw new FormatError(`${where}: not valid JSON: ${clip((error as Error).message)}`);
  }
  if (typeof json === 'number' || typeof json === 'string') return json;
  const fields = json !== null && typeof json === 'object' ? (json as Record<string, unknown>) : {};
  const found = jsonFields.map((name) => (Object.hasOwn(fields, name) ? fields[name] : undefined));
  return found.find((value) => typeof value === 'number' || typeof value === 'string') as string | number | undefined;
}

/** Into memory that workers can share. The stream is stopped as soon as more comes out than may. */
async function unpack(path: string, budget: number, limit: number): Promise<ByteSource> {
  const pieces: Buffer[] = [];
  let total = 0;
  const input = createReadStream(path);
  const gunzip = createGunzip();
  input.on('error', (error) => gunzip.destroy(error));
  try {
    for await (const piece of input.pipe(gunzip) as AsyncIterable<Buffer>) {
      total += piece.length;
      if (total > budget) {
        throw new ConfigError(
          `${basename(path)} unpacks to more than the ${limit} bytes that packed archives may take in memory: unpack it (gunzip), ` +
            'plain .tar files are read in place.',
        );
      }
      pieces.push(piece);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code?.startsWith('Z_')) throw new FormatError(`${path}: the gzip data is damaged or cut short: ${message}`);
    throw fileError('read', path, error);
  } finally {
    input.destroy();
    gunzip.destroy();
  }
  const memory = new Uint8Array(new SharedArrayBuffer(total));
  let at = 0;
  for (const piece of pieces) {
    memory.set(piece, at);
    at += piece.length;
  }
  return memorySource(memory);
}
