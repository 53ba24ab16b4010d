/**
 * One network of the zoo in a fresh process: inference of one input and a training step (SGD with momentum) at its own size, and what the
 * process took at most of the machine's memory after each. The loss is the mean square of all outputs, so that every task trains alike.
 * Arguments: name, training batch, seconds to measure for. Prints one JSON object.
 */
import { readFileSync } from 'node:fs';
import { compile, models, openDevice, optim, setDevice, Tensor, tensor } from 'fovea';

const [name, batchText, secondsText] = process.argv.slice(2);
const [batch, budget] = [Number(batchText), Number(secondsText)];
const build = models.findModel(name);
const { target } = await openDevice(process.env.FOVEA_DEVICE);
setDevice(target);

const model = build();
const inputs = (count) => {
  const shape = [count, ...build.input];
  const size = shape.reduce((a, b) => a * b);
  if (build.inputKind === 'tokens') {
    const different = model.inChannels ?? 1000;
    return tensor(
      Int32Array.from({ length: size }, (_, i) => (i * 7) % different),
      { shape, dtype: 'int32' },
    );
  }
  return tensor(
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * 0.37) + Math.cos(i * 0.011)),
    { shape },
  );
};
/** The tensors among outputs: one, or records of them. */
const outputsOf = (y) =>
  y instanceof Tensor ? [y] : y !== null && typeof y === 'object' ? Object.values(y).flatMap(outputsOf) : [];

/** Milliseconds of each run, for as long as there is time, at least three times. */
async function times(run) {
  const start = performance.now();
  await run();
  const firstMs = performance.now() - start;
  await run();
  const ms = [];
  while (ms.length < 3 || (performance.now() - start < 1000 * budget && ms.length < 200)) {
    const before = performance.now();
    await run();
    ms.push(performance.now() - before);
  }
  return { firstMs, ms };
}

model.eval();
const forward = compile((x) => outputsOf(model.forward(x))[0]);
const one = inputs(1);
const inference = await times(async () => void (await (await forward(one)).data()));
const inferencePeak = peakMegabytes();

model.train();
const optimizer = new optim.SGD(model.parameters(), { lr: 1e-6, momentum: 0.9 });
const some = inputs(batch);
const training = await times(async () => {
  optimizer.zeroGrad();
  const loss = outputsOf(model.forward(some))
    .map((y) => y.square().mean())
    .reduce((a, b) => a.add(b));
  loss.backward();
  await optimizer.step();
  if (!Number.isFinite(await loss.item())) throw new Error('the loss is not a number');
});
console.log(JSON.stringify({ inference, inferencePeak, training, trainingPeak: peakMegabytes() }));
await target.dispose();

/** The largest resident set so far. */
function peakMegabytes() {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1000;
  } catch {
    return process.resourceUsage().maxRSS / 1000;
  }
}
