/** What the pictures of `fovea explain` have in common: small ones enlarged, heat over them, the sheet on disk, and classes by the names that users give. */

import { basename } from 'node:path';
import pc from 'picocolors';
import { resize } from '../data/index.js';
import { colorize, enlarge, overlay } from '../explain/index.js';
import { type Picture, writeFileAtomic } from '../io/all.node.js';
import { suggest } from '../util/errors.js';
import { print, printJson } from './output.js';
import { drawSheet, type Sheet } from './picture-sheet.js';
import { UsageError } from './usage.js';

/** Pictures small on a screen are enlarged to about this many pixels. */
const shownSize = 224;

export function checkPng(out: string): void {
  if (/\.png$/i.test(out)) return;
  throw new UsageError(`--out writes PNG: name the file something.png, not '${basename(out)}'.`);
}

/** Writes the sheet, and says so. */
export async function save(sheet: Sheet, out: string, { json }: { json?: boolean }): Promise<void> {
  checkPng(out);
  const { png, words } = await drawSheet(sheet);
  await writeFileAtomic(out, png);
  if (json) return printJson({ event: 'saved', file: out, sizeBytes: png.length });
  if (!words && sheet.heads !== undefined) print(`columns: ${sheet.heads.join(' | ')}`);
  print(pc.dim(`saved ${out}`));
}

/** Small pictures with their pixels as blocks, so that one sees what the model sees. */
export function large(picture: Picture): Picture {
  const [channels, height, width] = picture.shape;
  const factor = Math.max(1, Math.round(shownSize / Math.max(height, width)));
  const [red, green, blue] = [0, Math.min(1, channels - 1), channels - 1].map((c) =>
    picture.data.subarray(c * height * width, (c + 1) * height * width),
  );
  const data = new Uint8Array(3 * height * width);
  for (const [c, plane] of [red, green, blue].entries()) data.set(plane, c * height * width);
  return enlarge({ data, shape: [3, height, width] }, factor);
}

/** Heat over the enlarged picture; the heat is smooth, whatever the pixels are. */
export function heated(picture: Picture, heat: Float32Array): Picture {
  const base = large(picture);
  return overlay(base, enlargedHeat(picture, heat, base));
}

export function plain(picture: Picture, heat: Float32Array): Picture {
  const base = large(picture);
  return colorize(enlargedHeat(picture, heat, base), [base.shape[1], base.shape[2]]);
}

function enlargedHeat(
  { shape: [, height, width] }: Picture,
  heat: Float32Array,
  { shape: [, h, w] }: Picture,
): Float32Array {
  if (h === height) return heat;
  const bytes = Uint8Array.from(heat, (v) => Math.round(255 * v));
  return Float32Array.from(resize({ data: bytes, shape: [1, height, width] }, h, w).data, (v) => v / 255);
}

/** The place of the class with this name or number. @throws {UsageError} that names what is near */
export function classNamed(text: string, classes: readonly string[]): number {
  const exact = classes.indexOf(text);
  if (exact >= 0) return exact;
  const folded = classes.findIndex((name) => name.toLowerCase() === text.toLowerCase());
  if (folded >= 0) return folded;
  const number = Number(text);
  if (text.trim() !== '' && Number.isInteger(number) && number >= 0 && number < classes.length) return number;
  const near = suggest(text, [...classes]);
  throw new UsageError(
    `There is no class '${text}'${near === null ? `: there are ${classes.slice(0, 8).join(', ')}${classes.length > 8 ? ' …' : ''}` : `. Did you mean ${near}?`}`,
  );
}

export function isLive({ json }: { json?: boolean }): boolean {
  return !json && process.stderr.isTTY === true;
}

export function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
