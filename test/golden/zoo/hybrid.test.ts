/** Networks of convolutions and attention against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels('coatnet_0_rw_224', 'mobilevit_xxs', 'mobilevit_xs', 'mobilevit_s');
