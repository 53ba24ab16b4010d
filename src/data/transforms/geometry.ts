/**
 * Pictures cut, padded and flipped: pixels move as they are, none is computed. Names and results are those of torchvision's
 * `transforms.v2.functional`.
 */

import { ConfigError } from '../../util/errors.js';
import { type Box, centerCrop, type Planes, type ResizeFilter, resizeBox } from '../resize.js';

/**
 * What lies outside of a picture: a colour, its border, or the picture mirrored in its border pixels ('reflect') or behind them
 * ('symmetric').
 */
export type PaddingMode = 'constant' | 'edge' | 'reflect' | 'symmetric';

/** One value for all channels, or one for each. */
export type Fill = number | readonly number[];

/** Pixels to add on each side. */
export interface Sides {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The part [height, width] from (top, left); black where it reaches outside. */
export function crop(picture: Planes, { top, left, height, width }: Box): Planes {
  const [, h, w] = picture.shape;
  return pad(picture, { top: -top, left: -left, bottom: top + height - h, right: left + width - w });
}

/** The part, resized to [height, width]: one step, in which what lies beside the part has no share. */
export function resizedCrop(
  picture: Planes,
  part: Box,
  [height, width]: readonly [height: number, width: number],
  interpolation: ResizeFilter = 'bilinear',
): Planes {
  return resizeBox(picture, part, height, width, interpolation);
}

/**
 * More picture on each side, or less where a number is negative. Where PyTorch refuses to mirror a picture further than it is large, its
 * mirror image is mirrored again.
 * @throws {ConfigError} if nothing would be left
 */
export function pad(
  picture: Planes,
  { left, top, right, bottom }: Sides,
  { mode = 'constant', fill = 0 }: { mode?: PaddingMode; fill?: Fill } = {},
): Planes {
  const { data, shape } = picture;
  const [channels, h, w] = shape;
  const [height, width] = [h + top + bottom, w + left + right];
  if (height < 1 || width < 1) throw new ConfigError(`pad: nothing of ${h} × ${w} is left: ${height} × ${width}`);
  const fills = fillOf('pad', fill, channels);
  const out = new Uint8Array(channels * height * width);
  const xs = sourceIndices(mode, -left, width, w);
  const ys = sourceIndices(mode, -top, height, h);
  // The run of columns that are simply there is copied at once.
  const [from, to] = [Math.max(0, left), Math.max(0, left) + Math.max(0, Math.min(w, w + right) - Math.max(0, -left))];
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      const target = (c * height + y) * width;
      if (ys[y] < 0) {
        out.fill(fills[c], target, target + width);
        continue;
      }
      const source = (c * h + ys[y]) * w;
      for (let x = 0; x < Math.min(from, width); x++) out[target + x] = xs[x] < 0 ? fills[c] : data[source + xs[x]];
      if (to > from) out.set(data.subarray(source + from - left, source + to - left), target + from);
      for (let x = Math.max(from, to); x < width; x++) out[target + x] = xs[x] < 0 ? fills[c] : data[source + xs[x]];
    }
  }
  return { data: out, shape: [channels, height, width] };
}

/** Left and right exchanged. */
export function horizontalFlip({ data, shape }: Planes): Planes {
  const width = shape[2];
  const out = data.slice();
  for (let row = 0; row < out.length; row += width) out.subarray(row, row + width).reverse();
  return { data: out, shape };
}

/** Top and bottom exchanged. */
export function verticalFlip({ data, shape }: Planes): Planes {
  const [channels, height, width] = shape;
  const out = new Uint8Array(data.length);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      const from = (c * height + y) * width;
      out.set(data.subarray(from, from + width), (c * height + height - 1 - y) * width);
    }
  }
  return { data: out, shape };
}

