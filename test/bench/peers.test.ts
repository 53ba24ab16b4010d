/** The parts of `npm run bench -- --peers` that need no peer: the protocol, processes that answer it, the arithmetic, the tables. */

import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { Contestant, everybody, foveaOn, peerNamed, rivalOf } from '../../bench/peers/contestants.js';
import {
  measureSpeed,
  ratios,
  relativeDifference,
  type SpeedResult,
  stepsPerSample,
  type Timing,
} from '../../bench/peers/measure.js';
import { Cannot, type Command, PeerProcess } from '../../bench/peers/peer.js';
import { Lines, parseAnswer } from '../../bench/peers/protocol.js';
import {
  epochTable,
  formatRow,
  memoryTable,
  shortOf,
  speedTable,
  startTable,
  toMarkdown,
} from '../../bench/peers/table.js';
import { inferenceRows, type SpeedRow, trainingRows } from '../../bench/peers/workloads.js';
import { spread } from '../../bench/statistics.js';

describe('the protocol', () => {
  it('takes lines however they are cut', () => {
    const lines = new Lines();
    expect(lines.push('{"ms":[1')).toEqual([]);
    expect(lines.push(']}\n\n{"released":true}\n{"fa')).toEqual(['{"ms":[1]}', '{"released":true}']);
    expect(lines.push('iled":"x"}\n')).toEqual(['{"failed":"x"}']);
  });

  it('reads answers and refuses everything else', () => {
    expect(parseAnswer('{"ms":[1.5,2]}')).toEqual({ ms: [1.5, 2] });
    for (const line of ['loading weights …', '3', 'null', '{}', '{"ms":[1],"ready":{}}', '{"other":1}']) {
      expect(() => parseAnswer(line)).toThrow(`not an answer of the protocol: ${line}`);
    }
  });
});

const serveUrl = pathToFileURL(fileURLToPath(new URL('../../bench/peers/programs/serve.mjs', import.meta.url))).href;

/** A peer made for a test: the body of `open()`, with Cannot at hand. */
function toy(body: string): Command {
  const text = `import { Cannot, serve } from '${serveUrl}'; await serve(async () => { ${body} });`;
  return { program: process.execPath, args: ['--input-type=module', '-e', text] };
}

const adder = `
  console.log('what libraries print');
  return { version: '1', notes: ['toy'], async prepare(w) {
    if (w.kind === 'train') throw new Cannot('only infers');
    if (w.model === 'broken') return { async step() { throw new Error('no such kernel'); } };
    let n = 0;
    return { params: 3, async step() { n++; await new Promise((r) => setTimeout(r, 2)); }, output: () => Float32Array.of(1, n > 0 ? 2 : 0) };
  } };`;

const infer = inferenceRows[0];
const train = trainingRows[0];

describe('a peer in its process', () => {
  const started: PeerProcess[] = [];
  const start = async (command: Command) => {
    const peer = await PeerProcess.start(command);
    started.push(peer);
    return peer;
  };
  afterEach(() => {
    for (const peer of started.splice(0)) peer.end();
  });

  it('prepares, runs as often as it is told, and gives its output', async () => {
    const peer = await start(toy(adder));
    expect(peer.hello).toEqual({ version: '1', notes: ['toy'] });
    expect(await peer.prepare(infer.workload)).toEqual({ params: 3 });
    const ms = await peer.run(3);
    expect(ms).toHaveLength(3);
    expect(Math.min(...ms)).toBeGreaterThan(1);
    expect(await peer.output()).toEqual([1, 2]);
    await peer.release();
  });

  it('says what it cannot do, and that something broke, and goes on', async () => {
    const peer = await start(toy(adder));
    await expect(peer.prepare(train.workload)).rejects.toThrow(new Cannot('only infers'));
    await peer.prepare({ ...infer.workload, model: 'broken' });
    const broke = peer.run(1);
    await expect(broke).rejects.toThrow('no such kernel');
    await expect(broke).rejects.not.toBeInstanceOf(Cannot);
    expect(await peer.prepare(infer.workload)).toEqual({ params: 3 });
  });

  it.each([
    ['a framework that is not there', toy(`await import('no-such-framework')`), 'is not installed'],
    ['one that does not start', toy(`throw new Error('no SIMD here')`), 'did not start: no SIMD here'],
    ['a program that is not there', { program: 'no-such-program', args: [] }, 'no-such-program is not there'],
    ['one that ends', toy('process.exit(3)'), 'its process ended with 3'],
  ])('is refused with the reason: %s', async (_what, command, reason) => {
    await expect(start(command)).rejects.toThrow(new Cannot(reason));
  });

  it.skipIf(process.platform !== 'linux')(
    'tells its processor time and its peak of memory (read from /proc)',
    async () => {
      const peer = await start(
        toy(`return { version: '1', notes: [], async prepare() {
        let kept = new Uint8Array(64 << 20).fill(1);
        kept = null;
        return { async step() { const until = performance.now() + 60; while (performance.now() < until); } };
      } };`),
      );
      peer.forgetPeak();
      const before = peer.memory()!;
      await peer.prepare(infer.workload);
      expect(peer.memory()!.peakBytes - before.residentBytes).toBeGreaterThan(60 << 20);
      const cpu = peer.cpuMs()!;
      await peer.run(2);
      expect(peer.cpuMs()! - cpu).toBeGreaterThanOrEqual(50);
    },
  );
});

