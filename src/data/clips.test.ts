/** Clips and volumes: which frames, in which order, how they are cut, and a small 3-D network that learns from them. */

import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostTensor } from '../io/index.js';
import { encodePng } from '../io/index.node.js';
import { c3d } from '../models/c3d.js';
import { Conv3d, Linear, Module } from '../nn/index.js';
import { crossEntropy } from '../nn/loss.js';
import { Adam } from '../optim/index.js';
import { manualSeed, openDevice, setDevice, type Tensor, zeros } from '../tensor/index.js';
import { Trainer } from '../train/index.js';
import { cropBox, drawAugmentation, evenFrames, volumeOf, withChannels } from './clips.js';
import { ClipDataset, openClips } from './clips.node.js';
import { encodeNpy } from './npy.js';
import { Random } from './random.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fovea-clips-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function put(path: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), bytes);
}

/** A grey picture of one level. */
function level(value: number, height = 6, width = 8): Promise<Uint8Array> {
  return encodePng({ data: new Uint8Array(height * width).fill(value), shape: [1, height, width] });
}

describe('evenFrames', () => {
  it('takes the middle of each part', () => {
    expect(evenFrames(16, 4)).toEqual([2, 6, 10, 14]);
    expect(evenFrames(5, 5)).toEqual([0, 1, 2, 3, 4]);
    expect(evenFrames(2, 5)).toEqual([0, 0, 1, 1, 1]);
    expect(evenFrames(100, 2, { from: 90, length: 10 })).toEqual([92, 97]);
  });

  it('never leaves the clip, never goes back', () => {
    const n = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(n, n, fc.nat(), (count, wanted, seed) => {
        const drawn = drawAugmentation(count, { duration: 0.3, flip: 0.5, crop: 0.5 }, new Random(seed));
        const frames = evenFrames(count, wanted, drawn);
        expect(frames.length).toBe(wanted);
        for (const [i, f] of frames.entries()) {
          expect(f).toBeGreaterThanOrEqual(Math.max(drawn.from, i === 0 ? 0 : frames[i - 1]));
          expect(f).toBeLessThan(drawn.from + drawn.length);
        }
      }),
    );
  });
});

describe('cropBox', () => {
  it('is the largest in the middle that has the aspect ratio, and lies inside whatever is drawn', () => {
    expect(cropBox([3, 60, 80], [10, 10])).toEqual({ top: 0, left: 10, height: 60, width: 60 });
    expect(cropBox([3, 60, 80], [10, 20])).toEqual({ top: 10, left: 0, height: 40, width: 80 });
    const side = fc.integer({ min: 1, max: 50 });
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(side, side, side, side, share, share, share, (h, w, height, width, scale, top, left) => {
        const box = cropBox([1, h, w], [height, width], { scale, top, left });
        expect(Math.min(box.top, box.left, box.height - 1, box.width - 1)).toBeGreaterThanOrEqual(0);
        expect(box.top + box.height).toBeLessThanOrEqual(h);
        expect(box.left + box.width).toBeLessThanOrEqual(w);
      }),
    );
  });
});

