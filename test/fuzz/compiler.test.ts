/**
 * Random graphs, compiled for each target and run, against the reference: equal to the bit. A failure prints the seed, the path to the shrunk
 * case and its graph; FUZZ_SEED and FUZZ_PATH run it again, FUZZ_SECONDS gives it longer.
 */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { print } from '../../src/graph/print.js';
import { leafStorage } from '../../src/graph/stale.js';
import { topological } from '../../src/graph/traverse.js';
import { ReferenceTarget } from '../../src/ops/reference/index.js';
import type { TypedArray } from '../../src/util/dtype.js';
import { runCompiled, targetsHere } from '../run-compiled.js';
import { buildGraph, type RandomGraph, type Recipe } from './random-graph.js';

const seconds = Number(process.env.FUZZ_SECONDS ?? 15);
const seed = process.env.FUZZ_SEED === undefined ? undefined : Number(process.env.FUZZ_SEED);
const path = process.env.FUZZ_PATH;

const choice = fc.nat({ max: 65535 });

/** A graph, and the target it is compiled for. */
type Case = Recipe & { readonly on: number };

const recipes = (most: number, sizes: readonly number[], special: boolean): fc.Arbitrary<Case> =>
  fc
    .record({
      on: fc.nat({ max: targetsHere.length - 1 }),
      sizes: fc.constant(sizes),
      seed: fc.nat({ max: 2 ** 30 }),
      special: fc.constant(special),
      moves: fc.array(fc.array(choice, { minLength: 8, maxLength: 8 }), { minLength: 1, maxLength: most, size: 'max' }),
      roots: fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 4 }),
      assigns: fc.array(fc.tuple(choice, choice), { maxLength: 4 }),
      layouts: fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 3 }),
    })
    .map((recipe) => ({ ...recipe, block: targetsHere[recipe.on].block }));

function agrees(recipe: Case): void {
  const target = targetsHere[recipe.on];
  const graph = buildGraph(recipe);
  const roots = graph.roots.filter((r) => leafStorage(r) === null);
  const all = topological([...roots, ...graph.assigns.map((a) => a.value)]);
  const values = new Map(new ReferenceTarget().evaluateAll(all).map(({ data }, i) => [all[i], data]));
  if (graph.derived && [...values.values()].some(rounds)) return;
  const wanted = [...roots, ...graph.assigns.map((a) => a.value)].map((n) => ({
    shape: n.shape,
    data: values.get(n)!,
  }));
  try {
    const ran = runCompiled(roots, graph.assigns, { target, resident: graph.resident });
    [...ran.results, ...ran.assigned].forEach((got, i) => {
      const name = i < roots.length ? `root ${i}` : `assigned value ${i - roots.length}`;
      same(got, wanted[i].data, `${name} of shape [${wanted[i].shape}]`);
    });
  } catch (error) {
    throw new Error(`${target.name}: ${(error as Error).message}\n${describe(graph)}`, { cause: error });
  }
}

/** Whether sums and products of such numbers may not be exact in float32: gradients have no bound of their own. */
function rounds(data: ArrayLike<number>): boolean {
  for (let i = 0; i < data.length; i++)
    if (Number.isFinite(data[i]) && (Math.abs(data[i]) > 512 || !Number.isInteger(data[i] * 4))) return true;
  return false;
}

function same(got: TypedArray, want: ArrayLike<number>, what: string): void {
  expect(got.length, what).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const w = want[i] + 0;
    if (got[i] !== w && !(Number.isNaN(got[i]) && Number.isNaN(w)))
      expect.fail(`${what}: element ${i} is ${got[i]}, not ${w}`);
  }
}

function describe({ roots, assigns, resident }: RandomGraph): string {
  const where = assigns.map((a) => `  ${a.storage.shape} lies ${JSON.stringify(resident(a.storage))}`);
  return `${print([...roots, ...assigns.map((a) => a.value)])}\nassigned: the last ${assigns.length}\n${where.join('\n')}`;
}

function fuzz(name: string, share: number, arbitrary: fc.Arbitrary<Case>): void {
  const limit = { interruptAfterTimeLimit: seconds * share * 1000, markInterruptAsFailure: false, numRuns: 1e6 };
  test(name, { timeout: (seconds + 120) * 1000 }, () => {
    fc.assert(fc.property(arbitrary, agrees), { ...limit, seed, path });
  });
}

fuzz(
  'graphs around the edges of vectors and blocks',
  0.5,
  recipes(30, [1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 33], false),
);
fuzz('graphs with NaN and infinities', 0.25, recipes(20, [1, 2, 3, 4, 5, 8, 9, 17], true));
fuzz('graphs with sizes of 0 and 1', 0.25, recipes(12, [0, 1, 1, 2, 5, 8, 9], false));
