/** Data sets whose classes are not quite the model's. */

import { describe, expect, it } from 'vitest';
import { ArrayDataset, Subset, take } from './dataset.js';
import { sampleName, sampleText, withClasses } from './relabel.js';

function named(classes: readonly string[], labels: readonly number[]): ArrayDataset {
  return new ArrayDataset({ inputs: new Uint8Array(labels.length), labels, shape: [1], classes });
}

describe('withClasses', () => {
  it('brings labels to the order of the model, by name', async () => {
    const data = withClasses(named(['dog', 'cat'], [0, 1, 1]), ['cat', 'cow', 'dog']);
    expect([...data.labels]).toEqual([2, 0, 0]);
    expect([...(await data.batch([2, 0])).labels]).toEqual([0, 2]);
    expect(data.classes).toEqual(['cat', 'cow', 'dog']);
  });

  it('leaves what is right, and takes other names for the same number of classes', () => {
    const data = named(['a', 'b'], [1]);
    expect(withClasses(data, ['a', 'b'])).toBe(data);
    expect([...withClasses(data, ['class 0', 'class 1']).labels]).toEqual([1]);
  });

  it('refuses a class nobody taught the model, unless nothing is of it', () => {
    expect(() => withClasses(named(['cat', 'dgo'], [1]), ['cat', 'dog'])).toThrow(
      "The data has a class 'dgo', which the model does not know (did it mean 'dog'?). It knows 2: cat, dog",
    );
    expect([...withClasses(named(['cat', 'bus'], [0]), ['cat', 'dog']).labels]).toEqual([0]);
  });
});

describe('sampleName', () => {
  it('is found through subsets and other classes', () => {
    const data = Object.assign(named(['a', 'b'], [0, 1, 1]), { names: ['x.png', 'y.png', 'z.png'] });
    const part = withClasses(take(data, 2), ['b', 'a']);
    expect([sampleName(part, 1), sampleName(part, 5), sampleName(named(['a'], [0]), 0)]).toEqual([
      'y.png',
      undefined,
      undefined,
    ]);
  });

  it('and so are texts', () => {
    const data = Object.assign(named(['a'], [0, 0]), { texts: ['one', 'two'] });
    expect([sampleText(new Subset(data, [1]), 0), sampleText(data, 0), sampleText(named(['a'], [0]), 0)]).toEqual([
      'two',
      'one',
      undefined,
    ]);
  });
});
