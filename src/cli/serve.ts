/** `fovea serve RUN`: a trained model behind HTTP, until it is told to stop. */

import { type Command, Option } from 'commander';
import pc from 'picocolors';
import type { Limits, RequestLine, Server } from '../serve/index.node.js';
import { openClassifier, type RunWeights } from '../train/all.node.js';
import { counted } from '../util/counts.js';
import { readPageScript } from '../web/bundle.node.js';
import { type DeviceFlags, newCommand, onDevice, withDevice, withJson } from './options.js';
import { bytes, print, printJson } from './output.js';
import { amount, milliseconds, oneOf, wholeNumber } from './usage.js';
import { version } from './version.js';

interface Flags extends DeviceFlags {
  port: number;
  host: string;
  token?: string;
  maxBatch: number;
  batchDelayMs: number;
  maxBytes: number;
  maxPixels: number;
  timeout: number;
  queue: number;
  weights?: RunWeights;
  model?: string;
  verbose?: boolean;
  json?: boolean;
}

export function command(): Command {
  const made = newCommand(
    'serve',
    'Answers HTTP requests: POST a picture to /predict, get the likeliest classes as JSON. GET / is a page to try it, /openapi.json describes it, ' +
      '/healthz and /metrics are for those who run it. Ctrl-C or SIGTERM answers what has come, then stops.',
    'fovea serve runs/pets',
    'curl --data-binary @cat.jpg http://127.0.0.1:8080/predict?top=3',
    'curl -F a=@cat.jpg -F b=@dog.png http://127.0.0.1:8080/predict',
    'FOVEA_TOKEN=secret fovea serve runs/pets --host 0.0.0.0 --port 80',
  )
    .argument('<run>', 'the folder of a run, or a file of weights: .safetensors, .pth, .pt')
    .option('--port <n>', 'port to listen on; 0 takes any that is free', wholeNumber(0, 65_535), 8080)
    .option('--host <address>', 'address to listen on; 0.0.0.0 is all of them', '127.0.0.1')
    .option(
      '--token <secret>',
      'what requests must carry as Authorization: Bearer (default: FOVEA_TOKEN of the environment)',
    )
    .option('--max-batch <n>', 'pictures computed together, at most', wholeNumber(), 16)
    .option(
      '--batch-delay-ms <n>',
      'how long a picture waits for others that are on their way, at most',
      wholeNumber(0),
      2,
    )
    .addOption(
      new Option('--max-bytes <size>', 'of a request: 500kB, 10MB …').argParser(amount).default(10_000_000, '10MB'),
    )
    .addOption(
      new Option('--max-pixels <n>', 'of a picture, width times height: 50M …')
        .argParser(amount)
        .default(50_000_000, '50M'),
    )
    .addOption(
      new Option('--timeout <time>', 'of a request, from its first byte to its answer: 500ms, 10s, 2min')
        .argParser(milliseconds)
        .default(10_000, '10s'),
    )
    .option('--queue <n>', 'pictures that may wait; with more the answer is 503', wholeNumber(), 256)
    .option('--weights <which>', 'of a run: model (the finished ones), last, best', oneOf(['model', 'last', 'best']))
    .option('--model <name>', 'of a file of weights: which model it is for, where that cannot be told')
    .option('--verbose', 'print a line for each request');
  return withJson(withDevice(made)).action(async (path: string, flags: Flags) => {
    const classifier = await openClassifier(path, flags);
    const { serve } = await import('../serve/index.node.js');
    await onDevice(flags, async () => {
      const server = await serve(classifier, {
        ...limitsOf(flags),
        port: flags.port,
        host: flags.host,
        token: tokenOf(flags),
        version: await version(),
        pageScript: await readPageScript(),
        onRequest: flags.verbose ? (line) => writeRequest(line, flags) : undefined,
      });
      const stopped = stopSignal();
      announce(server, classifier.modelName, classifier.classes.length, flags);
      const signal = await stopped;
      if (!flags.json) print(`\n${signal}: answering what has come …`);
      await server.stop();
      if (flags.json) printJson({ event: 'stopped', signal });
    });
  });
}

function limitsOf({ maxBatch, batchDelayMs, maxBytes, maxPixels, timeout, queue }: Flags): Limits {
  return { maxBatch, batchDelayMs, maxBytes, maxPixels, timeoutMs: timeout, queue };
}

/** An empty token is none: `FOVEA_TOKEN= fovea serve …`. */
function tokenOf({ token }: Flags): string | null {
  return (token ?? process.env.FOVEA_TOKEN) || null;
}

function announce(
  { url, port, batchMilliseconds, limits }: Server,
  model: string,
  classes: number,
  flags: Flags,
): void {
  const guarded = tokenOf(flags) !== null;
  const open = !guarded && !isLoopback(flags.host);
  if (flags.json) {
    const batches = Object.fromEntries([...batchMilliseconds].map(([size, ms]) => [size, Number(ms.toFixed(3))]));
    printJson({
      event: 'listening',
      url,
      port,
      pid: process.pid,
      model,
      classes,
      token: guarded,
      limits,
      batchMilliseconds: batches,
    });
  } else {
    const one = batchMilliseconds.get(1)!;
    print(`${pc.bold(model)}, ${counted(classes, 'class', 'classes')}, ${one.toPrecision(2)} ms a picture`);
    print(`listening on ${pc.bold(pc.green(url))}${guarded ? ', with a token' : ''}`);
    print(pc.dim(`  curl --data-binary @picture.jpg ${url}/predict${guarded ? " -H 'Authorization: Bearer …'" : ''}`));
    print(
      pc.dim(`  bodies up to ${bytes(limits.maxBytes)}, ${counted(limits.queue, 'picture')} waiting, Ctrl-C stops`),
    );
  }
  if (open) {
    process.stderr.write(
      `warning: ${flags.host} lets other machines in, and there is no token: anybody who reaches this port can use the model. Set FOVEA_TOKEN.\n`,
    );
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

function writeRequest({ method, path, status, milliseconds: ms }: RequestLine, { json }: Flags): void {
  if (json) printJson({ event: 'request', method, path, status, milliseconds: Number(ms.toFixed(2)) });
  else print(`${status} ${method} ${path.length > 100 ? `${path.slice(0, 100)}…` : path}  ${ms.toFixed(1)} ms`);
}

/** Which signal came. A second one ends the process at once, as it does without us. */
function stopSignal(): Promise<NodeJS.Signals> {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  return new Promise((resolve) => {
    const stop = (signal: NodeJS.Signals) => {
      for (const each of signals) process.off(each, stop);
      resolve(signal);
    };
    for (const signal of signals) process.on(signal, stop);
  });
}
