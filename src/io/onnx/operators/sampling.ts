/** Reading pictures at places that are computed: GridSample (Jaderberg et al. 2015, arXiv:1506.02025) and RoiAlign (He et al. 2017, arXiv:1703.06870). */

import { F, type Tensor } from '../../../tensor/index.js';
import { computes, type Operator, type OperatorTable, required } from './operator.js';

/** What lies beyond the border of a picture. */
type Border = 'zeros' | 'border' | 'reflection';

/** Places of the pixels along one axis, before the border is applied. */
interface Line {
  readonly size: number;
  readonly alignCorners: boolean;
  readonly border: Border;
}

/** Mirrored at the outermost centres (align_corners) or edges until it lies inside. */
function reflected(x: Tensor, { size, alignCorners }: Line): Tensor {
  const [low, high] = alignCorners ? [0, size - 1] : [-0.5, size - 0.5];
  const span = high - low;
  if (span <= 0) return x.mul(0);
  const distance = x.sub(low).abs();
  const folds = distance.div(span).floor();
  const rest = distance.sub(folds.mul(span));
  const backwards = folds.remainder(2).eq(1);
  return backwards.where(rest.neg().add(high), rest.add(low));
}

const clipped = (x: Tensor, line: Line) => x.clamp(0, line.size - 1);

/** A whole place after the border's rule, and 1 where it counts, 0 where it lies outside a picture that is followed by zeros. */
function settled(x: Tensor, line: Line): { place: Tensor; counts: Tensor | null } {
  if (line.border === 'zeros') {
    return {
      place: clipped(x, line),
      counts: x
        .ge(0)
        .logicalAnd(x.le(line.size - 1))
        .to('float32'),
    };
  }
  return { place: clipped(line.border === 'reflection' ? reflected(x, line) : x, line), counts: null };
}

interface Tap {
  readonly place: Tensor;
  readonly weight: Tensor | null;
}

/** The pixels that count along one axis, and how much. x are exact places. */
function tapsOf(x: Tensor, line: Line, mode: 'nearest' | 'linear' | 'cubic', a: number): Tap[] {
  const tap = (place: Tensor, weight: Tensor | null): Tap => {
    const { place: at, counts } = settled(place, line);
    return { place: at, weight: counts === null ? weight : weight === null ? counts : weight.mul(counts) };
  };
  // Bilinear and nearest sampling move the place itself inside; cubic moves each of its four pixels.
  const inner = line.border === 'zeros' || mode === 'cubic' ? x : settled(x, line).place;
  if (mode === 'nearest') return [tap(inner.round(), null)];
  const first = inner.floor();
  const t = inner.sub(first);
  if (mode === 'linear') return [tap(first, t.neg().add(1)), tap(first.add(1), t)];
  const near = (d: Tensor) =>
    d
      .mul(a + 2)
      .sub(a + 3)
      .mul(d)
      .mul(d)
      .add(1);
  const far = (d: Tensor) =>
    d
      .mul(a)
      .sub(5 * a)
      .mul(d)
      .add(8 * a)
      .mul(d)
      .sub(4 * a);
  const rest = t.neg().add(1);
  return [
    tap(first.sub(1), far(t.add(1))),
    tap(first, near(t)),
    tap(first.add(1), near(rest)),
    tap(first.add(2), far(rest.add(1))),
  ];
}

/** Sums of pixels of x [N, C, H, W] at rows × columns [N, P] → [N, C, P]. */
function gathered(x: Tensor, rows: readonly Tap[], columns: readonly Tap[]): Tensor {
  const [n, c, h, w] = x.shape;
  const flat = x.reshape([n, c, h * w]);
  const parts = rows.flatMap((row) =>
    columns.map((column) => {
      const places = row.place.mul(w).add(column.place).to('int32');
      const index = places.unsqueeze(1).expand([n, c, places.shape[1]]);
      const values = F.gather(flat, 2, index);
      const weight =
        row.weight === null ? column.weight : column.weight === null ? row.weight : row.weight.mul(column.weight);
      return weight === null ? values : values.mul(weight.unsqueeze(1));
    }),
  );
  return parts.reduce((a, b) => a.add(b));
}

