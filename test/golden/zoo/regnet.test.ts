/** The RegNets against PyTorch: see ../zoo.ts. */

import { goldenModels, goldenRemaps } from '../zoo.js';

goldenModels('regnetx_002', 'regnet_x_400mf', 'regnetx_004', 'regnetx_006', 'regnet_x_800mf', 'regnet_x_1_6gf');
goldenModels('regnet_x_3_2gf', 'regnetx_040', 'regnetx_064', 'regnet_x_8gf');
goldenModels('regnety_002', 'regnet_y_400mf', 'regnety_006', 'regnet_y_800mf', 'regnety_008', 'regnet_y_1_6gf');
goldenModels('regnet_y_3_2gf', 'regnety_040', 'regnety_064', 'regnet_y_8gf', 'regnety_080');
goldenRemaps('regnet_y_400mf');
