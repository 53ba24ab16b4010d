/** ViT and DeiT against PyTorch: see ../zoo.ts. */

import { goldenModels, goldenRemaps } from '../zoo.js';

goldenModels('vit_tiny_patch16_224', 'vit_small_patch16_224', 'vit_small_patch32_224', 'vit_b_16', 'vit_b_32');
goldenModels('deit_tiny_patch16_224', 'deit_small_patch16_224', 'deit_base_patch16_224');
goldenModels('deit_tiny_distilled_patch16_224', 'deit_small_distilled_patch16_224', 'deit_base_distilled_patch16_224');
goldenRemaps('vit_b_32');
