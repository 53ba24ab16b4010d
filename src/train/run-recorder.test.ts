/** Run folders of small trainings: which weights are kept, and that a run which was killed ends with the same bytes. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { network, stripes } from '../../test/training-problem.js';
import { type RunConfig, RunFolder } from '../io/index.node.js';
import { crossEntropy } from '../nn/loss.js';
import { Adam } from '../optim/index.js';
import { type Callback, EarlyStopping, goodness, type Monitor } from './callbacks.js';
import { ConfusionMatrix } from './metrics.js';
import { modelTensors, RunRecorder } from './run-recorder.node.js';
import { Trainer, type TrainerOptions } from './trainer.js';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'fovea-runs-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const config: RunConfig = {
  format: 'fovea-run',
  version: 1,
  model: { name: 'classic', options: {} },
  input: { shape: [1, 2, 2], mean: [0.5], std: [0.5] },
  classes: ['right', 'left'],
  seed: 5,
  training: {},
};

function trainer(options: Partial<TrainerOptions>): Trainer {
  const model = network();
  return new Trainer({
    model,
    optimizer: new Adam(model.parameters(), { lr: 0.05 }),
    loss: crossEntropy,
    train: stripes(16),
    validation: stripes(9),
    batchSize: 4,
    seed: 5,
    epochs: 4,
    ...options,
  });
}

const numbers = (tensors: ReadonlyMap<string, { data: ArrayLike<number> }>) =>
  Object.fromEntries(Array.from(tensors, ([name, { data }]) => [name, Array.from(data)]));

describe('RunRecorder', () => {
  it('keeps the averages of the best epoch as the model, and ends with them', async () => {
    const run = await RunFolder.create(join(folder, 'run'), config);
    const recorder = new RunRecorder(run, { every: 1, monitor: 'loss' });
    const made = trainer({ ema: { decay: 0.5 }, callbacks: [recorder] });
    const { epochs } = await made.fit();
    const best = epochs.reduce((a, b) => (b.loss! < a.loss! ? b : a));
    expect(recorder.bestEpoch).toBe(best.epoch);
    const checkpoint = (await run.loadCheckpoint('best'))!;
    expect(checkpoint.state.epoch).toBe(best.epoch + 1);
    const names = [...checkpoint.tensors.keys()].map((name) => name.split('.')[0]);
    expect(new Set(names)).toEqual(new Set(['model', 'ema', 'optimizer']));
    const averages = numbers(modelTensors(checkpoint));
    expect(averages['1.weight']).toEqual(Array.from(checkpoint.tensors.get('ema.1.weight')!.data));
    expect(averages['1.weight']).not.toEqual(Array.from(checkpoint.tensors.get('model.1.weight')!.data));
    expect(numbers(await run.readModel())).toEqual(averages);
    expect((await made.evaluate(stripes(9))).loss).toBe(best.loss);
  });

  it('takes the smaller loss where epochs are equally often right', async () => {
    const recorder = new RunRecorder(await RunFolder.create(join(folder, 'run'), config));
    const { epochs } = await trainer({ epochs: 12, callbacks: [recorder] }).fit();
    const most = Math.max(...epochs.map(({ accuracy }) => accuracy!));
    const equal = epochs.filter(({ accuracy }) => accuracy === most);
    const [best] = equal.toSorted((a, b) => a.loss! - b.loss!);
    expect(best).not.toBe(equal[0]);
    expect(recorder.bestEpoch).toBe(best.epoch);
  });

  it.each([{}, { ema: { decay: 0.9 }, accumulate: 2 }])(
    'ends a killed run with the same bytes: %j',
    async (options) => {
      const files: Buffer[] = [];
      const metrics: unknown[] = [];
      for (const stopAt of [null, 3, 7]) {
        const path = join(folder, `run-${stopAt}`);
        let run = await RunFolder.create(path, config);
        if (stopAt !== null) {
          const kill: Callback = {
            onStepEnd: (_, { step }) => {
              if (step === stopAt) throw new Error('killed');
            },
          };
          const first = trainer({ ...options, callbacks: [new RunRecorder(run, { every: 2 }), kill] });
          await expect(first.fit()).rejects.toThrow('killed');
          run = await RunFolder.open(path);
        }
        const recorder = new RunRecorder(run, { every: 2 });
        const made = trainer({ ...options, callbacks: [recorder] });
        await recorder.resume(made);
        await made.fit();
        files.push(await readFile(run.modelPath));
        metrics.push((await run.readMetrics()).map(({ seconds: _, ...line }) => line));
      }
      expect(files[1].equals(files[0])).toBe(true);
      expect(files[2].equals(files[0])).toBe(true);
      expect(metrics[1]).toEqual(metrics[0]);
      expect(metrics[2]).toEqual(metrics[0]);
    },
  );
});

describe('what makes an epoch good', () => {
  const confusion = new ConfusionMatrix(['a', 'b']).add([0, 0, 0, 1], [0, 0, 1, 1]);
  const report = { loss: 0.5, accuracy: 0.75 };

  it('is the loss, the accuracy, or the mean F1 of the classes', () => {
    expect(goodness('loss', report, { confusion })).toBe(-0.5);
    expect(goodness('accuracy', report, { confusion })).toBe(0.75);
    expect(goodness('f1', report, { confusion })).toBeCloseTo((4 / 5 + 2 / 3) / 2, 12);
    expect(goodness('f1', report, null)).toBeNull();
    expect(() => goodness('speed' as Monitor, report, null)).toThrow(
      "monitor is 'loss', 'accuracy' or 'f1', not 'speed'",
    );
  });

  it('stops training when it comes no more, and goes on counting after a pause', async () => {
    for (const monitor of ['loss', 'accuracy', 'f1'] as const) {
      const early = new EarlyStopping({ patience: 2, minDelta: 10, monitor });
      const made = trainer({ epochs: 20, callbacks: [early] });
      const { stopped, epochs } = await made.fit();
      expect([stopped, epochs.length]).toEqual([`${monitor} has not improved for 2 epochs`, 3]);
      const { best, bad } = early.stateDict();
      if (monitor !== 'f1') expect(best).toBe(epochs[0][monitor]);
      expect(bad).toBe(2);
      const again = new EarlyStopping({ patience: 3, minDelta: 10, monitor });
      again.loadStateDict({ best, bad: 0 });
      expect(again.stateDict()).toEqual({ best, bad: 0 });
    }
  });
});