describe('a measurement', () => {
  const contestant = (name: string, peer: Contestant['peer'], body: string) => new Contestant(name, peer, toy(body));
  const result = async (row: SpeedRow) => {
    const fovea = contestant('fovea', null, adder);
    const peers = [
      contestant('pytorch', 'pytorch', adder),
      contestant('tfjs', 'tfjs', `await import('no-such-framework')`),
    ];
    const field = { fovea, foveaWasm: fovea, peers };
    try {
      return await measureSpeed(row, field, 2);
    } finally {
      for (const each of everybody(field)) each.end();
    }
  };

  it('times everybody, compares outputs, and names who is not there', async () => {
    const { timings, absent, reference } = await result(infer);
    expect(timings.map((t) => t.name)).toEqual(['pytorch', 'fovea (1)']);
    expect(reference).toBe('pytorch');
    const [peer, ours] = timings;
    expect(peer.ratio!.samples).toBe(2);
    expect(peer.beside).toBe('fovea (1)');
    expect(ours).toMatchObject({ difference: 0, params: 3 });
    expect(ours.ratio).toBeUndefined();
    expect(absent).toEqual([
      { name: 'tfjs', reason: 'is not installed: npm install --prefix bench/peers --ignore-scripts', failed: false },
    ]);
  });

  it('keeps apart what a peer does not do and what broke', async () => {
    expect((await result(train)).absent.map(({ reason, failed }) => [reason, failed])).toContainEqual([
      'only infers',
      false,
    ]);
    const broken = await result({ ...infer, workload: { ...infer.workload, model: 'broken' } });
    expect(broken.absent[0]).toEqual({ name: 'pytorch', reason: 'failed: no such kernel', failed: true });
  });
});

