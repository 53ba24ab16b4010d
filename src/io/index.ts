/** Files and formats, as far as they need no Node: bytes in, values out. What touches the disk is in the `*.node.ts` files beside this one. */

export type { ByteSource, BytesLike } from './byte-source.js';
export type { HostTensor } from './host-tensor.js';
export { importKeras, type KerasFacts, KerasModule, type KerasOptions } from './keras/import.js';
export { importTensorflowjs, type ShardReader } from './keras/tfjs.js';
export { exportOnnx, type OnnxExportOptions } from './onnx/export.js';
export { type ImportOptions, importOnnx, type OnnxMetadata, OnnxModel, type OnnxValue } from './onnx/import.js';
export {
  openPytorch,
  type PytorchCheckpoint,
  type PytorchEntry,
  type PytorchFile,
  type PytorchOptions,
  parsePytorch,
} from './pytorch/index.js';
export {
  type EncodeOptions,
  encodeSafetensors,
  parseSafetensors,
  parseSafetensorsHeader,
  type Safetensors,
  type SafetensorsEntry,
  type SafetensorsHeader,
  serializeSafetensors,
} from './safetensors.js';
export type { Json, JsonObject } from './schema.js';
export { encodeWeights, LoadReport, type LoadWeightsOptions, loadWeights, type SaveWeightsOptions } from './weights.js';
export { type OpenOptions, openWeights, type WeightsEntry, type WeightsFile } from './weights-file.js';
export { readFacts, type WeightsFacts } from './weights-metadata.js';
export {
  type LoadedModel,
  type LoadModelOptions,
  loadModel,
  type RecogniseOptions,
  type Recognition,
  recognise,
} from './weights-recognise.js';
