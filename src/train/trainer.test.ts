/** The loop on small problems whose outcome is known: against a loop written out by hand, resumed at every step, and going wrong. */

import { beforeAll, describe, expect, it } from 'vitest';
import { network, stripes, throughJson, untimed, weights } from '../../test/training-problem.js';
import { DataLoader } from '../data/index.js';
import { type AuxiliaryOutputs, BatchNorm1d, Flatten, Linear, LogSoftmax, Module, Sequential } from '../nn/index.js';
import { crossEntropy } from '../nn/loss.js';
import { ReferenceTarget } from '../ops/reference/index.js';
import { Adam, CosineAnnealingLR, ReduceLROnPlateau, SGD } from '../optim/index.js';
import { defaultGenerator, manualSeed, noGrad, setDevice, type Tensor, tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { type Callback, EarlyStopping, type EpochReport } from './callbacks.js';
import { DivergenceError } from './divergence.js';
import { evaluate, predict, prepare } from './evaluate.js';
import { Trainer, type TrainerOptions, type TrainerState } from './trainer.js';

beforeAll(() => setDevice(new ReferenceTarget({ exact: false })));

function trainer(options: Partial<TrainerOptions> = {}): Trainer {
  const model = options.model ?? network();
  const optimizer = options.optimizer ?? new Adam(model.parameters(), { lr: 0.01 });
  return new Trainer({ model, optimizer, loss: crossEntropy, train: stripes(22), batchSize: 4, seed: 5, ...options });
}

describe('Trainer', () => {
  it('does what the loop written out does', async () => {
    const plain = () => {
      manualSeed(3);
      return new Sequential(new Flatten(), new Linear(4, 2)); // nothing random in it
    };
    const made = trainer({ model: plain(), epochs: 2 });
    await made.fit();

    const model = plain();
    const opt = new Adam(model.parameters(), { lr: 0.01 });
    const loader = new DataLoader(stripes(22), { batchSize: 4, shuffle: true, seed: 5 });
    for (let epoch = 0; epoch < 2; epoch++) {
      for await (const { inputs, shape, labels } of loader) {
        const loss = crossEntropy(model.forward(prepare(tensor(inputs, { shape }), null)), tensor(labels));
        opt.zeroGrad();
        loss.backward();
        await opt.step();
      }
    }
    expect(await weights(made.model)).toEqual(await weights(model));
  });

  it('learns, and reports what it did', async () => {
    const reports: EpochReport[] = [];
    const steps: number[] = [];
    const watch: Callback = {
      onStepEnd: (_t, r) => void steps.push(r.count),
      onEpochEnd: (_t, r) => void reports.push(r),
    };
    const made = trainer({ epochs: 12, test: stripes(30), callbacks: [watch] });
    const result = await made.fit();
    expect(steps.slice(0, 6)).toEqual([4, 4, 4, 4, 4, 2]);
    expect([result.steps, result.stopped, result.interrupted, result.epochs.length]).toEqual([72, null, false, 12]);
    expect(reports).toEqual(result.epochs);
    expect(reports[0].trainLoss).toBeGreaterThan(reports[11].trainLoss);
    expect(reports[11].accuracy).toBe(1);
    const again = await made.evaluate();
    expect([again.count, again.accuracy, again.loss]).toEqual([30, reports[11].accuracy, reports[11].loss]);
  });

  it('trains auxiliary heads along, and counts by the answer', async () => {
    class TwoHeads extends Module {
      readonly body = new Linear(4, 6);
      readonly head = new Linear(6, 2);
      readonly aux = new Linear(6, 2);
      override forward(x: Tensor): Tensor | AuxiliaryOutputs {
        const features = this.body.forward(x.flatten(1)).relu();
        const logits = this.head.forward(features);
        if (!this.training) return logits;
        return { logits, auxiliary: { aux: this.aux.forward(features) }, auxiliaryWeight: 0.3 };
      }
    }
    manualSeed(3);
    const model = new TwoHeads();
    const before = await weights(model);
    const made = trainer({ model, epochs: 12, test: stripes(30) });
    const { epochs } = await made.fit();
    expect([epochs[11].accuracy, epochs[11].trainAccuracy]).toEqual([1, 1]);
    expect(epochs[11].trainLoss).toBeGreaterThan(1.1 * epochs[11].loss!); // a third as much again from the other head
    const after = await weights(model);
    for (const name of Object.keys(before)) expect(after[name], name).not.toEqual(before[name]);
  });

  it('says that networks for pixels or boxes need another loop, whatever the loss', async () => {
    class Pixels extends Module {
      readonly layer = new Linear(2, 2);
      constructor(readonly boxes: boolean) {
        super();
      }
      override forward(x: Tensor) {
        const scores = this.layer.forward(x);
        return this.boxes ? { boxes: scores, labels: scores } : scores;
      }
    }
    const loss = (y: Tensor) => y.mean();
    const end =
      '; Trainer, evaluate and predict take one row of scores for each picture, [N, classes]. A network that classifies pixels or finds ' +
      'boxes needs a loop of its own: the docstring of models.UNet shows one.';
    await expect(trainer({ model: new Pixels(false), loss }).fit()).rejects.toThrow(
      new ConfigError(`The model gives [4, 1, 2, 2]${end}`),
    );
    await expect(trainer({ model: new Pixels(true), loss }).fit()).rejects.toThrow(
      new ConfigError(`The model gives a record of boxes, labels${end}`),
    );
    await expect(evaluate(new Pixels(false), stripes(4))).rejects.toThrow(
      new ConfigError(`The model gives [4, 1, 2, 2]${end}`),
    );
  });

  it('leaves random numbers and the training mode as the user had them', async () => {
    const made = trainer();
    manualSeed(77);
    await made.fit();
    expect(defaultGenerator().state()).toEqual({ seed: 77, stream: 0 });
    made.model.train();
    await made.evaluate(stripes(4));
    expect(made.model.modules().every((m) => m.training)).toBe(true);
  });

  it('goes on from every step as if it had never stopped, schedule, dropout and running statistics included', async () => {
    const make = (callbacks: Callback[] = []) => {
      const model = network();
      const optimizer = new Adam(model.parameters(), { lr: 0.01 });
      const scheduler = new CosineAnnealingLR(optimizer, 12);
      return trainer({ model, optimizer, scheduler, scheduleEvery: 'step', epochs: 2, test: stripes(10), callbacks });
    };
    const states: TrainerState[] = [];
    const keep: Callback = { onStepEnd: async (t) => void states.push(await t.state()) };
    const unbroken = make([keep]);
    const whole = await unbroken.fit();
    const end = await weights(unbroken.model);
    expect(states.length).toBe(12);
    for (const at of [0, 4, 5, 6, 10, 11]) {
      const resumed = make();
      manualSeed(1000 + at);
      resumed.load(throughJson(states[at]));
      const result = await resumed.fit();
      expect(await weights(resumed.model), `resumed after step ${at + 1}`).toEqual(end);
      expect(result.epochs.map(untimed)).toEqual(whole.epochs.map(untimed));
    }
  });

  it('refuses a state of another training', async () => {
    const state = await trainer().state();
    expect(() => trainer({ seed: 6 }).load(state)).toThrow(
      new ConfigError(
        'Trainer: the state is from seed 5 and 6 batches an epoch, this training has seed 6 and 6: it would not go on as it began.',
      ),
    );
  });

  it('stops at once when asked, and goes on where it stopped', async () => {
    const stop: Callback = { onStepEnd: (t, r) => (r.step === 8 ? t.stop('enough', { now: true }) : undefined) };
    const made = trainer({ epochs: 2, callbacks: [stop] });
    const first = await made.fit();
    expect([first.stopped, first.interrupted, made.step, made.epoch, made.batch]).toEqual(['enough', true, 8, 1, 2]);
    const second = await made.fit();
    expect([second.stopped, second.interrupted, second.steps]).toEqual([null, false, 12]);
    const unbroken = trainer({ epochs: 2 });
    await unbroken.fit();
    expect(await weights(made.model)).toEqual(await weights(unbroken.model));
  });

  it('stops early when nothing improves any more', async () => {
    const model = network();
    const made = trainer({
      model,
      optimizer: new SGD(model.parameters(), { lr: 0 }),
      epochs: 20,
      test: stripes(10),
      // Running statistics settle with the first epochs; accuracy does not change with frozen weights after that.
      callbacks: [new EarlyStopping({ patience: 2, minDelta: 10 })],
    });
    const result = await made.fit();
    expect(result.stopped).toBe('loss has not improved for 2 epochs');
    expect(result.epochs.length).toBe(3);
    expect(result.interrupted).toBe(false);
  });

  it('limits gradients, and lowers the rate on a plateau', async () => {
    const model = network();
    const before = await weights(model);
    const optimizer = new SGD(model.parameters(), { lr: 1 });
    const scheduler = new ReduceLROnPlateau(optimizer, { patience: 0, threshold: 10, thresholdMode: 'abs' });
    const made = trainer({ model, optimizer, scheduler, clipGradNorm: 1e-3, epochs: 3 });
    const { epochs } = await made.fit();
    const after = await weights(model);
    const moved = model.parameters().length;
    expect(moved).toBeGreaterThan(0);
    let distance = 0;
    for (const [name] of model.namedParameters()) {
      distance += before[name].reduce((sum, w, i) => sum + (w - after[name][i]) ** 2, 0);
    }
    // 18 steps of at most lr · 1e-3 each.
    expect(Math.sqrt(distance)).toBeLessThanOrEqual(18 * 1e-3);
    expect(Math.sqrt(distance)).toBeGreaterThan(1e-4);
    expect(epochs.map((e) => e.lr)).toEqual([1, 1, 0.1]);
  });

  it('says which callbacks, pictures and options it cannot use', () => {
    expect(() => trainer({ epochs: 1.5 })).toThrow('Trainer: epochs is a whole number from 0 up, not 1.5');
    expect(() => trainer({ train: stripes(0) })).toThrow(
      'Trainer: there is nothing to train on: 0 pictures make no batch',
    );
    expect(() => trainer().evaluate()).toThrow('Trainer: evaluate needs pictures');
  });
});

describe('a loss that is not finite', () => {
  /** A linear layer that gives NaN from its `bad`th training step on. */
  class Breaks extends Linear {
    calls = 0;
    constructor(readonly bad: number) {
      super(6, 6);
    }
    override forward(x: Tensor): Tensor {
      const y = super.forward(x);
      return this.training && ++this.calls >= this.bad ? y.mul(0).sub(1).log() : y;
    }
  }

  it('stops with the step, the layer and the learning rate, and leaves the weights of the step before', async () => {
    manualSeed(3);
    const model = new Sequential(new Flatten(), new Linear(4, 6), new BatchNorm1d(6), new Breaks(5), new Linear(6, 2));
    let before: Record<string, number[]> = {};
    const keep: Callback = { onStepEnd: async (t) => void (before = await weights(t.model)) };
    const made = trainer({ model, callbacks: [keep], optimizer: new Adam(model.parameters(), { lr: 0.25 }) });
    const error = await made.fit().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DivergenceError);
    const { step, layer, learningRate, message } = error as DivergenceError;
    expect([step, layer, learningRate]).toEqual([5, '3', 0.25]);
    expect(message).toBe(
      'training stopped in step 5: the loss is NaN\n' +
        '  first in the output of 3 (Breaks), whose weights are finite\n' +
        '  learning rate 0.25; the weights are those before this step\n' +
        '  Try a learning rate of 0.025, or limit gradients with clipGradNorm.',
    );
    expect(made.step).toBe(4);
    expect(await weights(model)).toEqual(before);
  });

  it('names a parameter that is to blame', async () => {
    const model = network();
    noGrad(() => model.stateDict()['1.weight'].assign(new Float32Array(24).fill(Infinity)));
    const error = await trainer({ model })
      .fit()
      .catch((e: unknown) => e);
    expect((error as Error).message).toContain(
      'first in the output of 1 (Linear), whose weight is not finite any more',
    );
  });

  it('names the loss function, and the pictures', async () => {
    const loss = (y: Tensor) => y.sum().mul(0).log().neg();
    const blame = async (options: Partial<TrainerOptions>) =>
      (
        (await trainer(options)
          .fit()
          .catch((e: unknown) => e)) as DivergenceError
      ).layer;
    expect(await blame({ loss })).toBe('loss');
    const bad = new DataLoader(stripes(8), {
      batchSize: 4,
      transform: (batch) => ({ ...batch, inputs: new Float32Array(16).fill(Number.NaN) }),
    });
    expect(await blame({ train: bad, seed: 0 })).toBe('input');
  });
});

