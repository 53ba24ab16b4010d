/** The resnet family against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('resnet18', 'resnet50');
