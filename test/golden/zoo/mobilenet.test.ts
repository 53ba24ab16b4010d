/** The mobilenet family against PyTorch: see ../zoo.ts. */

import { goldenModels } from '../zoo.js';

goldenModels(
  'mobilenetv1_100',
  'mobilenetv1_125',
  'mobilenet_v2',
  'mobilenetv2_050',
  'mobilenetv2_110d',
  'mobilenetv2_120d',
  'mobilenetv2_140',
  'mobilenet_v3_large',
  'mobilenet_v3_small',
  'mobilenetv3_large_100',
  'mobilenetv3_small_100',
  'mobilenetv4_conv_small',
);
