/** `.pt` and `.pth` against files that torch wrote (test/golden/pytorch_files.py), and files made to mislead or to run code. */

import { readFileSync } from 'node:fs';
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { ConfigError, FormatError } from '../../util/errors.js';
import { memorySource } from '../byte-source.js';
import type { HostTensor } from '../host-tensor.js';
import { openZip, readZipEntry } from '../zip.js';
import { findGlobal, findStorage } from './globals.js';
import { openPytorch, parsePytorch } from './index.js';
import { type PickleDict, type PickleValue, unpickle } from './pickle.js';

const golden = (name: string) => readFileSync(new URL(`../../../test/golden/data/pytorch/${name}`, import.meta.url));

interface Expected {
  shape: number[];
  dtype: HostTensor['dtype'];
  bits?: number[];
  values?: number[];
}
const expected: Record<'tensors' | 'small' | 'checkpoint', Record<string, Expected>> = JSON.parse(
  golden('expected.json').toString(),
);

function expectTensors(got: ReadonlyMap<string, HostTensor>, want: Record<string, Expected>): void {
  expect([...got.keys()]).toEqual(Object.keys(want));
  for (const [name, { shape, dtype, bits, values }] of Object.entries(want)) {
    const tensor = got.get(name)!;
    expect({ name, dtype: tensor.dtype, shape: tensor.shape }).toEqual({ name, dtype, shape });
    const own = bits ? canonicalBits(tensor.data as Float32Array) : [...tensor.data];
    expect([name, ...own]).toEqual([name, ...(bits ?? values!)]);
  }
}

function canonicalBits(data: Float32Array): number[] {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  return Array.from(data, (x, i) => (Number.isNaN(x) ? 0x7fc00000 : bits[i]));
}

describe('reading what torch wrote', () => {
  it.each(['tensors-zip.pt', 'tensors-legacy.pt', 'deflated.pt'])('has every value of %s, views and all', (file) => {
    const { tensors, ...rest } = parsePytorch(golden(file));
    expectTensors(tensors, expected.tensors);
    const format = file === 'tensors-legacy.pt' ? 'legacy' : 'zip';
    expect(rest).toEqual({ format, path: '', prefix: '', other: [], facts: {} });
  });

  it.each([2, 3, 4, 5].flatMap((protocol) => [`protocol-${protocol}-zip.pt`, `protocol-${protocol}-legacy.pt`]))(
    'reads %s',
    (file) => {
      expectTensors(parsePytorch(golden(file)).tensors, expected.small);
    },
  );

  it('finds the weights in a checkpoint, takes the wrapper off their names and says what else there is', () => {
    const { tensors, ...rest } = parsePytorch(golden('checkpoint.pt'));
    expectTensors(tensors, expected.checkpoint);
    expect(rest).toEqual({
      format: 'zip',
      path: 'state_dict',
      prefix: 'module.',
      other: [
        ...['epoch', 'arch', 'best_acc1', 'optimizer', 'lr_scheduler', 'args', 'classes', 'dtype', 'size', 'big'],
        ...['small', 'rng'],
      ],
      facts: { epoch: 12, arch: 'linear', best_acc1: 76.5, small: -(2 ** 40) },
    });
  });

  it('takes the dict that is asked for', () => {
    expect([...parsePytorch(golden('ema.pt')).tensors.get('w')!.data]).toEqual([1]);
    const ema = parsePytorch(golden('ema.pt'), { path: 'model_ema' });
    expect([ema.path, ema.prefix, ...ema.tensors.get('w')!.data]).toEqual(['model_ema', 'module.', 2]);
    expect(ema.other).toEqual(['model', 'epoch']);
    expect(() => parsePytorch(golden('ema.pt'), { path: 'ema' })).toThrow(
      new ConfigError("pytorch: there is no 'ema' in the file; it holds model, model_ema, epoch"),
    );
    expect(() => parsePytorch(golden('ema.pt'), { path: 'epoch' })).toThrow(
      new ConfigError("pytorch: 'epoch' is the value 1 without tensors"),
    );
  });

  it('reads files without checksums, and from any position of a larger buffer', () => {
    expect([...parsePytorch(golden('unsummed.pt')).tensors.get('x')!.data]).toEqual([1, 1, 1]);
    const file = golden('ema.pt');
    const shifted = new Uint8Array(file.length + 9);
    shifted.set(file, 3);
    expect([...parsePytorch(shifted.subarray(3, 3 + file.length)).tensors.get('w')!.data]).toEqual([1]);
  });

  it('gives values of their own, however many names share a storage', () => {
    const { tensors } = parsePytorch(golden('tensors-zip.pt'));
    tensors.get('embedding.weight')!.data[0] = 99;
    tensors.get('grid')!.data.fill(0);
    expect([...tensors.get('head.weight')!.data]).toEqual([0.5, -2]);
    expect(tensors.get('row')!.data[0]).toBeCloseTo(12 / 7, 6);
  });

  it('reads tensors only when asked for', () => {
    const bytes = golden('tensors-zip.pt');
    let read = 0;
    const file = openPytorch({
      sizeBytes: bytes.length,
      read(start, end) {
        read += end - start;
        return bytes.subarray(start, end);
      },
    });
    const before = read;
    expect(file.entries.get('grid')).toMatchObject({ type: 'F32', shape: [4, 6] });
    file.entries.get('row')!.read();
    expect(read - before).toBe(24);
  });
});

