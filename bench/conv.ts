/**
 * Convolution kernels alone: GFLOP/s beside the FMA peak measured in the same process.
 *
 *   npx esbuild bench/conv.ts --bundle --platform=node --format=esm --outfile=node_modules/.cache/bench-conv.mjs
 *   node node_modules/.cache/bench-conv.mjs [filter] [threads]
 *
 * One thread calls the kernel directly; several run the same module in worker threads, each with its share of the tasks.
 */

import { Worker } from 'node:worker_threads';
import { assembleKernel } from '../src/codegen/wasm/index.js';
import { physicalSize } from '../src/graph/layout.js';
import type { Lowering, TargetInfo } from '../src/graph/op.js';
import { type Kernel, KernelBuilder } from '../src/ir/index.js';
import {
  type ConvParams,
  convInputGradLowerings,
  convLowerings,
  convWeightGradLowerings,
} from '../src/kernels/conv.js';
import { convSizes, outputPixels, tapCount } from '../src/kernels/conv-shape.js';
import { numel, type Shape } from '../src/util/shape.js';
import { buildKernel, relaxedSimd, wasmTarget } from '../test/lowering-runner.js';

interface Layer {
  readonly name: string;
  readonly x: Shape;
  readonly w: Shape;
  readonly stride?: number;
  readonly padding?: number;
  readonly groups?: number;
}

/** From the MNIST example, ResNet, VGG, MobileNetV2, ResNeXt. */
const layers: readonly Layer[] = [
  { name: 'mnist conv1', x: [64, 1, 28, 28], w: [32, 1, 3, 3] },
  { name: 'mnist conv2', x: [64, 32, 26, 26], w: [64, 32, 3, 3] },
  { name: 'vgg 64', x: [16, 64, 56, 56], w: [64, 64, 3, 3], padding: 1 },
  { name: 'resnet 128', x: [16, 128, 28, 28], w: [128, 128, 3, 3], padding: 1 },
  { name: 'resnet 256', x: [16, 256, 14, 14], w: [256, 256, 3, 3], padding: 1 },
  { name: 'resnet 512', x: [16, 512, 7, 7], w: [512, 512, 3, 3], padding: 1 },
  { name: 'resnet down', x: [16, 64, 56, 56], w: [128, 64, 3, 3], padding: 1, stride: 2 },
  { name: 'resnet stem', x: [4, 3, 224, 224], w: [64, 3, 7, 7], padding: 3, stride: 2 },
  { name: '1x1 expand', x: [16, 96, 28, 28], w: [576, 96, 1, 1] },
  { name: '1x1 project', x: [16, 576, 14, 14], w: [96, 576, 1, 1] },
  { name: '1x1 7x7', x: [16, 512, 7, 7], w: [2048, 512, 1, 1] },
  { name: '1x1 down', x: [16, 256, 56, 56], w: [512, 256, 1, 1], stride: 2 },
  { name: 'depthwise', x: [16, 144, 56, 56], w: [144, 1, 3, 3], padding: 1, groups: 144 },
  { name: 'depthwise n4', x: [4, 144, 56, 56], w: [144, 1, 3, 3], padding: 1, groups: 144 },
  { name: 'depthwise s2', x: [16, 144, 56, 56], w: [144, 1, 3, 3], padding: 1, stride: 2, groups: 144 },
  { name: 'depthwise 7', x: [16, 960, 7, 7], w: [960, 1, 3, 3], padding: 1, groups: 960 },
  { name: 'resnext 4', x: [16, 128, 56, 56], w: [128, 4, 3, 3], padding: 1, groups: 32 },
];

interface Job {
  readonly title: string;
  readonly lowering: Lowering;
  readonly inputs: readonly Shape[];
  readonly result: Shape;
}

