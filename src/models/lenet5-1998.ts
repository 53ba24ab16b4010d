/**
 * LeNet-5 as it was published. LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition", Proceedings
 * of the IEEE 86 (11), section II.B and figure 2: trainable sub-sampling, maps that see only some of the maps before them, a scaled tanh, and
 * an output that measures distances to drawings of the ten digits. Exactly 60,000 trained numbers:
 *
 *   C1 156 + S2 12 + C3 1,516 + S4 32 + C5 48,120 + F6 10,164 + RBF 0
 *
 * Names are the paper's names of the layers, in lower case. Initial values are the paper's too: uniform in ±2.4 / fanIn.
 */

import { Conv2d, init, Linear, Module, parameter } from '../nn/index.js';
import { type Parameter, type Tensor, tensor } from '../tensor/index.js';
import { philoxFill } from '../util/philox.js';
import { numel } from '../util/shape.js';
import { defineModel, type ModelOptions } from './define.js';

/** The squashing function of appendix A: 1.7159 tanh(2/3 x), which is ±1 at ±1. */
function squash(x: Tensor): Tensor {
  return x
    .mul(2 / 3)
    .tanh()
    .mul(1.7159);
}

/** Uniform in ±2.4 / fanIn, biases as weights. */
function startAsPaper(layer: { readonly weight: Parameter; readonly bias: Parameter | null }, fanIn: number): void {
  init.uniform(layer.weight, -2.4 / fanIn, 2.4 / fanIn);
  init.uniform(layer.bias!, -2.4 / fanIn, 2.4 / fanIn);
}

/** Trainable sub-sampling: [N, C, H, W] → [N, C, H/2, W/2], the sum of each square of four · weight + bias, both for each map. */
export class Subsampling extends Module {
  readonly weight: Parameter; // [C]
  readonly bias: Parameter; // [C]

  constructor(readonly channels: number) {
    super();
    this.weight = parameter([channels]);
    this.bias = parameter([channels]);
    startAsPaper(this, 4);
  }

  override forward(x: Tensor): Tensor {
    const perMap = [this.channels, 1, 1];
    const sums = x.avgPool2d(2, { divisorOverride: 1 });
    return sums.mul(this.weight.reshape(perMap)).add(this.bias.reshape(perMap));
  }
}

/** The paper's table I: which of S2's six maps each of C3's sixteen sees. */
const tableI = [
  ...[0, 1, 2, 3, 4, 5].map((i) => [i, i + 1, i + 2]), // three neighbours
  ...[0, 1, 2, 3, 4, 5].map((i) => [i, i + 1, i + 2, i + 3]), // four neighbours
  ...[0, 1, 2].map((i) => [i, i + 1, i + 3, i + 4]), // two pairs
  [0, 1, 2, 3, 4, 5],
].map((maps) => maps.map((map) => map % 6));

/**
 * C3: [N, 6, 14, 14] → [N, 16, 10, 10], each map a 5×5 convolution of the maps that table I names: 60 kernels and 16 biases. Computed as one
 * convolution of all with all, in which the other 36 kernels are 0: sixteen small ones, or groups of one map each, take many times as long.
 */
export class PartialConvolution extends Module {
  readonly weight = parameter([60, 5, 5]); // the kernels of map 0, of map 1, …
  readonly bias = parameter([16]);
  readonly #kernels = tensor(placeOfKernels(), { dtype: 'int32' });

  constructor() {
    super();
    startAsPaper(this, (60 / 16) * 25); // a map sees three to six maps: so many on average
  }

