/**
 * A fresh process writes the kernels of a ResNet-50 training step (batch 8) as kernel IR and assembles them, once, with nothing warmed up;
 * prints how long each took. Nothing is run.
 */
import { loss as losses, models, openDevice, optim, setDevice, zeros } from 'fovea';

const { target } = await openDevice(process.env.FOVEA_DEVICE);
const { device } = target;
let assembleMs = 0;
let kernels = 0;
let bytes = 0;
const assemble = device.assemble.bind(device);
device.assemble = (program, options) => {
  const start = performance.now();
  const assembled = assemble(program, options);
  assembleMs += performance.now() - start;
  kernels = new Set(program.launches.map((launch) => launch.kernel)).size;
  bytes = assembled.bytes.length;
  return assembled;
};
let compileMs = 0;
setDevice({
  name: 'planner',
  async realize(roots, assigns) {
    const start = performance.now();
    await target.plan(roots, assigns);
    compileMs = performance.now() - start - assembleMs;
  },
  async dispose() {},
});
const model = models.resnet50();
const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
const loss = losses.crossEntropy(model.forward(zeros([8, 3, 224, 224])), zeros([8], { dtype: 'int32' }));
loss.backward();
await optimizer.step();
await target.dispose();
console.log(JSON.stringify({ assembleMs, compileMs, kernels, bytes }));
