/**
 * `model.safetensors.index.json`: which file of the folder holds which tensor, for models in several safetensors files.
 *
 *     { "metadata": { "total_size": 123 }, "weight_map": { "conv1.weight": "model-00001-of-00002.safetensors", … } }
 */

import { FormatError } from '../util/errors.js';
import { checkSibling } from './byte-source.js';
import { anyObject, type JsonObject, object, parseJson } from './schema.js';

export interface SafetensorsIndex {
  /** Tensor → file, a name inside the index's own folder. */
  readonly files: ReadonlyMap<string, string>;
  readonly metadata: JsonObject;
}

/** No index of a real model comes near it. */
export const maxIndexBytes = 64 << 20;

const schema = object({ weight_map: anyObject }, { metadata: anyObject });

/** @throws {FormatError} for other JSON, and for names that lead out of the folder */
export function parseSafetensorsIndex(bytes: Uint8Array): SafetensorsIndex {
  if (bytes.length > maxIndexBytes)
    throw new FormatError(`safetensors index: ${bytes.length} bytes, the limit is ${maxIndexBytes}`, 0);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new FormatError('safetensors index: not valid UTF-8', 0);
  }
  const { weight_map, metadata = {} } = parseJson(text, schema, 'safetensors index');
  const files = new Map<string, string>();
  const checked = new Set<string>();
  for (const [tensor, file] of Object.entries(weight_map)) {
    if (typeof file !== 'string') {
      throw new FormatError(`safetensors index: weight_map must name a file for ${JSON.stringify(tensor)}`);
    }
    if (!checked.has(file)) checkSibling(file, 'safetensors index: weight_map');
    checked.add(file);
    files.set(tensor, file);
  }
  return { files, metadata };
}