  override forward(x: Tensor): Tensor {
    const kernels = this.weight.pad([0, 0, 0, 0, 0, 1]); // and one of zeros
    return x.conv2d(kernels.indexSelect(0, this.#kernels).reshape([16, 6, 5, 5]), { bias: this.bias });
  }
}

/** For each pair of a map of C3 and one of S2: which of the kernels joins them, 60 if none does. */
function placeOfKernels(): number[] {
  let next = 0;
  return tableI.flatMap((seen) => [0, 1, 2, 3, 4, 5].map((map) => (seen.includes(map) ? next++ : 60)));
}

/** The digits as pictures of 7 × 12 in the manner of the paper's figure 3, side by side. */
const digits = [
  '....... ...##.. .#####. .#####. .....## ####### ..####. ####### .#####. ..###..',
  '..###.. ..###.. ##...## ##...## ....### ##..... .##.... ####### ##...## .##.##.',
  '.##.##. .####.. ##...## .....## ...#### ##..... ##..... .....## ##...## ##...##',
  '##...## ...##.. .....## .....## ..##.## ##..... ##..... .....## ##...## ##...##',
  '##...## ...##.. ....##. ....##. .##..## ######. ##.###. ....##. .##.##. ##...##',
  '##...## ...##.. ...##.. ..###.. ##...## ##...## ###..## ....##. ..###.. ##..###',
  '##...## ...##.. ..##... ....##. ####### .....## ##...## ...##.. .##.##. .###.##',
  '##...## ...##.. .##.... .....## ####### .....## ##...## ...##.. ##...## .....##',
  '##...## ...##.. ##..... .....## .....## .....## ##...## ..##... ##...## .....##',
  '.##.##. ...##.. ##..... .....## .....## .....## ##...## ..##... ##...## .....##',
  '..###.. ...##.. ##..... ##...## .....## ##...## .##.##. .##.... ##...## ....##.',
  '....... .###### ####### .#####. .....## .#####. ..###.. .##.... .#####. .####..',
];

/** [numClasses, 84] of ±1: the digits' pixels; for other classes pixels by chance, which the paper found to do as well for single symbols. */
function codes(numClasses: number): Tensor {
  const shape = [numClasses, 7 * 12];
  if (numClasses === 10) {
    const pictures = Array.from({ length: 10 }, (_, digit) => digits.map((line) => line.split(' ')[digit]).join(''));
    return tensor(
      Float32Array.from(pictures.join(''), (pixel) => (pixel === '#' ? 1 : -1)),
      { shape },
    );
  }
  const bits = new Int32Array(numel(shape));
  philoxFill(bits, [1998, numClasses, 0, 0]);
  return tensor(
    Float32Array.from(bits, (word) => (word < 0 ? -1 : 1)),
    { shape },
  );
}

/**
 * The output layer: how far the 84 values of F6 lie from the drawing of each class, [N, 84] → [N, numClasses], as −Σ (x − code)². Its codes
 * are fixed and not saved. The paper's distances are these without the sign: cross entropy of the negated ones is its criterion (9) without
 * the constant for rubbish.
 */
export class BitmapDistance extends Module {
  readonly #codes: Tensor;

  constructor(readonly numClasses: number) {
    super();
    this.#codes = codes(numClasses);
  }

  override forward(x: Tensor): Tensor {
    return x.unsqueeze(1).sub(this.#codes).square().sum(2).neg();
  }
}

/**
 * Pictures [N, 1, 32, 32], or [N, 1, 28, 28] such as MNIST's, which get a border of 2 more of their own outermost pixels → class scores [N, 10].
 * So a digit stands on the paper's 32 × 32 field with the background it has, whatever the normalisation made of that.
 */
export class LeNet5Of1998 extends Module {
  readonly c1: Conv2d;
  readonly s2 = new Subsampling(6);
  readonly c3 = new PartialConvolution();
  readonly s4 = new Subsampling(16);
  readonly c5 = new Conv2d(16, 120, 5);
  readonly f6 = new Linear(120, 84);
  readonly output: BitmapDistance;

  constructor({ numClasses, inChannels }: Required<ModelOptions>) {
    super();
    this.c1 = new Conv2d(inChannels, 6, 5);
    this.output = new BitmapDistance(numClasses);
    for (const layer of [this.c1, this.c5, this.f6]) startAsPaper(layer, numel(layer.weight.shape.slice(1)));
  }

  override forward(x: Tensor): Tensor {
    if (x.shape.at(-1) === 28) x = x.pad([2, 2, 2, 2], { mode: 'replicate' });
    x = squash(this.c1.forward(x)); // 28 × 28
    x = squash(this.s2.forward(x)); // 14 × 14
    x = squash(this.c3.forward(x)); // 10 × 10
    x = squash(this.s4.forward(x)); // 5 × 5
    x = squash(this.c5.forward(x)).flatten(1);
    x = squash(this.f6.forward(x));
    return this.output.forward(x);
  }
}

export const lenet5_1998 = defineModel('lenet5_1998', (options) => new LeNet5Of1998(options), {
  params: 60_000,
  macs: 415_680,
  input: [1, 28, 28],
  numClasses: 10,
  output: 'logits',
  heads: [],
  year: 1998,
  summary: 'LeNet-5 as published: trainable sub-sampling, partial connections, tanh, distances to drawn digits',
  source: 'LeCun et al. 1998, Proceedings of the IEEE 86 (11)',
});
