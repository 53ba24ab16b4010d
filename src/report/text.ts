/** The words of pages, in English and in Chinese. A page holds both; its switch shows one. */

import { comparisonWords } from './comparison-words.js';
import { type Html, html, type Part } from './html.js';
import { mapWords } from './map-words.js';
import { robustnessWords } from './robustness-words.js';

/** `{name}` stands for a value. */
export const reportWords = {
  report: ['Evaluation report', '评估报告'],
  madeAt: ['made {date}', '生成于 {date}'],
  on: ['on {data}', '数据：{data}'],
  overview: ['Overview', '概览'],
  training: ['Training', '训练过程'],
  confusion: ['Confusion', '混淆矩阵'],
  confusionTitle: ['What is taken for what', '混淆矩阵：谁被认成了谁'],
  byClass: ['By class', '各类别指标'],
  calibration: ['Calibration', '校准'],
  calibrationTitle: ['Can its confidence be believed?', '置信度可信吗？'],
  mistakes: ['Mistakes', '错误样本'],
  worstTitle: ['The worst mistakes', '最严重的错误'],
  unsureTitle: ['Right, but barely', '答对了，但最没把握'],
  data: ['Data', '数据'],
  dataTitle: ['The data', '数据概况'],
  reproduce: ['Reproduce', '复现'],
  reproduceTitle: ['Do it again', '如何复现'],

  accuracy: ['Accuracy', '准确率'],
  accuracyHint: ['95 % interval {low} – {high}', '95 % 置信区间 {low} – {high}'],
  topK: ['Top-{k} accuracy', 'Top-{k} 准确率'],
  topKHint: ['right class among the first {k}', '正确类别在前 {k} 名之内'],
  f1: ['Macro F1', '宏平均 F1'],
  f1Hint: ['every class counts alike', '每个类别权重相同'],
  loss: ['Loss', '损失'],
  lossHint: ['mean over all samples', '所有样本的平均值'],
  ece: ['Calibration error', '校准误差 (ECE)'],
  eceHint: ['mean confidence {confidence}', '平均置信度 {confidence}'],
  auc: ['ROC-AUC', 'ROC-AUC'],
  aucHint: ['mean over classes, one against the rest', '一对其余，各类平均'],
  count: ['Samples', '样本数'],
  countHint: ['{classes} classes, {wrong} mistakes', '{classes} 个类别，{wrong} 个错误'],

  findMixed: [
    '{actual} is most often taken for {predicted}: {count} of {support}.',
    '{actual} 最常被认成 {predicted}：{support} 个中有 {count} 个。',
  ],
  findNone: ['Not one mistake among {count} samples.', '{count} 个样本全部答对。'],
  findWeakest: [
    'The weakest class is {name}: {recall} of its samples are found.',
    '最弱的类别是 {name}：召回率 {recall}。',
  ],
  findOver: [
    'The model is overconfident: on average {confidence} sure, {accuracy} right.',
    '模型过度自信：平均置信度 {confidence}，准确率 {accuracy}。',
  ],
  findUnder: [
    'The model is too modest: on average {confidence} sure, {accuracy} right.',
    '模型信心不足：平均置信度 {confidence}，准确率 {accuracy}。',
  ],
  findCalibrated: ['Its confidence can be believed: {ece} off on average.', '置信度可信：平均只差 {ece}。'],
  findOverfit: [
    'It does better on what it was trained on ({train}) than on what it was not ({test}): more data or stronger augmentation may help.',
    '训练集准确率（{train}）高于未见过的数据（{test}）：更多数据或更强的增强可能有帮助。',
  ],
  findUneven: [
    'Classes are uneven: {most} has {times} times as many test samples as {least}. Look at macro F1 rather than at accuracy.',
    '类别不均衡：{most} 的测试样本数是 {least} 的 {times} 倍。请看宏平均 F1，而不只是准确率。',
  ],

  lossCurve: ['Loss', '损失'],
  accuracyCurve: ['Accuracy', '准确率'],
  lrCurve: ['Learning rate', '学习率'],
  lrFinder: ['Learning-rate test: loss against learning rate', '学习率测试：损失随学习率的变化'],
  train: ['training', '训练'],
  watched: ['validation', '验证'],
  watchedTest: ['test', '测试'],
  steps: ['each step', '每一步'],
  epoch: ['epoch', '轮次'],
  learningRate: ['learning rate', '学习率'],
  bestEpoch: [
    '{epochs} epochs in {time}; the best accuracy, {accuracy}, after epoch {epoch}.',
    '共 {epochs} 轮，用时 {time}；第 {epoch} 轮后准确率最高：{accuracy}。',
  ],
  noHistory: ['This model was not trained here: there are no curves.', '该模型不是在这里训练的，没有训练曲线。'],

  confusionHow: [
    'A row is what a sample is, a column what the model said. Choose a number off the diagonal to see those samples.',
    '行是真实类别，列是模型的回答。点击对角线以外的数字，查看对应的样本。',
  ],
  confusionMany: [
    'The whole matrix of {classes} classes, one dot for each pair (rows: actual, columns: predicted), and the pairs mixed up most often.',
    '{classes} 个类别的完整矩阵，每个点代表一对类别（行：真实，列：预测）；下面是最常混淆的类别对。',
  ],
  confusionPairs: ['The pairs mixed up most often of {classes} classes.', '{classes} 个类别中最常混淆的类别对。'],
  actual: ['actual', '真实'],
  predicted: ['predicted', '预测'],
  takenFor: ['taken for', '被认成'],
  times: ['count', '次数'],
  shareOfClass: ['share of the class', '占该类比例'],
  noMistakes: ['There are no mistakes.', '没有错误。'],
  pairMore: ['and {count} more', '另有 {count} 个'],
  pairHint: ['surest first', '按置信度从高到低'],

  class: ['class', '类别'],
  precision: ['precision', '精确率'],
  recall: ['recall', '召回率'],
  f1Short: ['F1', 'F1'],
  support: ['samples', '样本数'],
  aucShort: ['AUC', 'AUC'],
  macro: ['mean over classes', '宏平均'],
  weighted: ['weighted by samples', '加权平均'],
  sortHow: [
    'Precision: of those said to be the class, how many are. Recall: of those that are, how many were found. Choose a heading to sort.',
    '精确率：被判为该类的样本中有多少是对的。召回率：该类样本中有多少被找到。点击表头排序。',
  ],

  calibrationHow: [
    'Of the answers given with 80 % confidence, 80 % should be right: the blue edges should lie on the dashed line. Orange is the gap; pale bars ' +
      'rest on few answers. Expected calibration error {ece}.',
    '以 80 % 的置信度给出的回答，应有 80 % 正确：蓝色边线应落在虚线上。橙色为差距，浅色柱子样本很少。期望校准误差 {ece}。',
  ],
  confidence: ['confidence', '置信度'],
  shareRight: ['share that was right', '正确比例'],
  answers: ['answers', '回答数'],

  worstHow: [
    'Wrong answers given with the most confidence. Look here for wrong labels first: a model this sure is sometimes right.',
    '模型最有把握却答错的样本。先看看标签是否有误：这么确定的模型有时是对的。',
  ],
  unsureHow: [
    'Right answers given with the least confidence: more pictures like these would help.',
    '答对但置信度最低的样本：增加类似的样本会有帮助。',
  ],
  picturesLeftOut: [
    'Pictures of {count} samples were left out to keep this file small.',
    '为控制文件大小，省略了 {count} 个样本的图片。',
  ],

  trainCount: ['training', '训练'],
  validationCount: ['validation', '验证'],
  testCount: ['test', '测试'],
  sizes: ['Sizes', '尺寸'],
  sizesAllAre: ['all {width} × {height} (width × height)', '全部为 {width} × {height}（宽 × 高）'],
  sizesAre: [
    'width {wmin} – {wmax} (median {wmid}), height {hmin} – {hmax} (median {hmid})',
    '宽 {wmin} – {wmax}（中位数 {wmid}），高 {hmin} – {hmax}（中位数 {hmid}）',
  ],
  notes: ['What was noticed', '发现的问题'],
  noteBroken: ['{text}', '{count} 张图片无法读取，已略过'],
  noteContradiction: ['{text}', '{count} 张图片有两个不同的标签，已略过：无法判断哪个正确'],
  noteLeak: ['{text}', '{count} 张图片同时出现在两个部分：测试会显得过于容易；划分由您决定，予以保留'],
  noteCopies: ['{text}', '{count} 张图片是其他图片的副本：保留，并放在同一部分'],
  noteNear: ['{text}', '{count} 对分属不同部分的图片彼此相似：保留；请检查是否为同一张'],
  noteTiny: ['{text}', '{count} 张图片极小：放大后保留'],
  noteSmall: ['{text}', '{count} 张图片小于模型的输入：放大后保留'],
  noteLong: ['{text}', '{count} 张图片过于狭长：保留，但只看到中间部分'],
  noteUneven: ['{text}', '各类别的图片数相差悬殊：可用 --weight-classes 给类别加权，或用 --balance 均衡抽取'],
  noteFew: ['{text}', '{count} 个类别的图片太少：保留，但很难学会'],
  noteLeftOut: ['{text}', '{count} 个文件未采用（{text}）'],
  moreClasses: ['and {count} more classes', '另有 {count} 个类别'],

  reproduceHow: [
    'The same seed, data and version of fovea give the same model again.',
    '相同的种子、数据和 fovea 版本会得到相同的模型。',
  ],
  configuration: ['The whole configuration', '完整配置'],
  seed: ['seed', '随机种子'],
  weights: ['weights', '权重'],
  parameters: ['parameters', '参数量'],
  device: ['device', '设备'],
  threads: ['threads', '线程'],
  input: ['input', '输入'],
  version: ['version', '版本'],
  footer: ['Made by fovea. This page needs no network.', '由 fovea 生成。本页面无需联网。'],
} as const satisfies Record<string, readonly [en: string, zh: string]>;

