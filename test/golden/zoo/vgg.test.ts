/** The vgg family against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('vgg16');
