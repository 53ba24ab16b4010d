/** The one thing that files of the exported page say besides what all files of weights do: whether pictures are cut or shown as a whole. */

export type Fit = 'crop' | 'contain';

const key = 'fovea.fit';

export function writeFit(fit: Fit): Record<string, string> {
  return { [key]: fit };
}

export function readFit(metadata: Readonly<Record<string, string>>): Fit {
  return Object.hasOwn(metadata, key) && metadata[key] === 'contain' ? 'contain' : 'crop';
}