describe('volumeOf', () => {
  const volume = (shape: number[], values: number[], dtype: HostTensor['dtype'] = 'float32'): HostTensor => ({
    dtype,
    shape,
    data: dtype === 'uint8' ? Uint8Array.from(values) : Float32Array.from(values),
  });

  it('takes axes in any of three orders', () => {
    const counting = Array.from({ length: 24 }, (_, i) => i);
    const frame = (shape: number[], i: number) => [...volumeOf(volume(shape, counting, 'uint8')).frame(i).data];
    expect(frame([2, 3, 4], 1)).toEqual(counting.slice(12));
    expect(frame([3, 2, 2, 2], 1)).toEqual([4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23]);
    expect(frame([2, 2, 2, 3], 1)).toEqual([12, 15, 18, 21, 13, 16, 19, 22, 14, 17, 20, 23]);
    expect(() => volumeOf(volume([2, 2], [1, 2, 3, 4]), {}, 'a.npy')).toThrow(
      'a.npy is [2, 2]; a volume is [D, H, W], [C, D, H, W] or [D, H, W, C]',
    );
  });

  it('makes bytes of numbers: of shares, of what lies between, of a window', () => {
    const bytes = (values: number[], range?: readonly [number, number]) => [
      ...volumeOf(volume([1, 1, values.length], values), { range }).frame(0).data,
    ];
    expect(bytes([0, 0.5, 1])).toEqual([0, 128, 255]);
    expect(bytes([-1000, 0, 1000])).toEqual([0, 128, 255]);
    expect(bytes([-2000, -1000, 400, 5000, Number.NaN], [-1000, 400])).toEqual([0, 0, 255, 255, 0]);
    expect(bytes([7, 7])).toEqual([0, 0]);
  });

  it('has as many channels as are wanted', () => {
    const grey = { data: Uint8Array.of(7, 9), shape: [1, 1, 2] as const };
    expect([...withChannels(grey, 3).data]).toEqual([7, 9, 7, 9, 7, 9]);
    const color = { data: Uint8Array.of(255, 0, 0, 255, 0, 0, 9, 9), shape: [4, 1, 2] as const };
    expect([...withChannels(color, 3).data]).toEqual([255, 0, 0, 255, 0, 0]);
    expect([...withChannels(color, 1).data]).toEqual([76, 150]);
  });
});

describe('openClips', () => {
  it('finds folders of frames by number, and volumes', async () => {
    for (const i of [1, 2, 10]) await put(`plain/wave/clip/frame${i}.png`, await level(i));
    await put('plain/still/a.npy', encodeNpy({ dtype: 'uint8', shape: [2, 4, 4], data: new Uint8Array(32).fill(9) }));
    await put('plain/still/readme.txt', 'no frame');
    const set = await openClips(join(folder, 'plain'));
    expect(set.classes).toEqual(['still', 'wave']);
    expect(set.train.map(({ name, label }) => [name, label])).toEqual([
      ['still/a.npy', 0],
      ['wave/clip', 1],
    ]);
    const data = new ClipDataset({ samples: set.train, classes: set.classes, frames: 3, size: [4, 4], channels: 1 });
    const { inputs, shape, labels } = await data.batch([1, 0]);
    expect([shape, ...labels]).toEqual([[2, 1, 3, 4, 4], 1, 0]);
    expect([inputs[0], inputs[16], inputs[32], inputs[48], inputs[95]]).toEqual([1, 2, 10, 9, 9]);
  });

  it('finds parts, and follows no link out of the folder', async () => {
    await put('parts/train/a/x/1.png', await level(1));
    await put('parts/val/a/y/1.png', await level(1));
    await put('outside/1.png', await level(1));
    await symlink(join(folder, 'outside'), join(folder, 'parts/train/a/link'));
    const { train, validation, test } = await openClips(join(folder, 'parts'));
    expect([train.map((s) => s.name), validation.map((s) => s.name), test]).toEqual([['train/a/x'], ['val/a/y'], []]);
  });

  it('says how frames are made of films, and what is expected', async () => {
    await put('films/a/one.mp4', 'x');
    await expect(openClips(join(folder, 'films'))).rejects.toThrow(/ffmpeg -i 'a\/one\.mp4' .* 'a\/one\/%04d\.jpg'/);
    await put('nothing/a.txt', 'x');
    await expect(openClips(join(folder, 'nothing'))).rejects.toThrow(
      /a folder for each class, in it one of numbered frames/,
    );
    await put('broken/a/x/1.png', 'no picture');
    const { train, classes } = await openClips(join(folder, 'broken'));
    await expect(new ClipDataset({ samples: train, classes }).batch([0])).rejects.toThrow(/^a\/x: /);
    await put('broken/b/v.npy', 'no volume');
    const more = await openClips(join(folder, 'broken'));
    const volumes = more.train.filter(({ name }) => name.endsWith('.npy'));
    await expect(new ClipDataset({ samples: volumes, classes }).batch([0])).rejects.toThrow(
      /^b\/v\.npy: .*not a \.npy file/,
    );
  });
});

