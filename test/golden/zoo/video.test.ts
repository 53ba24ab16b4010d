/** Networks for films against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('c3d', 'r3d_18', 'mc3_18', 'r2plus1d_18');
