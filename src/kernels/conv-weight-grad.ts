/**
 * The convolution's gradient by weight: dw[o, i, tap] = Σ over images and pixels of dy[n, o, pixel] · x[n, i, pixel under the tap].
 *
 *   dy  [N, O/b, D·H·W, b]     x  [N, C/b, D·H·W, b], or [N, C, D·H·W] plain for a picture of few channels
 *   dw  [O/b, I, taps, b], the layout the forward pass reads
 *
 * A tile is some columns of taps × some input channels × two vectors of output channels; its sums stay in registers while pixels stream by:
 * each pixel loads its dy once and broadcasts one x per tap and channel. Tiles of one (o block, i block, row of taps) belong to one task,
 * which walks images and rows in pieces that fit the first-level cache and keeps partial sums in scratch between pieces. Where there are few
 * such tasks the pixels are cut into parts as well, whose sums a second kernel adds. Pieces and parts depend on the shapes alone, so the order of every sum is the same for any number of threads.
 */

import type { Epilogue, TargetInfo } from '../graph/op.js';
import { affine, type I32, type Kernel, type KernelBuilder, type Ptr, type VF } from '../ir/index.js';
import { type ConvSizes, inputPixels, outputPixels, tapCount } from './conv-shape.js';
import { addRow, cutTaps, type WeightTile } from './conv-weight-tile.js';
import { unravel } from './nest.js';

export interface WeightGrad {
  readonly name: string;
  readonly sizes: ConvSizes;
  /** x is a picture in plain layout. */
  readonly plainSource: boolean;
  /** Groups narrower than a block lie side by side in it: result block o reads source block o. */
  readonly diagonal: boolean;
}

/** Bytes of dy and x that one piece may touch: most of a first-level cache. */
const pieceBytes = 40 * 1024;

/** Tasks that keep several threads busy. Not the number of threads itself, for sums must not depend on it. */
const enoughTasks = 32;

/** Bytes that the sums of all parts may take, and multiply–adds that make a part worth its while. */
const partBytes = 4 * 1024 * 1024;
const partMacs = 1_000_000;

/** How the result's blocks are dealt out, and the pixels walked. */
interface Plan {
  /** Vectors' worth of output channels in one tile, in blocks; and how many such tiles there are. */
  readonly blocksPerTile: number;
  readonly blockTiles: number;
  readonly sourceBlocks: number;
  /** Tiles and source blocks of one task: pieces of dy serve all its source blocks, pieces of x all its tiles. */
  readonly tilesEach: number;
  readonly sourcesEach: number;
  /** Rows of taps done by tasks of their own: 1 where a task does them all. */
  readonly tapTasks: number;
  /** Parts of the pixels done by tasks of their own, each into sums of its own, which a second kernel adds. */
  readonly parts: number;
  /** Images and rows (planes, where there are several) of a piece: whole images while several fit, else rows of one. */
  readonly images: number;
  readonly rows: number;
  readonly rowPieces: number;
  readonly pieces: number;
}

type Deal = Pick<Plan, 'tilesEach' | 'sourcesEach' | 'tapTasks' | 'parts'>;

