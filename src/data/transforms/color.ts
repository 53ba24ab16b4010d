/**
 * Pictures in other colours. Names and results are those of torchvision's `transforms.v2.functional` on bytes: computed in float32 and, as
 * there, cut off rather than rounded to bytes, but for what is whole numbers anyway.
 */

import { ConfigError } from '../../util/errors.js';
import type { Planes } from '../resize.js';
import { colorKernel } from './color-kernel.js';

const f32 = Math.fround;
/** ITU-R BT.601, as Pillow and torchvision weigh the colours. */
const shares = [0.2989, 0.587, 0.114].map(f32);

/** Grey of an RGB picture: [3, H, W] → [1, H, W], or three equal planes. A grey picture stays, or is repeated. */
export function rgbToGrayscale(picture: Planes, channels: 1 | 3 = 1): Planes {
  const [, height, width] = picture.shape;
  requireColours('rgbToGrayscale', picture);
  const grey = greyOf(picture);
  const data = new Uint8Array(channels * grey.length);
  for (let c = 0; c < channels; c++) data.set(grey, c * grey.length);
  return { data, shape: [channels, height, width] };
}

/** factor 0 is black, 1 the picture itself, 2 twice as bright. */
export function adjustBrightness(picture: Planes, factor: number): Planes {
  requireFactor('adjustBrightness', factor);
  const ratio = f32(factor);
  return mapped(picture, (x) => f32(x * ratio));
}

/** factor 0 is the mean of the grey picture everywhere, 1 the picture itself. */
export function adjustContrast(picture: Planes, factor: number): Planes {
  requireFactor('adjustContrast', factor);
  requireColours('adjustContrast', picture);
  const grey = picture.shape[0] === 1 ? picture.data : greyOf(picture);
  let sum = 0;
  for (let i = 0; i < grey.length; i++) sum += grey[i];
  const mean = f32(sum / grey.length);
  return mapped(picture, blendWith(mean, factor));
}

/** factor 0 is grey, 1 the picture itself. A grey picture stays. */
export function adjustSaturation(picture: Planes, factor: number): Planes {
  requireFactor('adjustSaturation', factor);
  requireColours('adjustSaturation', picture);
  if (picture.shape[0] === 1) return picture;
  const [own, other] = [f32(factor), f32(1 - factor)];
  const kernel = colorKernel();
  if (kernel !== null) return { data: kernel.blendWithGrey(picture.data, shares, own, other), shape: picture.shape };
  const grey = greyOf(picture);
  const out = new Uint8Array(picture.data.length);
  for (let c = 0, at = 0; c < 3; c++) {
    for (let i = 0; i < grey.length; i++, at++) {
      out[at] = toByte(f32(f32(picture.data[at] * own) + grey[i] * other));
    }
  }
  return { data: out, shape: picture.shape };
}

/** The hue turned by a part of the colour circle, −0.5 … 0.5. A grey picture stays. */
export function adjustHue(picture: Planes, factor: number): Planes {
  if (!(factor >= -0.5 && factor <= 0.5)) throw new ConfigError(`adjustHue: factor is from −0.5 to 0.5, not ${factor}`);
  requireColours('adjustHue', picture);
  if (picture.shape[0] === 1) return picture;
  const { data, shape } = picture;
  const plane = shape[1] * shape[2];
  const out = new Uint8Array(data.length);
  for (let i = 0; i < plane; i++) {
    const [r, g, b] = [data[i] / 255, data[i + plane] / 255, data[i + 2 * plane] / 255];
    const max = Math.max(r, g, b);
    const range = max - Math.min(r, g, b);
    let [red, green, blue] = [max, max, max];
    if (range > 0) {
      // The circle has six parts, at whose ends two of the colours are equal.
      const at = max === r ? (g - b) / range : max === g ? 2 + (b - r) / range : 4 + (r - g) / range;
      const turned = (((at / 6 + factor) % 1) + 1) % 1;
      const part = Math.floor(turned * 6);
      const within = turned * 6 - part;
      const low = max - range;
      const falling = max - range * within;
      const rising = low + range * within;
      switch (part % 6) {
        case 0:
          [red, green, blue] = [max, rising, low];
          break;
        case 1:
          [red, green, blue] = [falling, max, low];
          break;
        case 2:
          [red, green, blue] = [low, max, rising];
          break;
        case 3:
          [red, green, blue] = [low, falling, max];
          break;
        case 4:
          [red, green, blue] = [rising, low, max];
          break;
        default:
          [red, green, blue] = [max, low, falling];
      }
    }
    // As torchvision makes bytes of numbers: only 1 itself gives 255 after cutting off.
    out[i] = red * 255.999;
    out[i + plane] = green * 255.999;
    out[i + 2 * plane] = blue * 255.999;
  }
  return { data: out, shape };
}

