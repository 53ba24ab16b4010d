/**
 * Can an explanation be believed at all? If a map stays the same when the weights are replaced by noise, it shows the picture, not what the model learned.
 * Layers are randomised from the answer downwards, one more each time, and the maps compared with that of the trained model.
 */

import { Random } from '../data/index.js';
import { type Module, ownTensors } from '../nn/module.js';
import { Parameter, realize, type Tensor } from '../tensor/index.js';
import { type Answer, type AskOptions, listen, resolveClasses } from './ask.js';
import type { CamOptions } from './cam.js';
import type { ExplainMethod } from './methods.js';
import { spearman, ssim } from './similarity.js';

export interface SanityOptions extends AskOptions {
  /** Of class activation maps. */
  readonly layer?: string;
  readonly seed?: number;
  /** At most so many steps, spread over all layers; default 8. */
  readonly steps?: number;
  /** More options of the method, such as how many samples. */
  readonly options?: object;
}

export interface SanityStep {
  /** The lowest layer that is random; all above it are too. */
  readonly layer: string;
  /** Rank correlation with the map of the trained model, mean over the pictures: near 0 if the map depends on the weights. */
  readonly spearman: number;
  /** Structural similarity with it, mean over the pictures. */
  readonly ssim: number;
  /** [N, H, W], the heat maps there. */
  readonly maps: Tensor;
}

/**
 * The maps of `method` for x [N, C, H, W] as ever more layers get random weights: drawn from a normal distribution with the mean and deviation of the
 * tensor they replace. The model gets its weights back in the end, whatever happens; use it for nothing else meanwhile.
 * Source: Adebayo et al. 2018, arXiv:1810.03292, "cascading randomization".
 */
export async function sanityCheck(
  model: Module,
  x: Tensor,
  method: ExplainMethod,
  { target, layer, seed = 0, steps = 8, options = {}, onProgress }: SanityOptions = {},
): Promise<SanityStep[]> {
  const classes = await resolveClasses(model, x, target);
  const asked: CamOptions = { ...options, target: classes ?? target };
  const first = await method.explain(model, x, { ...asked, layer });
  // The same layer for all: 'auto' may look elsewhere in a random model.
  const fixed = layer ?? (first as { layer?: string }).layer;
  const layers = fromTheTop(listen(model, x).answers);
  const times = Math.min(steps, layers.length);
  const stops = new Set(Array.from({ length: times }, (_, i) => Math.ceil(((i + 1) * layers.length) / times) - 1));
  const trained: [Parameter, Float32Array][] = [];
  const results: SanityStep[] = [];
  try {
    for (const [i, { path, parameters }] of layers.entries()) {
      for (const parameter of parameters) {
        const values = (await parameter.data()) as Float32Array;
        trained.push([parameter, values]);
        parameter.assign(noiseLike(values, new Random(seed, 0, trained.length)));
      }
      if (!stops.has(i)) continue;
      const again = await method.explain(model, x, { ...asked, layer: fixed });
      results.push({ layer: path, maps: again.maps, ...(await alike(first.maps, again.maps)) });
      onProgress?.(results.length, stops.size);
    }
  } finally {
    for (const [parameter, values] of trained) parameter.assign(values);
    await realize();
  }
  return results;
}

interface Layer {
  readonly path: string;
  readonly parameters: readonly Parameter[];
}

/** Modules with parameters of their own, the last called first; a parameter that is shared counts where it is met first. */
function fromTheTop(answers: readonly Answer[]): Layer[] {
  const seen = new Set<Parameter>();
  const layers: Layer[] = [];
  for (const { path, module } of answers.toReversed()) {
    const own = ownTensors(module).map(([, tensor]) => tensor);
    const parameters = own.filter((p): p is Parameter => p instanceof Parameter && !seen.has(p));
    for (const p of parameters) seen.add(p);
    if (parameters.length > 0) layers.push({ path, parameters });
  }
  return layers;
}

function noiseLike(values: Float32Array, random: Random): Float32Array {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
  return values.map(() => random.normal(mean, Math.sqrt(variance)));
}

async function alike(a: Tensor, b: Tensor): Promise<{ spearman: number; ssim: number }> {
  const [count, height, width] = a.shape;
  const size = height * width;
  const [p, q] = [await a.data(), await b.data()];
  let [ranks, structure] = [0, 0];
  for (let n = 0; n < count; n++) {
    const [u, v] = [p.subarray(n * size, (n + 1) * size), q.subarray(n * size, (n + 1) * size)];
    ranks += spearman(u, v) / count;
    structure += ssim(u, v, [height, width]) / count;
  }
  return { spearman: ranks, ssim: structure };
}
