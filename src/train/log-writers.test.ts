/** Logs read again by readers of their own: frames and checksums by the formula, protobuf by its wire format. Runs that resume log nothing twice. */

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plainNetwork, stripes } from '../../test/training-problem.js';
import { crc32, crc32c } from '../io/crc32.js';
import { crossEntropy } from '../nn/loss.js';
import { SGD } from '../optim/index.js';
import type { Callback } from './callbacks.js';
import { CsvLog, TensorBoardLog } from './log-writers.node.js';
import { Trainer } from './trainer.js';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'fovea-logs-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

function trainer(callbacks: readonly Callback[], validation = true): Trainer {
  const model = plainNetwork();
  return new Trainer({
    model,
    optimizer: new SGD(model.parameters(), { lr: 0.5 }),
    loss: crossEntropy,
    train: stripes(16),
    batchSize: 4,
    epochs: 3,
    ...(validation ? { validation: stripes(6) } : {}),
    callbacks,
  });
}

/** Stops after so many steps, and keeps the state. */
async function interrupted(step: number, callbacks: readonly Callback[]) {
  const made = trainer([
    ...callbacks,
    { onStepEnd: (t, r) => (r.step === step ? t.stop('enough', { now: true }) : undefined) },
  ]);
  await made.fit();
  return made.state();
}

describe('metrics.csv', () => {
  it('has a line for each epoch in columns that stay', async () => {
    const log = new CsvLog(folder);
    const made = trainer([log], false);
    await made.fit();
    const lines = (await readFile(log.path, 'utf8')).split('\n');
    expect(lines[0]).toBe('epoch,step,trainLoss,trainAccuracy,loss,accuracy,lr,seconds');
    expect(lines.slice(1, 4).map((line) => line.split(',').map((cell) => (cell === '' ? null : Number(cell))))).toEqual(
      made.history.map((e) => [e.epoch, e.step, e.trainLoss, e.trainAccuracy, null, null, 0.5, e.seconds]),
    );
    expect(lines.slice(4)).toEqual(['']);
  });

  it('forgets what a resumed run does again', async () => {
    const log = new CsvLog(folder);
    const early = await interrupted(6, [log]); // in the second epoch
    await trainer([log]).fit();
    expect((await readFile(log.path, 'utf8')).split('\n').length).toBe(5);
    const resumed = trainer([log]);
    resumed.load(early);
    let atStart = '';
    const look: Callback = { onFitStart: async () => void (atStart = await readFile(log.path, 'utf8')) };
    const seen = trainer([log, look]);
    seen.load(early);
    await seen.fit();
    expect(atStart.split('\n').length).toBe(3);
    const rows = (await readFile(log.path, 'utf8')).trim().split('\n').slice(1);
    expect(rows.map((row) => row.split(',').slice(0, 2).join())).toEqual(['0,4', '1,8', '2,12']);
  });
});

describe('checksums', () => {
  const digits = new TextEncoder().encode('123456789');
  it('are those of the standards', () => {
    expect(crc32c(digits)).toBe(0xe3069283);
    expect(crc32(digits)).toBe(0xcbf43926);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa); // RFC 3720, B.4
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
  });
});

