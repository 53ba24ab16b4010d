/**
 * The zoo against torchvision and timm (zoo.py made data/zoo/NAME.json and says what a file holds): names, sizes, scores, gradients, what three
 * training steps leave behind; and that a freshly drawn model learns. A family's test is `goldenModels('resnet18', 'resnet34', …)`.
 */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompiledTarget } from '../../src/compile/compiled-target.js';
import { findModel, remap, remapFor, type Stored } from '../../src/models/index.js';
import { foldBatchNorm, type Module } from '../../src/nn/index.js';
import { crossEntropy } from '../../src/nn/loss.js';
import { summary } from '../../src/nn/summary.js';
import { SGD } from '../../src/optim/index.js';
import { manualSeed, noGrad, realize, setDevice, type Tensor, tensor } from '../../src/tensor/index.js';
import { numel, type Shape } from '../../src/util/shape.js';
import { devicesHere } from '../devices-here.js';
import { type Digest, digest, filled, fnv1a, initial, initialForTraining, words } from './counter.js';

interface Shown {
  readonly shape: Shape;
  readonly first: readonly number[];
  readonly digest: Digest;
}

/** A file of data/zoo. */
interface Golden {
  readonly model: string;
  readonly input: Shape;
  readonly batch: number;
  readonly classes: number;
  readonly kinks: boolean;
  readonly steady?: true;
  readonly below: string;
  readonly options: object;
  readonly everywhere: boolean;
  readonly tokens: number | null;
  readonly parameters: number;
  readonly macs: number;
  readonly entries: number;
  readonly names: number;
  /** Options of the smaller network that the results below come from. */
  readonly small?: object;
  readonly scores: Readonly<Record<string, Shown>>;
  readonly losses: readonly number[];
  readonly gradients: readonly Digest[];
  readonly statistics: readonly Digest[];
}

export interface GoldenOptions {
  /** Left out: cross entropy of the outputs with labels. zoo/<family>.py has the same. */
  // biome-ignore lint/suspicious/noExplicitAny: what comes out is each model's own business
  readonly loss?: (outputs: any, step: number, golden: { batch: number; classes: number }) => Tensor;
  /** The outputs in evaluation by name, where they are not one tensor. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly scores?: (outputs: any) => Record<string, Tensor>;
  /** Of plain SGD with momentum, for the five steps in which a fresh model must learn a batch. */
  readonly lr?: number;
}

export function goldenModels(...models: readonly (string | readonly [name: string, options: GoldenOptions])[]): void {
  for (const entry of models) {
    const [name, options] = typeof entry === 'string' ? [entry, {}] : entry;
    const golden = readGolden(name);
    // Every kernel has its own tests on all devices: one network of a family runs on WebAssembly, all with the widest vectors there are.
    const widest = devicesHere[devicesHere.length - 1];
    for (const device of golden.everywhere ? new Set([devicesHere[0], widest]) : [widest]) {
      describe(`${name} on ${device.name}`, () => goldenModel(golden, device, options));
    }
  }
}

/** That the models' remap tables lead another library's names (data/zoo/remap/NAME.txt: `zoo.py --others NAME`) one to one onto their own. */
export function goldenRemaps(...names: readonly string[]): void {
  it.each(names)('%s takes the names of the other library one to one, with their shapes', (name) => {
    const list = readFileSync(new URL(`./data/zoo/remap/${name}.txt`, import.meta.url), 'utf8')
      .trim()
      .split('\n');
    const state = new Map(
      list.map((line): [string, Stored] => {
        const [path, shape] = line.split(' [');
        return [path, { shape: JSON.parse(`[${shape}`), data: [] }];
      }),
    );
    const model = findModel(name);
    const renamed = remap(state, remapFor(state.keys(), model.remaps ?? []));
    const shapes = (entries: Iterable<[string, { readonly shape: Shape }]>) =>
      Array.from(entries, ([path, { shape }]) => `${path} [${shape}]`).sort();
    expect(shapes(renamed)).toEqual(shapes(Object.entries(model().stateDict())));
  });
}

