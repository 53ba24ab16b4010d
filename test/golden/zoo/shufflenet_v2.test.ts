/** The shufflenet_v2 family against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('shufflenet_v2_x0_5', 'shufflenet_v2_x1_0', 'shufflenet_v2_x1_5', 'shufflenet_v2_x2_0');
