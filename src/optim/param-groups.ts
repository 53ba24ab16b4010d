/**
 * Parameter groups by rule: which weights decay, and which learn at a rate of their own. The rules are timm's: biases and everything of one axis (the
 * scales of norms) do not decay, since shrinking them regularises nothing; in transfer learning, layers that were trained already move more slowly.
 */

import { type PathPattern, pathMatcher } from '../nn/freeze.js';
import { type Module, Sequential } from '../nn/index.js';
import type { Parameter } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';

export interface ParamGroupsOptions {
  readonly lr: number;
  readonly weightDecay?: number;
  /** More parameters that do not decay. */
  readonly noDecay?: readonly PathPattern[];
  /** Factors of `lr` by path; the first pattern that names a parameter counts. `[['fc', 1], ['**', 0.1]]`: all but the head at a tenth. */
  readonly rates?: readonly (readonly [pattern: PathPattern, factor: number])[];
  /**
   * Layer-wise decay of the rate: the last layer learns at `lr`, each one before it at so many times the rate of the next. Layers are the model's children
   * in their order, containers counted by what is in them. Howard and Ruder 2018, arXiv:1801.06146; Clark et al. 2020, arXiv:2003.10555.
   */
  readonly layerDecay?: number;
}

export interface NamedGroup {
  readonly params: Parameter[];
  readonly lr: number;
  readonly weightDecay: number;
}

/**
 * All parameters of `model` in groups for an optimiser, those that share a rate and a decay together. Frozen ones are among them: the optimiser leaves
 * them alone until they are thawed. @throws {ConfigError} for a pattern that names none, and for factors that are no factors.
 */
export function paramGroups(model: Module, options: ParamGroupsOptions): NamedGroup[] {
  const { lr, weightDecay = 0, noDecay = [], rates = [], layerDecay = 1 } = options;
  for (const factor of [layerDecay, ...rates.map(([, factor]) => factor)]) {
    if (!(factor >= 0 && factor < Infinity))
      throw new ConfigError(`paramGroups: factors of the rate are not negative; got ${factor}`);
  }
  const spared = noDecay.map(rule);
  const byPath = rates.map(([pattern, factor]) => ({ ...rule(pattern), factor }));
  const depth = layerDecay === 1 ? null : layersFromTheEnd(model);

  const groups = new Map<string, NamedGroup>();
  for (const [path, parameter] of model.namedParameters()) {
    const own = spared.filter(({ matches }) => matches(path));
    const rate = byPath.filter(({ matches }) => matches(path));
    for (const used of [...own, ...rate]) used.used = true;
    const decays = own.length === 0 && parameter.shape.length > 1 && !path.endsWith('bias');
    const factor = (rate[0]?.factor ?? 1) * layerDecay ** (depth?.(path) ?? 0);
    const group = { params: [], lr: lr * factor, weightDecay: decays ? weightDecay : 0 };
    const key = `${group.lr} ${group.weightDecay}`;
    if (!groups.has(key)) groups.set(key, group);
    groups.get(key)!.params.push(parameter);
  }
  for (const { pattern, used } of [...spared, ...byPath]) {
    if (!used) throw new ConfigError(`paramGroups: ${String(pattern)} names no parameter of ${model.constructor.name}`);
  }
  return [...groups.values()];
}

function rule(pattern: PathPattern) {
  return { pattern, matches: pathMatcher(pattern), used: false };
}

/** For a parameter's path, how many layers with parameters come after its own. */
function layersFromTheEnd(model: Module): (path: string) => number {
  const layers = layerPaths(model, '').reverse();
  return (path) => {
    const found = layers.findIndex((layer) => path.startsWith(`${layer}.`));
    return found < 0 ? layers.length : found; // the model's own parameters (a class token, say) lie before its first layer
  };
}

function layerPaths(module: Module, prefix: string): string[] {
  return [...module.namedChildren()].flatMap(([name, child]) => {
    if (child.parameters().length === 0) return [];
    const path = prefix + name;
    return child.constructor === Sequential ? layerPaths(child, `${path}.`) : [path];
  });
}