describe('code is refused', () => {
  const files: [string, string][] = Object.entries(JSON.parse(golden('hostile.json').toString()));
  const named: Record<string, RegExp> = {
    'os.system': /'(posix|os|nt)\.system' is refused/,
    'builtins.eval': /'(__builtin__|builtins)\.eval' is refused/,
    'builtins.exec': /'(__builtin__|builtins)\.exec' is refused/,
    'builtins.getattr': /'(__builtin__|builtins)\.getattr' is refused/,
    numpy: /'numpy\.(core|_core)\.multiarray\.scalar' is refused/,
    'nn.Module': /'(torch\.nn\.modules\.linear\.Linear|copy_reg\._reconstructor)' is refused/,
    'opcode INST': /making an instance of 'os\.system' \(INST\) is refused/,
    'opcode OBJ': /'os\.system' is refused/,
    'a name out of two': /'posix\.system' is refused/,
    'a name on the way to a method': /'collections\.OrderedDict\.fromkeys' is refused/,
  };

  it.each(files)('%s', (name, base64) => {
    const bytes = Buffer.from(base64, 'base64');
    const error = refusal(() => parsePytorch(bytes));
    expect(error.message).toMatch(named[name.split(',')[0]]);
    expect(error.offset).toBeGreaterThan(0);
    expect(error.offset).toBeLessThan(bytes.length);
    if (/'/.test(error.message) && !name.startsWith('a name')) {
      // The offset is that of the instruction that names it.
      const code = String.fromCharCode(bytes[error.offset!]);
      expect(['c', 'i', '\x93']).toContain(code);
    }
  });

  it('says what to do with a file that can be trusted', () => {
    const file = Buffer.from(files.find(([name]) => name === 'nn.Module, protocol 2, zip')![1], 'base64');
    expect(refusal(() => parsePytorch(file)).message).toBe(
      "pickle: 'torch.nn.modules.linear.Linear' is refused: only tensors, containers and numbers are read, and no code runs. If you trust " +
        'the file, open it in Python and save the weights alone: torch.save(model.state_dict(), path) (at byte 48)',
    );
  });

  it('a known name does only what it is for', () => {
    expect(() => load('ctorch\nFloatStorage\n)R.')).toThrow("'torch.FloatStorage' is not for calling");
    expect(() => load('ctorch\nTensor\n)\x81.')).toThrow("'torch.Tensor' is not for making objects");
    expect(() => load('cargparse\nNamespace\n(I1\nt\x81.')).toThrow("'argparse.Namespace' is not for making objects");
    expect(() => load('}}b.')).toThrow('it sets the state of a dict');
    expect(() => load("S'os.system'\n)R.")).toThrow("it calls the text 'os.system'");
    expect(() => load('ctorch._tensor\n_rebuild_from_type_v2\n(ctorch\nSize\nN)Nt\x52.')).toThrow(
      "a tensor made by 'torch.Size'",
    );
    expect(() => load("S'x'\nQ.", { persistent: true })).toThrow('a reference to None; only storages are read');
    expect(() => load('Px\n.')).toThrow('a reference to something outside the pickle');
  });
});

