/** The squeezenet family against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('squeezenet1_0', 'squeezenet1_1');
