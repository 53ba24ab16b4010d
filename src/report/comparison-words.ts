/** The words of the page that compares two models, in English and in Chinese; the terminal says some of the English ones. `{name}` stands for a value. */

export const comparisonWords = {
  comparisonReport: ['Comparison of models', '模型比较'],
  comparisonOf: ['{other}, on {data}', '{other}，数据：{data}'],
  likeness: ['Likeness', '相似度'],
  likenessTitle: ['Which layers are alike', '哪些层相似'],
  matches: ['Matches', '对应层'],
  matchesTitle: ['For each layer, the most alike one of the other model', '每一层在另一模型中最相似的层'],
  ckaNumbers: ['Numbers', '数据表'],
  ckaNumbersTitle: ['All pairs', '全部层对'],
  aboutCka: ['How to read it', '如何解读'],
  aboutCkaTitle: ['What this likeness means', '这个相似度的含义'],

  likenessHow: [
    'Rows are layers of {model}, columns layers of {other}, both from the first to the last. The stronger the colour, the more alike: 1 is the same but for turning and ' +
      'scaling all channels at once, 0 is nothing in common.',
    '行是 {model} 的层，列是 {other} 的层，均从第一层到最后一层。颜色越浓越相似：1 表示除了整体旋转和缩放通道之外完全相同，0 表示毫无共同之处。',
  ],
  matchesHow: [
    'The same place in both models: the layer of the same name, where there is one.',
    '同一位置：另一模型中同名的层（如果有）。',
  ],
  layerColumn: ['layer of {model}', '{model} 的层'],
  matchColumn: ['most alike', '最相似的层'],
  ckaColumn: ['CKA', 'CKA'],
  samePlaceColumn: ['same place', '同一位置'],

  meanBest: ['Most alike, on average', '最相似层的平均'],
  meanBestHint: ['each layer with its best match', '每一层与其最相似的层'],
  sameName: ['Same place, on average', '同一位置的平均'],
  sameNameHint: ['{count} layers of the same name', '{count} 个同名层'],
  lastLayers: ['Last layers', '最后一层'],
  lastLayersHint: ['{layer} and {other}', '{layer} 与 {other}'],
  leastAlike: ['Least alike', '最不相似'],
  leastAlikeHint: ['{layer}, even with its best match {other}', '{layer}，即使与它最相似的 {other} 相比'],
  comparedOn: ['Samples', '样本数'],
  comparedOnHint: ['seen by both models', '两个模型看到的相同样本'],

  findSame: [
    'The two models are the same to the last digit: every layer equals its namesake.',
    '两个模型完全相同：每一层都与同名层一致。',
  ],
  findAlike: ['Layers of the same name see much alike: {cka} on average.', '同名层看到的大体相似：平均 {cka}。'],
  findUnlike: ['Layers of the same name see different things: {cka} on average.', '同名层看到的并不相同：平均 {cka}。'],
  findBest: [
    'Each layer has a match in the other model of {cka} on average; least of all {layer}, {least}.',
    '每一层在另一模型中最相似的层平均为 {cka}；最低的是 {layer}：{least}。',
  ],
  findFalls: [
    'Likeness falls from the first layer ({first}) to the last ({last}): early layers find the same edges and colours, late ones go ways of their own.',
    '相似度从第一层（{first}）到最后一层（{last}）下降：前面的层找到相同的边缘和颜色，后面的层各走各的路。',
  ],
  findFewSamples: [
    '{count} samples are few: with few samples all layers look alike. Take a few hundred.',
    '{count} 个样本太少：样本少时所有层看起来都相似。请使用几百个样本。',
  ],

  aboutCkaWhat: [
    'Both models are shown the same samples. For each layer, centred kernel alignment asks which samples it finds alike and which not, and compares that ' +
      'table of {count} × {count} with the one of each layer of the other model. So layers of any widths can be compared, and the order of channels does not matter.',
    '两个模型看相同的样本。对每一层，中心核对齐 (CKA) 看它认为哪些样本彼此相似、哪些不相似，再把这张 {count} × {count} 的表与另一模型每一层的表比较。' +
      '因此任意宽度的层都可以比较，通道的顺序也不影响结果。',
  ],
  aboutCkaReads: [
    'A clear diagonal: both models do the same work in the same order. A block of layers that are all alike: these layers add little, the network may be deeper than ' +
      'its task needs. A model fine-tuned from another stays alike in early layers and changes in late ones.',
    '明显的对角线：两个模型以相同的顺序做相同的工作。一整块彼此相似的层：这些层贡献不大，网络可能比任务所需更深。从另一模型微调而来的模型，前面的层保持相似，后面的层发生变化。',
  ],
  aboutCkaNot: [
    'A high likeness does not mean that both give the same answers, and CKA leans on the directions in which samples differ most; small differences that decide about a ' +
      'class can hide.',
    '相似度高并不表示两个模型给出相同的回答；CKA 偏重样本差异最大的方向，决定类别的细小差异可能被掩盖。',
  ],
} as const satisfies Record<string, readonly [en: string, zh: string]>;
