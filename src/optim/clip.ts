/** Gradient clipping: between `backward()` and `step()`. Everything stays lazy and becomes part of the step's program. */

import type { Parameter, Tensor } from '../tensor/index.js';
import { stack, tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';

/**
 * Scales all gradients together so that their joint norm is at most `maxNorm`. Returns the norm before: read it after
 * `opt.step({ also: [norm] })`. normType Infinity takes the largest entry.
 */
export function clipGradNorm(
  params: Iterable<Parameter>,
  maxNorm: number,
  { normType = 2 }: { normType?: number } = {},
): Tensor {
  if (!(maxNorm >= 0)) throw new ConfigError(`clipGradNorm: maxNorm must be at least 0; got ${maxNorm}`);
  const owners = [...params].filter((p) => p.grad !== null);
  if (owners.length === 0) return tensor(0);
  const norms = stack(owners.map((p) => p.grad!.norm(normType)));
  const total = norms.norm(normType);
  const scale = total.add(1e-6).reciprocal().mul(maxNorm).clamp(null, 1);
  for (const p of owners) p.grad = p.grad!.mul(scale);
  return total;
}

/** Limits every entry of every gradient to ±`clipValue`. */
export function clipGradValue(params: Iterable<Parameter>, clipValue: number): void {
  if (!(clipValue >= 0)) throw new ConfigError(`clipGradValue: clipValue must be at least 0; got ${clipValue}`);
  for (const p of params) if (p.grad !== null) p.grad = p.grad.clamp(-clipValue, clipValue);
}
