/**
 * Reads Python pickles without Python: a stack machine over plain data, protocols 0 to 5. Code cannot run, because there is none to run:
 * a global is looked up in a short table that the caller gives, and one that is not there is refused by its name. Work and memory are
 * bounded by the bytes of the pickle: nothing is allocated from a count it states, nothing recurses, and what is shared is never copied
 * without being paid for (`spend`). Source: CPython's Lib/pickletools.py, which documents every opcode.
 */

import { FormatError } from '../../util/errors.js';

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[] // a list
  | PickleTuple
  | PickleDict
  | PickleSet
  | PickleGlobal
  | PickleObject;

export class PickleTuple {
  constructor(readonly items: readonly PickleValue[]) {}
}

/** A dict, in order. `kind` says whether it was one, or an object whose attributes it holds. */
export class PickleDict {
  entries = new Map<PickleValue, PickleValue>();
  constructor(readonly kind: 'dict' | 'OrderedDict' | 'Namespace' = 'dict') {}
}

export class PickleSet {
  constructor(readonly items: PickleValue[]) {}
}

/** What the caller's table makes: tensors, storages, devices. */
export abstract class PickleObject {}

/** What a pickle may do with a name it knows; without a member, that use is refused. */
export class PickleGlobal {
  constructor(
    readonly name: string,
    private readonly uses: {
      /** What calling it with these arguments gives. */
      readonly call?: (args: readonly PickleValue[], context: PickleContext) => PickleValue;
      /** An instance of it without anything inside. */
      readonly make?: () => PickleValue;
    } = {},
  ) {}

  call(args: readonly PickleValue[], context: PickleContext): PickleValue {
    return this.uses.call === undefined
      ? context.fail(`'${this.name}' is not for calling`)
      : this.uses.call(args, context);
  }

  make(args: readonly PickleValue[], context: PickleContext): PickleValue {
    const isKnown = this.uses.make !== undefined && args.length === 0;
    return isKnown ? this.uses.make!() : context.fail(`'${this.name}' is not for making objects`);
  }
}

export interface PickleContext {
  /** Where the present instruction stands, in bytes of the file. */
  readonly at: number;
  fail(reason: string): never;
  /** Counts `amount` elements copied from something that may be shared: altogether no more than the pickle has bytes. */
  spend(amount: number): void;
}

export interface PickleOptions {
  /** What a name means; null refuses it. */
  readonly global: (name: string) => PickleGlobal | null;
  /** What stands for a persistent id. Left out: they are refused. */
  readonly persistent?: (id: PickleValue, context: PickleContext) => PickleValue;
  /** Where `bytes` begin in the file, for messages. */
  readonly base?: number;
}

/** One pickle, and where in `bytes` it ended. @throws {FormatError} with the offset: damaged, too deep, or asking for more than data */
export function unpickle(bytes: Uint8Array, options: PickleOptions): { value: PickleValue; end: number } {
  return new Machine(bytes, options).run();
}

const maxContainers = 1 << 20;
const maxStack = 1 << 20;
const maxMemo = 1 << 21;
/** Of a whole number. PyTorch's magic number has 10, a random generator's state some hundreds in several numbers. */
const maxIntegerBytes = 256;