function plan(c: WeightGrad, target: TargetInfo): Plan {
  const { block: b, lanes } = target;
  const s = c.sizes;
  const blocks = Math.ceil(s.filters / b);
  const single = b > lanes || c.diagonal || (s.groups > 1 && (s.filters / s.groups / b) % 2 === 1);
  const blocksPerTile = single ? 1 : Math.min(2, blocks);
  const blockTiles = Math.ceil(blocks / blocksPerTile);
  const sourceBlocks = c.plainSource || c.diagonal ? 1 : Math.ceil(s.channels / s.groups / b);

  const rows = s.depth.output > 1 ? s.depth.output : s.height.output;
  const sources = c.plainSource ? s.channels : b;
  const cutPixels = (tilesEach: number) => {
    const imageBytes = 4 * (outputPixels(s) * b * blocksPerTile * tilesEach + inputPixels(s) * sources);
    const fits = imageBytes <= pieceBytes;
    const images = fits ? Math.floor(pieceBytes / imageBytes) : 1;
    const most = fits ? rows : Math.max(1, Math.floor((rows * pieceBytes) / imageBytes));
    const each = Math.ceil(rows / Math.ceil(rows / most));
    const rowPieces = Math.ceil(rows / each);
    return { images, rows: each, rowPieces, pieces: Math.ceil(s.images / images) * rowPieces };
  };

  const macs = s.images * outputPixels(s) * s.filters * tapCount(s) * (s.channels / s.groups);
  const resultBytes = 4 * blocks * b * tapCount(s) * (s.channels / s.groups);
  const dyBytes = 4 * s.images * outputPixels(s) * blocks * b;
  const xBytes = 4 * s.images * inputPixels(s) * s.channels;
  const tilesPerGroup = s.groups > 1 ? s.filters / s.groups / b / blocksPerTile : blockTiles;
  const deals: Deal[] = [];
  for (let tilesEach = 1; tilesEach <= (c.diagonal ? 1 : Math.min(4, tilesPerGroup)); tilesEach *= 2) {
    if (s.groups > 1 && !c.diagonal && tilesPerGroup % tilesEach !== 0) continue;
    const most = Math.min(16, cutPixels(tilesEach).pieces, Math.floor(partBytes / resultBytes), macs / partMacs);
    for (let sourcesEach = 1; sourcesEach < 2 * sourceBlocks; sourcesEach *= 2) {
      for (const tapTasks of new Set([1, s.depth.kernel * s.height.kernel])) {
        const tasks = Math.ceil(blockTiles / tilesEach) * Math.ceil(sourceBlocks / sourcesEach) * tapTasks;
        deals.push({
          tilesEach,
          sourcesEach,
          tapTasks,
          parts: Math.max(1, Math.min(Math.floor(most), Math.ceil(enoughTasks / tasks))),
        });
      }
    }
  }
  const tasksOf = (d: Deal) =>
    Math.ceil(blockTiles / d.tilesEach) * Math.ceil(sourceBlocks / d.sourcesEach) * d.tapTasks * d.parts;
  // What has to come from memory: dy for each group of source blocks, x for each group of tiles, the sums of a part twice.
  const cost = (d: Deal) => {
    const traffic =
      dyBytes * Math.ceil(sourceBlocks / d.sourcesEach) * d.tapTasks +
      xBytes * Math.ceil(tilesPerGroup / d.tilesEach) * d.tapTasks +
      (d.parts > 1 ? 2 * d.parts * resultBytes : 0);
    return traffic * Math.max(1, enoughTasks / tasksOf(d));
  };
  const best = deals.reduce((least, d) => (cost(d) < cost(least) ? d : least));
  return { blocksPerTile, blockTiles, sourceBlocks, ...best, ...cutPixels(best.tilesEach) };
}

const resultElems = (s: ConvSizes, b: number): number =>
  Math.ceil(s.filters / b) * b * tapCount(s) * (s.channels / s.groups);

/** Scratch for partial sums: as large as the result for each part, or none when one piece holds everything. */
export function weightGradScratch(c: WeightGrad, target: TargetInfo): number {
  const { pieces, parts } = plan(c, target);
  return pieces === 1 ? 0 : 4 * parts * resultElems(c.sizes, target.block);
}

/** Into how many parts the pixels are cut: if several, the kernel without an epilogue comes first, then `weightGradSum`. */
export const weightGradParts = (c: WeightGrad, target: TargetInfo): number => plan(c, target).parts;

