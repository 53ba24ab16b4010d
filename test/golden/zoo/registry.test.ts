/** No model without its comparison: each of the registry has a golden file, and a family's test that reads it. */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { registry } from '../../../src/models/index.js';
import { readGolden } from '../zoo.js';

const folder = new URL('.', import.meta.url);
const tests = readdirSync(folder)
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => readFileSync(new URL(file, folder), 'utf8'))
  .join('\n');

describe('the registry', () => {
  it.each(registry.map((model) => [model.modelName, model] as const))(
    '%s is compared with its original',
    (name, model) => {
      const golden = readGolden(name);
      expect(golden.model).toBe(name);
      expect(golden.gradients.length).toBeGreaterThan(0);
      expect(tests).toContain(`'${name}'`);
      expect(model.year).toBeGreaterThanOrEqual(1998);
      expect(model.source).toMatch(/arXiv|doi|Proceedings|github\.com|\d{4}/);
    },
  );

  it('has no name twice, aliases counted', () => {
    const names = registry.flatMap(({ modelName, aliases = [] }) => [modelName, ...aliases]);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });
});
