/**
 * Pictures of explanations, as planes of bytes that a PNG encoder or a canvas takes: numbers in colours, heat laid over a photograph, and many small
 * pictures set into a grid.
 */

import type { Planes } from '../data/index.js';
import { ConfigError } from '../util/errors.js';
import { type ColorMap, colorTable } from './color-map.js';

export type Color = readonly [red: number, green: number, blue: number];

/** Numbers in 0 … 1 [H, W] as a picture [3, H, W]. */
export function colorize(
  map: ArrayLike<number>,
  [height, width]: readonly [number, number],
  colors: ColorMap = 'inferno',
): Planes {
  const table = colorTable(colors);
  const size = height * width;
  const data = new Uint8Array(3 * size);
  for (let p = 0; p < size; p++) {
    const i = 3 * level(map[p]);
    for (let c = 0; c < 3; c++) data[c * size + p] = table[i + c];
  }
  return { data, shape: [3, height, width] };
}

export interface OverlayOptions {
  readonly colors?: ColorMap;
  /** How much of the picture the hottest place hides, 0 … 1. */
  readonly strength?: number;
}

/**
 * Heat in 0 … 1 [H, W] over a picture [1 | 3, H, W] of the same size → [3, H, W]. Cold places show a darkened, half grey picture, so that colours stand for
 * heat alone. @throws {ConfigError} for another size
 */
export function overlay(
  picture: Planes,
  map: ArrayLike<number>,
  { colors = 'inferno', strength = 0.75 }: OverlayOptions = {},
): Planes {
  const [channels, height, width] = picture.shape;
  const size = height * width;
  if (map.length !== size) {
    throw new ConfigError(
      `overlay: ${map.length} numbers for a picture of ${height} × ${width}; scale the picture to the map's size first`,
    );
  }
  const table = colorTable(colors);
  const data = new Uint8Array(3 * size);
  for (let p = 0; p < size; p++) {
    const heat = Math.min(1, Math.max(0, map[p]));
    const weight = strength * heat ** 0.7;
    const i = 3 * level(heat);
    const [r, g, b] = [0, 1, 2].map((c) => picture.data[Math.min(c, channels - 1) * size + p]);
    const gray = 0.299 * r + 0.587 * g + 0.114 * b;
    const dim = 0.62 + 0.38 * heat;
    for (let c = 0; c < 3; c++) {
      const shown = dim * (0.5 * gray + 0.5 * [r, g, b][c]);
      data[c * size + p] = Math.round((1 - weight) * shown + weight * table[i + c]);
    }
  }
  return { data, shape: [3, height, width] };
}

/** Each pixel as a block of `factor` × `factor`: what small maps look like without being blurred. */
export function enlarge({ data, shape: [channels, height, width] }: Planes, factor: number): Planes {
  const [h, w] = [height * factor, width * factor];
  const out = new Uint8Array(channels * h * w);
  for (let c = 0, o = 0; c < channels; c++) {
    for (let y = 0; y < h; y++) {
      const row = (c * height + Math.floor(y / factor)) * width;
      for (let x = 0; x < w; x++, o++) out[o] = data[row + Math.floor(x / factor)];
    }
  }
  return { data: out, shape: [channels, h, w] };
}

export interface GridOptions {
  /** Default: as many as make the grid about as wide as high. */
  readonly columns?: number;
  /** Pixels between pictures and around them, default 2. */
  readonly gap?: number;
  readonly background?: Color;
}

/** Pictures [1 | 3, H, W] of one size as one picture [3, …], row by row. @throws {ConfigError} where there are none or sizes differ */
export function pictureGrid(
  pictures: readonly Planes[],
  { columns, gap = 2, background = [24, 24, 27] }: GridOptions = {},
): Planes {
  if (pictures.length === 0) throw new ConfigError('pictureGrid: there are no pictures');
  const [, height, width] = pictures[0].shape;
  if (pictures.some(({ shape }) => shape[1] !== height || shape[2] !== width)) {
    throw new ConfigError('pictureGrid: all pictures must have one size');
  }
  const across = Math.min(
    pictures.length,
    columns ?? Math.ceil(Math.sqrt((pictures.length * (height + gap)) / (width + gap))),
  );
  const down = Math.ceil(pictures.length / across);
  const sheet = blank(down * (height + gap) + gap, across * (width + gap) + gap, background);
  for (const [i, picture] of pictures.entries()) {
    paste(sheet, picture, gap + Math.floor(i / across) * (height + gap), gap + (i % across) * (width + gap));
  }
  return sheet;
}

/** A picture [3, height, width] of one colour. */
export function blank(height: number, width: number, color: Color): Planes {
  const data = new Uint8Array(3 * height * width);
  for (let c = 0; c < 3; c++) data.fill(color[c], c * height * width, (c + 1) * height * width);
  return { data, shape: [3, height, width] };
}

/** Puts a picture [1 | 3, H, W] into `sheet` [3, …] with its corner at (top, left); it must fit. */
export function paste(
  sheet: Planes,
  { data, shape: [channels, height, width] }: Planes,
  top: number,
  left: number,
): void {
  const [, h, w] = sheet.shape;
  for (let c = 0; c < 3; c++) {
    const from = Math.min(c, channels - 1) * height;
    for (let y = 0; y < height; y++) {
      sheet.data.set(data.subarray((from + y) * width, (from + y + 1) * width), (c * h + top + y) * w + left);
    }
  }
}

function level(value: number): number {
  return Math.round(255 * Math.min(1, Math.max(0, value))) || 0; // NaN is drawn as 0
}