/** A quarter turn to the left, `turns` times. */
export function quarterTurns(picture: Planes, turns: number): Planes {
  const quarter = ((turns % 4) + 4) % 4;
  if (quarter === 0) return { data: picture.data.slice(), shape: picture.shape };
  if (quarter === 2) return horizontalFlip(verticalFlip(picture));
  const { data, shape } = picture;
  const [channels, height, width] = shape;
  const out = new Uint8Array(data.length);
  let at = 0;
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < width; y++) {
      // Row y of the result is a column of the picture: downwards from the right edge, or upwards from the left one.
      const column = quarter === 1 ? width - 1 - y : y;
      for (let x = 0; x < height; x++) {
        const row = quarter === 1 ? x : height - 1 - x;
        out[at++] = data[(c * height + row) * width + column];
      }
    }
  }
  return { data: out, shape: [channels, width, height] };
}

/** The part replaced: by a value, one for each channel, or bytes [C, height, width]. */
export function erase(picture: Planes, { top, left, height, width }: Box, value: Fill | Uint8Array): Planes {
  const { data, shape } = picture;
  const [channels, h, w] = shape;
  if (top < 0 || left < 0 || top + height > h || left + width > w) {
    throw new ConfigError(`erase: ${height} × ${width} at (${top}, ${left}) does not lie in a picture of ${h} × ${w}`);
  }
  const bytes = value instanceof Uint8Array ? value : null;
  if (bytes !== null && bytes.length !== channels * height * width) {
    throw new ConfigError(
      `erase: ${bytes.length} bytes for ${channels} × ${height} × ${width}, which are ${channels * height * width}`,
    );
  }
  const fills = bytes === null ? fillOf('erase', value as Fill, channels) : [];
  const out = data.slice();
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      const from = (c * h + top + y) * w + left;
      if (bytes === null) out.fill(fills[c], from, from + width);
      else out.set(bytes.subarray((c * height + y) * width, (c * height + y + 1) * width), from);
    }
  }
  return { data: out, shape };
}

/** The four corners and the middle, each [height, width]: top left, top right, bottom left, bottom right, centre. */
export function fiveCrop(picture: Planes, [height, width]: readonly [height: number, width: number]): Planes[] {
  const [, h, w] = picture.shape;
  if (height > h || width > w) {
    throw new ConfigError(`fiveCrop: ${height} × ${width} is larger than the picture, ${h} × ${w}`);
  }
  const corners = [0, h - height].flatMap((top) => [0, w - width].map((left) => ({ top, left, height, width })));
  return [...corners.map((corner) => crop(picture, corner)), centerCrop(picture, height, width)];
}

/** `fiveCrop` of the picture, then of the picture flipped. */
export function tenCrop(
  picture: Planes,
  size: readonly [height: number, width: number],
  { vertical = false }: { vertical?: boolean } = {},
): Planes[] {
  const flipped = vertical ? verticalFlip(picture) : horizontalFlip(picture);
  return [...fiveCrop(picture, size), ...fiveCrop(flipped, size)];
}

/** Which of n pixels stands at each of `count` places from `first` on: −1 for none. */
export function sourceIndices(mode: PaddingMode, first: number, count: number, n: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => sourceIndex(mode, first + i, n));
}

function sourceIndex(mode: PaddingMode, at: number, n: number): number {
  if (at >= 0 && at < n) return at;
  if (mode === 'constant') return -1;
  if (mode === 'edge') return at < 0 ? 0 : n - 1;
  if (mode === 'reflect') {
    if (n === 1) return 0;
    const period = 2 * (n - 1);
    const within = ((at % period) + period) % period;
    return within < n ? within : period - within;
  }
  const within = ((at % (2 * n)) + 2 * n) % (2 * n);
  return within < n ? within : 2 * n - 1 - within;
}

/** A value for each channel. @throws {ConfigError} */
export function fillOf(name: string, fill: Fill, channels: number): number[] {
  const fills = typeof fill === 'number' ? [fill] : [...fill];
  if (fills.length !== 1 && fills.length !== channels) {
    throw new ConfigError(
      `${name}: fill has ${fills.length} values for ${channels} channels; it takes 1 or ${channels}`,
    );
  }
  for (const value of fills) {
    if (!(value >= 0 && value <= 255)) throw new ConfigError(`${name}: fill is from 0 to 255, not ${value}`);
  }
  return Array.from({ length: channels }, (_, c) => fills[fills.length === 1 ? 0 : c]);
}