/** Forty volumes of a bright square that moves right or left over a dark ground; nothing in one frame tells which. */
async function moving(): Promise<void> {
  const random = new Random(11);
  for (let n = 0; n < 40; n++) {
    const right = n % 2 === 0;
    const data = new Uint8Array(10 * 12 * 12);
    const top = random.integer(1, 8);
    const start = random.integer(0, 3);
    for (let d = 0; d < 10; d++) {
      const left = right ? start + Math.floor(d * 0.7) : 8 - start - Math.floor(d * 0.7) + 1;
      for (let y = top; y < top + 3; y++) data.fill(255, (d * 12 + y) * 12 + left, (d * 12 + y) * 12 + left + 3);
    }
    await put(`moving/${right ? 'right' : 'left'}/${n}.npy`, encodeNpy({ dtype: 'uint8', shape: [10, 12, 12], data }));
  }
}

class SmallC3d extends Module {
  readonly conv1 = new Conv3d(1, 8, 3, { padding: 1 });
  readonly conv2 = new Conv3d(8, 8, 3, { padding: 1 });
  readonly fc = new Linear(8, 2);

  override forward(x: Tensor): Tensor {
    const seen = this.conv2.forward(this.conv1.forward(x).relu()).relu() as Tensor;
    return this.fc.forward(seen.amax([2, 3, 4]));
  }
}

describe('ClipDataset', () => {
  it('augments by seed, epoch and sample alone, whatever is kept in memory', async () => {
    await moving();
    const { train, classes } = await openClips(join(folder, 'moving'));
    const make = (cacheBytes: number) =>
      new ClipDataset({ samples: train, classes, frames: 6, size: [8, 8], channels: 1, cacheBytes });
    const context = (epoch: number, indices: number[]) => ({
      seed: 3,
      epoch,
      batch: 0,
      indices: Int32Array.from(indices),
    });
    const [kept, plain] = [make(1 << 20), make(0)];
    const first = (await kept.batch([4, 7], context(1, [4, 7]))).inputs;
    expect((await plain.batch([4, 7], context(1, [4, 7]))).inputs).toEqual(first);
    expect((await kept.batch([7], context(1, [7]))).inputs).toEqual(first.slice(first.length / 2));
    expect((await kept.batch([4, 7], context(2, [4, 7]))).inputs).not.toEqual(first);
    const shown = (await kept.batch([4])).inputs;
    expect((await plain.batch([4])).inputs).toEqual(shown);
    const still = new ClipDataset({ samples: train, classes, frames: 6, size: [8, 8], channels: 1, augment: null });
    expect((await still.batch([4], context(1, [4]))).inputs).toEqual(shown);
  });

  it('has the shape that C3D takes', async () => {
    const { train, classes } = await openClips(join(folder, 'moving'));
    const data = new ClipDataset({ samples: train, classes });
    expect(data.shape).toEqual(c3d.input);
    expect((c3d({ numClasses: 2, width: 1, hidden: 8 }).forward(zeros([2, ...data.shape])) as Tensor).shape).toEqual([
      2, 2,
    ]);
    expect(() => new ClipDataset({ samples: train, classes, frames: 0 })).toThrow(
      'ClipDataset: frames is a whole number',
    );
  });

  it('teaches a small 3-D network which way a square moves', async () => {
    const { train, classes } = await openClips(join(folder, 'moving'));
    // Mirrored, right would be left.
    const augment = { flip: 0, duration: 0.9, crop: 0.95 };
    const data = new ClipDataset({ samples: train, classes, frames: 6, size: [12, 12], channels: 1, augment });
    const { target } = await openDevice('wasm', { threads: 1 });
    setDevice(target);
    try {
      manualSeed(1);
      const model = new SmallC3d();
      const optimizer = new Adam(model.parameters(), { lr: 0.01 });
      const trainer = new Trainer({
        model,
        optimizer,
        loss: crossEntropy,
        train: data,
        test: data,
        epochs: 30,
        batchSize: 10,
        seed: 1,
      });
      const { epochs } = await trainer.fit();
      expect(epochs.at(-1)!.accuracy).toBeGreaterThanOrEqual(0.95);
    } finally {
      await target.dispose();
    }
  }, 120_000);
});
