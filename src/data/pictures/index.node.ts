/** Labelled pictures from disk to batches, for Node. */

export {
  type AuditAction,
  type AuditedClass,
  type AuditFinding,
  type AuditOptions,
  auditPictures,
  type DuplicateGroup,
  type NearDuplicate,
  type PictureAudit,
} from './audit.node.js';
export { auditLines } from './audit-lines.js';
export { PictureCache } from './cache.js';
export { defaultCacheBytes, PictureDataset, type PictureDatasetOptions, type SkippedPicture } from './dataset.node.js';
export { type MeasureOptions, measurePictures, type PictureRates, type PictureStage } from './measure.node.js';
export { type OpenPicturesOptions, openPictures } from './open.node.js';
export { DecodePool, type DecodePoolOptions } from './pool.node.js';
export type { LeftOut, PictureSample, PictureSet, PictureSource, PictureSplit } from './sample.js';
export { type SplitOptions, type SplitSamples, splitSamples } from './split.js';
