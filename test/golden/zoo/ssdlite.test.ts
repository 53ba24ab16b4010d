/** SSDLite against torchvision: its raw outputs and its loss for made-up boxes, as ./ssdlite_rows.py makes them; see ../zoo.ts. */

import {
  type DetectorOutput,
  detectorTargets,
  type GroundTruth,
  multiboxLoss,
  ssdlite320_mobilenet_v3_large,
} from '../../../src/models/index.js';
import { filled, words } from '../counter.js';
import { goldenModels } from '../zoo.js';

const classes = 5;
const boxesPerPicture = 2;
const anchors = ssdlite320_mobilenet_v3_large({ numClasses: classes }).anchors([64, 64]);

/** Boxes around the middle of the picture, 8 to 40 pixels wide and high. */
function truths(step: number, batch: number): GroundTruth[] {
  const numbers = filled(`boxes ${step}`, [batch, boxesPerPicture, 4]);
  const labels = words(`labels ${step}`, batch * boxesPerPicture).map((word) => (word % (classes - 1)) + 1);
  return Array.from({ length: batch }, (_, n) => {
    const boxes: number[] = [];
    for (let i = 0; i < boxesPerPicture; i++) {
      const [x, y, w, h] = numbers.subarray((n * boxesPerPicture + i) * 4);
      const [centreX, centreY, halfWidth, halfHeight] = [32 + 16 * x, 32 + 16 * y, 12 + 8 * w, 12 + 8 * h];
      boxes.push(centreX - halfWidth, centreY - halfHeight, centreX + halfWidth, centreY + halfHeight);
    }
    return { boxes, labels: labels.slice(n * boxesPerPicture, (n + 1) * boxesPerPicture) };
  });
}

goldenModels([
  'ssdlite320_mobilenet_v3_large',
  {
    loss: (output: DetectorOutput, step, { batch }) => {
      const targets = detectorTargets(anchors, truths(step, batch));
      const { boxes, scores } = multiboxLoss(output, targets);
      return boxes.add(scores);
    },
    scores: ({ boxes, scores, anchors }: DetectorOutput) => ({ boxes, scores, anchors }),
  },
]);