describe('arithmetic', () => {
  it('fills a sample with short steps', () => {
    expect([0.1, 1, 40, 149, 1000, 17_000].map(stepsPerSample)).toEqual([50, 50, 4, 1, 1, 1]);
  });

  it('compares round by round, as far as both took part', () => {
    expect(ratios([10, 30], [5, 10, 99])).toEqual([2, 3]);
    expect(ratios([10, 30, 7], [5])).toEqual([2]);
  });

  it('measures the difference of outputs by the greatest value', () => {
    expect(relativeDifference([1, -4], [1, -4])).toBe(0);
    expect(relativeDifference([1, -3], [1, -4])).toBe(0.25);
    expect(relativeDifference([1], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(relativeDifference([], [])).toBe(Number.POSITIVE_INFINITY);
    expect(relativeDifference([Number.NaN, 1], [1, 1])).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('the field', () => {
  const around = { folder: 'bench/peers', threads: 2 };
  const [x64, wasm] = [foveaOn('x64', around), foveaOn('wasm', around)];
  const peers = [peerNamed('tfjs', around), peerNamed('pytorch', around), peerNamed('onnxruntime-node', around)];

  it('compares like with like: peers in WebAssembly with fovea in WebAssembly', () => {
    const field = { fovea: x64, foveaWasm: wasm, peers };
    expect(peers.map((peer) => rivalOf(peer, field))).toEqual([wasm, x64, x64]);
  });

  it('begins with PyTorch, which writes what the others read, and has fovea once on one device', () => {
    expect(everybody({ fovea: x64, foveaWasm: wasm, peers }).map((c) => c.name)).toEqual([
      'pytorch',
      'fovea (x64)',
      'fovea (wasm)',
      'tfjs',
      'onnxruntime-node',
    ]);
    expect(everybody({ fovea: wasm, foveaWasm: wasm, peers: [] })).toEqual([wasm]);
  });
});

describe('tables', () => {
  const timing = (name: string, ms: number[], rest: Partial<Timing> = {}): Timing => ({
    name,
    milliseconds: spread(ms),
    best: Math.min(...ms),
    ...rest,
  });
  const measured = (difference: number): SpeedResult => ({
    timings: [
      timing('pytorch', [44, 42, 43], { ratio: spread([2.1]), bestRatio: 2.2, beside: 'fovea (x64)' }),
      timing('fovea (x64)', [20], { difference }),
      timing('onnxruntime-node', [16], {
        ratio: spread([0.8]),
        bestRatio: 0.9,
        beside: 'fovea (x64)',
        difference: 2e-6,
      }),
    ],
    absent: [{ name: 'jax-js', reason: 'is not installed', failed: false }],
    reference: 'pytorch',
    idleShare: 0.01,
  });

  it('show time, ratio, aim and verdict, and a sentence for who is missing', () => {
    const row = speedTable(infer, measured(3e-6));
    expect(row.failed).toBe(false);
    expect(formatRow(row).split('\n')).toEqual([
      'inference of resnet50, 224 × 224, batch 1',
      '  pytorch              43.0 ms   ±1 %   42.0 ms   2.10×   2.20×  ≥ 2.00× ok    beside fovea (x64)',
      "  fovea (x64)          20.0 ms          20.0 ms                                output ± 3e-6 of pytorch's",
      "  onnxruntime-node     16.0 ms          16.0 ms   0.80×   0.90×  ≥ 1.00× SHORT beside fovea (x64); output ± 2e-6 of pytorch's",
      '  jax-js                     –                                                 is not installed',
    ]);
    expect(shortOf([row])).toEqual(['inference of resnet50, 224 × 224, batch 1: onnxruntime-node']);
  });

  it('fail when the networks are not the same', () => {
    const row = speedTable(infer, measured(0.3));
    expect(row.failed).toBe(true);
    expect(row.lines[1].remark).toBe("NOT THE SAME NETWORK: output ± 3e-1 of pytorch's");
    expect(speedTable(infer, measured(Number.POSITIVE_INFINITY)).failed).toBe(true);
    const sizes = [timing('pytorch', [1], { params: 10 }), timing('fovea (x64)', [1], { params: 11 })];
    const counted = speedTable(train, { timings: sizes, absent: [], idleShare: null });
    expect(counted.failed).toBe(true);
    expect(counted.lines.at(-1)!.remark).toBe('NOT THE SAME NETWORK: 10, 11 parameters');
  });

  it('say when those who waited took the cores', () => {
    const row = speedTable(infer, { ...measured(0), idleShare: 0.4 });
    expect(row.lines.at(-1)!.remark).toBe('those who waited used 40 % of a core meanwhile');
  });

  it("hold memory to a share of PyTorch's, starts and epochs to seconds", () => {
    const growth = [
      { name: 'fovea (x64)', bytes: 80 << 20 },
      { name: 'pytorch', bytes: 160 << 20 },
    ];
    expect(memoryTable(train, { growth, absent: [], ratio: 0.5 }).lines[0]).toMatchObject({
      value: '80 MiB',
      ratio: '0.50×',
      aim: '≤ 0.70×',
      met: true,
    });
    const timings = [
      { name: 'fovea (x64)', seconds: spread([0.8]), parts: { builtMs: 300 } },
      { name: 'pytorch', seconds: spread([4]) },
    ];
    const [ours, theirs] = startTable('start', { timings, absent: [] }).lines;
    expect(ours).toMatchObject({ value: '0.80 s', aim: '≤ 0.7 s', met: false, remark: 'built 300 ms' });
    expect(theirs).toMatchObject({ value: '4.00 s', ratio: '5.00×', met: null });
    const epochs = [{ name: 'fovea (x64)', seconds: 30, testAccuracy: 0.9871 }];
    expect(epochTable('epoch', { epochs, absent: [] }).lines[0]).toMatchObject({
      value: '30.0 s',
      met: true,
      remark: '98.71 % of the test pictures right',
    });
  });

  it('become Markdown', () => {
    const text = toMarkdown('Title', ['machine'], [speedTable(infer, measured(0))]);
    expect(text.split('\n').slice(0, 8)).toEqual([
      '# Title',
      '',
      'machine',
      '',
      '## inference of resnet50, 224 × 224, batch 1',
      '',
      '|  | median |  | best | ratio | of best | aim |  |  |',
      '| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |',
    ]);
  });
});
