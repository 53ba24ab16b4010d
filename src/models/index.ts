/** The zoo: one file per paper family, and the list of all models. */

import type { Module } from '../nn/index.js';
import { ConfigError, suggest } from '../util/errors.js';
import { alexnet, alexnet_2012 } from './alexnet.js';
import { allcnn_c } from './all-convolutional.js';
import { c3d } from './c3d.js';
import { classic } from './classic.js';
import { coatnet_0_rw_224 } from './coatnet.js';
import { convnexts } from './convnext.js';
import type { ModelBuilder, ModelOptions } from './define.js';
import { densenet121, densenet161, densenet169, densenet201 } from './densenet.js';
import { efficientNets } from './efficientnet.js';
import { efficientNetV2s } from './efficientnet-v2.js';
import { fcn_resnet50 } from './fcn.js';
import { googlenet } from './googlenet.js';
import { inception_v3 } from './inception-v3.js';
import { lenet5 } from './lenet5.js';
import { lenet5_1998 } from './lenet5-1998.js';
import { lraspp_mobilenet_v3_large } from './lraspp.js';
import { mobilenetv1_100, mobilenetv1_125 } from './mobilenet-v1.js';
import { mobilenet_v2, mobilenetv2_050, mobilenetv2_110d, mobilenetv2_120d, mobilenetv2_140 } from './mobilenet-v2.js';
import {
  mobilenet_v3_large,
  mobilenet_v3_small,
  mobilenetv3_large_100,
  mobilenetv3_small_100,
} from './mobilenet-v3.js';
import { mobilenetv4_conv_small } from './mobilenet-v4.js';
import { mobilevit_s, mobilevit_xs, mobilevit_xxs } from './mobilevit.js';
import { nin } from './network-in-network.js';
import {
  regnet_x_1_6gf,
  regnet_x_3_2gf,
  regnet_x_8gf,
  regnet_x_400mf,
  regnet_x_800mf,
  regnet_y_1_6gf,
  regnet_y_3_2gf,
  regnet_y_8gf,
  regnet_y_400mf,
  regnet_y_800mf,
  regnetx_002,
  regnetx_004,
  regnetx_006,
  regnetx_040,
  regnetx_064,
  regnety_002,
  regnety_006,
  regnety_008,
  regnety_040,
  regnety_064,
  regnety_080,
} from './regnet.js';
import { resnet18, resnet34, resnet50, resnet101, resnet152 } from './resnet.js';
import {
  resnet18d,
  resnet20,
  resnet26d,
  resnet32,
  resnet34d,
  resnet50d,
  resnet56,
  resnet101d,
  resnet152d,
  resnext50_32x4d,
  resnext101_32x8d,
  resnext101_64x4d,
  seresnet18,
  seresnet34,
  seresnet50,
  seresnet101,
  seresnet152,
  wide_resnet50_2,
  wide_resnet101_2,
} from './resnet-variants.js';
import { resnet1d18 } from './resnet1d.js';
import { shufflenet_v2_x0_5, shufflenet_v2_x1_0, shufflenet_v2_x1_5, shufflenet_v2_x2_0 } from './shufflenet-v2.js';
import { squeezenet1_0, squeezenet1_1 } from './squeezenet.js';
import { ssdlite320_mobilenet_v3_large } from './ssdlite.js';
import { swin_t } from './swin-transformer.js';
import { textcnn } from './textcnn.js';
import { unet } from './unet.js';
import { vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn } from './vgg.js';
import { mc3_18, r2plus1d_18, r3d_18 } from './video-resnet.js';
import { visionTransformers } from './vision-transformer.js';