describe('predict', () => {
  it('gives probabilities in order, the same for scores and for their log-softmax', async () => {
    const model = network();
    const { inputs, shape } = stripes(3).batch([0, 1, 2]);
    const classes = ['right', 'left'];
    const rows = await predict(model, { inputs, shape }, { classes });
    const log = new Sequential(model, new LogSoftmax(1));
    const same = await predict(log, { inputs, shape }, { classes });
    rows.forEach((row, r) => {
      expect(row.map((p) => p.name).sort()).toEqual(['left', 'right']);
      expect(row[0].probability).toBeGreaterThanOrEqual(row[1].probability);
      expect(row[0].probability + row[1].probability).toBeCloseTo(1, 6);
      expect(same[r][0].probability).toBeCloseTo(row[0].probability, 6);
    });
    expect((await predict(model, { inputs, shape }, { classes, top: 1 })).map((row) => row.length)).toEqual([1, 1, 1]);
  });
});

describe('evaluate', () => {
  it('does not depend on the size of batches', async () => {
    const model = network();
    const one = await evaluate(model, stripes(13), { loss: crossEntropy, batchSize: 13 });
    const many = await evaluate(model, stripes(13), { loss: crossEntropy, batchSize: 4 });
    expect(many.loss).toBeCloseTo(one.loss!, 6);
    expect([many.accuracy, many.count, many.topK]).toEqual([one.accuracy, 13, null]);
    expect([...many.confusion.counts]).toEqual([...one.confusion.counts]);
  });

  it('explains an output that does not fit the classes', async () => {
    const model = new Sequential(new Flatten(), new Linear(4, 3));
    await expect(evaluate(model, stripes(4))).rejects.toThrow(
      new ConfigError('The model gives [4, 3]; for the 2 classes of the data it should give [N, 2].'),
    );
  });
});
