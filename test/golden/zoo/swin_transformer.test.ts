/** Swin against PyTorch: see ../zoo.ts. */

import { goldenModels, goldenRemaps } from '../zoo.js';

goldenModels('swin_t');
goldenRemaps('swin_t');
