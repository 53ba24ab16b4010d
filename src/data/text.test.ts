/** Texts: what a token is, the vocabulary, tables, and a TextCNN that learns what decides a sentence. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { textcnn } from '../models/index.js';
import { crossEntropy } from '../nn/loss.js';
import { Adam } from '../optim/index.js';
import { manualSeed, openDevice, setDevice } from '../tensor/index.js';
import { evaluate, predict, Trainer } from '../train/index.js';
import { Random } from './random.js';
import { encodeTexts, TextDataset, tokenize, Vocabulary } from './text.js';
import { isTextTable, openTexts, textDatasets } from './text.node.js';

describe('tokenize', () => {
  it.each([
    ['Hello, World!', ['hello', 'world', '!']],
    ["Don't stop — it’s 2024", ["don't", 'stop', "it's", '2024']],
    ['我爱北京 OK吗？', ['我', '爱', '北', '京', 'ok', '吗', '?']],
    ['東京タワーへ行く', ['東', '京', 'タ', 'ワ', 'ー', 'へ', '行', 'く']],
    ['Größe naïve Ελλάδα привет', ['größe', 'naïve', 'ελλάδα', 'привет']],
    ['ＦＵＬＬ ｗｉｄｔｈ', ['full', 'width']],
    ['great 👍🎉', ['great', '👍', '🎉']],
    ['한국어 문장', ['한국어', '문장']],
    ['<pad> <unk>', ['pad', 'unk']],
    ['  \n\t ...', []],
    ['\ud800', []],
  ])('%s', (text, expected) => {
    expect(tokenize(text)).toEqual(expected);
  });

  it('gives the same tokens for tokens again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const once = tokenize(text);
        expect(tokenize(once.join(' '))).toEqual(once);
      }),
    );
  });
});

describe('Vocabulary', () => {
  const texts = ['a a a b b c', 'b a d', 'e'];

  it('numbers tokens by how often they come, equals by name, and leaves out the rare', () => {
    expect(Vocabulary.build(texts).tokens).toEqual(['<pad>', '<unk>', 'a', 'b', 'c', 'd', 'e']);
    expect(Vocabulary.build(texts, { minCount: 2 }).tokens).toEqual(['<pad>', '<unk>', 'a', 'b']);
    expect(Vocabulary.build(texts, { maxSize: 3 }).tokens).toEqual(['<pad>', '<unk>', 'a']);
    expect(Vocabulary.build(texts).length).toBe(6);
    expect(Vocabulary.build([]).size).toBe(2);
    expect(() => Vocabulary.build(texts, { maxSize: 2 })).toThrow(
      'Vocabulary: maxSize is a whole number from 3 up, not 2',
    );
  });

  it('fills up, cuts off, and knows what it does not know', () => {
    const vocabulary = Vocabulary.build(texts, { length: 4 });
    expect([...vocabulary.encode('B a ?')]).toEqual([3, 2, 1, 0]);
    expect([...vocabulary.encode('a b c d e')]).toEqual([2, 3, 4, 5]);
    expect([...vocabulary.encode('', 2)]).toEqual([0, 0]);
    expect(vocabulary.decode([3, 1, 0, 99])).toEqual(['b', '<unk>', '<unk>']);
    const { inputs, shape } = encodeTexts(['a', 'zz'], vocabulary, { length: 2 });
    expect([shape, ...inputs]).toEqual([[2, 2], 2, 0, 1, 0]);
  });

  it('goes through JSON, and is checked on the way back', () => {
    const vocabulary = Vocabulary.build(texts, { length: 4 });
    const json = JSON.parse(JSON.stringify(vocabulary.toJson()));
    const back = Vocabulary.fromJson(json);
    expect([back.tokens, back.length]).toEqual([vocabulary.tokens, 4]);
    expect([...back.encode('a z')]).toEqual([...vocabulary.encode('a z')]);
    expect(() => Vocabulary.fromJson({ ...json, tokens: ['a'] })).toThrow('vocabulary: tokens begin with <pad>, <unk>');
    expect(() => Vocabulary.fromJson({ ...json, tokens: ['<pad>', '<unk>', 'a', 'a'] })).toThrow(
      'a token is there twice',
    );
    expect(() => Vocabulary.fromJson({ ...json, length: 0 })).toThrow(/length/);
    expect(() => Vocabulary.fromJson(undefined)).toThrow(/vocabulary/);
  });
});

describe('tables of texts', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fovea-text-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function table(name: string, content: string): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  }

  it('reads CSV with quotes, line breaks and parts', async () => {
    const path = await table(
      'a.csv',
      '\ufeffid,Sentence,label,split\r\n1,"good, ""very""\nindeed",pos,train\r\n2,bad,neg,train\r\n3,meh,neg,val\r\n4,fine,pos,test\r\n5,,pos,train\r\n',
    );
    expect(await isTextTable(path)).toBe(true);
    const set = await openTexts(path);
    expect(set.classes).toEqual(['neg', 'pos']);
    expect(set.train).toEqual([
      { text: 'good, "very"\nindeed', label: 1 },
      { text: 'bad', label: 0 },
    ]);
    expect([set.validation.length, set.test.length, set.leftOut]).toEqual([1, 1, 1]);
  });

  it('reads tabs, where quotation marks are text, columns by place, and numbers as classes', async () => {
    const path = await table('b.tsv', 'ham\t"hi" there\n10\tyou won\n9\tcall "now\n');
    const set = await openTexts(path, { textColumn: 1, labelColumn: 0 });
    expect(set.train.map(({ text }) => text)).toEqual(['"hi" there', 'you won', 'call "now']);
    const numbers = await openTexts(await table('n.csv', 'y;text\n10;a\n9;b\n'));
    expect(numbers.classes).toEqual(['9', '10']);
    expect(await isTextTable(path)).toBe(false);
  });

  it('says which column is missing', async () => {
    const path = await table('c.csv', 'txt,lable\na,b\n');
    await expect(openTexts(path)).rejects.toThrow(
      `${path}: which column holds the texts? It has txt, lable. Call it text, or name it (or its place, from 0) with textColumn (--text-column).`,
    );
    await expect(openTexts(path, { textColumn: 'text', labelColumn: 'lable' })).rejects.toThrow(
      `${path} has no column 'text'; it has txt, lable. Did you mean txt?`,
    );
    await expect(openTexts(path, { textColumn: 7, labelColumn: 1 })).rejects.toThrow(
      'has no column 7: there are 2, 0 … 1',
    );
    await expect(openTexts(await table('d.csv', 'text,label,split\na,b,trian\n'))).rejects.toThrow(
      "line 2 is in the part 'trian'; parts are train, val and test",
    );
    await expect(openTexts(await table('e.csv', ''))).rejects.toThrow('has no row with a text and a label');
    await expect(openTexts(join(folder, 'no.csv'))).rejects.toThrow(/cannot read .*no\.csv/);
    const ids = Array.from({ length: 60 }, (_, i) => `t,${i}`).join('\n');
    await expect(openTexts(await table('f.csv', `text,label\n${ids}`))).rejects.toThrow(
      'nearly every text would be a class',
    );
  });

  it('divides by class and seed, and makes the vocabulary of the training part alone', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `word${i},${i % 2 === 0 ? 'a' : 'b'}`).join('\n');
    const set = await openTexts(await table('g.csv', `text,label\n${rows}\n`));
    const made = textDatasets(set, { validation: 0.2, test: 0.1, seed: 4 });
    expect([made.train.length, made.validation!.length, made.test!.length]).toEqual([28, 8, 4]);
    expect(made.vocabulary.size).toBe(2 + 28);
    expect([...made.test!.batch([0]).inputs]).toEqual([1]);
    expect(textDatasets(set, { validation: 0.2, test: 0.1, seed: 4 }).train.texts).toEqual(made.train.texts);
    const ones = made.validation!.labels.reduce((sum, label) => sum + label, 0);
    expect(ones).toBe(4);
  });

  it('refuses labels and places that are none', () => {
    const vocabulary = Vocabulary.build(['a']);
    const make = (labels: number[]) => new TextDataset({ texts: ['a'], labels, classes: ['x'], vocabulary });
    expect(() => make([1])).toThrow('TextDataset: label 1 of text 0 names no class: there are 1');
    expect(() => make([])).toThrow('TextDataset: 1 texts, 0 labels');
    expect(() => make([0]).batch([1])).toThrow('TextDataset: there is no text 1: it has 1');
  });
});

describe('textcnn', () => {
  it('learns what decides a sentence, and tells it of new ones', async () => {
    const random = new Random(2);
    const filler = 'the film was on and we saw it with them last night again'.split(' ');
    const telling = [
      ['bad', 'dull', 'boring'],
      ['good', 'great', 'funny'],
    ];
    const sentence = (label: number) => {
      const words = Array.from({ length: random.integer(4, 10) }, () => random.choice(filler));
      words.splice(
        random.integer(0, words.length),
        0,
        'not',
        random.choice(telling[1 - label]),
        'but',
        random.choice(telling[label]),
      );
      return words.join(' ');
    };
    const labels = Array.from({ length: 240 }, (_, i) => i % 2);
    const texts = labels.map(sentence);
    const classes = ['thumbs down', 'thumbs up'];
    const vocabulary = Vocabulary.build(texts.slice(0, 180));
    const train = new TextDataset({ texts: texts.slice(0, 180), labels: labels.slice(0, 180), classes, vocabulary });
    const test = new TextDataset({ texts: texts.slice(180), labels: labels.slice(180), classes, vocabulary });
    const { target } = await openDevice('wasm', { threads: 1 });
    setDevice(target);
    try {
      manualSeed(0);
      const model = textcnn({ inChannels: vocabulary.size, numClasses: 2, embedDim: 16, maps: 12 });
      const optimizer = new Adam(model.parameters(), { lr: 0.01 });
      await new Trainer({ model, optimizer, loss: crossEntropy, train, test, epochs: 8, batchSize: 20, seed: 1 }).fit();
      expect((await evaluate(model, test)).accuracy).toBeGreaterThanOrEqual(0.95);
      const kept = Vocabulary.fromJson(JSON.parse(JSON.stringify(vocabulary.toJson())));
      const asked = encodeTexts(['We saw it and it was NOT dull but great!', 'not funny but boring 无聊'], kept);
      const answers = await predict(model.eval(), asked, { classes, top: 1 });
      expect(answers.map(([best]) => best.name)).toEqual(['thumbs up', 'thumbs down']);
    } finally {
      await target.dispose();
    }
  }, 60_000);
});
