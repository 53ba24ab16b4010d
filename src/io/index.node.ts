/** Files on disk, for Node. */

export { type Content, writeFileAtomic } from './atomic.node.js';
export { FileError } from './file-error.node.js';
export { type DecodeOptions, decodeImage, encodePng, type Picture } from './picture.node.js';
export { type Checkpoint, type CheckpointName, type RunConfig, RunFolder } from './run-folder.node.js';
export { readSafetensors, SafetensorsFile, writeSafetensors } from './safetensors.node.js';