function jobs(layer: Layer, target: TargetInfo): Job[] {
  const rank = layer.x.length - 2;
  const p: ConvParams = {
    stride: Array(rank).fill(layer.stride ?? 1),
    padding: Array(rank).fill([layer.padding ?? 0, layer.padding ?? 0]),
    dilation: Array(rank).fill(1),
    groups: layer.groups ?? 1,
  };
  const s = convSizes(layer.x, layer.w, p);
  const y = [s.images, s.filters, s.height.output, s.width.output];
  return [
    {
      title: 'forward',
      lowering: convLowerings(layer.x, layer.w, p, target)[0],
      inputs: [layer.x, layer.w],
      result: y,
    },
    {
      title: 'by data',
      lowering: convInputGradLowerings(y, layer.w, layer.x, p, target)[0],
      inputs: [y, layer.w],
      result: layer.x,
    },
    {
      title: 'by weight',
      lowering: convWeightGradLowerings(y, layer.x, layer.w, p, target)[0],
      inputs: [y, layer.x],
      result: layer.w,
    },
  ];
}

const macs = (layer: Layer): number => {
  const pad = layer.padding ?? 0;
  const p = {
    stride: [0, 0].fill(layer.stride ?? 1),
    padding: [
      [pad, pad],
      [pad, pad],
    ] as const,
    dilation: [1, 1],
    groups: layer.groups ?? 1,
  };
  const s = convSizes(layer.x, layer.w, p);
  return s.images * s.filters * outputPixels(s) * tapCount(s) * (s.channels / s.groups);
};

/** Runs kernels on a team of workers (or here, for one thread); each takes chunks of tasks from a shared counter. */
class Bench {
  private readonly memory = new WebAssembly.Memory({ initial: 16384, maximum: 65536, shared: true });
  private readonly control = new Int32Array(new SharedArrayBuffer(64));
  private readonly workers: Worker[] = [];

  constructor(readonly threads: number) {
    new Float32Array(this.memory.buffer).fill(0.5);
    const source = `
      const { parentPort, workerData: { memory, control } } = require('node:worker_threads');
      let kernel;
      parentPort.on('message', (m) => {
        if (m.module) kernel = new WebAssembly.Instance(m.module, { env: { memory } }).exports.kernel;
        else for (let r = 0; r < m.repeats; r++) {
          for (let t; (t = Atomics.add(control, r, m.chunk)) < m.tasks;) kernel(...m.args, t, Math.min(m.tasks, t + m.chunk));
          Atomics.add(control, 8 + r, 1); while (Atomics.load(control, 8 + r) < m.threads);
        }
        parentPort.postMessage(0);
      });`;
    for (let i = 0; i < threads; i++) {
      this.workers.push(new Worker(source, { eval: true, workerData: { memory: this.memory, control: this.control } }));
    }
  }

  private post(message: object): Promise<unknown> {
    return Promise.all(
      this.workers.map((worker) => {
        worker.postMessage(message);
        return new Promise((resolve) => worker.once('message', resolve));
      }),
    );
  }

  /** Best and median milliseconds of one run. */
  async time(
    kernel: Kernel,
    args: readonly number[],
  ): Promise<{ best: number; median: number; compileMs: number; codeBytes: number }> {
    const bytes = assembleKernel(kernel, { relaxedSimd: relaxedSimd(), threads: true });
    const start = performance.now();
    const module = new WebAssembly.Module(bytes);
    const compileMs = performance.now() - start;
    await this.post({ module });
    const times: number[] = [];
    const repeats = 4;
    const chunk = Math.max(1, Math.ceil(kernel.tasks / (this.threads * 8)));
    for (let spent = 0, i = 0; i < 3 || (spent < 400 && i < 15); i++) {
      this.control.fill(0);
      const t = performance.now();
      await this.post({ args, tasks: kernel.tasks, chunk, repeats, threads: this.threads });
      times.push((performance.now() - t) / repeats);
      spent += times[times.length - 1] * repeats;
    }
    times.sort((a, b) => a - b);
    return { best: times[0], median: times[times.length >> 1], compileMs, codeBytes: bytes.length };
  }

