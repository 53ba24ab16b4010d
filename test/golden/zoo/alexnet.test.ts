/** AlexNet in both forms against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('alexnet_2012', 'alexnet');
