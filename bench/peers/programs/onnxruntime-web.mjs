/** onnxruntime-web: ONNX Runtime compiled to WebAssembly, with SIMD and threads. `node onnxruntime-web.mjs THREADS CACHE` */

import { readFile } from 'node:fs/promises';
import { onnxruntime } from './onnxruntime.mjs';
import { serve } from './serve.mjs';

const [threads, cache] = process.argv.slice(2);
await serve(async () => {
  const ort = await import('onnxruntime-web');
  ort.env.wasm.numThreads = Number(threads);
  return onnxruntime({
    ort,
    cache,
    version: ort.env.versions.web ?? ort.env.versions.common,
    notes: [`wasm with SIMD, ${threads} threads, all graph optimisations`],
    load: (file) => readFile(file),
    options: { executionProviders: ['wasm'], graphOptimizationLevel: 'all' },
  });
});
