/** Networks for text and for signals against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('textcnn', 'resnet1d18');
