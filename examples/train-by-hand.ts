/**
 * The training loop written out, on real digits: what `fovea train mnist` does, without the comforts.
 * From a clone: node scripts/run-ts.mjs examples/train-by-hand.ts [pictures] [epochs]
 */

import { loss, manualSeed, nn, optim } from 'fovea';
import { data } from 'fovea/node';

const [pictures = 6000, epochs = 1] = process.argv.slice(2).map(Number);
const [mean, std] = [[0.1307], [0.3081]];

manualSeed(1);
const model = nn.sequential(
  [
    nn.conv2d(8, 3, { activation: 'relu' }),
    nn.maxPool(2),
    nn.conv2d(16, 3, { activation: 'relu' }),
    nn.maxPool(2),
    nn.flatten(),
    nn.dropout(0.25),
    nn.dense(10),
  ],
  { inputShape: [1, 28, 28], summary: true },
);
const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-3, weightDecay: 1e-2 });
const { train, test } = await data.mnist();
const loader = new data.DataLoader(data.take(train, pictures), { batchSize: 64, shuffle: true, seed: 1 });
const schedule = new optim.CosineAnnealingLR(optimizer, epochs * loader.length);

model.train();
for (let epoch = 0; epoch < epochs; epoch++) {
  for await (const batch of loader) {
    const { inputs, labels } = data.batchTensors(batch);
    const cost = loss.crossEntropy(model.forward(data.normalizeTensor(inputs, mean, std)), labels);
    optimizer.zeroGrad();
    cost.backward();
    await optimizer.step();
    schedule.step();
    if (batch.batch % 20 === 0)
      console.log(`epoch ${epoch + 1}, step ${batch.batch}: loss ${(await cost.item()).toFixed(4)}`);
  }
}

model.eval();
let right = 0;
const unseen = data.take(test, Math.min(pictures, test.length));
for await (const batch of new data.DataLoader(unseen, { batchSize: 500 })) {
  const { inputs, labels } = data.batchTensors(batch);
  const guess = model.forward(data.normalizeTensor(inputs, mean, std)).argmax(1);
  right += await guess.eq(labels).sum().item();
}
console.log(`${right} of ${unseen.length} unseen digits right`);