const gridSample: Operator = computes((node) => {
  const named = node.word(
    'mode',
    ['bilinear', 'linear', 'nearest', 'bicubic', 'cubic'],
    node.version < 20 ? 'bilinear' : 'linear',
  );
  const mode = named === 'nearest' ? 'nearest' : named.endsWith('linear') ? 'linear' : 'cubic';
  const border = node.word('padding_mode', ['zeros', 'border', 'reflection'], 'zeros');
  const alignCorners = node.flag('align_corners');
  return (input, gridInput) => {
    const [x, grid] = [required(node, input), required(node, gridInput, 'its grid')];
    if (x.ndim !== 4 || grid.ndim !== 4 || grid.shape[3] !== 2) {
      throw node.fail(`it takes pictures [N, C, H, W] and a grid [N, H', W', 2], not [${x.shape}] and [${grid.shape}]`);
    }
    const [n, c, h, w] = x.shape;
    const [, outH, outW] = grid.shape;
    const places = (axis: number, size: number) => {
      const g = F.select(grid, 3, axis)
        .reshape([n, outH * outW])
        .add(1)
        .mul(0.5);
      return alignCorners ? g.mul(size - 1) : g.mul(size).sub(0.5);
    };
    const taps = (axis: number, size: number) =>
      tapsOf(places(axis, size), { size, alignCorners, border }, mode, -0.75);
    return gathered(x, taps(1, h), taps(0, w)).reshape([n, c, outH, outW]);
  };
});

/** Bins of a region, each the mean (or maximum) of sampling_ratio² bilinear samples. */
const roiAlign: Operator = computes((node) => {
  const [outH, outW] = [node.int('output_height', 1), node.int('output_width', 1)];
  const samples = node.int('sampling_ratio', 0);
  const scale = node.float('spatial_scale', 1);
  const average = node.word('mode', ['avg', 'max'], 'avg') === 'avg';
  const halfPixel =
    node.version >= 16 &&
    node.word('coordinate_transformation_mode', ['half_pixel', 'output_half_pixel'], 'half_pixel') === 'half_pixel';
  if (samples < 1)
    throw node.fail('sampling_ratio = 0 makes the number of samples depend on the regions; fovea needs a fixed one');
  if (!average) throw node.fail("mode 'max' is not supported");
  return (input, roisInput, batchInput) => {
    const [x, rois] = [required(node, input), required(node, roisInput, 'its regions')];
    const batch = required(node, batchInput, 'its batch indices').to('int32');
    const [, c, h, w] = x.shape;
    const count = rois.shape[0];
    const corner = (i: number) =>
      F.select(rois, 1, i)
        .mul(scale)
        .sub(halfPixel ? 0.5 : 0)
        .reshape([count, 1]);
    const line = (low: number, outputs: number, size: number) => {
      const start = corner(low);
      const length = corner(low + 2).sub(start);
      const extent = halfPixel ? length : length.maximum(1);
      const steps = Array.from({ length: outputs * samples }, (_, i) => (i + 0.5) / (outputs * samples));
      const exact = extent.mul(F.reshape(steps, [1, outputs * samples])).add(start); // [R, outputs · samples]
      const counts = exact.ge(-1).logicalAnd(exact.le(size)).to('float32');
      const taps = tapsOf(exact.clamp(0, size - 1), { size, alignCorners: true, border: 'border' }, 'linear', 0);
      return taps.map(({ place, weight }) => ({ place, weight: weight!.mul(counts) }));
    };
    const grid = (taps: readonly Tap[], rows: boolean) =>
      taps.map(({ place, weight }): Tap => {
        const all = (t: Tensor) => {
          const shaped = rows ? t.unsqueeze(2) : t.unsqueeze(1);
          return shaped.expand([count, outH * samples, outW * samples]).reshape([count, -1]);
        };
        return { place: all(place), weight: all(weight!) };
      });
    const pictures = F.indexSelect(x, 0, batch);
    const sampled = gathered(pictures, grid(line(1, outH, h), true), grid(line(0, outW, w), false));
    return sampled.reshape([count, c, outH, samples, outW, samples]).mean([3, 5]);
  };
});

export const samplings: OperatorTable = { GridSample: gridSample, RoiAlign: roiAlign };
