/** The resnet family against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152');
