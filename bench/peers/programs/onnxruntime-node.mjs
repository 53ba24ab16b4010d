/** onnxruntime-node: the native ONNX Runtime. `node onnxruntime-node.mjs THREADS CACHE` */

import { onnxruntime } from './onnxruntime.mjs';
import { serve } from './serve.mjs';

const [threads, cache] = process.argv.slice(2);
await serve(async () => {
  const { default: ort } = await import('onnxruntime-node');
  return onnxruntime({
    ort,
    cache,
    version: ort.env.versions.node ?? ort.env.versions.common,
    notes: [`CPU provider, ${threads} threads, all graph optimisations`],
    load: (file) => file,
    options: {
      executionProviders: ['cpu'],
      intraOpNumThreads: Number(threads),
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
    },
  });
});
