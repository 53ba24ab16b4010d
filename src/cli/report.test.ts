/** What evaluations look like in a terminal, and the commands in reports. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ConfusionMatrix,
  calibration,
  type Evaluation,
  predictedClasses,
  probabilitiesOf,
  SampleResults,
} from '../train/index.js';
import { evaluationJson, printEvaluation } from './report.js';
import { quoted, trainCommand } from './run-report.js';

function evaluationOf(classes: readonly string[], labels: readonly number[], scores: readonly number[]): Evaluation {
  const n = classes.length;
  const p = probabilitiesOf(scores, n);
  const predicted = predictedClasses(scores, n);
  const samples = new SampleResults(labels.length);
  for (const [index, actual] of labels.entries()) {
    const said = predicted[index];
    samples.add({
      index,
      actual,
      predicted: said,
      confidence: p[index * n + said],
      probability: p[index * n + actual],
    });
  }
  const confusion = new ConfusionMatrix(classes).add(predicted, labels);
  return {
    count: labels.length,
    loss: 0.25,
    accuracy: confusion.accuracy,
    topK: null,
    confusion,
    calibration: calibration(
      samples.confidences(),
      labels.map((label, i) => label === predicted[i]),
    ),
    rocAuc: null,
    samples,
    probabilities: null,
    complete: true,
    seconds: 1,
  };
}

/** Every class is taken for the next one once, and is right twice. */
function ring(classes: readonly string[]): Evaluation {
  const n = classes.length;
  const labels = Array.from({ length: 3 * n }, (_, i) => Math.floor(i / 3));
  const scores = labels.flatMap((label, i) =>
    classes.map((_, c) => (c === (i % 3 === 2 ? (label + 1) % n : label) ? 3 + (i % 3) : 0)),
  );
  return evaluationOf(classes, labels, scores);
}

describe('printEvaluation', () => {
  let out: string;
  beforeEach(() => {
    out = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += text;
      return true;
    });
  });
  afterEach(() => vi.restoreAllMocks());

  const plain = () =>
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are such
    out.replace(/\u001b\[\d+m/g, '');

  it('says it all', async () => {
    await printEvaluation(ring(['cat', 'dog']), { mistakes: 1, nameOf: (i) => `test/${i}.png` });
    expect(plain().replaceAll(/ +$/gm, '')).toBe(`test accuracy  66.67 %  (loss 0.2500, 6 pictures)
calibration    error 30.93 % (ECE), mean confidence 97.60 %: overconfident

actual ↓  predicted →  cat  dog  recall  precision      F1
cat                      2    1  66.7 %     66.7 %  66.7 %
dog                      1    2  66.7 %     66.7 %  66.7 %

most often mixed up: cat taken for dog (1×), dog taken for cat (1×)

surest mistakes
is   taken for    with  picture
cat  dog        99.3 %  test/2.png
`);
  });

  it('calls samples what they are', async () => {
    await printEvaluation(ring(['good', 'bad']), { mistakes: 1, noun: 'texts' });
    expect(plain()).toContain('6 texts)');
    expect(plain()).toMatch(/with {2}text *\n/);
    expect(plain()).not.toContain('picture');
  });

  const manyNames: [string, string[]][] = [
    ['ten digits', Array.from({ length: 10 }, (_, i) => String(i))],
    ['words', ['T-shirt', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot']],
    ['twenty', Array.from({ length: 20 }, (_, i) => `the class number ${i} of all`)],
    ['three hundred', Array.from({ length: 300 }, (_, i) => `class ${i} ${'x'.repeat(i % 90)}`)],
    ['Chinese', ['猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫', '狗', '马'.repeat(90), '羊']],
    ['hostile', ['\u001b[2J\u001b[31mred', 'line\nbreak', '\u202egnp.exe', 'x'.repeat(10_000), '👩‍🚀']],
  ];

  it.each(manyNames)('keeps to 80 columns: %s', async (_, names) => {
    await printEvaluation(ring(names), { mistakes: 5, nameOf: (i) => `${'folder/'.repeat(30)}${names[0]}/${i}.jpeg` });
    const wide = (line: string) =>
      [...line].reduce((sum, c) => sum + (/[\p{Script=Han}]|\p{Emoji_Presentation}/u.test(c) ? 2 : 1), 0);
    const lines = plain().split('\n');
    expect(lines.length).toBeGreaterThan(6);
    for (const line of lines) expect(wide(line), line).toBeLessThanOrEqual(80);
    expect(plain().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(plain()).toMatch(/\d\.jpeg$/m);
  });
});

describe('evaluationJson', () => {
  it('has all numbers, names where there are some, and is JSON', () => {
    const json = JSON.parse(
      JSON.stringify(evaluationJson(ring(['a', 'b']), { mistakes: 1, nameOf: (i) => `${i}.png` })),
    );
    expect(json).toMatchObject({
      accuracy: 4 / 6,
      count: 6,
      weighted: { recall: 4 / 6 },
      confusion: [
        [2, 1],
        [1, 2],
      ],
      worstMistakes: [{ index: 2, name: '2.png', actual: 'a', predicted: 'b' }],
      leastConfident: [{ index: 0, name: '0.png', actual: 'a', predicted: 'a' }],
    });
    expect(json.calibration.bins.length).toBe(15);
  });
});

describe('trainCommand', () => {
  const config = {
    format: 'fovea-run',
    version: 1,
    model: { name: 'resnet18', options: { stem: 'cifar', numClasses: 3 } },
    input: { shape: [3, 32, 32], mean: [0], std: [1] },
    classes: ['a'],
    seed: 4,
    training: { epochs: 2, batchSize: 16, freeze: ['layer*', 'bn1'], weights: "it's.pth", pretend: true, off: false },
    data: { source: '/photos of mine', limit: 10 },
  } as const;

  it('is the call that makes the run again', () => {
    expect(trainCommand({ path: 'runs/a', config: config as never })).toBe(
      "fovea train '/photos of mine' --model resnet18 --option stem=cifar --limit 10 --epochs 2 --batch-size 16 " +
        "--freeze 'layer*' --freeze bn1 --weights 'it'\\''s.pth' --pretend --seed 4 --out runs/a",
    );
    expect(trainCommand({ path: 'a', config: { ...config, data: undefined } as never })).toBeNull();
  });

  it('quotes for a shell', () => {
    expect(quoted('$(rm -rf ~)')).toBe("'$(rm -rf ~)'");
    expect(quoted('')).toBe("''");
  });
});
