/** The all-convolutional net and network-in-network against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('allcnn_c', 'nin');