describe('pickles that mean harm in other ways', () => {
  // biome-ignore format: a table
  const cases: [what: string, pickle: string, message: string][] = [
    ['nothing', '', 'it is cut short'],
    ['no end', 'N', 'it is cut short'],
    ['a stop with nothing', '.', 'it takes a value that is not there'],
    ['values left over', 'NN.', 'it ends with values left over'],
    ['an open mark', 'N(.', 'it takes a value that is not there'],
    ['a mark that is missing', 't.', 'it takes a mark that is not there'],
    ['a value under a mark', 'N(0', 'it takes a value that is not there'],
    ['an unknown instruction', '\xff', '0xff is no instruction'],
    ['a new protocol', '\x80\x06N.', 'protocol 6; 0 to 5 can be read'],
    ['text longer than the file', 'X\xff\xff\xff\x7fab', 'it is cut short'],
    ['text of 2^63 bytes', '\x8d\0\0\0\0\0\0\0\x80', 'a length of 9223372036854775808'],
    ['bytes longer than the file', 'B\xff\xff\xff\xff', 'it is cut short'],
    ['a huge whole number', '\x8b\0\0\0\x10', 'a whole number of 268435456 bytes'],
    ['a long decimal', `L${'9'.repeat(600)}L\n.`, 'is no whole number'],
    ['a decimal that is none', 'I0x10\n.', "'0x10' is no whole number"],
    ['a float that is none', 'Fabc\n.', "'abc' is no number"],
    ['text that is not UTF-8', 'X\x01\0\0\0\xff.', 'text that is not valid UTF-8'],
    ['a value never kept', 'h\x07.', 'it recalls value 7, which was never kept'],
    ['a key without a value', '(Nd.', 'a dict needs a value for each key'],
    ['items of a list', ']NNs.', 'it sets items of a list'],
    ['appending to a dict', '}Na.', 'it appends to a dict'],
    ['adding to a list', '](N\x90.', 'it adds to a list'],
    ['a name that is a number', 'NN\x93.', 'the name of a global must be text'],
    ['an extension', '\x82\x01.', 'a registered extension (EXT1) is refused'],
    ['a buffer outside', '\x97.', 'a buffer outside the pickle (NEXT_BUFFER) is refused'],
  ];

  it.each(cases)('%s', (_, pickle, message) => {
    expect(refusal(() => load(pickle)).message).toContain(message);
  });

  it('nesting of any depth costs a stack entry a level and no call', () => {
    const depth = 400_000;
    expect(Array.isArray(load(`${']'.repeat(depth)}${'a'.repeat(depth - 1)}.`))).toBe(true);
    expect(refusal(() => load(`${'('.repeat(2 ** 20 + 1)}.`)).message).toContain('more than 1048576 marks are open');
    expect(refusal(() => load(`${'N'.repeat(2 ** 20 + 1)}.`)).message).toContain('more than 1048576 values wait');
    expect(refusal(() => load(`${'}0'.repeat(2 ** 20 + 1)}.`)).message).toContain('more than 1048576 lists, tuples');
  });

  it('a list in itself is a list', () => {
    const list = load(']q\0h\0a.') as PickleValue[];
    expect(list[0]).toBe(list);
  });

  it('doubling by sharing stays as small as the file', () => {
    let laughs = ']q\0';
    for (let i = 0; i < 200; i++)
      laughs += `0(h${String.fromCharCode(i)}h${String.fromCharCode(i)}lq${String.fromCharCode(i + 1)}`;
    expect((load(`${laughs}.`) as PickleValue[]).length).toBe(2);
  });

  it('copies of shared values are paid for', () => {
    const size = `(${'K\x01'.repeat(60)}tq\0q\x01`; // one tuple of 60 sizes, then many tensors of that shape
    const tensor = 'ctorch._utils\n_rebuild_tensor\n(h\x03K\0h\0h\0tR';
    const storage = "((S'storage'\nctorch\nByteStorage\nS'0'\nS'cpu'\nK\x01tQq\x03";
    const many = `${size}${storage}0${`${tensor}0`.repeat(2000)}`;
    expect(() => load(`${many}N.`, { persistent: true })).toThrow(FormatError);
    const text = `X\xe8\x03\0\0${'a'.repeat(1000)}q\0`;
    const encode = "c_codecs\nencode\n(h\0S'latin1'\ntR0";
    expect(() => load(`${text}${encode.repeat(1000)}.`)).toThrow('it copies shared values more often');
  });
});

