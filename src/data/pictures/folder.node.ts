/**
 * Pictures in folders that are named as their classes: `cats/1.jpg`, `dogs/park/2.png`; or the same below `train/`, `val/` and `test/`. (torchvision's
 * ImageFolder.) A link is followed only where it stays inside the folder, and no folder is entered twice.
 */

import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileError } from '../../io/file-error.node.js';
import { isPictureName } from '../../io/picture-format.js';
import { ConfigError } from '../../util/errors.js';
import { byCodePoint, clip, type LeftOutList, type NamedSample, type PictureSet, splitNamed } from './sample.js';

/** A file below the root: its name there, in parts, and its real path. */
export interface FoundFile {
  readonly parts: readonly string[];
  readonly path: string;
}

export const layouts = [
  '  photos/cats/1.jpg        a folder for each class,',
  '  photos/dogs/2.png        pictures at any depth below it',
  'or, divided already,',
  '  photos/train/cats/1.jpg',
  '  photos/val/cats/3.jpg    val and test are optional',
].join('\n');

/** All files below a folder in order of their names; hidden ones and links that lead out are counted, not listed. @throws {FileError} */
export async function filesBelow(root: string, leftOut: LeftOutList): Promise<FoundFile[]> {
  const realRoot = await real(root);
  const entered = new Set<string>();
  const found: FoundFile[] = [];

  const linked: { path: string; parts: readonly string[] }[] = [];
  const walk = async (folder: string, parts: readonly string[]): Promise<void> => {
    if (entered.has(folder)) return leftOut.add(parts.join('/'), 'link to a folder that is there anyway');
    if (parts.length > deepest) return leftOut.add(parts.join('/'), `deeper than ${deepest} folders`);
    entered.add(folder);
    const entries = await list(folder);
    if (entries.length === 0 && parts.length > 0) leftOut.add(parts.join('/'), 'empty folder');
    for (const entry of entries) {
      const inside = [...parts, entry.name];
      if (entry.name.startsWith('.') || entry.name === '__MACOSX') {
        leftOut.add(inside.join('/'), 'hidden');
        continue;
      }
      const target = await resolve(entry, folder, realRoot);
      if (typeof target === 'string') leftOut.add(inside.join('/'), target);
      else if (!target.isFolder) found.push({ parts: inside, path: target.path });
      else if (entry.isSymbolicLink()) linked.push({ path: target.path, parts: inside });
      else await walk(target.path, inside);
    }
  };
  await walk(realRoot, []);
  // Links last: what lies in a real folder keeps the name it has there.
  for (const { path, parts } of linked) await walk(path, parts);
  return found.sort((a, b) => byParts(a.parts, b.parts));
}

const deepest = 64;

/** Pictures to people, which no decoder here knows. */
const otherPicture = /\.(bmp|dib|jxl|jp2|j2k|psd|svg|ico|tga|ppm|pgm|pbm|exr|hdr|dng|cr2|cr3|nef|arw|orf|rw2|raf)$/i;
const convert = 'picture of a kind that is not read here: convert it to PNG or JPEG';

/** @throws {ConfigError} that shows the layout expected. */
export function folderSet(root: string, files: readonly FoundFile[], leftOut: LeftOutList): PictureSet {
  const pictures = files.filter(({ parts }) => {
    const name = parts[parts.length - 1];
    if (!isPictureName(name)) leftOut.add(parts.join('/'), otherPicture.test(name) ? convert : 'not a picture');
    return isPictureName(name);
  });
  const split = isSplitLayout(root, pictures);
  const classAt = split ? 1 : 0;
  const samples: NamedSample[] = [];
  for (const { parts, path } of pictures) {
    const name = parts.join('/');
    if (parts.length < classAt + 2) {
      leftOut.add(name, 'not in the folder of a class');
      continue;
    }
    const part = split ? { split: splitNamed(parts[0])! } : {};
    samples.push({ name, className: parts[classAt], ...part, source: { kind: 'file', path } });
  }
  checkFound(root, samples, pictures.length, leftOut);
  if (split) checkSameClasses(root, samples);
  return {
    format: 'folder',
    path: root,
    ...withNames(samples),
    leftOut: leftOut.list,
    leftOutCounts: leftOut.counts,
  };
}

/** How many folders would be classes: 0 where pictures lie flat. */
export function countClassFolders(files: readonly FoundFile[]): number {
  return new Set(files.filter(({ parts }) => parts.length > 1 && isPictureName(parts.at(-1)!)).map(({ parts }) => parts[0])).size; // biome-ignore format: one expression
}

