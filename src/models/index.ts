/** The zoo: one file per paper family, and the list of all models. */

import type { Module } from '../nn/index.js';
import { ConfigError, suggest } from '../util/errors.js';
import { classic } from './classic.js';
import type { ModelBuilder, ModelOptions } from './define.js';
import { efficientnet_b0 } from './efficientnet.js';
import { lenet5 } from './lenet5.js';
import { mobilenet_v2 } from './mobilenet-v2.js';
import { resnet18, resnet50 } from './resnet.js';
import { shufflenet_v2_x0_5, shufflenet_v2_x1_0, shufflenet_v2_x1_5, shufflenet_v2_x2_0 } from './shufflenet-v2.js';
import { squeezenet1_0, squeezenet1_1 } from './squeezenet.js';
import { vgg16 } from './vgg.js';

export { Classic, classic } from './classic.js';
export {
  defineModel,
  type InputKind,
  type ModelBuilder,
  type ModelFacts,
  type ModelOptions,
  type PublishedScore,
  pictureShape,
  type Task,
} from './define.js';
export {
  type CompoundScale,
  compoundScaling,
  EfficientNet,
  type EfficientNetOptions,
  efficientnet_b0,
} from './efficientnet.js';
export { DepthwiseSeparableConv, InvertedResidual, makeDivisible, SqueezeExcite } from './inverted-residual.js';
export { LeNet5, lenet5 } from './lenet5.js';
export { MobileNetV2, type MobileNetV2Options, mobilenet_v2 } from './mobilenet-v2.js';
export { type Preprocessing, preprocessing } from './preprocessing.js';
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
export { BasicBlock, Bottleneck, ResNet, type ResNetOptions, resnet18, resnet50 } from './resnet.js';
export * from './shufflenet-v2.js';
export * from './squeezenet.js';
export { VGG, type VGGOptions, vgg16 } from './vgg.js';

export const registry: readonly ModelBuilder[] = [
  classic,
  lenet5,
  vgg16,
  resnet18,
  resnet50,
  squeezenet1_0,
  squeezenet1_1,
  shufflenet_v2_x0_5,
  shufflenet_v2_x1_0,
  shufflenet_v2_x1_5,
  shufflenet_v2_x2_0,
  mobilenet_v2,
  efficientnet_b0,
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
