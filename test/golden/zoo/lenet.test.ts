/** LeNet-5, as published and as taught, and the tutorial network against PyTorch: see ../zoo.ts. */

import { goldenModels, goldenRemaps } from '../zoo.js';

goldenModels('lenet5_1998', 'lenet5', 'classic');
goldenRemaps('lenet5');
