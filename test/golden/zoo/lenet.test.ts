/** LeNet-5, as published and as taught, and the tutorial network against PyTorch: see ../zoo.ts. */

import { goldenModels, goldenRemaps } from '../zoo.js';

// Scores that are sums of 84 squares have larger gradients than others.
goldenModels(['lenet5_1998', { lr: 1e-3 }], 'lenet5', 'classic');
goldenRemaps('lenet5');