/** Without an epilogue the sums of each part stay in scratch. */
export function weightGradKernel(
  k: KernelBuilder,
  c: WeightGrad,
  target: TargetInfo,
  epilogue: Epilogue | null,
): Kernel {
  const { sizes: s } = c;
  const b = target.block;
  const cut = plan(c, target);
  const dy = k.param('dy', 'f32');
  const x = k.param('x', 'f32');
  const scratch = cut.pieces > 1 ? k.param('scratch', 'f32') : null;
  epilogue?.params(k);

  const resultBlocks = Math.ceil(s.filters / b);
  const blocksPerGroup = c.diagonal ? resultBlocks : Math.ceil(s.filters / s.groups / b);
  const rest = resultBlocks % cut.blocksPerTile;
  const tapRows = s.depth.kernel * s.height.kernel;
  const axes = [
    cut.parts,
    Math.ceil(cut.blockTiles / cut.tilesEach),
    Math.ceil(cut.sourceBlocks / cut.sourcesEach),
    cut.tapTasks,
  ];

  k.tasks(axes[0] * axes[1] * axes[2] * axes[3], (task) => {
    const [part, tiles, sources, tapTask] = unravel(k, task, axes);
    const bound = (n: I32) => n.mul(cut.pieces).div(cut.parts);
    const [from, to] = [bound(part), bound(part.add(1))];
    const sums = scratch?.at(affine(part).times(resultElems(s, b))) ?? null;
    k.loop({ from, to }, (number) =>
      k.loop(span(k, sources, cut.sourcesEach, cut.sourceBlocks), (sourceBlock) =>
        k.loop(span(k, tiles, cut.tilesEach, cut.blockTiles), (tile) => {
          const block = tile.mul(cut.blocksPerTile);
          const work = (blocks: number) => {
            const rowOfTaps = (tapRow: I32) => {
              const piece = { block, blocks, blocksPerGroup, sourceBlock, tapRow, number, first: number.eq(from) };
              sumPiece(k, c, target, { dy, x, scratch: sums }, epilogue, cut, piece);
            };
            if (cut.tapTasks > 1) rowOfTaps(tapTask);
            else k.loop(tapRows, rowOfTaps);
          };
          const whole = () => work(cut.blocksPerTile);
          if (rest === 0) whole();
          else k.if(tile.lt(cut.blockTiles - 1), whole, () => work(rest));
        }),
      ),
    );
  });
  return k.finish(epilogue === null ? `${c.name}_parts` : `${c.name}_${epilogue.key}`);
}

/** Adds the parts, in their order. */
export function weightGradSum(k: KernelBuilder, c: WeightGrad, target: TargetInfo, epilogue: Epilogue): Kernel {
  const { sizes: s } = c;
  const b = target.block;
  const { parts } = plan(c, target);
  k.param('dy', 'f32');
  k.param('x', 'f32');
  const scratch = k.param('scratch', 'f32');
  epilogue.params(k);
  const [blocks, channels, taps] = [Math.ceil(s.filters / b), s.channels / s.groups, tapCount(s)];
  k.tasks(blocks * channels, (task) => {
    const [block, channel] = unravel(k, task, [blocks, channels]);
    k.loop(taps, (tap) => {
      const row = scratch.at(affine(task).times(taps).plus(tap).times(b));
      for (let v = 0; v < b; v += k.lanes) {
        let sum = k.load(row, v);
        for (let part = 1; part < parts; part++) sum = sum.add(k.load(row, part * resultElems(s, b) + v));
        epilogue.emit(k, sum, [block, channel, tap, v]);
      }
    });
  });
  return k.finish(`${c.name}_sum_${epilogue.key}`);
}

interface Pointers {
  readonly dy: Ptr<'f32'>;
  readonly x: Ptr<'f32'>;
  readonly scratch: Ptr<'f32'> | null;
}

interface Piece {
  readonly block: I32;
  readonly blocks: number;
  readonly blocksPerGroup: number;
  readonly sourceBlock: I32;
  readonly tapRow: I32;
  readonly number: I32;
  /** No piece of this part has come before. */
  readonly first: I32;
}

