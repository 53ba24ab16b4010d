/** ConvNeXt against PyTorch: see ../zoo.ts. */

import { goldenModels, goldenRemaps } from '../zoo.js';

goldenModels('convnext_atto', 'convnext_femto', 'convnext_pico', 'convnext_nano');
goldenModels('convnext_tiny', 'convnext_small', 'convnext_base', 'convnext_large');
goldenModels('convnextv2_atto', 'convnextv2_femto', 'convnextv2_pico', 'convnextv2_nano');
goldenModels('convnextv2_tiny', 'convnextv2_small', 'convnextv2_base', 'convnextv2_large');
goldenRemaps('convnext_tiny', 'convnext_small', 'convnext_base', 'convnext_large');
