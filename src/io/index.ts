/** Files and formats, as far as they need no Node: bytes in, values out. What touches the disk is in the `*.node.ts` files beside this one. */

export type { HostTensor } from './host-tensor.js';
export {
  encodeSafetensors,
  parseSafetensors,
  parseSafetensorsHeader,
  type Safetensors,
  type SafetensorsEntry,
  type SafetensorsHeader,
  serializeSafetensors,
} from './safetensors.js';
export type { Json, JsonObject } from './schema.js';
