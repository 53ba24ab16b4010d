/**
 * Small trainings through the public API, the same in Node and in a page: what they end with must not depend on where they ran, nor on the
 * number of threads. Pictures are stripes and checks with noise, made with integer arithmetic so that every engine draws the same ones.
 */

import {
  type DeviceName,
  device,
  loss as losses,
  manualSeed,
  nn,
  openDevice,
  optim,
  setDevice,
  type Tensor,
  tensor,
} from '../../src/index.js';

export interface TrainingOptions {
  readonly device?: DeviceName;
  readonly threads?: number;
  readonly steps: number;
  readonly net: 'plain' | 'regularised';
}

export interface TrainingReport {
  readonly threads: number;
  readonly notes: readonly string[];
  /** The loss of each step, as the bits of its float32: no printing may round them. */
  readonly lossBits: number[];
  /** FNV-1a over the bits of all parameters and buffers at the end. */
  readonly stateHash: number;
}

/** Four kinds of picture: stripes across, stripes down, checks, and neither. */
const classes = 4;
const side = 16;

export async function train({ device: name = 'wasm', threads, steps, net }: TrainingOptions): Promise<TrainingReport> {
  const opened = await openDevice(name, { threads });
  const before = await device();
  setDevice(opened.target);
  try {
    manualSeed(7);
    const model = net === 'plain' ? plain() : regularised();
    const optimizer = new optim.Adam(model.parameters(), { lr: 5e-3 });
    const draw = numbers(1);
    const lossBits: number[] = [];
    for (let step = 0; step < steps; step++) {
      const { x, labels } = pictures(32, draw);
      optimizer.zeroGrad();
      const loss = losses.crossEntropy(model.forward(x) as Tensor, labels);
      loss.backward();
      await optimizer.step();
      lossBits.push(bitsOf(Float32Array.of(await loss.item()))[0]);
    }
    let stateHash = 0x811c9dc5;
    for (const value of Object.values(model.stateDict())) {
      for (const bits of bitsOf(await value.data())) stateHash = Math.imul(stateHash ^ bits, 0x01000193);
    }
    return { threads: opened.threads, notes: opened.notes, lossBits, stateHash };
  } finally {
    setDevice(before);
    await opened.target.dispose();
  }
}

export function lossesOf({ lossBits }: TrainingReport): number[] {
  return [...new Float32Array(Int32Array.from(lossBits).buffer)];
}

function plain(): nn.Module {
  return new nn.Sequential(
    new nn.Conv2d(1, 8, 3),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Conv2d(8, 12, 3),
    new nn.ReLU(),
    new nn.Flatten(),
    new nn.Linear(12 * 5 * 5, classes),
  );
}

/** Sums over the batch, random bits, windows that overlap, channels that fill no block, a depthwise and a grouped convolution. */
function regularised(): nn.Module {
  return new nn.Sequential(
    new nn.Conv2d(1, 10, 3, { padding: 1 }),
    new nn.BatchNorm2d(10),
    new nn.ReLU(),
    new nn.MaxPool2d(3, { stride: 2, padding: 1 }),
    new nn.Conv2d(10, 10, 3, { padding: 1, groups: 10 }),
    new nn.Conv2d(10, 16, 3, { padding: 1, groups: 2 }),
    new nn.BatchNorm2d(16),
    new nn.GELU(),
    new nn.Dropout2d(0.2),
    new nn.AvgPool2d(2),
    new nn.Flatten(),
    new nn.Dropout(0.3),
    new nn.Linear(16 * 4 * 4, classes),
  );
}

function pictures(count: number, draw: () => number): { x: Tensor; labels: Tensor } {
  const x = new Float32Array(count * side * side);
  const labels = new Int32Array(count);
  for (let n = 0; n < count; n++) {
    const kind = draw() % classes;
    const shift = draw() % 4;
    labels[n] = kind;
    for (let i = 0; i < side * side; i++) {
      const across = (((Math.floor(i / side) + shift) >> 1) & 1) * 2 - 1;
      const down = ((((i % side) + shift) >> 1) & 1) * 2 - 1;
      const noise = (draw() % 1024) / 512 - 1;
      x[n * side * side + i] = [across, down, across * down, 0][kind] * 0.5 + noise;
    }
  }
  return { x: tensor(x, { shape: [count, 1, side, side] }), labels: tensor(labels) };
}

/** xorshift32: Marsaglia 2003. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) >>> 4;
  };
}

function bitsOf(data: ArrayBufferView): Int32Array {
  return data.byteLength % 4 === 0
    ? new Int32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer)
    : Int32Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}