describe('TensorBoard events', () => {
  it('hold the rate, the loss and the accuracy of steps and epochs, and how the run began', async () => {
    const log = new TensorBoardLog(folder, { every: 2, hparams: { model: 'plain', lr: 0.5, list: [1, 2] } });
    const reports: number[] = [];
    const made = trainer([log, { onStepEnd: (_, { loss }) => void reports.push(loss) }]);
    await made.fit();
    const [name, ...others] = await readdir(folder);
    expect(others).toEqual([]);
    expect(name).toMatch(/^events\.out\.tfevents\.\d{10}\.fovea\.\d+\.\d{6}$/);
    const events = readEvents(await readFile(join(folder, name)));
    expect(events[0]).toMatchObject({ fileVersion: 'brain.Event:2' });
    expect(events[1]).toMatchObject({ step: 1, session: 1 });
    expect(events[2].values).toEqual([
      {
        tag: 'hparams',
        plugin: 'text',
        text: '| name | value |\n| --- | --- |\n| model | plain |\n| lr | 0.5 |\n| list | [1,2] |',
      },
    ]);
    const points = pointsOf(events);
    expect(points['step/loss']).toEqual([2, 4, 6, 8, 10, 12].map((step) => [step, Math.fround(reports[step - 1])]));
    expect(points['step/lr']).toEqual([2, 4, 6, 8, 10, 12].map((step) => [step, 0.5]));
    const of = (pick: (e: (typeof made.history)[number]) => number) =>
      made.history.map((e) => [e.step, Math.fround(pick(e))]);
    expect(points['loss/train']).toEqual(of((e) => e.trainLoss));
    expect(points['loss/validation']).toEqual(of((e) => e.loss!));
    expect(points['accuracy/train']).toEqual(of((e) => e.trainAccuracy));
    expect(points['accuracy/validation']).toEqual(of((e) => e.accuracy!));
    expect(points.lr).toEqual(of((e) => e.lr));
    expect(events.every(({ wallTime }) => Math.abs(wallTime - Date.now() / 1000) < 600)).toBe(true);
  });

  it('of a resumed run begin where it goes on, so that readers see each step once', async () => {
    const whole: Record<string, [number, number][]>[] = [];
    for (const cut of [null, 6]) {
      const own = join(folder, String(cut));
      if (cut !== null) {
        const state = await interrupted(7, [new TensorBoardLog(own, { every: 1 })]);
        expect(state.state.step).toBe(7);
        const early = await interrupted(cut, []);
        const resumed = trainer([new TensorBoardLog(own, { every: 1, hparams: { never: 'shown' } })]);
        resumed.load(early);
        await resumed.fit();
      } else await trainer([new TensorBoardLog(own, { every: 1 })]).fit();
      const events: Event[] = [];
      for (const name of (await readdir(own)).sort()) events.push(...readEvents(await readFile(join(own, name))));
      whole.push(pointsOf(events));
    }
    expect(whole[1]).toEqual(whole[0]);
    expect(whole[1]['step/loss'].map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(whole[1].hparams).toBeUndefined();
  });

  it('say why they cannot be written', async () => {
    const log = new TensorBoardLog(join(folder, 'gone'), { every: 1 });
    const made = trainer([log, { onFitStart: () => rm(join(folder, 'gone'), { recursive: true }) }]);
    await expect(made.fit()).rejects.toThrow(/append to .*gone.*events\.out\.tfevents/);
    expect(() => new TensorBoardLog(folder, { every: 0 })).toThrow('every is a number of steps from 1 up, not 0');
  });
});

// —— readers, written from the formats and sharing no code with the writers ——

interface Event {
  wallTime: number;
  step: number;
  fileVersion?: string;
  session?: number;
  values: { tag: string; value?: number; plugin?: string; text?: string }[];
}

/** Frames with their checksums, bit by bit. */
function readEvents(bytes: Buffer): Event[] {
  const events: Event[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    expect(bytes.readUInt32LE(at + 8)).toBe(maskedByBits(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(maskedByBits(data));
    events.push(decodeEvent(data));
    at += 16 + length;
  }
  return events;
}

function maskedByBits(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  crc = ~crc >>> 0;
  return Number(((BigInt(crc >>> 15) | (BigInt(crc) << 17n)) + 0xa282ead8n) & 0xffffffffn);
}

/** Fields by number: a number for varints, bytes for everything else. */
function fields(data: Buffer): [field: number, value: number | Buffer][] {
  const out: [number, number | Buffer][] = [];
  let at = 0;
  const varint = () => {
    let [value, shift] = [0, 0];
    for (;;) {
      const byte = data[at++];
      value += (byte & 127) * 2 ** shift;
      shift += 7;
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const wire = key & 7;
    if (wire === 0) out.push([key >>> 3, varint()]);
    else {
      const length = wire === 1 ? 8 : wire === 5 ? 4 : varint();
      out.push([key >>> 3, data.subarray(at, at + length)]);
      at += length;
    }
  }
  return out;
}

function decodeEvent(data: Buffer): Event {
  const event: Event = { wallTime: 0, step: 0, values: [] };
  for (const [field, value] of fields(data)) {
    if (field === 1) event.wallTime = (value as Buffer).readDoubleLE();
    if (field === 2) event.step = value as number;
    if (field === 3) event.fileVersion = String(value);
    if (field === 7) event.session = new Map(fields(value as Buffer)).get(1) as number;
    if (field === 5) {
      for (const [, one] of fields(value as Buffer)) {
        const parts = new Map(fields(one as Buffer));
        const scalar = parts.get(2) as Buffer | undefined;
        const [tensor, metadata] = [parts.get(8), parts.get(9)] as (Buffer | undefined)[];
        const plugin = metadata && (new Map(fields(metadata)).get(1) as Buffer);
        event.values.push({
          tag: String(parts.get(1)),
          ...(scalar && { value: scalar.readFloatLE() }),
          ...(plugin && { plugin: String(new Map(fields(plugin)).get(1)) }),
          ...(tensor && { text: String(new Map(fields(tensor)).get(8)) }),
        });
        if (tensor) expect(new Map(fields(tensor)).get(1)).toBe(7); // DT_STRING
      }
    }
  }
  return event;
}

/** As TensorBoard shows them: a start at step n takes away what earlier events said of n and later. */
function pointsOf(events: readonly Event[]): Record<string, [step: number, value: number][]> {
  const points: Record<string, [number, number][]> = {};
  for (const { step, session, values } of events) {
    if (session === 1) for (const tag of Object.keys(points)) points[tag] = points[tag].filter(([at]) => at < step);
    for (const { tag, value } of values) if (value !== undefined) (points[tag] ??= []).push([step, value]);
  }
  return points;
}
