/**
 * FCN: a network for classification made to classify every pixel. The linear layer becomes a convolution, and what it says on a coarse map is
 * interpolated. Long, Shelhamer and Darrell 2014, "Fully convolutional networks for semantic segmentation", arXiv:1411.4038; on ResNet-50 in
 * torchvision's form, whose names these are: the last two stages look further by dilation in place of halving the map (Yu and Koltun 2015,
 * arXiv:1511.07122), and a second head helps the third stage while training. Initial values are torchvision's.
 */

import { type AuxiliaryOutputs, BatchNorm2d, Conv2d, Dropout, Module, ReLU, Sequential } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import { preprocessing } from './preprocessing.js';
import { Bottleneck, ResNetStages } from './resnet.js';

export interface FCNOptions extends ModelOptions {
  /** Whether there is a head behind the third stage that trains along. */
  readonly auxLogits?: boolean;
  /** Share of the features dropped in front of each head's last layer while training. */
  readonly dropout?: number;
}

/** ResNet-50 to 1/8 of the picture: [N, 1024, H/8, W/8] of the third stage and [N, 2048, H/8, W/8] of the fourth. */
class Backbone extends ResNetStages {
  constructor(inChannels: number) {
    const design = { block: Bottleneck, layers: [3, 4, 6, 3], dilated: [false, false, true, true] };
    super(design, { inChannels });
  }

  override forward(x: Tensor): { third: Tensor; fourth: Tensor } {
    const [, , third, fourth] = this.maps(x);
    return { third, fourth };
  }
}

/** 3×3 and 1×1: [N, inChannels, h, w] → class scores [N, numClasses, h, w]. */
class FCNHead extends Sequential {
  constructor(inChannels: number, numClasses: number, dropout: number) {
    const middle = inChannels / 4;
    super(
      new Conv2d(inChannels, middle, 3, { padding: 1, bias: false }),
      new BatchNorm2d(middle),
      new ReLU(),
      new Dropout(dropout),
      new Conv2d(middle, numClasses, 1),
    );
  }
}

/**
 * Pictures [N, inChannels, H, W] → class scores for each pixel [N, numClasses, H, W]. While training, and with the auxiliary head, the scores
 * and those of that head, which `nn.totalLoss` makes one loss of (with half the weight, as torchvision trains). torchvision computes the
 * auxiliary head in evaluation too, and returns both under the names `out` and `aux`; its published weights reach a mean IoU of 60.5 % and
 * 91.4 % of the pixels on COCO val2017 with the classes of Pascal VOC. For training see `UNet`, with `nn.totalLoss(crossEntropy, …)`.
 */
export class FCN extends Module {
  readonly backbone: Backbone;
  readonly classifier: FCNHead;
  readonly aux_classifier: FCNHead | null;

  constructor({ inChannels, numClasses, auxLogits = true, dropout = 0.1 }: FCNOptions & Required<ModelOptions>) {
    super();
    this.backbone = new Backbone(inChannels);
    this.classifier = new FCNHead(2048, numClasses, dropout);
    this.aux_classifier = auxLogits ? new FCNHead(1024, numClasses, dropout) : null;
  }

  override forward(x: Tensor): Tensor | AuxiliaryOutputs {
    const { third, fourth } = this.backbone.forward(x);
    const enlarged = (scores: Tensor) => scores.interpolate({ size: x.shape.slice(2), mode: 'bilinear' });
    const logits = enlarged(this.classifier.forward(fourth));
    if (!this.training || this.aux_classifier === null) return logits;
    const auxiliary = { aux_classifier: enlarged(this.aux_classifier.forward(third)) };
    return { logits, auxiliary, auxiliaryWeight: 0.5 };
  }
}

export const fcn_resnet50 = defineModel('fcn_resnet50', (o: FCNOptions & Required<ModelOptions>) => new FCN(o), {
  params: 35_322_218,
  macs: 142_725_772_800,
  input: [3, 520, 520],
  task: 'segmentation',
  numClasses: 21,
  output: 'logits',
  heads: ['classifier.4', 'aux_classifier.4'],
  trainingOnly: /^aux_classifier\./,
  year: 2014,
  summary: 'a ResNet-50 that keeps its map at 1/8 by dilation, and classifies every pixel of it',
  source: 'Long et al. 2014, arXiv:1411.4038',
  preprocessing: preprocessing(520, { resize: 520 }),
});
