/**
 * Sheets: pictures side by side under titles, as one PNG. Titles are drawn by sharp from SVG, in whatever sans-serif font the machine has; where it has
 * none the sheet comes without words, and the caller says them in the terminal.
 */

import { blank, colorTable, paste } from '../explain/index.js';
import { encodePng, type Picture } from '../io/all.node.js';

export interface Cell {
  readonly picture: Picture;
  /** Below the picture. */
  readonly caption?: string;
}

export interface Sheet {
  /** Above everything. */
  readonly title?: string;
  /** Above the columns. */
  readonly heads?: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** Explains the colours of heat, at the bottom. */
  readonly legend?: readonly [cold: string, hot: string];
  /** All pictures are of one kind: the first of a row does not stand out. */
  readonly even?: boolean;
}

const margin = 20;
const gap = 12;
const background = [24, 24, 27] as const;
const bright = '#f4f4f5';
const faint = '#a1a1aa';

interface Text {
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly size: number;
  readonly color: string;
  readonly bold?: boolean;
  readonly anchor?: 'start' | 'middle' | 'end';
  /** What it may take, in pixels. */
  readonly room: number;
}

/** The sheet's bytes as PNG, and whether its words are on it. */
export async function drawSheet({
  title,
  heads,
  rows,
  legend,
  even = false,
}: Sheet): Promise<{ png: Uint8Array; words: boolean }> {
  const words = await hasFonts();
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(...rows.map((row) => row[c]?.picture.shape[2] ?? 0)),
  );
  const heights = rows.map((row) => Math.max(...row.map(({ picture }) => picture.shape[1])));
  const captions = rows.map((row) => (words && row.some(({ caption }) => caption !== undefined) ? 26 : 0));
  const top = margin + (words && title !== undefined ? 34 : 0) + (words && heads !== undefined ? 26 : 0);
  const bottom = legend === undefined ? 0 : 26;
  const width = 2 * margin + sum(widths) + gap * (columns - 1);
  const height = top + sum(heights) + sum(captions) + gap * (rows.length - 1) + bottom + margin;
  const sheet = blank(height, width, background);
  const texts: Text[] = [];
  if (title !== undefined)
    texts.push({
      x: margin,
      y: margin + 16,
      text: title,
      size: 18,
      color: bright,
      bold: true,
      room: width - 2 * margin,
    });
  let y = top;
  for (const [r, row] of rows.entries()) {
    let x = margin;
    for (const [c, { picture, caption }] of row.entries()) {
      if (r === 0 && heads?.[c] !== undefined) {
        texts.push({ x, y: top - 10, text: heads[c], size: 14, color: bright, bold: true, room: widths[c] });
      }
      paste(sheet, picture, y, x);
      if (caption !== undefined) {
        const color = c === 0 || even ? bright : faint;
        texts.push({ x, y: y + heights[r] + 18, text: caption, size: 13, color, room: widths[c] });
      }
      x += widths[c] + gap;
    }
    y += heights[r] + captions[r] + gap;
  }
  if (legend !== undefined) {
    const bar = Math.min(160, width - 2 * margin);
    const left = width - margin - bar;
    paste(sheet, gradient(bar, 10), height - margin - 8, left);
    const room = (width - 2 * margin - bar) / 2;
    texts.push({
      x: left - 10,
      y: height - margin + 1,
      text: `${legend[0]}  →  ${legend[1]}`,
      size: 13,
      color: faint,
      anchor: 'end',
      room: 2 * room,
    });
  }
  const png = await encodePng(sheet);
  return { png: words ? await written(png, width, height, texts) : png, words };
}

/** Pictures of [1 | 3, H, W] as colours, so that they can stand on a sheet. */
function gradient(width: number, height: number): Picture {
  const table = colorTable('inferno');
  const picture = blank(height, width, [0, 0, 0]);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < width * height; i++) {
      picture.data[c * width * height + i] = table[3 * Math.round((255 * (i % width)) / (width - 1)) + c];
    }
  }
  return picture;
}

/** Whether text is drawn at all: on a bare server there may be no font. */
async function hasFonts(): Promise<boolean> {
  const { default: sharp } = await import('sharp');
  const { channels } = await sharp(
    Buffer.from(svg(24, 24, [{ x: 2, y: 20, text: 'M', size: 20, color: '#fff', room: 24 }])),
  ).stats();
  return channels[channels.length - 1].max > 0;
}

async function written(png: Uint8Array, width: number, height: number, texts: readonly Text[]): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  const input = Buffer.from(svg(width, height, texts));
  return new Uint8Array(await sharp(png).composite([{ input }]).png({ compressionLevel: 9 }).toBuffer());
}

function svg(width: number, height: number, texts: readonly Text[]): string {
  const lines = texts.map(({ x, y, text, size, color, bold, anchor = 'start', room }) => {
    const font = `font-family="Inter, 'Helvetica Neue', 'Liberation Sans', Arial, 'DejaVu Sans', sans-serif" font-size="${size}"`;
    return `<text x="${x}" y="${y}" fill="${color}" ${font} font-weight="${bold ? 600 : 400}" text-anchor="${anchor}">${escaped(shortened(text, room, size))}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${lines.join('')}</svg>`;
}

/** Cut where it would run into its neighbour; letters are about 0.55 of their size wide. */
function shortened(text: string, room: number, size: number): string {
  const most = Math.max(3, Math.floor(room / (0.53 * size)));
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/[^\x20-\uffff]/g, ' ');
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
