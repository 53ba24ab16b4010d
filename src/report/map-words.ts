/** The words of the map of a data set, in English and in Chinese; the terminal says some of the English ones. `{name}` stands for a value. */

export const mapWords = {
  dataMap: ['Map of a data set', '数据集地图'],
  mapOf: ['{data} as the model sees it', '模型眼中的 {data}'],
  theMap: ['Map', '地图'],
  mapTitle: ['Every sample as a point', '每个样本是一个点'],
  mosaicTitle: ['The same map in pictures', '同一张地图，用图片显示'],
  strangers: ['Strangers', '异类样本'],
  strangersTitle: ['Samples among another class', '落在其他类别之中的样本'],
  mapNumbers: ['Numbers', '数据表'],
  mapNumbersTitle: ['Classes and settings', '各类别与设置'],
  aboutMaps: ['How to read it', '如何解读'],
  aboutMapsTitle: ['What such a map says, and what it does not', '这张地图说明什么，不说明什么'],

  fromLayer: ['What layer {layer} answers to each sample', '层 {layer} 对每个样本的响应'],
  intoLayer: ['What goes into layer {layer} for each sample', '每个样本送入层 {layer} 的内容'],
  mapHowPca: [
    '{source}, {features} numbers, along the two directions in which samples differ most. Across: {first} of all variance; ' +
      'upwards: {second}. Point at a point to see its sample; choose a class to see it alone.',
    '{source}（{features} 个数），投影到样本差异最大的两个方向上。横轴占总方差的 {first}，纵轴占 {second}。把指针移到点上查看样本；点击类别可单独显示。',
  ],
  mapHowNear: [
    '{source}, {features} numbers, drawn by {method} so that samples with like answers lie side by side. Axes mean nothing, nor ' +
      'do distances between far groups. Point at a point to see its sample; choose a class to see it alone.',
    '{source}（{features} 个数），由 {method} 画成二维，使响应相近的样本相邻。坐标轴没有含义，相距很远的群之间的距离也没有含义。把指针移到点上查看样本；点击类别可单独显示。',
  ],
  mapMoreClasses: ['and {count} more classes', '另有 {count} 个类别'],
  mosaicHow: [
    'One sample for each place where there are some; the frame is the colour of its class.',
    '在有样本的每个位置显示一个样本；边框颜色表示类别。',
  ],
  strangersHow: [
    'Among the {k} samples that the model finds most alike, none is of their own class. Look here for wrong labels, or for classes that overlap.',
    '在模型认为最相似的 {k} 个样本中，没有一个与它同类。先看看标签是否有误，或者类别之间是否有重叠。',
  ],
  strangerAmong: ['among {name}', '落在 {name} 之中'],

  mapSame: ['Neighbours of one class', '邻居同类'],
  mapSameHint: ['of the {k} most alike, by {features} numbers each', '按 {features} 个数，最相似的 {k} 个之中'],
  mapSameMap: ['The same, on the map', '同上，在地图上'],
  mapSameMapHint: ['of the {k} nearest points', '最近的 {k} 个点之中'],
  mapKept: ['Neighbours kept', '保留的邻居'],
  mapKeptHint: ['of the {k} most alike that are nearest on the map too', '最相似的 {k} 个中，在地图上仍最近的比例'],
  mapVariance: ['Variance shown', '显示的方差'],
  mapVarianceHint: ['by the first two components', '前两个主成分'],
  mapSamples: ['Samples', '样本数'],
  mapSamplesHint: ['{classes} classes', '{classes} 个类别'],

  findApart: [
    'Classes lie apart: of the {k} samples that the model finds most alike, {share} are of the same class.',
    '类别分得很开：在模型认为最相似的 {k} 个样本中，{share} 同类。',
  ],
  findMixedMap: [
    'Classes lie mixed: of the {k} samples that the model finds most alike, only {share} are of the same class.',
    '类别混在一起：在模型认为最相似的 {k} 个样本中，只有 {share} 同类。',
  ],
  findPartly: [
    'Classes lie apart in part: of the {k} samples that the model finds most alike, {share} are of the same class.',
    '类别部分分开：在模型认为最相似的 {k} 个样本中，{share} 同类。',
  ],
  findFaithful: [
    'The map keeps {share} of those neighbours: what lies side by side on it is mostly alike.',
    '地图保留了其中 {share} 的邻居：图上相邻的样本大多确实相似。',
  ],
  findUnfaithful: [
    'The map keeps only {share} of those neighbours: two dimensions are few, so trust groups more than single neighbours.',
    '地图只保留了其中 {share} 的邻居：二维太少，群比单个邻居更可信。',
  ],
  findFewPoints: [
    '{count} samples make a thin map: a few hundred say more.',
    '{count} 个样本的地图过于稀疏：几百个更有说服力。',
  ],

  sameClassColumn: ['neighbours of the class', '邻居同类'],
  sameOnMapColumn: ['on the map', '在地图上'],
  mapNumbersHow: [
    'Of the samples of a class, the share of their most alike samples that are of the class too; low ones are what the model mixes up.',
    '每个类别的样本中，最相似的样本仍属于该类的比例；比例低的类别容易被模型混淆。',
  ],
  settingMethod: ['method', '方法'],
  settingLayer: ['layer', '层'],
  settingInto: ['into layer', '送入层'],
  settingFeatures: ['features', '特征数'],
  settingPerplexity: ['perplexity', '困惑度'],
  settingNeighbors: ['neighbours', '邻居数'],
  settingMinDistance: ['least distance', '最小距离'],
  settingComponents: ['variance of the components', '各主成分的方差占比'],
  setting: ['setting', '设置'],
  settingValue: ['value', '值'],

  aboutPca: [
    'PCA turns the cloud of answers so that its two widest directions lie in the page. It keeps distances as well as two straight directions can, and gives the ' +
      'same map every time; groups that differ in other directions lie on top of each other.',
    'PCA 转动响应点云，使差异最大的两个方向落在页面上。它尽可能保持距离，每次结果都相同；在其他方向上有差异的群会重叠在一起。',
  ],
  aboutTsne: [
    't-SNE keeps neighbours and gives up distances: groups are real, but their sizes and the gaps between them are not to be measured. Perplexity is about how many ' +
      'neighbours a sample has; look at two or three before you believe a detail.',
    't-SNE 保留邻居，放弃距离：群是真实的，但群的大小和间隔不可度量。困惑度大致是每个样本的邻居数；相信细节之前，请多试两三个值。',
  ],
  aboutUmap: [
    'UMAP keeps neighbours like t-SNE, and somewhat more of the whole: groups are real, gaps between far ones are not to be measured. Few neighbours show fine structure, ' +
      'many show the whole.',
    'UMAP 与 t-SNE 一样保留邻居，并多保留一些整体结构：群是真实的，远处群之间的间隔不可度量。邻居少显示细节，邻居多显示整体。',
  ],
  aboutLabels: [
    'Colours are the labels of the data; the model was not told them here. Where a class falls into two groups, it has two looks. Where a point lies in a group of ' +
      'another colour, the model finds it more like that class: a wrong label, or a hard sample.',
    '颜色是数据的标签，这里没有告诉模型。一个类别分成两群，说明它有两种样子。一个点落在另一种颜色的群里，说明模型觉得它更像那个类别：标签有误，或者样本较难。',
  ],
} as const satisfies Record<string, readonly [en: string, zh: string]>;