class Machine implements PickleContext {
  at = 0;
  #next = 0;
  #spent = 0;
  #containers = 0;
  readonly #stack: PickleValue[] = [];
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();
  readonly #view: DataView;
  readonly #base: number;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly options: PickleOptions,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#base = options.base ?? 0;
  }

  run(): { value: PickleValue; end: number } {
    for (;;) {
      this.at = this.#base + this.#next;
      const code = this.#byte();
      if (code === STOP) break;
      const step = steps[code];
      if (step === undefined) this.fail(`0x${code.toString(16).padStart(2, '0')} is no instruction`);
      step(this);
    }
    const value = this.pop();
    if (this.#stack.length + this.#marks.length > 0) this.fail('it ends with values left over');
    return { value, end: this.#next };
  }

  fail(reason: string): never {
    throw new FormatError(`pickle: ${reason}`, this.at);
  }

  spend(amount: number): void {
    this.#spent += amount;
    if (this.#spent > this.bytes.length) this.fail('it copies shared values more often than its size allows');
  }

  // —— bytes ——

  take(count: number): Uint8Array {
    if (count > this.bytes.length - this.#next) this.fail('it is cut short');
    this.#next += count;
    return this.bytes.subarray(this.#next - count, this.#next);
  }

  #byte(): number {
    return this.take(1)[0];
  }

  uint(size: 1 | 2 | 4 | 8): number {
    const at = this.#next;
    this.take(size);
    if (size === 1) return this.bytes[at];
    if (size === 2) return this.#view.getUint16(at, true);
    if (size === 4) return this.#view.getUint32(at, true);
    const value = this.#view.getBigUint64(at, true);
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? this.fail(`a length of ${value}`) : Number(value);
  }

  int32(): number {
    this.take(4);
    return this.#view.getInt32(this.#next - 4, true);
  }

  float64(): number {
    this.take(8);
    return this.#view.getFloat64(this.#next - 8, false); // big-endian, alone among the numbers
  }

  /** Text up to the next line break, which is taken too. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.#next);
    if (end < 0) this.fail('it is cut short in a line of text');
    const text = this.text(this.take(end - this.#next));
    this.#next++;
    return text;
  }

  text(bytes: Uint8Array): string {
    try {
      return utf8.decode(bytes);
    } catch {
      return this.fail('text that is not valid UTF-8');
    }
  }

  /** Python 2's strings are bytes; names in them are UTF-8 or at least one byte a letter. */
  oldText(bytes: Uint8Array): string {
    try {
      return utf8.decode(bytes);
    } catch {
      return latin1.decode(bytes);
    }
  }

  /** Little-endian two's complement of any length. */
  integer(count: number): number | bigint {
    if (count > maxIntegerBytes) this.fail(`a whole number of ${count} bytes`);
    const bytes = this.take(count);
    let value = 0n;
    for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
    return plain(count > 0 && bytes[count - 1] & 0x80 ? value - (1n << BigInt(8 * count)) : value);
  }

  decimal(text: string): number | bigint {
    if (!/^-?\d+$/.test(text) || text.length > 2 * maxIntegerBytes) this.fail(`'${shorten(text)}' is no whole number`);
    return plain(BigInt(text));
  }

  // —— stack and memo ——

  push(value: PickleValue): void {
    if (this.#stack.length >= maxStack) this.fail(`more than ${maxStack} values wait on the stack`);
    this.#stack.push(value);
  }

  /** Pushes a value that takes memory of its own. */
  pushNew(value: PickleValue): void {
    if (++this.#containers > maxContainers) this.fail(`more than ${maxContainers} lists, tuples, dicts and tensors`);
    this.push(value);
  }

  pop(): PickleValue {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) this.fail('it takes a value that is not there');
    return this.#stack.pop()!;
  }

  top(): PickleValue {
    const value = this.pop();
    this.#stack.push(value);
    return value;
  }

  mark(): void {
    if (this.#marks.length >= maxStack) this.fail(`more than ${maxStack} marks are open`);
    this.#marks.push(this.#stack.length);
  }

  /** The values since the last mark, which go. */
  popMark(): PickleValue[] {
    const mark = this.#marks.pop();
    return mark === undefined ? this.fail('it takes a mark that is not there') : this.#stack.splice(mark);
  }

  recall(index: number | bigint): void {
    const value = this.#memo.get(Number(index));
    this.push(value === undefined ? this.fail(`it recalls value ${index}, which was never kept`) : value);
  }

  keep(index: number | bigint): void {
    this.#memo.set(Number(index), this.top());
    if (this.#memo.size > maxMemo) this.fail(`it keeps more than ${maxMemo} values`);
  }

  keepNext(): void {
    this.keep(this.#memo.size);
  }

  // —— names and objects ——

  global(name: string): PickleGlobal {
    return (
      this.options.global(name) ??
      this.fail(
        `'${shorten(name)}' is refused: only tensors, containers and numbers are read, and no code runs. If you trust the file, ` +
          'open it in Python and save the weights alone: torch.save(model.state_dict(), path)',
      )
    );
  }

  callable(): PickleGlobal {
    const value = this.pop();
    return value instanceof PickleGlobal ? value : this.fail(`it calls ${describe(value)}`);
  }

  arguments(): readonly PickleValue[] {
    const value = this.pop();
    return value instanceof PickleTuple ? value.items : this.fail(`arguments must be a tuple, not ${describe(value)}`);
  }

  /** Attributes set on an object: an OrderedDict's are of no use here, a Namespace's are what it holds. */
  build(): void {
    const state = this.pop();
    const object = this.top();
    if (!(object instanceof PickleDict) || object.kind === 'dict' || !(state instanceof PickleDict)) {
      this.fail(`it sets the state of ${describe(object)}`);
    }
    if (object.kind === 'Namespace') object.entries = state.entries;
  }

  setItems(pairs: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof PickleDict)) this.fail(`it sets items of ${describe(dict)}`);
    if (pairs.length % 2 !== 0) this.fail('a dict needs a value for each key');
    for (let i = 0; i < pairs.length; i += 2) dict.entries.set(pairs[i], pairs[i + 1]);
  }

  append(values: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) this.fail(`it appends to ${describe(list)}`);
    for (const value of values) list.push(value);
  }

  add(values: readonly PickleValue[]): void {
    const set = this.top();
    if (!(set instanceof PickleSet)) this.fail(`it adds to ${describe(set)}`);
    for (const value of values) set.items.push(value);
  }

  persistent(id: PickleValue): void {
    if (this.options.persistent === undefined) this.fail('a reference to something outside the pickle');
    this.pushNew(this.options.persistent(id, this));
  }
}

const STOP = 0x2e;

type Step = (m: Machine) => void;

const refuse =
  (what: string): Step =>
  (m) =>
    m.fail(`${what} is refused`);

/** What each instruction does, by its code. */
const steps: readonly (Step | undefined)[] = table({
  // frame and header
  128: (m) => {
    const version = m.uint(1);
    if (version > 5) m.fail(`protocol ${version}; 0 to 5 can be read`);
  },
  149: (m) => void m.uint(8), // FRAME: a hint for buffered reading
  // numbers and constants
  N: (m) => m.push(null),
  136: (m) => m.push(true),
  137: (m) => m.push(false),
  I: (m) => {
    const text = m.line();
    m.push(text === '00' ? false : text === '01' ? true : m.decimal(text));
  },
  J: (m) => m.push(m.int32()),
  K: (m) => m.push(m.uint(1)),
  M: (m) => m.push(m.uint(2)),
  L: (m) => m.push(m.decimal(m.line().replace(/L$/, ''))),
  138: (m) => m.push(m.integer(m.uint(1))),
  139: (m) => m.push(m.integer(m.uint(4))),
  F: (m) => {
    const text = m.line();
    const value = { nan: NaN, inf: Infinity, '-inf': -Infinity }[text] ?? Number(text);
    if (text === '' || (Number.isNaN(value) && text !== 'nan')) m.fail(`'${shorten(text)}' is no number`);
    m.push(value);
  },
  G: (m) => m.push(m.float64()),
  // text and bytes
  S: (m) => {
    const text = m.line();
    const quoted = /^(["'])([^\\]*)\1$/.exec(text);
    m.push(quoted === null ? m.fail(`'${shorten(text)}' is no quoted text`) : quoted[2]);
  },
  T: (m) => m.push(m.oldText(m.take(m.uint(4)))),
  U: (m) => m.push(m.oldText(m.take(m.uint(1)))),
  V: (m) => m.push(m.line()),
  X: (m) => m.push(m.text(m.take(m.uint(4)))),
  140: (m) => m.push(m.text(m.take(m.uint(1)))),
  141: (m) => m.push(m.text(m.take(m.uint(8)))),
  B: (m) => m.push(m.take(m.uint(4))),
  C: (m) => m.push(m.take(m.uint(1))),
  142: (m) => m.push(m.take(m.uint(8))),
  150: (m) => m.push(m.take(m.uint(8))),
  // containers
  ']': (m) => m.pushNew([]),
  ')': (m) => m.pushNew(new PickleTuple([])),
  '}': (m) => m.pushNew(new PickleDict()),
  143: (m) => m.pushNew(new PickleSet([])),
  l: (m) => m.pushNew(m.popMark()),
  t: (m) => m.pushNew(new PickleTuple(m.popMark())),
  133: (m) => m.pushNew(new PickleTuple([m.pop()])),
  134: (m) => {
    const b = m.pop();
    m.pushNew(new PickleTuple([m.pop(), b]));
  },
  135: (m) => {
    const c = m.pop();
    const b = m.pop();
    m.pushNew(new PickleTuple([m.pop(), b, c]));
  },
  d: (m) => {
    const pairs = m.popMark();
    m.pushNew(new PickleDict());
    m.setItems(pairs);
  },
  145: (m) => m.pushNew(new PickleSet(m.popMark())),
  a: (m) => {
    const value = m.pop();
    m.append([value]);
  },
  e: (m) => {
    const values = m.popMark();
    m.append(values);
  },
  s: (m) => {
    const value = m.pop();
    const key = m.pop();
    m.setItems([key, value]);
  },
  u: (m) => {
    const pairs = m.popMark();
    m.setItems(pairs);
  },
  144: (m) => {
    const values = m.popMark();
    m.add(values);
  },
  // stack and memo
  '(': (m) => m.mark(),
  0: (m) => void m.pop(),
  1: (m) => void m.popMark(),
  2: (m) => m.push(m.top()),
  g: (m) => m.recall(m.decimal(m.line())),
  h: (m) => m.recall(m.uint(1)),
  j: (m) => m.recall(m.uint(4)),
  p: (m) => m.keep(m.decimal(m.line())),
  q: (m) => m.keep(m.uint(1)),
  r: (m) => m.keep(m.uint(4)),
  148: (m) => m.keepNext(),
  // names and objects
  c: (m) => {
    const module = m.line();
    m.push(m.global(`${module}.${m.line()}`));
  },
  147: (m) => {
    const name = m.pop();
    const module = m.pop();
    if (typeof module !== 'string' || typeof name !== 'string') m.fail('the name of a global must be text');
    m.push(m.global(`${module}.${name}`));
  },
  R: (m) => {
    const args = m.arguments();
    m.pushNew(m.callable().call(args, m));
  },
  129: (m) => {
    const args = m.arguments();
    m.pushNew(m.callable().make(args, m));
  },
  b: (m) => m.build(),
  P: (m) => m.persistent(m.line()),
  Q: (m) => m.persistent(m.pop()),
  // instructions that no file of PyTorch has
  i: (m) => {
    const module = m.line();
    m.fail(`making an instance of '${shorten(`${module}.${m.line()}`)}' (INST) is refused`);
  },
  o: refuse('making an instance of a class (OBJ)'),
  146: refuse('making an instance with keyword arguments (NEWOBJ_EX)'),
  130: refuse('a registered extension (EXT1)'),
  131: refuse('a registered extension (EXT2)'),
  132: refuse('a registered extension (EXT4)'),
  151: refuse('a buffer outside the pickle (NEXT_BUFFER)'),
  152: refuse('a buffer outside the pickle (READONLY_BUFFER)'),
});

/** By code: keys are codes from 0x80 up, and else the character, digits included. */
function table(rows: Record<string, Step>): (Step | undefined)[] {
  const made = new Array<Step | undefined>(256).fill(undefined);
  for (const [key, step] of Object.entries(rows)) made[key.length === 1 ? key.charCodeAt(0) : Number(key)] = step;
  return made;
}

/** What a value is, for messages. */
export function describe(value: PickleValue): string {
  if (value === null) return 'None';
  if (typeof value === 'string') return `the text '${shorten(value)}'`;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return `the value ${value}`;
  if (value instanceof Uint8Array) return 'bytes';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof PickleTuple) return 'a tuple';
  if (value instanceof PickleDict) return value.kind === 'dict' ? 'a dict' : `an ${value.kind}`;
  if (value instanceof PickleSet) return 'a set';
  if (value instanceof PickleGlobal) return `'${value.name}'`;
  return 'an object';
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const latin1 = new TextDecoder('latin1');

function plain(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
