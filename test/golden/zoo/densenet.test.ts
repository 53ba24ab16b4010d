/** The densenet family against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('densenet121', 'densenet161', 'densenet169', 'densenet201');