/** Each byte with only its first `bits` bits, 0 … 8. */
export function posterize(picture: Planes, bits: number): Planes {
  if (!Number.isInteger(bits) || bits < 0 || bits > 8) {
    throw new ConfigError(`posterize: bits is a whole number from 0 to 8, not ${bits}`);
  }
  const mask = (0xff << (8 - bits)) & 0xff;
  return mapped(picture, (x) => x & mask);
}

/** Values from `threshold` (0 … 255) on inverted. */
export function solarize(picture: Planes, threshold: number): Planes {
  if (!(threshold <= 255)) throw new ConfigError(`solarize: threshold is at most 255, not ${threshold}`);
  return mapped(picture, (x) => (x >= threshold ? 255 - x : x));
}

/** The negative. */
export function invert(picture: Planes): Planes {
  return mapped(picture, (x) => 255 - x);
}

/** Each channel stretched so that its darkest value becomes 0 and its brightest 255. */
export function autocontrast(picture: Planes): Planes {
  return perChannel(picture, (plane) => {
    let [min, max] = [255, 0];
    for (let i = 0; i < plane.length; i++) {
      const x = plane[i];
      if (x < min) min = x;
      if (x > max) max = x;
    }
    if (min === max) return null;
    const scale = f32((max - min) * f32(1 / 255));
    return (x) => f32(Math.max(0, x - min) / scale);
  });
}

/** Each channel's histogram made as flat as can be, with Pillow's whole numbers. */
export function equalize(picture: Planes): Planes {
  return perChannel(picture, (plane) => {
    const histogram = new Int32Array(256);
    for (let i = 0; i < plane.length; i++) histogram[plane[i]]++;
    let brightest = 255;
    while (histogram[brightest] === 0) brightest--;
    const step = Math.floor((plane.length - histogram[brightest]) / 255);
    if (step === 0) return null;
    let below = step >> 1;
    const table = Array.from(histogram, (count) => {
      const value = Math.floor(below / step);
      below += count;
      return value;
    });
    return (x) => table[x];
  });
}

/** Cut off to a whole number from 0 to 255. */
function toByte(x: number): number {
  return x < 0 ? 0 : x > 255 ? 255 : Math.trunc(x);
}

/** factor · x + (1 − factor) · other, as float32 computes it with the second product fused. */
export function blendWith(other: number, factor: number): (x: number) => number {
  const [own, rest] = [f32(factor), f32(1 - factor)];
  return (x) => f32(f32(x * own) + other * rest);
}

/** One function for every byte: asked 256 times. */
function mapped({ data, shape }: Planes, f: (x: number) => number): Planes {
  return { data: look(data, tableOf(f)), shape };
}

/** A function for each channel, made from its values; null leaves it as it is. */
function perChannel({ data, shape }: Planes, of: (plane: Uint8Array) => ((x: number) => number) | null): Planes {
  const size = shape[1] * shape[2];
  const out = new Uint8Array(data.length);
  for (let from = 0; from < data.length; from += size) {
    const plane = data.subarray(from, from + size);
    const f = of(plane);
    out.set(f === null ? plane : look(plane, tableOf(f)), from);
  }
  return { data: out, shape };
}

function tableOf(f: (x: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, x) => toByte(f(x)));
}

function look(from: Uint8Array, table: Uint8Array): Uint8Array {
  const kernel = colorKernel();
  if (kernel !== null) return kernel.look(from, table);
  const to = new Uint8Array(from.length);
  for (let i = 0; i < from.length; i++) to[i] = table[from[i]];
  return to;
}

/** Grey values, cut off to bytes; a grey picture's own. */
function greyOf({ data, shape }: Planes): Uint8Array {
  if (shape[0] === 1) return data.slice();
  const kernel = colorKernel();
  if (kernel !== null) return kernel.grey(data, shares);
  const plane = shape[1] * shape[2];
  const [redShare, greenShare, blueShare] = shares;
  const grey = new Uint8Array(plane);
  for (let i = 0; i < plane; i++) {
    grey[i] = f32(f32(f32(data[i] * redShare) + data[i + plane] * greenShare) + data[i + 2 * plane] * blueShare);
  }
  return grey;
}

function requireFactor(name: string, factor: number): void {
  if (!(factor >= 0 && factor < Infinity)) throw new ConfigError(`${name}: factor is not negative, not ${factor}`);
}

export function requireColours(name: string, { shape: [channels] }: Planes): void {
  if (channels !== 1 && channels !== 3) {
    throw new ConfigError(`${name}: pictures have 1 channel or 3, this has ${channels}`);
  }
}
