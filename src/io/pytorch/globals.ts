/**
 * The names that a pickle of PyTorch may use, and what they mean here: tensors, storages, ordered dicts, numbers. Every other name is refused.
 * The arguments are those of torch/_utils.py, whose functions these stand for; none of them does more than describe a tensor.
 */

import { type ElementTypeName, elementTypes } from '../element-types.js';
import {
  describe,
  type PickleContext,
  PickleDict,
  PickleGlobal,
  PickleObject,
  PickleSet,
  PickleTuple,
  type PickleValue,
} from './pickle.js';
import { StorageRef, TensorRef } from './tensors.js';

/** A kind of storage. null: bytes without a type. */
class StorageType extends PickleGlobal {
  constructor(
    name: string,
    readonly element: ElementTypeName | null,
  ) {
    super(name);
  }
}

class ElementTypeGlobal extends PickleGlobal {
  constructor(
    name: string,
    readonly element: ElementTypeName,
  ) {
    super(name);
  }
}

/** 'cpu', 'cuda:0': where a tensor was, which says nothing about its values. */
class Device extends PickleObject {}

const storages: Record<string, ElementTypeName> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

const dtypes: Record<string, ElementTypeName> = {
  float64: 'F64',
  double: 'F64',
  float32: 'F32',
  float: 'F32',
  float16: 'F16',
  half: 'F16',
  bfloat16: 'BF16',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
  int64: 'I64',
  long: 'I64',
  uint64: 'U64',
  int32: 'I32',
  int: 'I32',
  uint32: 'U32',
  int16: 'I16',
  short: 'I16',
  uint16: 'U16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

/** (storage, offset, shape, stride, …): what follows is about gradients and hooks. */
function rebuildTensor(args: readonly PickleValue[], context: PickleContext, type?: ElementTypeName): TensorRef {
  const [storage, offset, shape, stride] = args;
  if (!(storage instanceof StorageRef)) context.fail(`a tensor's storage cannot be ${describe(storage ?? null)}`);
  const sizes = counts(shape, 'shape', context);
  const strides = counts(stride, 'stride', context);
  if (sizes.length !== strides.length) context.fail(`a tensor of ${sizes.length} axes with ${strides.length} strides`);
  const first = count(offset, 'offset', context);
  return new TensorRef(storage, type ?? storage.type ?? 'U8', first, sizes, strides, context.at);
}

const maxRank = 64;

function counts(value: PickleValue | undefined, what: string, context: PickleContext): number[] {
  const items = value instanceof PickleTuple ? value.items : Array.isArray(value) ? value : null;
  if (items === null) return context.fail(`a tensor's ${what} must be a tuple, not ${describe(value ?? null)}`);
  if (items.length > maxRank) context.fail(`a tensor of ${items.length} axes`);
  context.spend(items.length);
  return items.map((item) => count(item, what, context));
}

function count(value: PickleValue | undefined, what: string, context: PickleContext): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  return context.fail(`a tensor's ${what} cannot be ${describe(value ?? null)}`);
}

function tensorIn(value: PickleValue | undefined, context: PickleContext): TensorRef {
  return value instanceof TensorRef ? value : context.fail(`a parameter cannot be ${describe(value ?? null)}`);
}

/** `OrderedDict([(key, value), …])`, as Python 2 wrote it, or `OrderedDict()`. */
function orderedDict([pairs]: readonly PickleValue[], context: PickleContext): PickleDict {
  const dict = new PickleDict('OrderedDict');
  if (pairs === undefined) return dict;
  if (!Array.isArray(pairs)) return context.fail(`an OrderedDict of ${describe(pairs)}`);
  context.spend(pairs.length);
  for (const pair of pairs) {
    const items = pair instanceof PickleTuple ? pair.items : Array.isArray(pair) ? pair : [];
    if (items.length !== 2) context.fail('an OrderedDict needs pairs of key and value');
    dict.entries.set(items[0], items[1]);
  }
  return dict;
}

