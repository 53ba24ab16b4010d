/** Looking inside: why a model says what it says, what its layers see, and whether an explanation can be believed. */

export {
  type ActivationMaximizationOptions,
  type MaximizedActivations,
  maximizeActivations,
} from './activation-maximization.js';
export type { AskOptions, Explanation, Target, TargetFunction } from './ask.js';
export type { CamExplanation, CamOptions } from './cam.js';
export { type Cka, type CkaOptions, compareByCka } from './cka.js';
export { type ColorMap, colorMaps, colorTable } from './color-map.js';
export { eigenCam } from './eigen-cam.js';
export { type Embedding, type EmbedOptions, embed, ready } from './embed.js';
export { type FeatureMapOptions, type FeatureMaps, featureMaps } from './feature-maps.js';
export { type FilterOptions, type Filters, filters, firstConvolution } from './filters.js';
export { gradCam } from './grad-cam.js';
export { gradCamPlusPlus } from './grad-cam-plus-plus.js';
export { guidedBackprop } from './guided-backprop.js';
export { type HeatSummary, summarizeHeat } from './heat.js';
export { hiResCam } from './hires-cam.js';
export { inputXGradient } from './input-x-gradient.js';
export { type Curve, type InsertionDeletionOptions, insertionDeletion } from './insertion-deletion.js';
export {
  type IntegratedGradients,
  type IntegratedGradientsOptions,
  integratedGradients,
} from './integrated-gradients.js';
export { layerCam } from './layer-cam.js';
export { channelLayers, mapLayerPaths } from './layers.js';
export { type ExplainMethod, methods } from './methods.js';
export { type Neighbours, nearest, neighbours } from './neighbours.js';
export { type OcclusionOptions, occlusion } from './occlusion.js';
export { type PrincipalComponents, principalComponents } from './pca.js';
export {
  blank,
  type Color,
  colorize,
  enlarge,
  type GridOptions,
  type OverlayOptions,
  overlay,
  paste,
  pictureGrid,
} from './pictures.js';
export {
  type EffectiveField,
  effectiveReceptiveField,
  type FieldBox,
  fieldBox,
  type LayerField,
  layerFields,
  receptiveField,
  type UnitField,
} from './receptive-field.js';
export { type RiseOptions, rise } from './rise.js';
export {
  type Classify,
  type Perturbation,
  perturbations,
  type Robustness,
  type RobustnessOptions,
  type RobustnessRow,
  type RobustnessSample,
  robustness,
} from './robustness.js';
export { saliency } from './saliency.js';
export { type SanityOptions, type SanityStep, sanityCheck } from './sanity.js';
export { type ScoreCamOptions, scoreCam } from './score-cam.js';
export { spearman, ssim } from './similarity.js';
export { type SmoothGradOptions, smoothGrad } from './smooth-grad.js';
export { type ChannelPatches, type Patch, patchGrid, type TopPatchesOptions, topPatches } from './top-patches.js';
export { type TsneOptions, tsne } from './tsne.js';
export { type UmapOptions, umap } from './umap.js';