describe('tensors that lie', () => {
  const storage = (elements: string, key = '0') =>
    `(S'storage'\nctorch\nFloatStorage\nS'${key}'\nS'cpu'\n${elements}tQ`;
  const dict = (tensor: string) => `}S'w'\n${tensor}s.`;
  const rebuild = (store: string, offset: string, size: string, stride: string) =>
    dict(`ctorch._utils\n_rebuild_tensor_v2\n(${store}${offset}${size}${stride}I00\n}tR`);
  const ok = storage('K\x04');

  // biome-ignore format: a table
  const cases: [what: string, pickle: string, message: string][] = [
    ['a shape past the storage', rebuild(ok, 'K\0', 'K\x05\x85', 'K\x01\x85'), "a tensor of shape [5], stride [1] and offset 0 reaches past its storage '0' of 4 elements"],
    ['an offset past the storage', rebuild(ok, 'K\x05', 'K\0\x85', 'K\x01\x85'), 'offset 5 reaches past'],
    ['a stride past the storage', rebuild(ok, 'K\0', 'K\x02\x85', 'K\x04\x85'), 'stride [4] and offset 0 reaches past'],
    ['a stride beyond all numbers', rebuild(ok, 'K\0', 'K\x03\x85', 'I9007199254740991\n\x85'), 'reaches past its storage'],
    ['a negative offset', rebuild(ok, 'J\xff\xff\xff\xff', 'K\x01\x85', 'K\x01\x85'), "a tensor's offset cannot be the value -1"],
    ['a negative stride', rebuild(ok, 'K\x03', 'K\x02\x85', 'J\xff\xff\xff\xff\x85'), "a tensor's stride cannot be the value -1"],
    ['a fractional shape', rebuild(ok, 'K\0', 'F1.5\n\x85', 'K\x01\x85'), "a tensor's shape cannot be the value 1.5"],
    ['a shape of text', rebuild(ok, 'K\0', "S'4'\n", 'K\x01\x85'), "a tensor's shape must be a tuple, not the text '4'"],
    ['65 axes', rebuild(ok, 'K\0', `(${'K\x01'.repeat(65)}t`, `(${'K\x01'.repeat(65)}t`), 'a tensor of 65 axes'],
    ['strides missing', rebuild(ok, 'K\0', 'K\x01\x85', ')'), 'a tensor of 1 axes with 0 strides'],
    ['an expanded tensor of 2^40 elements', rebuild(ok, 'K\0', 'I1099511627776\n\x85', 'K\0\x85'), "with 'w' its tensors would take more than 16 times the 16 bytes that it stores"],
    ['a storage larger than its bytes', rebuild(storage('K\x05'), 'K\0', 'K\x05\x85', 'K\x01\x85'), "storage '0' should have 20 bytes and has 16"],
    ['a storage that is not there', rebuild(storage('K\x04', '../../0'), 'K\0', 'K\x04\x85', 'K\x01\x85'), "storage '../../0' is not in the file"],
    ['a storage that is a list', rebuild(']', 'K\0', 'K\x04\x85', 'K\x01\x85'), "a tensor's storage cannot be a list"],
    ['no arguments', dict('ctorch._utils\n_rebuild_tensor_v2\n)R'), "a tensor's storage cannot be None"],
    ['no tensor', "}S'epoch'\nK\x03s.", 'no tensors by name were found in it: it holds a dict of epoch'],
    ['a number', 'K\x03.', 'no tensors by name were found in it: it holds the value 3'],
  ];

  it.each(cases)('%s', (_, pickle, message) => {
    const file = zipSync({ 'a/data.pkl': latin(pickle), 'a/data/0': new Uint8Array(16) }, { level: 0 });
    const error = refusal(() => parsePytorch(file));
    expect(error.message).toContain(message);
    expect(error.offset).toBeLessThan(file.length);
  });

  it('an int64 that int32 cannot hold is named with its element', () => {
    const pickle = rebuild(ok.replace('Float', 'Long').replace('\x04t', '\x02t'), 'K\0', 'K\x02\x85', 'K\x01\x85');
    const data = new Uint8Array(BigInt64Array.of(1n, 2n ** 31n).buffer);
    const file = zipSync({ 'a/data.pkl': latin(pickle), 'a/data/0': data }, { level: 0 });
    const error = refusal(() => parsePytorch(file));
    expect(error.message).toContain("'w' (I64) element 1 is 2147483648, which int32 cannot hold");
  });

  it('other archives are told from weights', () => {
    const empty = latin('}.');
    const read = (files: Record<string, Uint8Array>) => refusal(() => parsePytorch(zipSync(files))).message;
    expect(read({ 'config.json': empty })).toContain('a zip archive without data.pkl; it holds config.json');
    expect(read({ 'm/data.pkl': empty, 'm/constants.pkl': empty })).toContain('a TorchScript program');
    expect(read({ 'm/data.pkl': empty, 'm/byteorder': latin('big') })).toContain('big-endian');
    expect(refusal(() => parsePytorch(latin('hello, world'))).message).toContain('it begins like no file');
  });

  it('legacy files are held to their sizes', () => {
    const bytes = golden('protocol-2-legacy.pt');
    expect(refusal(() => parsePytorch(bytes.subarray(0, bytes.length - 1))).message).toContain('the file is cut short');
    for (let cut = 0; cut < bytes.length; cut++) refusal(() => parsePytorch(bytes.subarray(0, cut)));
    const versioned = Buffer.from(bytes);
    versioned[versioned.indexOf(Buffer.from([0x4d, 0xe9, 0x03])) + 1] = 0xea;
    expect(refusal(() => parsePytorch(versioned)).message).toContain('the legacy format 1002; 1001 can be read');
  });
});

