/**
 * LR-ASPP: segmentation for phones. The coarse map says what there is, in 128 channels that a single number each for the whole picture
 * reweighs; a finer map from early in the network adds where its edges are. Howard et al. 2019, "Searching for MobileNetV3", section 6.4,
 * arXiv:1905.02244. On MobileNetV3-Large in torchvision's form, whose names and initial values these are.
 */

import { AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Module, ReLU, Sequential, Sigmoid } from '../nn/index.js';
import type { Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import { mobileNetV3LargeFeatures } from './mobilenet-v3-torchvision.js';
import { preprocessing } from './preprocessing.js';

/** [N, low, H/8, W/8] and [N, high, H/16, W/16] → class scores [N, numClasses, H/8, W/8]. */
class LRASPPHead extends Module {
  readonly cbr: Sequential;
  readonly scale: Sequential;
  readonly low_classifier: Conv2d;
  readonly high_classifier: Conv2d;

  constructor(low: number, high: number, numClasses: number, middle: number) {
    super();
    this.cbr = new Sequential(new Conv2d(high, middle, 1, { bias: false }), new BatchNorm2d(middle), new ReLU());
    this.scale = new Sequential(new AdaptiveAvgPool2d(1), new Conv2d(high, middle, 1, { bias: false }), new Sigmoid());
    this.low_classifier = new Conv2d(low, numClasses, 1);
    this.high_classifier = new Conv2d(middle, numClasses, 1);
  }

  override forward(low: Tensor, high: Tensor): Tensor {
    const what = this.cbr.forward(high).mul(this.scale.forward(high));
    const enlarged = what.interpolate({ size: low.shape.slice(2), mode: 'bilinear' });
    return this.low_classifier.forward(low).add(this.high_classifier.forward(enlarged));
  }
}

/**
 * Pictures [N, inChannels, H, W] → class scores for each pixel [N, numClasses, H, W]. torchvision's published weights reach a mean IoU of
 * 57.9 % and 91.2 % of the pixels on COCO val2017 with the classes of Pascal VOC. For training see `UNet`.
 */
export class LRASPP extends Module {
  readonly backbone: Sequential;
  readonly classifier: LRASPPHead;

  constructor({ inChannels, numClasses }: Required<ModelOptions>) {
    super();
    this.backbone = mobileNetV3LargeFeatures({ inChannels, dilated: true });
    this.classifier = new LRASPPHead(40, 960, numClasses, 128);
  }

  override forward(x: Tensor): Tensor {
    const layers = this.backbone.children();
    const through = (part: readonly Module[], y: Tensor): Tensor => part.reduce((z, layer) => layer.forward(z), y);
    const low = through(layers.slice(0, 5), x); // the last block at 1/8 of the picture
    const high = through(layers.slice(5), low);
    const scores = this.classifier.forward(low, high);
    return scores.interpolate({ size: x.shape.slice(2), mode: 'bilinear' });
  }
}

export const lraspp_mobilenet_v3_large = defineModel('lraspp_mobilenet_v3_large', (options) => new LRASPP(options), {
  params: 3_221_538,
  macs: 2_086_219_688,
  input: [3, 520, 520],
  task: 'segmentation',
  numClasses: 21,
  output: 'logits',
  heads: ['classifier.low_classifier', 'classifier.high_classifier'],
  year: 2019,
  summary: 'a MobileNetV3 that classifies pixels: what from its coarse map, where from its fine one',
  source: 'Howard et al. 2019, arXiv:1905.02244',
  preprocessing: preprocessing(520, { resize: 520 }),
});
