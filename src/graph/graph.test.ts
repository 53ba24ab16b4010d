/** The graph language: traversal, verifier, printer, stale reads. */

import { describe, expect, test } from 'vitest';
import { Node, withScope } from './node.js';
import { defineOp, record } from './op.js';
import { print } from './print.js';
import { checkCurrent } from './stale.js';
import { Storage } from './storage.js';
import { dependents, topological } from './traverse.js';
import { verify } from './verify.js';

const numbers = () => [];
const leafOp = defineOp<{ name: string }>('leaf', {
  infer: () => ({ shape: [2], dtype: 'float32' }),
  reference: numbers as never,
});
const bothOp = defineOp<object>('both', {
  infer: ([a]) => ({ shape: a.shape, dtype: a.dtype }),
  reference: numbers as never,
});
const readOp = defineOp<{ storage: Storage; version: number }>('read', {
  infer: (_, { storage }) => storage,
  reference: numbers as never,
  reads: (attrs) => attrs,
});
const leaf = (name: string) => record(leafOp, [], { name });
const both = (a: Node, b: Node) => record(bothOp, [a, b], {});
const read = (storage: Storage) => record(readOp, [], { storage, version: storage.version });

describe('topological', () => {
  test('lists inputs before users, each once, in an order that depends on the graph alone', () => {
    const [a, b] = [leaf('a'), leaf('b')];
    const c = both(a, b);
    const d = both(c, a);
    const places = new Map<Node, number>();
    expect(topological([d, c], undefined, places)).toEqual([a, b, c, d]);
    expect([a, b, c, d].map((node) => places.get(node))).toEqual([0, 1, 2, 3]);
    expect(topological([both(b, a), d]).slice(0, 2)).toEqual([b, a]);
  });

  test('stops where it is told to', () => {
    const c = both(leaf('a'), leaf('b'));
    const d = both(c, leaf('e'));
    expect(topological([d], (node) => node === c).map((n) => n.op.name)).toEqual(['both', 'leaf', 'both']);
  });

  test('walks a chain of 200 000 nodes', () => {
    let x: Node = leaf('a');
    for (let i = 0; i < 200_000; i++) x = both(x, x);
    expect(topological([x])).toHaveLength(200_001);
  });

  test('refuses a cycle', () => {
    const a = both(leaf('a'), leaf('b'));
    const b = both(a, a);
    (a.inputs as Node[])[0] = b;
    expect(() => topological([b])).toThrow(/the graph has a cycle through both/);
  });

  test('dependents are the sources and what uses them', () => {
    const [a, b] = [leaf('a'), leaf('b')];
    const [c, d] = [both(a, a), both(b, b)];
    const top = both(c, d);
    expect(dependents(topological([top]), [a])).toEqual(new Set([a, c, top]));
  });
});

describe('print', () => {
  test('one node a line, numbered from 1, storages by name', () => {
    const storage = Storage.zeros([2], 'float32');
    const named = Storage.zeros([2], 'float32');
    named.name = 'fc.weight';
    const a = leaf('a');
    const text = print([both(both(a, read(storage)), a), read(named)]);
    expect(text).toBe(
      [
        '%1 = leaf(name: a) float32[2]',
        '%2 = read(storage: storage1, version: 0) float32[2]',
        '%3 = both(%1, %2) float32[2]',
        '%4 = both(%3, %1) float32[2]',
        '%5 = read(storage: fc.weight, version: 0) float32[2]',
        'return %4, %5',
      ].join('\n'),
    );
  });

  test('cuts off beyond a depth', () => {
    const x = both(both(leaf('a'), leaf('b')), leaf('c'));
    expect(print([x], { depth: 1 })).toBe(
      [
        '%1 = … float32[2]',
        '%2 = … float32[2]',
        '%3 = both(%1, %2) float32[2]',
        '%4 = leaf(name: c) float32[2]',
        '%5 = both(%3, %4) float32[2]',
        'return %5',
      ].join('\n'),
    );
  });
});

describe('verify', () => {
  test('passes what record() made', () => {
    expect(() => verify([both(leaf('a'), leaf('b'))])).not.toThrow();
  });

  test('names the pass and prints the node whose shape is not what its operation says', () => {
    const wrong = new Node(bothOp, [leaf('a'), leaf('b')], {}, [3], 'float32');
    expect(() => verify([wrong], 'fuse')).toThrow(
      'after fuse: both is float32[3], but its inputs make float32[2]\n' +
        '%1 = leaf(name: a) float32[2]\n%2 = leaf(name: b) float32[2]\n%3 = both(%1, %2) float32[3]\nreturn %3',
    );
  });

  test('says what an operation has against its inputs', () => {
    const pickyOp = defineOp<object>('picky', {
      infer: () => {
        throw new Error('picky: no');
      },
      reference: numbers as never,
    });
    expect(() => verify([new Node(pickyOp, [], {}, [2], 'float32')])).toThrow(
      'after the graph was built: picky refuses its inputs: picky: no',
    );
  });
});

describe('stale reads', () => {
  test('a storage written after the node was recorded is an error that teaches', () => {
    const storage = Storage.zeros([2], 'float32');
    storage.name = 'conv1.weight';
    const node = read(storage);
    expect(() => checkCurrent(node)).not.toThrow();
    storage.write(Float32Array.of(1, 2));
    expect(() => checkCurrent(node)).toThrow(
      'conv1.weight was overwritten (once) after this value was recorded from it, so the value can no longer be computed.\n' +
        '  Read the value before opt.step(), or compute it in the same step: opt.step({ also: [t] }).',
    );
    expect(() => checkCurrent(read(storage))).not.toThrow();
  });
});

describe('scopes', () => {
  test('a node carries the module it was recorded in', () => {
    const inner = withScope('layer1.0', () => leaf('a'));
    expect([inner.scope, leaf('b').scope]).toEqual(['layer1.0', null]);
  });
});
