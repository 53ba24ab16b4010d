/** GoogLeNet and Inception v3 against PyTorch: see ../zoo.ts. */

import { totalLoss } from '../../../src/nn/index.js';
import { crossEntropy } from '../../../src/nn/loss.js';
import { type GoldenOptions, goldenLabels, goldenModels } from '../zoo.js';

const loss: GoldenOptions['loss'] = (outputs, step, { batch, classes }) =>
  totalLoss(crossEntropy, outputs, goldenLabels(step, batch, classes));

goldenModels(['googlenet', { loss }], ['inception_v3', { loss }]);
