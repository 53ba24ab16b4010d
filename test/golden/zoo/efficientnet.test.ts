/** The efficientnet family against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('efficientnet_b0');
