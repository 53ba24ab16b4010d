/**
 * SSDLite: a single-shot detector whose heads and further layers are depthwise-separable, on MobileNetV3. Sandler et al. 2018,
 * arXiv:1801.04381, section 6.2; Howard et al. 2019, arXiv:1905.02244, section 6.3; SSD itself in ./ssd.ts. Names, anchors and initial values
 * are torchvision's, whose weights (COCO_V1) reach a box mAP of 21.3 on COCO's val2017.
 */

import {
  type BatchNormOptions,
  Conv2d,
  decodeBoxes,
  inEvalMode,
  init,
  Module,
  ModuleList,
  Sequential,
  suppress,
} from '../nn/index.js';
import { concat, type Tensor, tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import { Conv2dNormActivation, MobileNetV3Block, mobileNetV3LargeFeatures } from './mobilenet-v3-torchvision.js';
import { preprocessing } from './preprocessing.js';
import { type DetectorOutput, defaultBoxes, ssdWeights } from './ssd.js';

const norm: BatchNormOptions = { eps: 1e-3, momentum: 0.03 };
/** The two of the backbone, and the four that each halve the one before. */
const mapChannels = [672, 480, 512, 256, 256, 128] as const;
const scales = [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1];
const aspectRatios = [2, 3];
const boxesPerPixel = 2 + 2 * aspectRatios.length;

/** Pictures [N, C, H, W] → maps of 1/16, 1/32 … 1/512 of their size. */
class SSDLiteBackbone extends Module {
  readonly features: Sequential;
  readonly extra: ModuleList;

  constructor(inChannels: number) {
    super();
    // The first map is what the block that halves it begins with: its first layer ends one part, its others begin the next.
    const layers = mobileNetV3LargeFeatures({ inChannels, reducedTail: true, norm }).children();
    const halving = layers.findLastIndex((layer) => layer instanceof MobileNetV3Block && layer.halves);
    const [widen, ...others] = (layers[halving] as MobileNetV3Block).block.children();
    const rest = new Sequential(Object.fromEntries(others.map((layer, i) => [i + 1, layer])));
    this.features = new Sequential(
      new Sequential(...layers.slice(0, halving), widen),
      new Sequential(rest, ...layers.slice(halving + 1)),
    );
    this.extra = new ModuleList(mapChannels.slice(2).map((channels, i) => halvingBlock(mapChannels[i + 1], channels)));
  }

  override forward(x: Tensor): Tensor[] {
    const maps: Tensor[] = [];
    for (const part of [...this.features, ...this.extra]) {
      x = part.forward(x);
      maps.push(x);
    }
    return maps;
  }
}

function halvingBlock(inChannels: number, outChannels: number): Sequential {
  const middle = outChannels / 2;
  const style = { norm, activation: 'relu6' } as const;
  return new Sequential(
    new Conv2dNormActivation(inChannels, middle, style),
    new Conv2dNormActivation(middle, middle, { ...style, kernelSize: 3, stride: 2, groups: middle }),
    new Conv2dNormActivation(middle, outChannels, style),
  );
}

/** Maps [N, C, H, W] of all sizes → [N, anchors, columns]: for every anchor of every pixel so many numbers. */
class SSDLiteScoringHead extends Module {
  readonly module_list: ModuleList;
  readonly #columns: number;

  constructor(columns: number) {
    super();
    this.#columns = columns;
    this.module_list = new ModuleList(
      mapChannels.map(
        (channels) =>
          new Sequential(
            new Conv2dNormActivation(channels, channels, {
              kernelSize: 3,
              groups: channels,
              norm,
              activation: 'relu6',
            }),
            new Conv2d(channels, boxesPerPixel * columns, 1),
          ),
      ),
    );
  }

  override forward(maps: readonly Tensor[]): Tensor {
    const columns = this.#columns;
    const rows = this.module_list.map((scorer, i) => {
      const y: Tensor = scorer.forward(maps[i]);
      const [n, , height, width] = y.shape;
      const perPixel = y.reshape([n, boxesPerPixel, columns, height, width]).permute(0, 3, 4, 1, 2);
      return perPixel.reshape([n, height * width * boxesPerPixel, columns]);
    });
    return concat(rows, 1);
  }
}

class SSDLiteHead extends Module {
  readonly classification_head: SSDLiteScoringHead;
  readonly regression_head: SSDLiteScoringHead;

  constructor(numClasses: number) {
    super();
    this.classification_head = new SSDLiteScoringHead(numClasses);
    this.regression_head = new SSDLiteScoringHead(4);
  }

  override forward(maps: readonly Tensor[]): { boxes: Tensor; scores: Tensor } {
    return { boxes: this.regression_head.forward(maps), scores: this.classification_head.forward(maps) };
  }
}

/** What was found in a picture, the surest first. */
export interface Detections {
  /** x1, y1, x2, y2 in pixels of the picture given. */
  readonly boxes: readonly (readonly [number, number, number, number])[];
  /** 1 and above: 0 is the background, which is never found. */
  readonly labels: readonly number[];
  /** 0 … 1. */
  readonly scores: readonly number[];
}

export interface DetectOptions {
  /** Boxes of a class that are less likely are not looked at. */
  readonly scoreThreshold?: number;
  /** A box goes if it overlaps a surer one of its class by more. */
  readonly iouThreshold?: number;
  /** Boxes of each class that are looked at. */
  readonly candidates?: number;
  /** Boxes of a picture at most. */
  readonly most?: number;
}

/**
 * Pictures [N, inChannels, H, W] → deltas, class scores and anchors of `DetectorOutput`, in training and in evaluation; `multiboxLoss` trains
 * it, `detect` turns outputs into boxes. `numClasses` counts the background. H and W are 320 for the published weights; any will do.
 */
export class SSDLite extends Module {
  readonly backbone: SSDLiteBackbone;
  readonly head: SSDLiteHead;
  #anchors: { readonly key: string; readonly tensor: Tensor } | null = null;

  constructor({ numClasses, inChannels }: Required<ModelOptions>) {
    super();
    this.backbone = new SSDLiteBackbone(inChannels);
    this.head = new SSDLiteHead(numClasses);
    for (const module of this.modules()) {
      if (!(module instanceof Conv2d)) continue;
      init.normal(module.weight, 0, 0.03);
      if (module.bias !== null) init.zeros(module.bias);
    }
  }

  override forward(x: Tensor): DetectorOutput {
    const maps: Tensor[] = this.backbone.forward(x);
    const [height, width] = x.shape.slice(2);
    const key = `${height} × ${width}`;
    if (this.#anchors?.key !== key) {
      const boxes = this.anchors([height, width]);
      this.#anchors = { key, tensor: tensor(boxes, { shape: [boxes.length / 4, 4] }) };
    }
    return { ...this.head.forward(maps), anchors: this.#anchors.tensor };
  }

  /** The anchors of pictures of this size as numbers, for `detectorTargets`: x1, y1, x2, y2 in pixels, four for each of A. */
  anchors([height, width]: readonly [height: number, width: number]): Float32Array {
    const halve = (n: number) => Math.ceil(n / 2);
    const mapSizes: [number, number][] = [];
    let size: [number, number] = [height, width];
    for (let level = 1; level < 4 + mapChannels.length; level++) {
      size = [halve(size[0]), halve(size[1])];
      if (level >= 4) mapSizes.push(size);
    }
    return defaultBoxes({ imageSize: [height, width], mapSizes, scales, aspectRatios });
  }

  /** Finds objects in pictures [N, inChannels, H, W], preprocessed as `forward` takes them. Runs in evaluation mode. */
  async detect(images: Tensor, options: DetectOptions = {}): Promise<Detections[]> {
    const [height, width] = images.shape.slice(2);
    const output: DetectorOutput = inEvalMode(this, () => this.forward(images));
    return detections(output, [height, width], options);
  }
}

/** The boxes that a detector's output amounts to, for each picture: likely ones, moved, cut off at the border, each object once. */
export async function detections(
  { boxes, scores, anchors }: DetectorOutput,
  [height, width]: readonly [height: number, width: number],
  { scoreThreshold = 0.001, iouThreshold = 0.55, candidates = 300, most = 300 }: DetectOptions = {},
): Promise<Detections[]> {
  const [n, count, classes] = scores.shape;
  const decoded = decodeBoxes(boxes, anchors, ssdWeights);
  const inside = decoded.clamp(0, tensor([width, height, width, height]));
  const [sides, likely] = (await Promise.all([inside.data(), scores.softmax(2).data()])) as Float32Array[];
  return Array.from({ length: n }, (_, image) => {
    const ofImage = sides.subarray(image * count * 4, (image + 1) * count * 4);
    const probability = (anchor: number, label: number) => likely[(image * count + anchor) * classes + label];
    const found = [];
    for (let label = 1; label < classes; label++) {
      const anchorsOfClass = Array.from({ length: count }, (_, anchor) => anchor)
        .filter((anchor) => probability(anchor, label) > scoreThreshold)
        .sort((a, b) => probability(b, label) - probability(a, label))
        .slice(0, candidates);
      const boxesOfClass = anchorsOfClass.flatMap((anchor) => [...ofImage.subarray(anchor * 4, anchor * 4 + 4)]);
      const scoresOfClass = anchorsOfClass.map((anchor) => probability(anchor, label));
      for (const i of suppress(boxesOfClass, scoresOfClass, iouThreshold)) {
        const [x1, y1, x2, y2] = boxesOfClass.slice(4 * i, 4 * i + 4);
        found.push({ box: [x1, y1, x2, y2] as const, label, score: scoresOfClass[i] });
      }
    }
    const best = found.sort((a, b) => b.score - a.score).slice(0, most);
    return { boxes: best.map((d) => d.box), labels: best.map((d) => d.label), scores: best.map((d) => d.score) };
  });
}

export const ssdlite320_mobilenet_v3_large = defineModel(
  'ssdlite320_mobilenet_v3_large',
  (o: Required<ModelOptions>) => new SSDLite(o),
  {
    params: 3_440_060,
    macs: 583_171_904,
    input: [3, 320, 320],
    task: 'detection',
    numClasses: 91,
    output: 'logits',
    heads: mapChannels.map((_, i) => `head.classification_head.module_list.${i}.1`),
    year: 2019,
    summary: 'finds objects in one pass: every pixel of six maps scores and moves six boxes; depthwise all through',
    source: 'Sandler et al. 2018, arXiv:1801.04381; Liu et al. 2016, arXiv:1512.02325',
    preprocessing: preprocessing(320, { resize: [320, 320], statistics: 'symmetric' }),
  },
);
