/** What others made of ResNet against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('wide_resnet50_2', 'wide_resnet101_2');
goldenModels('resnext50_32x4d', 'resnext101_32x8d', 'resnext101_64x4d');
goldenModels('seresnet18', 'seresnet34', 'seresnet50', 'seresnet101', 'seresnet152');
goldenModels('resnet18d', 'resnet26d', 'resnet34d', 'resnet50d', 'resnet101d', 'resnet152d');
goldenModels('resnet20', 'resnet32', 'resnet56');
