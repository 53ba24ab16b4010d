/**
 * What `compile` saves: one picture through a network that is recorded anew in every call, and through the same network prepared once.
 * From a clone: node scripts/run-ts.mjs examples/time-inference.ts [model] [calls]
 */

import { compile, device, manualSeed, models, noGrad, rand, realize, type Tensor } from 'fovea';

const [name = 'mobilenet_v2', calls = '30'] = process.argv.slice(2);

manualSeed(1);
const build = models.findModel(name);
const model = build().eval();
const picture = rand([1, ...build.input]);
await realize(picture);

const compiled = compile((x) => model.forward(x));
const ways: Record<string, () => Promise<Tensor>> = {
  'recorded in every call': async () => {
    const scores = noGrad(() => model.forward(picture));
    await realize(scores);
    return scores;
  },
  compiled: () => compiled(picture),
};

console.log(`${name}, 1 picture, on ${(await device()).name}\n`);
const results: Tensor[] = [];
for (const [title, run] of Object.entries(ways)) {
  const times: number[] = [];
  for (let call = 0; call <= Number(calls); call++) {
    const start = performance.now();
    results.push(await run());
    times.push(performance.now() - start);
  }
  const [first, ...others] = times; // the first call compiles
  console.log(`${title.padEnd(24)}first ${first.toFixed(0)} ms, then ${median(others).toFixed(2)} ms`);
}

const [one, other] = [results[0], results.at(-1)!];
const difference = await one.sub(other).abs().amax().div(one.abs().amax()).item();
console.log(`\nthey differ by at most ${difference.toExponential(0)} of the largest score`);

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
