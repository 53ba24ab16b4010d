/** The RegNets against PyTorch: see ../zoo.ts. */

import { goldenModels, goldenRemaps } from '../zoo.js';

goldenModels('regnet_x_400mf', 'regnet_y_400mf');
goldenRemaps('regnet_y_400mf');
