/** Data sets on disk, for Node, and their format. */

export { hasArrays, openArrays, readNpy } from './arrays.node.js';
export { cifar, isCifar } from './cifar.node.js';
export { ClipDataset, type ClipDatasetOptions, type ClipSample, type ClipSet, openClips } from './clips.node.js';
export { type IdxArray, parseIdx, readIdx } from './idx.js';
export { fashionClasses, type MnistOptions, mnist } from './mnist.node.js';
export { encodeNpz, type NpzFile, openNpz, parseNpz } from './npz.js';
export * from './pictures/index.node.js';
export {
  isTextTable,
  type LabelledText,
  type OpenTextsOptions,
  openTexts,
  type TextDatasets,
  type TextDatasetsOptions,
  type TextSet,
  textDatasets,
} from './text.node.js';
