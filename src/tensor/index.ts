/** What users hold: tensors, how they are made, differentiated, printed, and where they are computed. */

export { backward, type GradOptions, grad } from './autograd.js';
export { type CompiledFunction, compile } from './compiled-function.js';
export type { ConvOptions, ConvTransposeOptions } from './conv.js';
export * from './creation.js';
export { type DeviceName, type DeviceOptions, deviceNames, type OpenedDevice, openDevice } from './device.js';
export { maximum, minimum, where } from './elementwise.js';
export * as F from './functional.js';
export type { GridSampleOptions } from './grid-sample.js';
export { enableGrad, gradEnabled, noGrad } from './history.js';
export type { Index, Range, RangeObject } from './indexing.js';
export { einsum } from './linear.js';
export type { Padding, PadMode, PadWidth } from './movement.js';
export { concat, stack } from './movement.js';
export { buffer, Parameter, type ParameterOptions } from './parameter.js';
export type { AdaptiveSize, AvgPoolOptions, MaxPoolOptions } from './pool.js';
export { formatTensor, formatValues, type PrintOptions } from './print.js';
export * from './random.js';
export type { Axes, KeepDims, ValuesAndIndices, VarianceOptions } from './reduce.js';
export type { InterpolateMode, InterpolateOptions } from './resize.js';
export { assignOnlyIf, device, realize, setDevice } from './runtime.js';
export { asTensor, type NestedArray, type Operand, Tensor, type TensorLike } from './tensor.js';