/** The task's tiles, over the images and rows of one piece. */
function sumPiece(
  k: KernelBuilder,
  c: WeightGrad,
  target: TargetInfo,
  p: Pointers,
  epilogue: Epilogue | null,
  cut: Plan,
  piece: Piece,
): void {
  const { sizes: s } = c;
  const b = target.block;
  const perBlock = b / k.lanes;
  const vectors = piece.blocks * perBlock;
  const summed = s.channels / s.groups;
  const inPlane = inputPixels(s);
  const outPlane = outputPixels(s);
  const pixelStride = c.plainSource ? 1 : b;
  const channelStride = c.plainSource ? inPlane : 1;
  const inRow = s.width.input * pixelStride;
  const outRow = s.width.output * b;
  const images =
    cut.images === 1
      ? single(s.images === 1 ? k.i32(0) : cut.rowPieces === 1 ? piece.number : piece.number.div(cut.rowPieces))
      : span(k, piece.number, cut.images, s.images);
  const deepChunks = s.depth.output > 1;
  const chunk =
    cut.rowPieces === 1
      ? null
      : span(
          k,
          s.images === 1 ? piece.number : piece.number.rem(cut.rowPieces),
          cut.rows,
          deepChunks ? s.depth.output : s.height.output,
        );
  const tapDeep = s.depth.kernel === 1 ? k.i32(0) : piece.tapRow.div(s.height.kernel);
  const tapHigh = s.depth.kernel === 1 ? piece.tapRow : piece.tapRow.rem(s.height.kernel);
  const deep = meetingRows(k, s.depth, tapDeep, deepChunks ? chunk : null);
  const high = meetingRows(k, s.height, tapHigh, deepChunks ? null : chunk);

  const channels = c.plainSource ? s.channels : Math.ceil(s.channels / b) * b;
  const group = s.groups === 1 || c.diagonal ? k.i32(0) : piece.block.div(piece.blocksPerGroup);
  const sourceBlock = c.diagonal ? piece.block : group.mul(Math.ceil(summed / b)).add(piece.sourceBlock);
  const xBlock = p.x.at(affine(sourceBlock).times(inPlane * b));
  const dyBlock = p.dy.at(affine(piece.block).times(outPlane * b));
  const resultBlocks = Math.ceil(s.filters / b);
  const vectorSource = (v: number) => (c.diagonal ? Math.floor(((v % perBlock) * k.lanes) / summed) * summed : 0);

  const facts = {
    width: s.width,
    target,
    pixelStride,
    channelStride: c.diagonal && summed < k.lanes ? summed : channelStride,
    outPlane,
    inPlane,
    vectorSource,
  };
  // Where several groups share a vector, a tile's "channels" are those of the groups at one place; each counts in its own lanes.
  const sharing = c.diagonal && summed < k.lanes ? k.lanes / summed : 1;
  const ownLanes = (q: number) =>
    k.lanesOf(Array.from({ length: k.lanes }, (_, l) => k.i32(Math.floor(l / summed) === q ? -1 : 0)));

  const sumTile = (tile: WeightTile, first: number | I32, channelCount: number) => {
    const sums = Array.from({ length: tile.sets }, () =>
      tile.taps.map(() => Array.from({ length: channelCount }, () => tile.vectors.map(() => k.zero()))),
    );
    const xTile = xBlock.at(affine(first).times(channelStride));
    k.loop(images, (n) => {
      const dyImage = dyBlock.at(affine(n).times(resultBlocks * outPlane * b));
      const xImage = xTile.at(affine(n).times(channels * inPlane));
      k.loop(deep, (d) => {
        const dyDeep = dyImage.at(affine(d).times(s.height.output * outRow));
        const xd = d.mul(s.depth.stride).add(tapDeep.mul(s.depth.dilation)).sub(s.depth.before);
        const xDeep = xImage.at(affine(xd).times(s.height.input * inRow));
        const firstRow = high.from.mul(s.height.stride).add(tapHigh.mul(s.height.dilation)).sub(s.height.before);
        const dyRow = k.ptrVar(dyDeep.at(affine(high.from).times(outRow)));
        const xRow = k.ptrVar(xDeep.at(affine(firstRow).times(inRow)));
        k.loop(high, () => {
          addRow(k, dyRow, xRow, tile, sums, facts);
          dyRow.advance(outRow);
          xRow.advance(s.height.stride * inRow);
        });
      });
    });
    const total = (t: number, i: number, n: number): VF =>
      sums.slice(1).reduce((sum, set) => sum.add(set[t][i][n].value), sums[0][t][i][n].value);
    const merged = (t: number, n: number): VF =>
      Array.from({ length: sharing }, (_, q) => total(t, q, n).asI().and(ownLanes(q)))
        .reduce((all, part) => all.or(part))
        .asF();
    const base = c.diagonal || c.plainSource ? affine(first) : affine(piece.sourceBlock.mul(b)).plus(first);
    for (let i = 0; i < channelCount / sharing; i++) {
      const channel = base.plus(i);
      const finish = () =>
        tile.taps.forEach((tap, t) => {
          const weightTap = affine(piece.tapRow.mul(s.width.kernel)).plus(tap);
          tile.vectors.forEach((v, n) => {
            const lane = (v * k.lanes) % b;
            const block = affine(piece.block).plus(Math.floor((v * k.lanes) / b));
            const coords = [block, channel, weightTap, lane];
            const sum = sharing > 1 ? merged(t, n) : total(t, i, n);
            if (p.scratch === null) {
              epilogue!.emit(k, sum, coords);
              return;
            }
            const at = p.scratch.at(
              block.times(summed).plus(channel).times(tapCount(s)).plus(weightTap).times(b).plus(lane),
            );
            const last = epilogue === null ? null : piece.number.eq(cut.pieces - 1);
            addPart(k, at, sum, piece.first, last, (total) => epilogue!.emit(k, total, coords));
          });
        });
      // Channels past the last are summed with the rest of their tile, and dropped here.
      if (c.plainSource || c.diagonal || summed % tile.channels === 0 || i === 0) finish();
      else k.if(piece.sourceBlock.mul(b).add(first).add(i).lt(summed), finish);
    }
  };

  const all = Array.from({ length: vectors }, (_, v) => v);
  const powers = [1, 2, 4, 8, 16].filter((n) => n <= b && n < 2 * summed);
  const options =
    sharing > 1
      ? [sharing]
      : c.diagonal || c.plainSource
        ? Array.from({ length: Math.min(summed, b) }, (_, i) => i + 1)
        : powers;
  const tiles = cutTaps(s.width, target, { channels: options, vectors: all });
  for (const tile of tiles) {
    const within =
      c.plainSource || c.diagonal
        ? summed
        : summed % b === 0
          ? b
          : k.i32(summed).sub(piece.sourceBlock.mul(b)).min(k.i32(b));
    if (sharing > 1) k.loop(summed, (i) => sumTile(tile, i, sharing));
    else if (typeof within === 'number') {
      const turns = Math.floor(within / tile.channels);
      k.loop({ to: turns * tile.channels, step: tile.channels }, (i) => sumTile(tile, i, tile.channels));
      if (turns * tile.channels < within) sumTile(tile, turns * tile.channels, within - turns * tile.channels);
    } else k.loop({ to: within, step: tile.channels }, (i) => sumTile(tile, i, tile.channels));
  }
}

