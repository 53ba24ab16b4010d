/**
 * Parquet files with pictures in them, as data hubs keep them: a column of pictures (a struct of `bytes` and `path`, or bytes alone) and one of labels, whose
 * names stand in the file's notes (`huggingface`: features). Several shards are one set; which part each is, its name says (`train-00000-of-00002.parquet`).
 */

import type { FileMetaData } from 'hyparquet';
import { parquetSchema } from 'hyparquet';
import type { ByteSource } from '../../io/byte-source.js';
import { FileSource } from '../../io/byte-source.node.js';
import { ConfigError, FormatError } from '../../util/errors.js';
import { ColumnPages, readFooter } from './parquet-pages.node.js';
import { clip, LeftOutList, type NamedSample, type PictureSet, withLabels } from './sample.js';
import { splitOfName } from './webdataset.node.js';

export interface ParquetOptions {
  /** Names of the columns; left out, the file's notes and the usual names are asked. */
  readonly pictureColumn?: string;
  readonly labelColumn?: string;
}

const usual = {
  picture: ['image', 'img', 'picture', 'photo', 'jpg', 'png', 'bytes'],
  label: ['label', 'labels', 'class', 'target', 'category', 'fine_label', 'y', 'cls'],
} as const;

export async function parquetSet(
  path: string,
  files: readonly { readonly path: string; readonly name: string }[],
  options: ParquetOptions = {},
): Promise<PictureSet> {
  const leftOut = new LeftOutList();
  const samples: NamedSample[] = [];
  let names: readonly string[] | null = null;
  for (const file of files) {
    using source = new FileSource(file.path);
    const metadata = readFooter(source, file.path);
    const columns = findColumns(metadata, file.path, options);
    const split = splitOfName(file.name);
    if (columns.names !== null && names !== null && columns.names.join('\0') !== names.join('\0')) {
      throw new ConfigError(`${file.path}: its classes have other names than those of ${files[0].path}`);
    }
    names ??= columns.names;
    for (const [row, label] of labelsOf(source, metadata, columns.label, file.path).entries()) {
      const name = `${file.name}/${row}`;
      if (label === null || (columns.names !== null && label === -1)) {
        leftOut.add(name, 'row without a label'); // -1 is what hubs write in test sets without answers
        continue;
      }
      const where = { kind: 'row', path: file.path, column: columns.picture, row } as const;
      samples.push({ name, className: label, ...(split === null ? {} : { split }), source: where });
    }
  }
  if (samples.length === 0) throw new ConfigError(`${path} has no labelled pictures in it`);
  return {
    format: 'parquet',
    path,
    ...withLabels(samples, path, names ?? undefined),
    leftOut: leftOut.list,
    leftOutCounts: leftOut.counts,
  };
}

/** Pictures of a file by row; keeps open what neighbours will need. */
export class ParquetPictures implements Disposable {
  readonly #source: FileSource;
  readonly #metadata: FileMetaData;
  readonly #starts: number[] = [];
  /** Of the group asked last, by column. */
  #group = -1;
  #pages: { column: string; pages: ColumnPages } | null = null;

  constructor(readonly path: string) {
    this.#source = new FileSource(path);
    try {
      this.#metadata = readFooter(this.#source, path);
    } catch (error) {
      this.#source.close();
      throw error;
    }
    let start = 0;
    for (const { num_rows } of this.#metadata.row_groups) {
      this.#starts.push(start);
      start += Number(num_rows);
    }
  }

  /** @throws {FormatError} where there is no picture in the row, or the page is damaged */
  read(row: number, column: string): Uint8Array {
    const group = this.#starts.findLastIndex((start) => start <= row);
    if (group < 0) throw new FormatError(`${this.path}: there is no row ${row}`);
    if (this.#pages === null || this.#group !== group || this.#pages.column !== column) {
      this.#pages = { column, pages: new ColumnPages(this.#source, this.#metadata, group, column, this.path) };
      this.#group = group;
    }
    const value = this.#pages.pages.value(row - this.#starts[group]);
    if (value instanceof Uint8Array) return value;
    throw new FormatError(`${this.path}: row ${row} has no picture`);
  }

  [Symbol.dispose](): void {
    this.#source.close();
  }
}

interface Columns {
  readonly picture: string;
  readonly label: string;
  readonly names: readonly string[] | null;
}

function findColumns(metadata: FileMetaData, where: string, options: ParquetOptions): Columns {
  let tops: readonly {
    readonly path: readonly string[];
    readonly children: readonly { readonly path: readonly string[] }[];
  }[];
  try {
    tops = parquetSchema(metadata).children;
  } catch (error) {
    throw new FormatError(`${where}: the schema is damaged: ${(error as Error).message}`);
  }
  const features = featuresOf(metadata);
  const all = tops.map(({ path }) => path.join('.'));
  const find = (role: keyof typeof usual, kind: string, given: string | undefined): string => {
    const marked = Object.keys(features).find((name) => features[name]._type === kind && all.includes(name));
    const lower = all.map((name) => name.toLowerCase());
    const known = usual[role].map((name) => lower.indexOf(name)).find((at) => at >= 0);
    const found = given ?? marked ?? (known === undefined ? undefined : all[known]);
    if (found !== undefined && all.includes(found)) return found;
    throw new ConfigError(
      `${where}: which column holds the ${role}s? It has ${clip(all.join(', '), 200)}. Name it with ${role}Column (--${role}-column).`,
    );
  };
  const picture = find('picture', 'Image', options.pictureColumn);
  const label = find('label', 'ClassLabel', options.labelColumn);
  const children = tops[all.indexOf(picture)].children.map(({ path }) => path.join('.'));
  const leaf = children.length === 0 ? picture : `${picture}.bytes`;
  if (children.length > 0 && !children.includes(leaf)) {
    throw new ConfigError(
      `${where}: the column ${picture} holds ${clip(children.join(', '))}, not the bytes of pictures`,
    );
  }
  const named = Object.hasOwn(features, label) ? features[label].names : undefined;
  const names = Array.isArray(named) && named.every((n) => typeof n === 'string') ? (named as string[]) : null;
  return { picture: leaf, label, names };
}

/** What the hub's library noted about the columns. Nothing where that is missing or not as expected. */
function featuresOf(metadata: FileMetaData): Record<string, { _type?: unknown; names?: unknown }> {
  const text = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return {};
  try {
    const features: unknown = JSON.parse(text)?.info?.features;
    if (features === null || typeof features !== 'object') return {};
    return Object.fromEntries(Object.entries(features).filter(([, f]) => f !== null && typeof f === 'object'));
  } catch {
    return {};
  }
}

function labelsOf(
  source: ByteSource,
  metadata: FileMetaData,
  column: string,
  where: string,
): (string | number | null)[] {
  const labels: (string | number | null)[] = [];
  const texts = new Map<string, string>();
  for (const [group, { num_rows }] of metadata.row_groups.entries()) {
    const pages = new ColumnPages(source, metadata, group, column, where);
    for (let row = 0; row < Number(num_rows); row++) {
      const value = pages.value(row);
      if (!(value instanceof Uint8Array)) labels.push(value);
      else {
        const text = new TextDecoder().decode(value.subarray(0, 1000));
        if (!texts.has(text)) texts.set(text, text); // one string for each class, not for each row
        labels.push(texts.get(text)!);
      }
    }
  }
  return labels;
}
