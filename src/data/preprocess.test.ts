/** What `contain` shows of a picture; `preprocess` is compared with Pillow in resize.test.ts. */

import { expect, it } from 'vitest';
import { preprocessing } from '../models/index.js';
import { contain } from './preprocess.js';

const grey = { ...preprocessing(4), mean: [0.5], std: [0.5] };
const picture = (height: number, width: number) => ({
  data: new Uint8Array(height * width).fill(200),
  shape: [1, height, width] as const,
});
const rows = ({ data }: { data: Uint8Array }) => [0, 4, 8, 12].map((at) => [...data.subarray(at, at + 4)]);

it('contain sets a picture of another aspect ratio in the middle of black bars', () => {
  const line = [200, 200, 200, 200];
  expect(rows(contain(picture(4, 8), grey))).toEqual([[0, 0, 0, 0], line, line, [0, 0, 0, 0]]);
  expect(rows(contain(picture(2, 1), grey))).toEqual(Array(4).fill([0, 200, 200, 0]));
});

it('contain leaves a picture of the right size as it is, and keeps a line of one pixel', () => {
  const data = Uint8Array.from({ length: 16 }, (_, i) => 16 * i);
  expect(contain({ data, shape: [1, 4, 4] }, grey).data).toEqual(data);
  expect(rows(contain(picture(1, 100), grey))[1]).toEqual([200, 200, 200, 200]);
});

it('contain shows a grey picture to a model of colours, and refuses colours for a grey one', () => {
  expect(contain(picture(4, 4), preprocessing(4))).toEqual({ data: new Uint8Array(48).fill(200), shape: [3, 4, 4] });
  const colours = { data: new Uint8Array(48), shape: [3, 4, 4] as const };
  expect(() => contain(colours, grey)).toThrow('a picture of 3 channels for weights of 1');
});
