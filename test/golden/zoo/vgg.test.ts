/** The vgg family against PyTorch: see ../zoo.ts. */

import { goldenModels, goldenRemaps } from '../zoo.js';

goldenModels('vgg11', 'vgg11_bn', 'vgg13', 'vgg13_bn', 'vgg16', 'vgg16_bn', 'vgg19', 'vgg19_bn');
goldenRemaps('vgg11', 'vgg16_bn');