const words = { ...reportWords, ...robustnessWords, ...mapWords, ...comparisonWords };

export type Word = keyof typeof words;

/** A text in both languages, to be put into sentences of both. */
export interface Both {
  readonly en: string;
  readonly zh: string;
}

type Values = Readonly<Record<string, Part | Both>>;

/** Both languages, of which the page shows one. */
export function t(word: Word, values: Values = {}): Html {
  const [en, zh] = words[word];
  if (en === zh && !Object.values(values).some(isBoth)) return filled(en, values, 'en');
  return html`<span class="en" lang="en">${filled(en, values, 'en')}</span><span class="zh" lang="zh-CN">${filled(zh, values, 'zh')}</span>`;
}

/** What was said elsewhere, as `t` writes it. */
export function inBoth({ en, zh }: Both): Html {
  return en === zh
    ? html`${en}`
    : html`<span class="en" lang="en">${en}</span><span class="zh" lang="zh-CN">${zh}</span>`;
}

/** As plain text, to be put into other sentences. */
export function both(word: Word, values: Readonly<Record<string, string | number | Both>> = {}): Both {
  const [en, zh] = words[word];
  const text = (template: string, language: keyof Both) =>
    template.replace(/\{(\w+)\}/g, (_, name: string) => String(inLanguage(values[name], language)));
  return { en: text(en, 'en'), zh: text(zh, 'zh') };
}

/** Plain text, for attributes: they cannot change their language. */
export function plain(word: Word): string {
  return words[word].join(' · ');
}

function filled(text: string, values: Values, language: keyof Both): Html {
  const pieces = text.split(/\{(\w+)\}/); // text, name, text, name, text
  return html`${pieces.map((piece, i) => (i % 2 === 0 ? piece : inLanguage(values[piece], language)))}`;
}

function inLanguage<V>(value: V | Both, language: keyof Both): V | string {
  return isBoth(value) ? value[language] : value;
}

function isBoth(value: unknown): value is Both {
  return typeof value === 'object' && value !== null && 'en' in value && 'zh' in value;
}
