/**
 * `.pt` and `.pth`: the weights in what `torch.save` wrote — a state dict, or a checkpoint that has one under a usual name beside an optimiser's
 * state, settings and counters. Only the tensors of that one dict are read, and only when asked for.
 */

import { ConfigError, FormatError } from '../../util/errors.js';
import type { Shape } from '../../util/shape.js';
import { asSource, type BytesLike } from '../byte-source.js';
import type { ElementTypeName } from '../element-types.js';
import type { HostTensor } from '../host-tensor.js';
import { isZip } from '../zip.js';
import { type Archive, isLegacy, openLegacyArchive, openZipArchive } from './archive.js';
import { describe, PickleDict, type PickleValue } from './pickle.js';
import { checkStorage, readTensor, TensorRef } from './tensors.js';

export { isLegacy } from './archive.js';

export interface PytorchOptions {
  /** Which dict of a checkpoint to take, 'model_ema' for one; below another, 'trainer.model'. Left out: the first of the usual names. */
  readonly path?: string;
}

export interface PytorchEntry {
  readonly type: ElementTypeName;
  readonly shape: Shape;
  read(): HostTensor;
}

/** A file whose pickle was read and whose tensors were checked, not read. */
export interface PytorchFile {
  readonly format: 'zip' | 'legacy';
  readonly entries: ReadonlyMap<string, PytorchEntry>;
  /** Where in the checkpoint the tensors stood; '' when the file is a state dict itself. */
  readonly path: string;
  /** What all names began with and was taken off: 'module.' of DataParallel, '_orig_mod.' of compile, 'model.' of a trainer; '' if nothing. */
  readonly prefix: string;
  /** What else the checkpoint holds: 'optimizer', 'epoch' … */
  readonly other: readonly string[];
  /** Numbers and text beside the weights: epoch, arch, best_acc1 … */
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

export interface PytorchCheckpoint extends Omit<PytorchFile, 'entries'> {
  readonly tensors: Map<string, HostTensor>;
}

/**
 * Every tensor of the weights in a file, converted as `parseSafetensors` does.
 * @throws {FormatError} with the offset, for damaged files and for pickles that ask for more than tensors, containers and numbers.
 * @throws {ConfigError} if `path` is not there.
 */
export function parsePytorch(bytes: BytesLike, options: PytorchOptions = {}): PytorchCheckpoint {
  const { entries, ...file } = openPytorch(bytes, options);
  return { ...file, tensors: new Map(Array.from(entries, ([name, entry]) => [name, entry.read()])) };
}

/** `parsePytorch`, without reading the tensors yet. */
export function openPytorch(bytes: BytesLike, { path }: PytorchOptions = {}): PytorchFile {
  const source = asSource(bytes);
  const first = source.read(0, Math.min(32, source.sizeBytes));
  if (!isZip(first) && !isLegacy(first))
    throw new FormatError('pytorch: it begins like no file that torch.save writes', 0);
  const archive = isZip(first) ? openZipArchive(source) : openLegacyArchive(source);
  const found = path === undefined ? findStateDict(archive.value) : takePath(archive.value, path);
  const tensors = tensorsOf(found.dict);
  checkTensors(tensors, archive);
  const prefix = sharedPrefix([...tensors.keys()]);
  const entries = new Map<string, PytorchEntry>();
  for (const [name, tensor] of tensors) {
    const { type, shape } = tensor;
    const own = name.slice(prefix.length);
    entries.set(own, { type, shape, read: () => readTensor(own, tensor, archive.storages) });
  }
  const beside = found.path === '' ? new Map<PickleValue, PickleValue>() : entriesOf(archive.value);
  return {
    format: archive.format,
    entries,
    path: found.path,
    prefix,
    other: otherNames(found, beside, tensors),
    facts: factsOf(beside),
  };
}

// —— which dict ——

/** Names that checkpoints keep their weights under, the likelier first: of timm, DeiT, torchvision's scripts, Lightning and others. */
const usualNames = [
  'state_dict',
  'model',
  'model_state_dict',
  'model_ema',
  'state_dict_ema',
  'ema_state_dict',
  'net',
  'network',
  'weights',
  'params',
];

interface Found {
  readonly dict: PickleDict;
  readonly path: string;
}

/** The first usual name that leads to tensors, else the value itself: a checkpoint may keep a lone tensor beside its weights. */
function findStateDict(value: PickleValue): Found {
  const found = search(value, 2);
  if (found !== null) return found;
  if (value instanceof TensorRef)
    throw new FormatError('pytorch: it holds one tensor; weights are a dict of tensors by name', 0);
  const names = [...entriesOf(value).keys()].filter((key) => typeof key === 'string').slice(0, 8);
  const held = value instanceof PickleDict ? `a dict of ${names.join(', ') || 'nothing'}` : describe(value);
  throw new FormatError(`pytorch: no tensors by name were found in it: it holds ${held}`, 0);
}

function search(value: PickleValue, depth: number): Found | null {
  if (!(value instanceof PickleDict)) return null;
  for (const name of depth === 0 ? [] : usualNames) {
    const inner = search(value.entries.get(name) ?? null, depth - 1);
    if (inner !== null) return { dict: inner.dict, path: inner.path === '' ? name : `${name}.${inner.path}` };
  }
  return holdsTensors(value) ? { dict: value, path: '' } : null;
}

function takePath(value: PickleValue, path: string): Found {
  let at = value;
  for (const name of path.split('.')) {
    const next: PickleValue | undefined = entriesOf(at).get(name);
    if (next === undefined) {
      const names = [...entriesOf(value).keys()].filter((key) => typeof key === 'string');
      throw new ConfigError(
        `pytorch: there is no '${path}' in the file; it holds ${names.slice(0, 12).join(', ') || 'no names'}`,
      );
    }
    at = next;
  }
  if (!(at instanceof PickleDict) || !holdsTensors(at)) {
    throw new ConfigError(`pytorch: '${path}' is ${describe(at)} without tensors`);
  }
  return { dict: at, path };
}

function holdsTensors({ entries }: PickleDict): boolean {
  for (const [key, value] of entries) if (typeof key === 'string' && value instanceof TensorRef) return true;
  return false;
}

function entriesOf(value: PickleValue): ReadonlyMap<PickleValue, PickleValue> {
  return value instanceof PickleDict ? value.entries : new Map();
}

function tensorsOf({ entries }: PickleDict): Map<string, TensorRef> {
  const tensors = new Map<string, TensorRef>();
  for (const [key, value] of entries)
    if (typeof key === 'string' && value instanceof TensorRef) tensors.set(key, value);
  return tensors;
}

// —— what is taken ——

/** Views may repeat their storages' bytes (tied weights, expanded ones), but not without end. */
const mostRepeats = 16;
const spareBytes = 1 << 24;

function checkTensors(tensors: ReadonlyMap<string, TensorRef>, { storages, storageBytes }: Archive): void {
  const limit = mostRepeats * storageBytes + spareBytes;
  let total = 0;
  for (const [name, tensor] of tensors) {
    checkStorage(tensor, storages);
    total += Math.max(tensor.outBytes, tensor.spanBytes);
    if (total > limit) {
      throw new FormatError(
        `pytorch: with '${name}' its tensors would take more than ${mostRepeats} times the ${storageBytes} bytes that it stores`,
        tensor.at,
      );
    }
  }
}

/** What wrappers put before every name. */
const wrappers = ['module.', '_orig_mod.', 'model.'];
/** A wrapper in a wrapper in a wrapper. */
const mostWrappers = 4;

export function sharedPrefix(names: readonly string[]): string {
  let prefix = '';
  for (let i = 0; i < mostWrappers; i++) {
    const next = wrappers.find((wrapper) => names.every((name) => name.startsWith(prefix + wrapper)));
    if (next === undefined) break;
    prefix += next;
  }
  return prefix;
}

function otherNames(
  { dict, path }: Found,
  beside: ReadonlyMap<PickleValue, PickleValue>,
  tensors: ReadonlyMap<string, TensorRef>,
): string[] {
  const own = [...dict.entries.keys()].filter((key) => typeof key === 'string' && !tensors.has(key));
  const first = path.split('.')[0];
  const others = [...beside.keys()].filter((key) => typeof key === 'string' && key !== first);
  return [...others, ...own.map((key) => (path === '' ? key : `${path}.${String(key)}`))] as string[];
}

function factsOf(beside: ReadonlyMap<PickleValue, PickleValue>): Record<string, string | number | boolean> {
  const facts: [string, string | number | boolean][] = [];
  for (const [key, value] of beside) {
    if (typeof key !== 'string') continue;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') facts.push([key, value]);
  }
  return Object.fromEntries(facts);
}