describe('zip archives that lie', () => {
  const archive = () => Buffer.from(zipSync({ 'a/data.pkl': latin('}.'), 'a/x': [new Uint8Array(100), { level: 0 }] }));
  const entryAt = (file: Buffer, nth: number) => {
    let at = -1;
    for (let i = 0; i <= nth; i++) at = file.indexOf(Buffer.from([0x50, 0x4b, 1, 2]), at + 1);
    return at;
  };
  const changed = (change: (file: Buffer, first: number, second: number, end: number) => void) => {
    const file = archive();
    change(file, entryAt(file, 0), entryAt(file, 1), file.length - 22);
    return file;
  };

  // biome-ignore format: a table
  const cases: [what: string, file: Buffer, message: string][] = [
    ['cut short', archive().subarray(0, -1), 'the directory at its end is missing: the file is cut short'],
    ['bytes after the end', Buffer.concat([archive(), Buffer.from('x')]), 'the directory at its end is missing'],
    ['a name with ..', changed((f, a) => f.write('a/../d.pkl', a + 46)), 'the name "a/../d.pkl" leads out of the archive'],
    ['an absolute name', changed((f, a) => f.write('/etc/abcde', a + 46)), 'the name "/etc/abcde" leads out'],
    ['a drive letter', changed((f, a) => f.write('C:', a + 46)), 'leads out of the archive'],
    ['a backslash', changed((f, a) => f.write('a\\data.pkl', a + 46)), 'leads out of the archive'],
    ['a NUL in a name', changed((f, a) => f.write('a\0data.pkl', a + 46)), 'leads out of the archive'],
    ['encryption', changed((f, a) => f.writeUInt16LE(1, a + 8)), "'a/data.pkl' is encrypted"],
    ['an unknown packing', changed((f, _, b) => f.writeUInt16LE(14, b + 10)), "'a/x' is packed by method 14"],
    ['a stored entry of another size', changed((f, _, b) => f.writeUInt32LE(101, b + 24)), "'a/x' cannot hold 101 bytes in 100"],
    ['more than deflate can hold', changed((f, a) => f.writeUInt32LE(0x7fffffff, a + 24)), "'a/data.pkl' cannot hold 2147483647 bytes"],
    ['less than it unpacks to', changed((f, a) => f.writeUInt32LE(1, a + 24)), "'a/data.pkl' should unpack to 1 bytes and has more"],
    ['more than it unpacks to', changed((f, a) => f.writeUInt32LE(3, a + 24)), "'a/data.pkl' should unpack to 3 bytes and has 2"],
    ['broken deflate', changed((f, a) => f.writeUInt8(0xff, 30 + 10 + f.readUInt16LE(a + 30))), "'a/data.pkl' cannot be unpacked"],
    ['an overlap', changed((f, a, b) => f.writeUInt32LE(f.readUInt32LE(a + 42), b + 42)), "'a/x' overlaps the entry before it"],
    ['an entry outside', changed((f, _, b) => f.writeUInt32LE(0x7fffffff, b + 42)), "'a/x' lies outside the file"],
    ['an entry elsewhere', changed((f, _, b) => f.writeUInt32LE(f.readUInt32LE(b + 42) + 1, b + 42)), "'a/x' is not where the directory says"],
    ['a directory outside', changed((f, _a, _b, e) => f.writeUInt32LE(0x7fffffff, e + 12)), 'the directory cannot lie at bytes'],
    ['a wrong count', changed((f, _a, _b, e) => f.writeUInt16LE(7, e + 10)), 'the directory lists 2 entries and says 7'],
    ['zip64 without its record', changed((f, _a, _b, e) => f.writeUInt32LE(0xffffffff, e + 16)), 'the zip64 locator is missing'],
    ['several disks', changed((f, _a, _b, e) => f.writeUInt16LE(1, e + 4)), 'an archive of several files'],
  ];

  it.each(cases)('%s', (_, file, message) => {
    const source = memorySource(file);
    const error = refusal(() => {
      for (const entry of openZip(source).values()) readZipEntry(source, entry);
    });
    expect(error.message).toContain(message);
  });

  it('a flipped bit in any tensor is found by the checksum', () => {
    const file = Buffer.from(golden('ema.pt'));
    const { start } = openZip(memorySource(file)).get('ema/data/0')!;
    file[start + 2] ^= 1;
    expect(refusal(() => parsePytorch(file)).message).toMatch(
      /^zip: 'ema\/data\/0' is damaged: its bytes do not have the checksum 0x[0-9a-f]{8} \(at byte \d+\)$/,
    );
  });

  it('a name that comes twice', () => {
    const file = Buffer.from(zipSync({ 'a/1': latin('}.'), 'a/2': latin('}.') }));
    file.write('a/1', entryAt(file, 1) + 46);
    expect(refusal(() => openZip(memorySource(file))).message).toContain("two entries are named 'a/1'");
  });

  it('a bomb is refused before it is unpacked', () => {
    const bomb = zipSync({ 'a/data.pkl': latin('}.'), 'a/data/0': [new Uint8Array(48 << 20), { level: 9 }] });
    expect(bomb.length).toBeLessThan(100_000);
    expect(refusal(() => parsePytorch(bomb)).message).toMatch(
      /its entries would unpack to 50331650 bytes from \d+, more than 100 times/,
    );
  });

  it('reads sizes and places of zip64', () => {
    const plain = zipSync({ 'a/data.pkl': latin('}.') }, { level: 0 });
    const file = Buffer.from(plain);
    const directory = entryAt(file, 0);
    const listed = Buffer.from(file.subarray(directory, file.length - 22));
    const wide = Buffer.alloc(4 + 24);
    wide.writeUInt16LE(1, 0);
    wide.writeUInt16LE(24, 2);
    wide.writeBigUInt64LE(2n, 4);
    wide.writeBigUInt64LE(2n, 12);
    wide.writeBigUInt64LE(0n, 20);
    for (const at of [20, 24, 42]) listed.writeUInt32LE(0xffffffff, at);
    listed.writeUInt16LE(wide.length, 30);
    const record = Buffer.alloc(56);
    record.writeUInt32LE(0x06064b50, 0);
    record.writeBigUInt64LE(1n, 32);
    record.writeBigUInt64LE(BigInt(listed.length + wide.length), 40);
    record.writeBigUInt64LE(BigInt(directory), 48);
    const locator = Buffer.alloc(20);
    locator.writeUInt32LE(0x07064b50, 0);
    locator.writeBigUInt64LE(BigInt(directory + listed.length + wide.length), 8);
    const end = Buffer.from(file.subarray(file.length - 22));
    end.writeUInt16LE(0xffff, 10);
    end.writeUInt32LE(0xffffffff, 12);
    end.writeUInt32LE(0xffffffff, 16);
    const source = memorySource(Buffer.concat([file.subarray(0, directory), listed, wide, record, locator, end]));
    const entries = openZip(source);
    expect(Buffer.from(readZipEntry(source, entries.get('a/data.pkl')!)).toString()).toBe('}.');
    const far = Buffer.from(locator);
    far.writeBigUInt64LE(2n ** 40n, 8);
    const outside = Buffer.concat([file.subarray(0, directory), listed, wide, record, far, end]);
    expect(refusal(() => openZip(memorySource(outside))).message).toBe(
      `zip: the zip64 end record lies outside the file (at byte ${outside.length})`,
    );
    const beyond = Buffer.concat([file.subarray(0, directory), listed, wide, record, locator, end]);
    beyond.writeBigUInt64LE(2n ** 63n, directory + listed.length + 20);
    expect(refusal(() => openZip(memorySource(beyond))).message).toContain(
      'a size or place of 9223372036854775808 bytes',
    );
  });
});

it('keeps the values of a pickle apart by their kind', () => {
  const { value, end } = unpickle(latin('}(K\x01I01\nI7\nF2.5\nNL12345678901234567890L\nu.tail'), {
    global: findGlobal,
  });
  expect([...(value as PickleDict).entries]).toEqual([
    [1, true],
    [7, 2.5],
    [null, 12345678901234567890n],
  ]);
  expect(end).toBe(42);
});

function load(pickle: string, { persistent = false } = {}): PickleValue {
  return unpickle(latin(pickle), { global: findGlobal, persistent: persistent ? findStorage : undefined }).value;
}

/** One byte a letter. */
function latin(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

function refusal(run: () => unknown): FormatError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return error as FormatError;
  }
  throw new Error('nothing was refused');
}
