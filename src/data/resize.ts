/**
 * Resizing bytes exactly as Pillow does, whose filters published weights were trained and measured with: the filter is widened by the
 * factor of reduction (so nothing aliases), columns come before rows, weights are rounded to 22 bits and each pass to bytes. Another
 * resize, however good, costs tenths of a per cent of accuracy. Only what is asked for is computed: of the picture the rows and columns
 * that the window reads. The work is done in resize-kernel.ts. Source: Pillow, "Concepts: Filters"; torchvision.transforms.Resize and
 * CenterCrop.
 */

import { ConfigError } from '../util/errors.js';
import { type ResizeKernel, resizeKernel, type Taps, tableBytes, weightBits, writeTable } from './resize-kernel.js';
import { plainColumns, plainRows } from './resize-plain.js';

/** Planes of bytes [C, H, W]. */
export interface Planes {
  readonly data: Uint8Array;
  readonly shape: readonly [channels: number, height: number, width: number];
}

/** Bytes pixel by pixel [H, W, C], as decoders give them. */
export interface Interleaved {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** A part of a picture, in pixels. */
export interface Box {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

export type ResizeFilter = 'nearest' | 'bilinear' | 'bicubic';

/** The picture at another size, whatever its aspect ratio: [C, H, W] → [C, height, width]. */
export function resize(picture: Planes, height: number, width: number, filter: ResizeFilter = 'bilinear'): Planes {
  return resample(ofPlanes(picture), null, height, width, filter, null);
}

/**
 * `box` of the picture at the size [height, width], and of that only the `window`: → [C, window height, window width]. Pixels outside of
 * the box have no part in it, as if it had been cut out first. @throws {ConfigError} for boxes that do not lie in their picture
 */
export function resizeBox(
  picture: Planes,
  box: Box | null,
  height: number,
  width: number,
  filter: ResizeFilter = 'bilinear',
  window: Box | null = null,
): Planes {
  return resample(ofPlanes(picture), box, height, width, filter, window);
}

/** What `resizeBox` does, from pixels as a decoder gives them, which saves taking them apart first. */
export function resizeInterleaved(
  picture: Interleaved,
  box: Box | null,
  height: number,
  width: number,
  filter: ResizeFilter = 'bilinear',
  window: Box | null = null,
): Planes {
  return resample(ofInterleaved(picture), box, height, width, filter, window);
}

/** The shorter side to `size`, the longer in proportion (rounded down, as torchvision does). */
export function resizeShorterSide(picture: Planes, size: number, filter: ResizeFilter = 'bilinear'): Planes {
  const [, h, w] = picture.shape;
  return resize(picture, ...resizedSize(h, w, size), filter);
}

/** What becomes of [height, width] when the shorter side is resized to a number, or the picture to a pair. */
export function resizedSize(
  height: number,
  width: number,
  size: number | readonly [height: number, width: number],
): [height: number, width: number] {
  if (typeof size !== 'number') return [size[0], size[1]];
  const longer = Math.trunc((size * Math.max(height, width)) / Math.min(height, width));
  return height <= width ? [size, longer] : [longer, size];
}

/** `resize` and then `centerCrop`, without computing what is cut away. `target`, of as many bytes, takes the result in place of new memory. */
export function resizeAndCrop(
  picture: Planes | Interleaved,
  size: number | readonly [height: number, width: number],
  crop: readonly [height: number, width: number],
  filter: ResizeFilter = 'bilinear',
  target?: Uint8Array,
): Planes {
  const pixels = 'shape' in picture ? ofPlanes(picture) : ofInterleaved(picture);
  const [height, width] = resizedSize(pixels.height, pixels.width, size);
  const [top, left] = [centered(height, crop[0]), centered(width, crop[1])];
  const window = {
    top: Math.max(0, top),
    left: Math.max(0, left),
    height: Math.min(height, crop[0]),
    width: Math.min(width, crop[1]),
  };
  const isInside = top >= 0 && left >= 0;
  const inside = resample(pixels, null, height, width, filter, window, isInside ? target : undefined);
  if (isInside) return inside;
  const { data, shape } = centerCrop(inside, ...crop);
  target?.set(data);
  return { data: target ?? data, shape };
}

/** The middle [height, width]; black where the picture is smaller than that. */
export function centerCrop({ data, shape: [channels, h, w] }: Planes, height: number, width: number): Planes {
  const out = new Uint8Array(channels * height * width);
  const [top, left] = [centered(h, height), centered(w, width)];
  const [from, to] = [Math.max(0, left), Math.min(w, left + width)];
  for (let c = 0; c < channels; c++) {
    for (let y = Math.max(0, top); y < Math.min(h, top + height); y++) {
      const row = (c * h + y) * w;
      out.set(data.subarray(row + from, row + to), (c * height + (y - top)) * width + (from - left));
    }
  }
  return { data: out, shape: [channels, height, width] };
}

/** Where the middle `want` of `have` begins. torchvision pads half of what is missing, rounded down, and cuts off half, rounded to even. */
function centered(have: number, want: number): number {
  return have < want ? -((want - have) >> 1) : halfToEven((have - want) / 2);
}

function halfToEven(x: number): number {
  const down = Math.floor(x);
  return x - down === 0.5 ? down + (down & 1) : Math.round(x);
}

/** Bytes of a picture, however they lie: value (c, y, x) is at c·plane + y·row + x·pixel. */
interface Pixels {
  readonly data: Uint8Array;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly plane: number;
  readonly row: number;
  readonly pixel: number;
}

function ofPlanes({ data, shape: [channels, height, width] }: Planes): Pixels {
  return checked({ data, channels, height, width, plane: height * width, row: width, pixel: 1 });
}

function ofInterleaved({ data, channels, height, width }: Interleaved): Pixels {
  return checked({ data, channels, height, width, plane: 1, row: width * channels, pixel: channels });
}

function checked(pixels: Pixels): Pixels {
  const { data, channels, height, width } = pixels;
  if (data.length !== channels * height * width || data.length === 0) {
    throw new ConfigError(
      `resize: a picture of ${channels} × ${height} × ${width} (C H W) has ${channels * height * width} bytes and at least 1; got ${data.length}`,
    );
  }
  return pixels;
}

function resample(
  pixels: Pixels,
  box: Box | null,
  height: number,
  width: number,
  filter: ResizeFilter,
  window: Box | null,
  target?: Uint8Array,
): Planes {
  for (const size of [height, width]) {
    if (!Number.isInteger(size) || size < 1)
      throw new ConfigError(`resize: height and width are whole and positive, not ${size}`);
  }
  const from = within('box', box, pixels.height, pixels.width);
  const to = within('window', window, height, width);
  if (pixels.channels * to.height * to.width > maxBytes) {
    throw new ConfigError(
      `resize: ${pixels.height} × ${pixels.width} would become ${to.height} × ${to.width}, more than ${maxBytes / 2 ** 20} MiB; crop it first`,
    );
  }
  const out = target ?? new Uint8Array(pixels.channels * to.height * to.width);
  if (filter === 'nearest') return nearest(pixels, from, height, width, to, out);
  const columns = taps(from.width, width, to.left, to.width, filter);
  const rows = taps(from.height, height, to.top, to.height, filter);
  const kernel = shared();
  return kernel === null ? plain(pixels, from, rows, columns, out) : fast(kernel, pixels, from, rows, columns, out);
}

function within(name: string, box: Box | null, height: number, width: number): Box {
  if (box === null) return { top: 0, left: 0, height, width };
  const whole = [box.top, box.left, box.height, box.width].every(Number.isInteger);
  const fits = box.top >= 0 && box.left >= 0 && box.top + box.height <= height && box.left + box.width <= width;
  if (!whole || !fits || box.height < 1 || box.width < 1) {
    throw new ConfigError(
      `resize: ${name} ${box.height} × ${box.width} at (${box.top}, ${box.left}) does not lie in a picture of ${height} × ${width}`,
    );
  }
  return box;
}

const filters: Record<'bilinear' | 'bicubic', { readonly support: number; weight(x: number): number }> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  // Keys 1981 with a = −1/2.
  bicubic: {
    support: 2,
    weight: (signed) => {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    },
  },
};

/** Pictures of one data set often have one size. */
const recentTaps = new Map<string, Taps>();
const mostRecent = 16;

/** Of `count` output pixels from number `first` on, where `from` pixels become `to`. */
function taps(from: number, to: number, first: number, count: number, name: 'bilinear' | 'bicubic'): Taps {
  const key = `${name} ${from} ${to} ${first} ${count}`;
  let made = recentTaps.get(key);
  if (made === undefined) {
    if (recentTaps.size === mostRecent) recentTaps.clear();
    made = computeTaps(from, to, first, count, name);
    recentTaps.set(key, made);
  }
  return made;
}

function computeTaps(from: number, to: number, first: number, count: number, name: 'bilinear' | 'bicubic'): Taps {
  const { support, weight } = filters[name];
  const scale = from / to;
  const widening = Math.max(1, scale);
  const reach = support * widening;
  const longest = Math.ceil(reach) * 2 + 1;
  const starts = new Int32Array(count);
  const counts = new Int32Array(count);
  const weights = new Int32Array(count * longest);
  const exact = new Float64Array(longest);
  for (let o = 0; o < count; o++) {
    const center = (first + o + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(from, Math.trunc(center + reach + 0.5));
    let sum = 0;
    for (let i = 0; i < end - start; i++) {
      exact[i] = weight((i + start - center + 0.5) / widening);
      sum += exact[i];
    }
    starts[o] = start;
    counts[o] = end - start;
    for (let i = 0; i < end - start; i++) {
      const scaled = (exact[i] / sum) * (1 << weightBits);
      weights[o * longest + i] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
  }
  return { starts, counts, weights, longest };
}

/** The pixel under the middle of each output pixel. Pillow steps from one to the next, and so do we: sums round otherwise than products. */
function nearest(pixels: Pixels, box: Box, height: number, width: number, window: Box, out: Uint8Array): Planes {
  const { data, channels, plane, row, pixel } = pixels;
  const ys = nearestIndices(box.height, height).subarray(window.top, window.top + window.height);
  const xs = nearestIndices(box.width, width).subarray(window.left, window.left + window.width);
  let at = 0;
  for (let c = 0; c < channels; c++) {
    for (const y of ys) {
      const start = c * plane + (box.top + y) * row + box.left * pixel;
      for (let x = 0; x < xs.length; x++) out[at++] = data[start + xs[x] * pixel];
    }
  }
  return { data: out, shape: [channels, ys.length, xs.length] };
}

function nearestIndices(from: number, to: number): Int32Array {
  const step = from / to;
  const indices = new Int32Array(to);
  let at = step * 0.5;
  for (let i = 0; i < to; i++) {
    indices[i] = Math.min(from - 1, Math.floor(at));
    at += step;
  }
  return indices;
}

function plain(pixels: Pixels, box: Box, rows: Taps, columns: Taps, out: Uint8Array): Planes {
  const { data, channels, plane, row, pixel } = pixels;
  const [height, width] = [rows.starts.length, columns.starts.length];
  const part = new Uint8Array(box.height * box.width);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < box.height; y++) {
      const start = c * plane + (box.top + y) * row + box.left * pixel;
      for (let x = 0; x < box.width; x++) part[y * box.width + x] = data[start + x * pixel];
    }
    const across = plainColumns(part, box.height, box.width, columns);
    out.set(plainRows(across, width, rows), c * height * width);
  }
  return { data: out, shape: [channels, height, width] };
}

/** Of a result. A thread of pixels whose shorter side is resized becomes longer than any memory. */
const maxBytes = 2 ** 29;
/** Rows that go through the columns' pass at a time: few enough to stay in the nearest caches, a multiple of 16. */
const bandRows = 32;
/** A larger memory than this is not kept for the next picture. */
const keptBytes = 64 * 2 ** 20;
let instance: ResizeKernel | null | undefined;

/** One for the thread: nothing here waits, so nobody else comes in between. */
function shared(): ResizeKernel | null {
  if (instance === undefined) instance = resizeKernel();
  return instance;
}

function fast(kernel: ResizeKernel, pixels: Pixels, box: Box, rows: Taps, columns: Taps, out: Uint8Array): Planes {
  const { data, channels, plane, row, pixel } = pixels;
  const [height, width] = [rows.starts.length, columns.starts.length];
  const [firstRow, endRow] = reach(rows);
  const [firstColumn, endColumn] = reach(columns);
  const rowsRead = endRow - firstRow;

  // Interleaved channels are columns like others until their sums are taken apart: a copy from `data` brings `together` of them at once.
  const together = pixel;
  const byteColumns = upTo((endColumn - firstColumn) * together, 8);
  const lineBytes = upTo(width, 16);
  const planeRows = upTo(rowsRead, bandRows);
  const sizes = {
    rowTable: tableBytes(rows),
    columnTable: tableBytes(columns),
    band: bandRows * row + 8,
    turned: (byteColumns + together) * bandRows, // a pair of taps may read one column more
    weighed: upTo(width, 16) * bandRows,
    across: (channels * planeRows + 1) * lineBytes, // and one row
    out: channels * height * width + 16,
  };
  const at = arena(kernel, sizes);
  const memory = new Uint8Array(kernel.memory.buffer);
  writeTable(new Int32Array(memory.buffer, at.columnTable, sizes.columnTable / 4), columns, 0, width, firstColumn);
  writeTable(new Int32Array(memory.buffer, at.rowTable, sizes.rowTable / 4), rows, 0, height, firstRow);

  for (let from = 0; from < rowsRead; from += bandRows) {
    const count = Math.min(bandRows, rowsRead - from);
    const start = (box.top + firstRow + from) * row + (box.left + firstColumn) * pixel;
    for (let group = 0; group < channels; group += together) {
      const first = group * plane + start;
      memory.set(data.subarray(first, Math.min(data.length, first + count * row)), at.band);
      kernel.transpose(at.band, row, at.turned, bandRows, bandRows, byteColumns);
      for (let c = 0; c < together; c++) {
        const source = at.turned + c * bandRows;
        kernel.weigh(at.columnTable, width, source, together * bandRows, at.weighed, bandRows, bandRows);
        const target = at.across + ((group + c) * planeRows + from) * lineBytes;
        kernel.transpose(at.weighed, bandRows, target, lineBytes, upTo(width, 16), bandRows);
      }
    }
  }
  for (let c = 0; c < channels; c++) {
    const source = at.across + c * planeRows * lineBytes;
    // Close together: what a row writes behind its end, the next one overwrites.
    kernel.weigh(at.rowTable, height, source, lineBytes, at.out + c * height * width, width, lineBytes);
  }
  out.set(memory.subarray(at.out, at.out + channels * height * width));
  if (kernel.memory.buffer.byteLength > keptBytes) instance = undefined;
  return { data: out, shape: [channels, height, width] };
}

/** The first input that the taps read, and the one behind the last. */
function reach({ starts, counts }: Taps): [first: number, end: number] {
  const last = starts.length - 1;
  return [starts[0], starts[last] + counts[last]];
}

/** Where each of some buffers lies in the kernel's memory, which grows to hold them. @throws {ConfigError} if it cannot */
function arena<K extends string>({ memory }: ResizeKernel, sizes: Record<K, number>): Record<K, number> {
  const at = {} as Record<K, number>;
  let end = 0;
  for (const name of Object.keys(sizes) as K[]) {
    at[name] = end;
    end = upTo(end + sizes[name], 64);
  }
  const pages = Math.ceil(end / 65536) - memory.buffer.byteLength / 65536;
  try {
    if (pages > 0) memory.grow(pages);
  } catch {
    throw new ConfigError(`resize: this takes ${Math.ceil(end / 2 ** 20)} MiB of memory, which are not to be had`);
  }
  return at;
}

function upTo(n: number, multiple: number): number {
  return Math.ceil(n / multiple) * multiple;
}
