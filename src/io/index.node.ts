/** Files on disk, for Node. */

export { type Content, writeFileAtomic } from './atomic.node.js';
export { FileError } from './file-error.node.js';
export { type ImportedNetwork, type OpenNetworkOptions, openNetwork } from './imported.node.js';
export {
  countElements,
  type Inspected,
  type InspectedStep,
  type InspectedTensor,
  inspectFile,
} from './inspect.node.js';
export { loadOnnx } from './onnx/import.node.js';
export { type SavedOnnx, type SaveOnnxOptions, saveOnnx } from './onnx/save.node.js';
export { type DecodeOptions, decodeImage, encodePng, type Picture } from './picture.node.js';
export { type Checkpoint, type CheckpointName, type RunConfig, RunFolder } from './run-folder.node.js';
export { readSafetensors, SafetensorsFile, writeSafetensors } from './safetensors.node.js';
export { loadModel, loadWeights, saveWeights, withWeightsFile } from './weights.node.js';
