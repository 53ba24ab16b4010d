/** A cache whose entries go with their values. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { WeakValues } from './weak-values.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('values are found as long as somebody holds them, and leave nothing behind', async () => {
  const cache = new WeakValues<{ n: number[] }>();
  const held = { n: [1] };
  cache.set('held', held);
  for (let i = 0; i < 100; i++) cache.set(`passing ${i}`, { n: new Array(1000).fill(i) });
  expect(cache.get('nothing')).toBeUndefined();
  for (let turn = 0; turn < 50 && cache.size > 1; turn++) {
    collect();
    await new Promise((done) => setTimeout(done, 2));
  }
  expect(cache.size).toBe(1);
  expect(cache.get('held')).toBe(held);
});