/** Adds a piece's sum to what earlier pieces left in scratch; the last one, if this kernel has it, passes it on. */
function addPart(
  k: KernelBuilder,
  at: Ptr<'f32'>,
  part: VF,
  first: I32,
  last: I32 | null,
  done: (sum: VF) => void,
): void {
  const sum = k.var(part);
  k.if(first.not(), () => sum.addTo(k.load(at)));
  const keep = () => k.store(at, 0, sum.value);
  if (last === null) keep();
  else k.if(last, () => done(sum.value), keep);
}

interface Range {
  readonly from: I32;
  readonly to: I32;
}

const single = (i: I32): Range => ({ from: i, to: i.add(1) });

/** Part `number` of 0 … size, `each` at a time. */
function span(k: KernelBuilder, number: I32, each: number, size: number): Range {
  const from = number.mul(each);
  return { from, to: size % each === 0 ? from.add(each) : from.add(each).min(k.i32(size)) };
}

/** Output rows for which tap `tap` reads inside the input, within `limit`. */
function meetingRows(k: KernelBuilder, a: ConvSizes['height'], tap: I32, limit: Range | null): Range {
  const from = limit?.from ?? k.i32(0);
  const to = limit?.to ?? k.i32(a.output);
  const reach = k.i32(a.before).sub(tap.mul(a.dilation));
  // Divisions truncate: both numerators are shifted so that a negative one gives 0 or less.
  const first = reach.add(a.stride - 1).div(a.stride);
  const last = reach.add(a.input - 1 + a.stride).div(a.stride);
  return { from: from.max(first), to: to.min(last) };
}