export * from './alexnet.js';
export * from './all-convolutional.js';
export * from './c3d.js';
export { Classic, type ClassicOptions, classic } from './classic.js';
export * from './coatnet.js';
export * from './convnext.js';
export {
  builderOf,
  defineModel,
  type InputKind,
  type ModelBuilder,
  type ModelFacts,
  type ModelOptions,
  type PublishedScore,
  pictureShape,
  type Task,
} from './define.js';
export * from './densenet.js';
export * from './efficientnet.js';
export * from './efficientnet-v2.js';
export { FCN, type FCNOptions, fcn_resnet50 } from './fcn.js';
export * from './googlenet.js';
export * from './inception-v3.js';
export {
  ConvBnAct,
  DepthwiseSeparableConv,
  EdgeResidual,
  InvertedResidual,
  makeDivisible,
  SqueezeExcite,
} from './inverted-residual.js';
export { LeNet5, lenet5 } from './lenet5.js';
export { BitmapDistance, LeNet5Of1998, lenet5_1998, PartialConvolution, Subsampling } from './lenet5-1998.js';
export { LRASPP, lraspp_mobilenet_v3_large } from './lraspp.js';
export * from './mobilenet-v1.js';
export * from './mobilenet-v2.js';
export {
  MobileNetV3,
  type MobileNetV3Options,
  type MobileNetV3Plan,
  mobilenet_v3_large,
  mobilenet_v3_small,
  mobilenetv3_large_100,
  mobilenetv3_small_100,
} from './mobilenet-v3.js';
export * from './mobilenet-v4.js';
export * from './mobilevit.js';
export * from './network-in-network.js';
export { type Preprocessing, preprocessing } from './preprocessing.js';
export * from './regnet.js';
export {
  type RemapRule,
  type RemapTable,
  remap,
  remapFor,
  remapName,
  reshaped,
  type Stored,
  squeezed,
} from './remap.js';
export * from './resnet.js';
export * from './resnet-variants.js';
export * from './resnet1d.js';
export * from './shufflenet-v2.js';
export * from './squeezenet.js';
export * from './ssd.js';
export * from './ssdlite.js';
export * from './swin-transformer.js';
export * from './textcnn.js';
export { UNet, type UNetOptions, unet } from './unet.js';
export { VGG, type VGGOptions, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn } from './vgg.js';
export * from './video-resnet.js';
export * from './vision-transformer.js';

export const registry: readonly ModelBuilder[] = [
  classic,
  lenet5_1998,
  lenet5,
  alexnet_2012,
  nin,
  alexnet,
  allcnn_c,
  vgg11,
  vgg11_bn,
  vgg13,
  vgg13_bn,
  vgg16,
  vgg16_bn,
  vgg19,
  vgg19_bn,
  googlenet,
  inception_v3,
  resnet18,
  resnet34,
  resnet50,
  resnet101,
  resnet152,
  resnet20,
  resnet32,
  resnet56,
  wide_resnet50_2,
  wide_resnet101_2,
  resnext50_32x4d,
  resnext101_32x8d,
  resnext101_64x4d,
  seresnet18,
  seresnet34,
  seresnet50,
  seresnet101,
  seresnet152,
  resnet18d,
  resnet26d,
  resnet34d,
  resnet50d,
  resnet101d,
  resnet152d,
  densenet121,
  densenet161,
  densenet169,
  densenet201,
  squeezenet1_0,
  squeezenet1_1,
  shufflenet_v2_x0_5,
  shufflenet_v2_x1_0,
  shufflenet_v2_x1_5,
  shufflenet_v2_x2_0,
  mobilenetv1_100,
  mobilenetv1_125,
  mobilenet_v2,
  mobilenetv2_050,
  mobilenetv2_110d,
  mobilenetv2_120d,
  mobilenetv2_140,
  mobilenet_v3_large,
  mobilenet_v3_small,
  mobilenetv3_large_100,
  mobilenetv3_small_100,
  mobilenetv4_conv_small,
  ...efficientNets,
  ...efficientNetV2s,
  ...convnexts,
  ...visionTransformers,
  swin_t,
  coatnet_0_rw_224,
  mobilevit_xxs,
  mobilevit_xs,
  mobilevit_s,
  c3d,
  r3d_18,
  mc3_18,
  r2plus1d_18,
  regnetx_002,
  regnetx_004,
  regnet_x_400mf,
  regnetx_006,
  regnet_x_800mf,
  regnet_x_1_6gf,
  regnet_x_3_2gf,
  regnetx_040,
  regnetx_064,
  regnet_x_8gf,
  regnety_002,
  regnet_y_400mf,
  regnety_006,
  regnety_008,
  regnet_y_800mf,
  regnet_y_1_6gf,
  regnet_y_3_2gf,
  regnety_040,
  regnety_064,
  regnety_080,
  regnet_y_8gf,
  textcnn,
  resnet1d18,
  unet,
  fcn_resnet50,
  lraspp_mobilenet_v3_large,
  ssdlite320_mobilenet_v3_large,
];

/** The builder called `name`, by any of its names. @throws {ConfigError} with the nearest name there is. */
export function findModel(name: string): ModelBuilder {
  const found = registry.find((model) => model.modelName === name || model.aliases?.includes(name));
  if (found !== undefined) return found;
  const near = suggest(
    name,
    registry.flatMap((model) => [model.modelName, ...(model.aliases ?? [])]),
  );
  const names = registry.map((model) => model.modelName).join(', ');
  throw new ConfigError(
    `There is no model '${name}'. ${near === null ? `The models are ${names}.` : `Did you mean ${near}?`}`,
  );
}

/** A model by its name: `create('resnet50', { numClasses: 10, inChannels: 3 })`. @throws {ConfigError} as `findModel` does. */
export function create<O extends ModelOptions>(name: string, options?: O): Module {
  return findModel(name)(options);
}
