/**
 * Looks into a network: what the first layer answers to a digit, and which pixels the score of a class hangs on (Grad-CAM, by hand).
 * From a clone: node scripts/run-ts.mjs examples/see-inside.ts [steps of training]
 */

import { grad, loss, manualSeed, models, optim, type Tensor } from 'fovea';
import { data } from 'fovea/node';

const [steps = 150] = process.argv.slice(2).map(Number);

manualSeed(1);
const model = models.lenet5();
const optimizer = new optim.Adam(model.parameters(), { lr: 2e-3 });
const { train, test } = await data.mnist();
for await (const batch of new data.DataLoader(data.take(train, 64 * steps))) {
  const { inputs, labels } = data.batchTensors(batch);
  optimizer.zeroGrad();
  loss.crossEntropy(model.forward(prepare(inputs)), labels).backward();
  await optimizer.step();
}

model.eval().requiresGrad(false); // gradients at a layer do not need any of the weights
const { inputs } = data.batchTensors(test.batch([0]));
const { conv1, conv2, '': scores } = model.activations(prepare(inputs), ['conv1', 'conv2', '']);
const best = await scores.argmax(1).item();
const weights = grad(scores.at(0, best), conv2).mean([2, 3], { keepDims: true });
const cam = conv2
  .mul(weights)
  .sum(1, { keepDims: true })
  .relu()
  .interpolate({ size: [28, 28], mode: 'bilinear' });

await show('the picture', inputs.float().at(0, 0));
await show('what filter 0 of conv1 answers', conv1.relu().at(0, 0));
await show(`where the score of class ${best} comes from`, cam.at(0, 0));

function prepare(pictures: Tensor): Tensor {
  return data.normalizeTensor(pictures, [0.1307], [0.3081]);
}

/** A map [H, W] as text, the largest value darkest; every second row, since letters are tall. */
async function show(title: string, map: Tensor): Promise<void> {
  const shades = ' .:-=+*#%@';
  const rows = await map.div(map.amax().clamp(1e-12)).clamp(0, 1).slice('::2').toArray<number[][]>();
  console.log(`\n${title}`);
  for (const row of rows) console.log(row.map((v) => shades[Math.round(v * (shades.length - 1))]).join(''));
}
