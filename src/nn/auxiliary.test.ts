/** Losses of networks with auxiliary heads, by hand. */

import { beforeAll, describe, expect, it } from 'vitest';
import { ReferenceTarget } from '../ops/reference/index.js';
import { setDevice, tensor } from '../tensor/index.js';
import { answerOf, totalLoss } from './auxiliary.js';
import { L1Loss } from './loss.js';

beforeAll(() => setDevice(new ReferenceTarget()));

describe('totalLoss', () => {
  const target = tensor([1, 2]);
  const logits = tensor([2, 2]);

  it('is the loss of the answer where there is nothing else', async () => {
    expect(await totalLoss(new L1Loss(), logits, target).item()).toBe(0.5);
    expect(answerOf(logits)).toBe(logits);
  });

  it('adds what the auxiliary heads lose, as far as they count, for losses that are modules and functions', async () => {
    const outputs = { logits, auxiliary: { low: tensor([5, 2]), high: tensor([1, 10]) }, auxiliaryWeight: 0.25 };
    expect(await totalLoss(new L1Loss(), outputs, target).item()).toBe(0.5 + 0.25 * (2 + 4));
    const largest = await totalLoss((y, t) => y.sub(t).abs().max(), outputs, target).item();
    expect(largest).toBe(1 + 0.25 * (4 + 8));
    expect(answerOf(outputs)).toBe(logits);
  });
});