/** The largest networks, tens of seconds each, are computed with on request: `npm test -- --all`. Others of their code are, always. */
function isComputed({ parameters, small, everywhere }: Golden): boolean {
  return process.env.FOVEA_TESTS === 'all' || parameters <= 12e6 || small !== undefined || everywhere;
}

export function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(new URL(`./data/zoo/${name}.json`, import.meta.url), 'utf8'));
}

export function goldenLabels(step: number, count: number, classes: number): Tensor {
  return tensor(Int32Array.from(words(`labels ${step}`, count).map((word) => word % classes)), { dtype: 'int32' });
}

function goldenModel(golden: Golden, device: (typeof devicesHere)[number], options: GoldenOptions): void {
  let target: CompiledTarget;
  let model: Module;
  beforeAll(async () => {
    target = new CompiledTarget(await device.create({ threads: 2 }));
    setDevice(target);
  });
  afterAll(() => {
    target.dispose();
    model = target = null as never; // the test runner keeps what these functions see until the file ends: gigabytes
  });

  const { batch, classes } = golden;
  const facts = findModel(golden.model);
  // What dropped elements do is tested elsewhere: both sides leave them out.
  const whole: object = { numClasses: classes, dropout: 0, stochasticDepth: 0, ...golden.options };
  const fresh = () => facts({ ...whole, ...golden.small });
  const scores = options.scores ?? ((y: Tensor) => ({ scores: y }));
  const lossOf = (outputs: Tensor, step: number) =>
    options.loss?.(outputs, step, golden) ?? crossEntropy(outputs, goldenLabels(step, batch, classes));

  const load = (values: typeof initialForTraining) => {
    const state = model.stateDict();
    const below = new RegExp(golden.below);
    const filledIn = Object.entries(state).map(([path, { shape }]) => [
      path,
      { shape, data: values(path, shape, state, below) },
    ]);
    model.loadStateDict(Object.fromEntries(filledIn));
  };
  const inputs = (stream: string, { input, tokens } = golden) => {
    const shape = [batch, ...input];
    if (tokens === null) return tensor(filled(stream, shape), { shape });
    return tensor(Int32Array.from(words(stream, numel(shape)).map((word) => word % tokens)), { shape, dtype: 'int32' });
  };

  it('has the names, the order and the shapes of the published weights, and as many multiply–adds', () => {
    const published = facts(whole);
    const entries = Object.entries(published.stateDict());
    const names = entries.map(([path, { shape }]) => `${path} [${shape.join(', ')}]\n`).join('');
    expect([entries.length, published.parameterCount()]).toEqual([golden.entries, golden.parameters]);
    expect(fnv1a(names), `python3 zoo.py --names ${golden.model} prints those wanted; these are\n${names}`).toBe(
      golden.names,
    );
    const dtype = golden.tokens === null ? 'float32' : 'int32';
    expect(summary(published, facts.input, { dtype }).totalMacs).toBe(golden.macs);
    for (const head of facts.heads) expect(published.get(head).parameters().length, head).toBeGreaterThan(0);
    model = fresh();
  });

  if (!isComputed(golden)) return;

  it('gives the same class scores to 1e-4', async () => {
    load(golden.steady ? initialForTraining : initial);
    model.eval();
    const outputs = scores(noGrad(() => model.forward(inputs('inputs of the test'))));
    await realize(...Object.values(outputs));
    expect(Object.keys(outputs)).toEqual(Object.keys(golden.scores));
    for (const [key, y] of Object.entries(outputs)) await expectShown(key, y, golden.scores[key]);
  });

  if (golden.statistics.length > 0)
    it('gives the same with batch norm folded', async () => {
      const x = inputs('inputs of the test');
      // Rounding is what folding changes: values are needed through which it does not grow from block to block.
      load(golden.kinks ? initialForTraining : initial);
      const run = async () => {
        const [first] = Object.values(scores(noGrad(() => model.eval().forward(x))));
        return { shape: first.shape, data: (await first.data()) as Float32Array };
      };
      const before = await run();
      const norms = model.buffers().length;
      foldBatchNorm(model, golden.input);
      expect(model.buffers().length).toBeLessThan(norms);
      const after = await run();
      const [norm] = digest(before.data, before.shape);
      const difference = after.data.map((v, i) => v - before.data[i]);
      expect(digest(difference, before.shape)[0] / norm).toBeLessThan(1e-5);
      model = fresh();
    });

  it('has the same gradients of the loss to 1e-3, and statistics after training to 1e-4', async () => {
    load(golden.kinks ? initialForTraining : initial);
    model.train();
    const optimizer = new SGD(model.parameters(), { lr: 1e-3, momentum: golden.losses.length > 1 ? 0.9 : 0 });
    for (const [step, wanted] of golden.losses.entries()) {
      optimizer.zeroGrad();
      const loss = lossOf(model.forward(inputs(`inputs ${step}`)), step);
      loss.backward();
      if (step === 0) await expectGradients(model, golden.gradients);
      await optimizer.step();
      expect(Math.abs((await loss.item()) / wanted - 1)).toBeLessThan(1e-4);
    }
    const statistics = [...model.namedBuffers()].filter(([path]) => /running_(mean|var)$/.test(path));
    expect(statistics.length).toBe(golden.statistics.length);
    for (const [i, [path, buffer]] of statistics.entries()) {
      expectDigest(path, digest(await buffer.data(), buffer.shape), golden.statistics[i], 1e-4);
    }
  });

  it('learns one batch: the loss falls over 5 steps', async () => {
    manualSeed(1);
    model = fresh();
    const optimizer = new SGD(model.parameters(), { lr: options.lr ?? 0.01, momentum: 0.9 });
    const losses: number[] = [];
    for (let step = 0; step <= 5; step++) {
      optimizer.zeroGrad();
      const loss = lossOf(model.forward(inputs('inputs 0')), 0);
      loss.backward();
      await optimizer.step();
      losses.push(await loss.item());
    }
    expect(losses[5], losses.join(', ')).toBeLessThan(losses[0]);
  });
}

