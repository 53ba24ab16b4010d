/** A fresh process trains one step of the classic network; prints when each part was done, in milliseconds since Node started. */
import { loss as losses, models, optim, tensor } from 'fovea';

const importedMs = performance.now();
const model = models.classic();
const optimizer = new optim.Adam(model.parameters(), { lr: 1e-3 });
const pictures = Float32Array.from({ length: 64 * 28 * 28 }, (_, i) => Math.sin(i * 0.37));
const labels = Int32Array.from({ length: 64 }, (_, i) => i % 10);
const loss = losses.nll(model.forward(tensor(pictures, { shape: [64, 1, 28, 28] })), tensor(labels));
loss.backward();
const recordedMs = performance.now();
await optimizer.step();
await loss.item();
const firstStepMs = performance.now();
console.log(JSON.stringify({ importedMs, recordedMs, firstStepMs, printedMs: performance.now() }));
