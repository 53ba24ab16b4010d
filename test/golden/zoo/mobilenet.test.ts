/** The mobilenet family against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('mobilenet_v2');