function withNames(samples: readonly NamedSample[]): Pick<PictureSet, 'classes' | 'samples'> {
  // Folders keep the order of their names even where these are numbers: `10` before `2`, as torchvision counts, whose weights people have.
  const names = [...new Set(samples.map(({ className }) => String(className)))].sort(byCodePoint);
  const indexOf = new Map(names.map((name, i) => [name, i]));
  return {
    classes: names,
    samples: samples.map(({ className, ...rest }) => ({ ...rest, label: indexOf.get(String(className))! })),
  };
}

/** train/, val/ and test/ at the top, and folders of classes in each. */
function isSplitLayout(root: string, pictures: readonly FoundFile[]): boolean {
  const tops = [...new Set(pictures.filter(({ parts }) => parts.length > 1).map(({ parts }) => parts[0]))];
  const splits = tops.filter((name) => splitNamed(name) !== null);
  if (!splits.some((name) => splitNamed(name) === 'train')) return false;
  const hasClasses = (top: string) => pictures.some(({ parts }) => parts[0] === top && parts.length > 2);
  const trains = splits.filter((name) => splitNamed(name) === 'train');
  if (!trains.some(hasClasses)) return false; // a class called "train", beside "bus" and "plane"
  const others = tops.filter((name) => splitNamed(name) === null);
  if (others.length > 0 && splits.length === 1) return false; // the same, with pictures at some depth
  if (others.length > 0) {
    throw new ConfigError(
      `${root} is divided into ${splits.map((s) => `${s}/`).join(', ')}, and has the folder ${clip(others[0])}/ beside them. ` +
        `Move it away, or into one of them.`,
    );
  }
  const flat = splits.find((top) => !hasClasses(top));
  if (flat !== undefined) {
    throw new ConfigError(
      `${root}: ${flat}/ has pictures but no folders of classes, so nobody knows what they show. Sort them into ${flat}/<class>/, ` +
        'or move them away and ask `fovea predict` about them.',
    );
  }
  return true;
}

/** Validation and test may lack a class, but know no other than training. */
function checkSameClasses(root: string, samples: readonly NamedSample[]): void {
  const trained = new Set(samples.filter(({ split }) => split === 'train').map(({ className }) => className));
  const unknown = samples.find(({ className }) => !trained.has(className));
  if (unknown === undefined) return;
  throw new ConfigError(
    `${root}: ${clip(unknown.name)} is of the class '${clip(String(unknown.className))}', which train/ does not have. It has ` +
      `${clip([...trained].sort().join(', '), 200)}. The folders of classes must have the same names in every part.`,
  );
}

function checkFound(root: string, samples: readonly NamedSample[], pictures: number, leftOut: LeftOutList): void {
  const classes = new Set(samples.map(({ className }) => className));
  if (classes.size >= 1) return;
  const others = leftOut.counts['not a picture'] ?? 0;
  const found =
    pictures > 0
      ? `${root} has ${pictures} ${pictures === 1 ? 'picture' : 'pictures'} and no folders of classes in it.`
      : `${root} has no pictures in it${others > 0 ? `, ${others} other files` : ''}.`;
  throw new ConfigError(`${found} Labelled pictures lie like this:\n${layouts}`);
}

/** What an entry is behind its links; or why it is not taken. */
async function resolve(
  entry: Dirent,
  folder: string,
  root: string,
): Promise<{ path: string; isFolder: boolean } | string> {
  const path = join(folder, entry.name);
  if (entry.isDirectory()) return { path, isFolder: true };
  if (entry.isFile()) return { path, isFolder: false };
  if (!entry.isSymbolicLink()) return 'neither file nor folder';
  try {
    const target = await realpath(path);
    if (!isInside(target, root)) return 'link that leads out of the folder';
    const found = await stat(target);
    if (found.isDirectory()) return { path: target, isFolder: true };
    return found.isFile() ? { path: target, isFolder: false } : 'neither file nor folder';
  } catch {
    return 'link that leads nowhere'; // also one that leads to itself
  }
}

/** Both real paths. */
export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

async function list(folder: string): Promise<Dirent[]> {
  try {
    return (await readdir(folder, { withFileTypes: true })).sort((a, b) => byCodePoint(a.name, b.name));
  } catch (error) {
    throw fileError('read', folder, error);
  }
}

async function real(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw fileError('read', path, error);
  }
}

function byParts(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = byCodePoint(a[i], b[i]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}
