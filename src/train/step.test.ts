/** What makes a step more than one plain batch: accumulation, an average of the weights, a teacher, mixed pictures. Each against the numbers written out. */

import { describe, expect, it } from 'vitest';
import { network, plainNetwork, stripes, throughJson, untimed, weights } from '../../test/training-problem.js';
import { type Batch, balancedSampler, DataLoader } from '../data/index.js';
import { BatchNorm1d, Flatten, Linear, Sequential } from '../nn/index.js';
import { crossEntropy } from '../nn/loss.js';
import { Adam, CosineAnnealingLR, EMA, type Scheduled, SGD } from '../optim/index.js';
import { defaultGenerator, noGrad, tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import type { Callback, StepReport } from './callbacks.js';
import { classificationLoss } from './classification-loss.js';
import { evaluate } from './evaluate.js';
import { Trainer, type TrainerOptions, type TrainerState } from './trainer.js';

function trainer(options: Partial<TrainerOptions> = {}): Trainer {
  const model = options.model ?? network();
  const optimizer = options.optimizer ?? new Adam(model.parameters(), { lr: 0.01 });
  return new Trainer({ model, optimizer, loss: crossEntropy, train: stripes(22), batchSize: 4, seed: 5, ...options });
}

/** Keeps what each step reported. */
function recorder(): Callback & { steps: StepReport[] } {
  const steps: StepReport[] = [];
  return { steps, onStepEnd: (_, report) => void steps.push(report) };
}

describe('accumulation', () => {
  it('makes the steps of large batches out of small ones, the last of an epoch by the pictures it has', async () => {
    const run = async (batchSize: number, accumulate: number) => {
      const model = plainNetwork();
      const optimizer = new SGD(model.parameters(), { lr: 0.5, momentum: 0.9 });
      const log = recorder();
      const schedule = (o: Scheduled, steps: number) => new CosineAnnealingLR(o, steps);
      const made = trainer({ model, optimizer, batchSize, accumulate, schedule, epochs: 3, callbacks: [log] });
      await made.fit();
      return { made, steps: log.steps, weights: await weights(model) };
    };
    const small = await run(4, 3); // 22 pictures: 4 + 4 + 4, then 4 + 4 + 2
    const large = await run(12, 1);
    expect(small.steps.map((s) => [s.count, s.batch, s.step])).toEqual(
      [0, 2, 4].flatMap((step) => [
        [12, 3, step + 1],
        [10, 6, step + 2],
      ]),
    );
    expect([small.made.stepsPerEpoch, large.made.stepsPerEpoch]).toEqual([2, 2]);
    small.steps.forEach((s, i) => {
      expect(s.loss).toBeCloseTo(large.steps[i].loss, 6);
      expect([s.accuracy, s.lr]).toEqual([large.steps[i].accuracy, large.steps[i].lr]);
    });
    for (const [name, values] of Object.entries(small.weights)) {
      values.forEach((v, i) => void expect(Math.abs(v - large.weights[name][i]), name).toBeLessThan(1e-5));
    }
  });

  it('gives each batch of a step its own random numbers', async () => {
    const streams: number[] = [];
    const model = network();
    model.registerForwardPreHook(() => void streams.push(defaultGenerator().state().stream));
    await trainer({ model, train: stripes(12), accumulate: 2 }).fit();
    const [first, second, third] = streams;
    expect(streams.length).toBe(3);
    expect([second - first, third - first]).toEqual([2 ** 23, 2 ** 24]);
  });

  it('finishes the step under way when it is stopped', async () => {
    const made = trainer({ accumulate: 4 });
    made.model.registerForwardHook(() => made.stop('enough', { now: true }));
    const result = await made.fit();
    expect([result.interrupted, made.step, made.batch]).toEqual([true, 1, 4]);
  });

  it('leaves the weights alone when a batch of the step breaks, and begins the step anew after that', async () => {
    const break_ = { on: true };
    const make = () => trainer({ model: plainNetwork(), accumulate: 3, epochs: 1 });
    const made = make();
    let calls = 0;
    made.model.registerForwardHook((_, __, output) => (break_.on && ++calls === 2 ? output.mul(Number.NaN) : output));
    const before = await weights(made.model);
    await expect(made.fit()).rejects.toThrow('training stopped in step 1');
    expect(await weights(made.model)).toEqual(before);
    break_.on = false;
    await made.fit();
    const whole = make();
    await whole.fit();
    expect(await weights(made.model)).toEqual(await weights(whole.model));
  });

  it('is a number of batches', () => {
    expect(() => trainer({ accumulate: 0 })).toThrow(
      new ConfigError('Trainer: accumulate is a number of batches from 1 up, not 0'),
    );
  });
});

describe('an average of the weights', () => {
  it('follows every step, is what is measured and predicts, and leaves training as it is', async () => {
    const model = network();
    const byHand = network();
    const average = new EMA(byHand, { decay: 0.8, warmup: true });
    const hand: Callback = {
      onStepEnd: async (t) => {
        byHand.loadStateDict(t.model.stateDict());
        average.update();
        await byHand.stateDict()['1.weight'].data();
      },
    };
    const made = trainer({
      model,
      ema: { decay: 0.8, warmup: true },
      epochs: 2,
      validation: stripes(9),
      callbacks: [hand],
    });
    const { epochs } = await made.fit();
    const wanted = await weights({ stateDict: () => made.ema!.stateDict() });
    for (const [name, values] of Object.entries(await weights({ stateDict: () => average.stateDict() }))) {
      values.forEach((v, i) => void expect(Math.abs(v - wanted[name][i]), name).toBeLessThan(1e-6));
    }
    const plain = trainer({ epochs: 2, validation: stripes(9) });
    await plain.fit();
    expect(await weights(model)).toEqual(await weights(plain.model));

    byHand.loadStateDict(made.ema!.stateDict());
    const measured = await evaluate(byHand, stripes(9), { loss: crossEntropy, batchSize: 4 });
    expect(epochs[1].loss).toBe(measured.loss);
    expect((await made.evaluate(stripes(9))).loss).toBe(measured.loss);
    expect(await weights(model)).toEqual(await weights(plain.model));
    const batch = stripes(3).batch([0, 1, 2]);
    const { state, tensors } = await made.state();
    expect([...tensors.keys()].filter((name) => name.startsWith('ema.')).length).toBe(
      Object.keys(model.stateDict()).length,
    );
    expect(state.ema).toEqual({ updates: 12 });
    const byAverage = await made.predict(batch);
    made.adopt(new Map(Object.entries(wanted).map(([name, v]) => [name, host(v, tensors.get(`model.${name}`)!)])));
    expect(await weights(model)).toEqual(wanted);
    expect(await made.predict(batch)).toEqual(byAverage);
  });

  it('is part of a state, which fits only a training that keeps one', async () => {
    const state = await trainer().state();
    expect(() => trainer({ ema: {} }).load(state)).toThrow(
      new ConfigError('Trainer: the state has no average of the weights, this training keeps one (ema)'),
    );
    const averaged = await trainer({ ema: {} }).state();
    expect(() => trainer().load(averaged)).toThrow(
      new ConfigError('Trainer: the state has an average of the weights, this training keeps none (ema)'),
    );
    expect(() => trainer({ accumulate: 2 }).load(state)).toThrow(
      'from steps of 1 batches, this training takes 2 a step',
    );
  });
});

describe('distillation', () => {
  const dataset = stripes(4);

  /** Softmax of rows of two, in float64. */
  const softmax = ([a, b]: number[], t: number) => {
    const [x, y] = [Math.exp(a / t), Math.exp(b / t)];
    return [x / (x + y), y / (x + y)];
  };

  it('mixes the loss with T² · KL to the teacher, which stays as it was', async () => {
    const [model, teacher] = [plainNetwork(3), new Sequential(new Flatten(), new BatchNorm1d(4), new Linear(4, 2))];
    noGrad(() =>
      teacher
        .get('1')
        .stateDict()
        .running_mean.assign(new Float32Array([0.1, 0.2, 0.3, 0.4])),
    );
    const before = await weights(teacher);
    const normalize = { mean: [0.5], std: [0.25] };
    const [temperature, alpha] = [3, 0.7];
    const scores = async (net: Sequential, mean: number, std: number) => {
      const x = tensor(
        Float32Array.from(dataset.inputs, (b) => (b / 255 - mean) / std),
        { shape: [4, 1, 2, 2] },
      );
      net.eval();
      const y = await net.forward(x).data();
      net.train();
      return [0, 1, 2, 3].map((i) => [y[2 * i], y[2 * i + 1]]);
    };
    const student = await scores(model, 0, 1);
    const taught = await scores(teacher, 0.5, 0.25);
    let [hard, soft] = [0, 0];
    for (let i = 0; i < 4; i++) {
      hard -= Math.log(softmax(student[i], 1)[dataset.labels[i]]) / 4;
      const [p, q] = [softmax(taught[i], temperature), softmax(student[i], temperature)];
      soft += (p[0] * Math.log(p[0] / q[0]) + p[1] * Math.log(p[1] / q[1])) / 4;
    }
    const log = recorder();
    const distillation = { teacher, temperature, alpha, normalize };
    await trainer({ model, train: dataset, distillation, callbacks: [log] }).fit();
    expect(log.steps[0].loss).toBeCloseTo((1 - alpha) * hard + alpha * temperature ** 2 * soft, 5);
    expect(await weights(teacher)).toEqual(before);
    expect(teacher.parameters().every((p) => p.grad === null)).toBe(true);
    expect(teacher.modules().every((m) => m.training)).toBe(true);
  });

  it('brings a student to its teacher where labels say nothing', async () => {
    const teacher = plainNetwork(11);
    const model = plainNetwork(4);
    const optimizer = new Adam(model.parameters(), { lr: 0.05 });
    const made = trainer({ model, optimizer, distillation: { teacher, alpha: 1, temperature: 2 }, epochs: 40 });
    await made.fit();
    const batch = stripes(6).batch([0, 1, 2, 3, 4, 5]);
    const of = async (net: Sequential) => {
      const x = tensor(
        Float32Array.from(batch.inputs, (b) => b / 255),
        { shape: batch.shape },
      );
      return net.forward(x).softmax(1).data();
    };
    const [mine, theirs] = [await of(model), await of(teacher)];
    mine.forEach((p, i) => void expect(Math.abs(p - theirs[i])).toBeLessThan(0.02));
  });

  it('refuses a teacher of other classes, and numbers that mean nothing', async () => {
    const teacher = new Sequential(new Flatten(), new Linear(4, 3));
    await expect(trainer({ distillation: { teacher } }).fit()).rejects.toThrow(
      'distillation: the teacher gives [4, 3], the student [4, 2]: both need the same classes',
    );
    expect(() => trainer({ distillation: { teacher, temperature: 0 } })).toThrow('temperature is above 0, not 0');
    expect(() => trainer({ distillation: { teacher, alpha: 2 } })).toThrow('alpha lies within 0 … 1, not 2');
  });
});

describe('mixed pictures', () => {
  /** Every picture with its neighbour, 3 : 1. */
  const mix = (batch: Batch): Batch => {
    const n = batch.labels.length;
    const targets = new Float32Array(2 * n);
    for (let i = 0; i < n; i++) {
      targets[2 * i + batch.labels[i]] += 0.25;
      targets[2 * i + batch.labels[(i + 1) % n]] += 0.75;
    }
    return { ...batch, targets };
  };

  it('are judged by their shares in the loss, and by the largest share in the accuracy', async () => {
    const dataset = stripes(8);
    const model = plainNetwork();
    const log = recorder();
    const loader = new DataLoader(dataset, { batchSize: 8, transform: mix });
    const x = tensor(
      Float32Array.from(dataset.inputs, (b) => b / 255),
      { shape: [8, 1, 2, 2] },
    );
    const logp = await model.forward(x).logSoftmax(1).data();
    const { targets } = mix(dataset.batch([0, 1, 2, 3, 4, 5, 6, 7]));
    let [loss, right] = [0, 0];
    for (let i = 0; i < 8; i++) {
      loss -= (targets![2 * i] * logp[2 * i] + targets![2 * i + 1] * logp[2 * i + 1]) / 8;
      right += Number(logp[2 * i + 1] > logp[2 * i]) === Number(targets![2 * i + 1] > targets![2 * i]) ? 1 / 8 : 0;
    }
    await trainer({ model, train: loader, seed: 0, callbacks: [log] }).fit();
    expect(log.steps[0].loss).toBeCloseTo(loss, 6);
    expect(log.steps[0].accuracy).toBe(right);
  });
});

describe('the loss of a classifier', () => {
  it('weighs classes and smooths labels in training, and is plain in evaluation where that is asked for', async () => {
    const dataset = stripes(8);
    const model = plainNetwork();
    const classWeights = [0.5, 2];
    const smooth = 0.2;
    const x = tensor(
      Float32Array.from(dataset.inputs, (b) => b / 255),
      { shape: [8, 1, 2, 2] },
    );
    const logp = await model.forward(x).logSoftmax(1).data();
    let [weighed, used, plain] = [0, 0, 0];
    dataset.labels.forEach((label, i) => {
      const terms = [0, 1].map((c) => (c === label ? 1 - smooth / 2 : smooth / 2) * classWeights[c] * logp[2 * i + c]);
      weighed -= terms[0] + terms[1];
      used += classWeights[label];
      plain -= logp[2 * i + label] / 8;
    });
    const loss = classificationLoss('logits', { labelSmoothing: smooth, classWeights });
    const options = { model, optimizer: new SGD(model.parameters(), { lr: 0 }), train: dataset, batchSize: 8, loss };
    const log = recorder();
    const made = trainer({ ...options, validation: dataset, evaluationLoss: crossEntropy, callbacks: [log] });
    const { epochs } = await made.fit();
    expect(log.steps[0].loss).toBeCloseTo(weighed / used, 6);
    expect(epochs[0].loss).toBeCloseTo(plain, 6);
    expect((await trainer(options).evaluate(dataset)).loss).toBeCloseTo(weighed / used, 6);
    const asLogs = classificationLoss('logProbabilities', { labelSmoothing: smooth, classWeights });
    const given = tensor(logp, { shape: [8, 2] });
    expect(await asLogs(given, tensor(dataset.labels)).item()).toBeCloseTo(weighed / used, 6);
  });
});

describe('going on from a state', () => {
  const teacher = plainNetwork(9);
  const sampler = balancedSampler(stripes(22).labels, { numSamples: 18 });
  const cases: Record<string, () => Partial<TrainerOptions>> = {
    accumulation: () => ({ accumulate: 2 }),
    'an average of the weights': () => ({ ema: { decay: 0.9, warmup: true } }),
    distillation: () => ({ distillation: { teacher } }),
    'a balanced sampler': () => ({ train: new DataLoader(stripes(22), { batchSize: 4, seed: 5, sampler }) }),
    phases: () => ({
      phases: [
        { epochs: 1, train: '5', lr: 0.05, schedule: (o, steps) => new CosineAnnealingLR(o, steps) },
        { epochs: 2, schedule: (o, steps) => new CosineAnnealingLR(o, steps) },
      ],
    }),
    'all of it': () => ({
      accumulate: 3,
      ema: { decay: 0.9 },
      distillation: { teacher, alpha: 0.3 },
      phases: [
        { epochs: 1, train: '5' },
        { epochs: 2, lr: 0.002, schedule: (o, steps) => new CosineAnnealingLR(o, steps) },
      ],
    }),
  };

  it.each(Object.entries(cases))('ends with the same bits: %s', async (_, options) => {
    const states: TrainerState[] = [];
    const keep: Callback = {
      onStepEnd: async (t) => void states.push(await t.state()),
      onEpochEnd: async (t) => void states.push(await t.state()),
    };
    const make = (callbacks: Callback[]) => trainer({ epochs: 3, validation: stripes(7), callbacks, ...options() });
    const unbroken = make([keep]);
    const whole = await unbroken.fit();
    const end = await unbroken.state();
    for (const [at, state] of states.entries()) {
      if (at % 3 === 1) continue; // two of three will do
      const resumed = make([]);
      resumed.load(throughJson(state));
      const result = await resumed.fit();
      expect((await resumed.state()).tensors, `resumed from state ${at}`).toEqual(end.tensors);
      expect(result.epochs.map(untimed)).toEqual(whole.epochs.map(untimed));
    }
  });
});

function host(values: number[], like: { dtype: string; shape: readonly number[] }) {
  const data = like.dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
  return { dtype: like.dtype as 'float32' | 'int32', shape: like.shape, data };
}