  dispose(): void {
    for (const worker of this.workers) worker.terminate();
  }
}

const peakTurns = 10_000;

/** Twelve independent chains of multiply–adds on registers: what the cores can do at most. */
function peakKernel(): Kernel {
  const k = new KernelBuilder({ lanes: 4, registers: 15 });
  const p = k.param('p', 'f32');
  k.tasks(64, (task) => {
    const [a, b] = [k.load(p), k.load(p, 4)];
    const sums = Array.from({ length: 12 }, () => k.zero());
    k.loop(peakTurns, () => {
      for (let r = 0; r < 8; r++) for (const sum of sums) sum.fma(a, b);
    });
    sums.forEach((sum, i) => {
      k.store(p, task.mul(48).add(8 + i * 4), sum.value);
    });
  });
  return k.finish('peak');
}

/** Copies `bytes` in tasks of 64 KiB. */
function copyKernel(bytes: number): Kernel {
  const k = new KernelBuilder({ lanes: 4, registers: 15 });
  const [from, to] = [k.param('from', 'f32'), k.param('to', 'f32')];
  const elems = 16384;
  k.tasks(Math.floor(bytes / 4 / elems), (task) => {
    const [a, b] = [k.ptrVar(from.at(task.mul(elems))), k.ptrVar(to.at(task.mul(elems)))];
    k.loop(elems / 32, () => {
      for (let i = 0; i < 8; i++) k.store(b, i * 4, k.load(a, i * 4));
      a.advance(32);
      b.advance(32);
    });
  });
  return k.finish('copy');
}

async function main(): Promise<void> {
  const [filter = '', threads = '2'] = process.argv.slice(2);
  relaxedSimd();
  const bench = new Bench(Number(threads));
  const target = { ...wasmTarget, threads: bench.threads };
  const measurePeak = async () => (64 * peakTurns * 96 * 8) / (await bench.time(peakKernel(), [64])).best / 1e6;
  console.log(`${threads} threads, FMA peak ${(await measurePeak()).toFixed(1)} GFLOP/s`);
  for (const layer of layers) {
    for (const job of jobs(layer, target)) {
      const title = `${layer.name} ${job.title}`;
      if (!title.includes(filter)) continue;
      const kernel = buildKernel(job.lowering, target);
      const sizes = [
        ...job.inputs.map((s, i) => physicalSize(s, job.lowering.inputs[i]) * 4),
        job.lowering.scratchBytes ?? 0,
      ];
      sizes.push(physicalSize(job.result, job.lowering.output) * 4);
      let at = 1024;
      const args = sizes.flatMap((size, i) => {
        const address = at;
        at = Math.ceil((at + size) / 64) * 64 + 256;
        return i === 2 && size === 0 ? [] : [address];
      });
      // The machine may be shared and its clock vary: the peak is measured beside each kernel, and the best run counts.
      const peak = await measurePeak();
      const t = await bench.time(kernel, args);
      const gflops = (2 * macs(layer)) / t.best / 1e6;
      let line = `${title.padEnd(24)} ${t.best.toFixed(2).padStart(8)} ms  ${gflops.toFixed(1).padStart(6)} GFLOP/s ${((100 * gflops) / peak).toFixed(0).padStart(4)} % of ${peak.toFixed(0)}`;
      line += `   median ${t.median.toFixed(2)}  ${(t.codeBytes / 1024).toFixed(0)} KiB, ${kernel.tasks} tasks`;
      if (layer.groups !== undefined && job.title !== 'by weight') {
        const copy = await bench.time(copyKernel(Math.max(numel(layer.x), numel(job.result)) * 4), [
          args[0],
          args[args.length - 1],
        ]);
        line += `   copy ${copy.best.toFixed(2)} ms`;
      }
      console.log(line);
    }
  }
  bench.dispose();
}

await main();
