/** What exported files of weights say besides model, preprocessing and classes: whether pictures are cut to the middle or shown as a whole. */

export type Fit = 'crop' | 'contain';

const key = 'fovea.fit';

export function writeFit(fit: Fit): Record<string, string> {
  return { [key]: fit };
}

export function readFit(metadata: Readonly<Record<string, string>>): Fit {
  return Object.hasOwn(metadata, key) && metadata[key] === 'contain' ? 'contain' : 'crop';
}