/** Protocol 2 has no bytes and writes them as text to be encoded. */
function encode([text, encoding]: readonly PickleValue[], context: PickleContext): Uint8Array {
  if (typeof text !== 'string' || encoding !== 'latin1') return context.fail('bytes must be text in latin1');
  context.spend(text.length);
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

const set = (name: string) =>
  new PickleGlobal(name, {
    // The list itself, not a copy: a pickle can name one list many times.
    call: ([items], context) =>
      items === undefined || Array.isArray(items)
        ? new PickleSet(items ?? [])
        : context.fail(`a set of ${describe(items)}`),
  });

const rebuildByName: readonly PickleGlobal[] = [
  new PickleGlobal('torch._utils._rebuild_tensor', { call: (args, context) => rebuildTensor(args, context) }),
  new PickleGlobal('torch._utils._rebuild_tensor_v2', { call: (args, context) => rebuildTensor(args, context) }),
  new PickleGlobal('torch._utils._rebuild_tensor_v3', {
    call: (args, context) => {
      const type = args[6];
      return type instanceof ElementTypeGlobal
        ? rebuildTensor(args, context, type.element)
        : context.fail(`a tensor's type cannot be ${describe(type ?? null)}`);
    },
  }),
  new PickleGlobal('torch._utils._rebuild_parameter', { call: ([tensor], context) => tensorIn(tensor, context) }),
  new PickleGlobal('torch._utils._rebuild_parameter_with_state', {
    call: ([tensor], context) => tensorIn(tensor, context),
  }),
];

const known: readonly PickleGlobal[] = [
  ...rebuildByName,
  // A tensor with attributes of its own: (function, class, arguments, attributes). The attributes are left out.
  new PickleGlobal('torch._tensor._rebuild_from_type_v2', {
    call: ([rebuild, , args], context) =>
      rebuild instanceof PickleGlobal && rebuildByName.includes(rebuild) && args instanceof PickleTuple
        ? rebuild.call(args.items, context)
        : context.fail(`a tensor made by ${describe(rebuild ?? null)}`),
  }),
  ...['torch.Tensor', 'torch.nn.parameter.Parameter', 'torch.nn.parameter.Buffer'].map(
    (name) => new PickleGlobal(name),
  ),
  new PickleGlobal('torch.Size', {
    call: ([items], context) => (items instanceof PickleTuple ? items : context.fail('a torch.Size of something else')),
  }),
  new PickleGlobal('torch.device', { call: () => new Device() }),
  ...Object.entries(dtypes).map(([name, element]) => new ElementTypeGlobal(`torch.${name}`, element)),
  ...Object.entries(storages).map(([name, element]) => new StorageType(`torch.${name}`, element)),
  ...Object.entries(storages).map(([name, element]) => new StorageType(`torch.cuda.${name}`, element)),
  ...['torch.UntypedStorage', 'torch.storage.UntypedStorage'].map((name) => new StorageType(name, null)),
  new PickleGlobal('collections.OrderedDict', { call: orderedDict }),
  new PickleGlobal('collections.Counter', {
    call: ([dict = new PickleDict()], context) =>
      dict instanceof PickleDict ? dict : context.fail(`a Counter of ${describe(dict)}`),
  }),
  // The settings that training scripts keep beside their weights: a bag of names, nothing more.
  new PickleGlobal('argparse.Namespace', { make: () => new PickleDict('Namespace') }),
  new PickleGlobal('_codecs.encode', { call: encode }),
  ...['builtins.set', '__builtin__.set', 'builtins.frozenset', '__builtin__.frozenset'].map(set),
];

const byName = new Map(known.map((entry) => [entry.name, entry]));

export function findGlobal(name: string): PickleGlobal | null {
  return byName.get(name) ?? null;
}

/**
 * The storage that a persistent id names: ('storage', type, key, device, elements), in legacy files followed by None or by
 * (key of the part, first element, elements) for a part of a storage.
 */
export function findStorage(id: PickleValue, context: PickleContext): StorageRef {
  const [kind, type, key, , elements, part] = id instanceof PickleTuple ? id.items : [];
  if (kind !== 'storage') {
    return context.fail(
      kind === 'module'
        ? 'it holds a whole module with its code; save the weights alone: torch.save(model.state_dict(), path)'
        : `a reference to ${describe(kind ?? null)}; only storages are read`,
    );
  }
  if (!(type instanceof StorageType)) return context.fail(`a storage of type ${describe(type ?? null)}`);
  if (typeof key !== 'string') return context.fail(`a storage cannot be named ${describe(key ?? null)}`);
  const size = count(elements, 'storage', context);
  if (size * (type.element === null ? 1 : elementTypes[type.element].bytes) > Number.MAX_SAFE_INTEGER)
    context.fail(`a storage of ${size} elements`);
  if (part === undefined || part === null) return new StorageRef(key, type.element, size, 0, context.at);
  const [, first, length] = part instanceof PickleTuple ? part.items : [];
  const from = count(first, 'storage', context);
  const within = count(length, 'storage', context);
  if (from + within > size) context.fail(`elements ${from} to ${from + within} of a storage of ${size}`);
  return new StorageRef(key, type.element, within, from, context.at);
}