async function expectShown(what: string, y: Tensor, wanted: Shown): Promise<void> {
  expect(y.shape, what).toEqual(wanted.shape);
  const values = await y.data();
  const typical = wanted.digest[0] / Math.sqrt(y.size);
  for (const [i, v] of wanted.first.entries()) expect(Math.abs(values[i] - v) / typical, what).toBeLessThan(1e-4);
  expectDigest(what, digest(values, y.shape), wanted.digest, 1e-4);
}

async function expectGradients(model: Module, wanted: readonly Digest[]): Promise<void> {
  const named = [...model.namedParameters()];
  await realize(...named.map(([, p]) => p.grad!));
  expect(named.length).toBe(wanted.length);
  // A bias that the next batch norm takes out again has no gradient: what is left are roundings of the terms that cancel.
  const norms = wanted.map(([norm]) => norm).sort((a, b) => a - b);
  const typical = norms[norms.length >> 1];
  for (const [i, [path, p]] of named.entries()) {
    expectDigest(path, digest(await p.grad!.data(), p.shape), wanted[i], 1e-3, typical / 10);
  }
}

/** An error as large as `tolerance` of the tensor moves its norm by no more than that, and its probe by about a third. */
function expectDigest(what: string, got: Digest, [norm, probe]: Digest, tolerance: number, least = 0): void {
  const allowed = tolerance * Math.max(norm, least);
  expect(Math.abs(got[0] - norm), `norm of ${what}: ${got[0]}, not ${norm}`).toBeLessThan(allowed);
  expect(Math.abs(got[1] - probe), `probe of ${what}: ${got[1]}, not ${probe}`).toBeLessThan(allowed / 3);
}
