/**
 * What others made of ResNet: other middles (wide ResNet, ResNeXt), scaled channels (SE-ResNet), a gentler start and shortcuts (ResNet-D), and
 * the paper's own small networks for CIFAR. Names are timm's, which are torchvision's where that has the network.
 */

import { preprocessing } from './preprocessing.js';
import type { RemapTable } from './remap.js';
import { BasicBlock, Bottleneck, resnet } from './resnet.js';

/** What torchvision's second weights of 2021, trained longer and better, want. */
const retrained = preprocessing(224, { resize: 232 });

// —— wide ResNet: the 3×3 convolutions of a bottleneck are twice as wide ——

const wide = { year: 2016, source: 'Zagoruyko and Komodakis 2016, "Wide residual networks", arXiv:1605.07146' };

export const wide_resnet50_2 = resnet(
  'wide_resnet50_2',
  { block: Bottleneck, layers: [3, 4, 6, 3], widthPerGroup: 128 },
  {
    ...wide,
    params: 68_883_240,
    macs: 11_398_021_120,
    summary: 'resnet50 with twice the channels in the 3×3 convolutions: width in place of depth',
    published: { top1: 81.602, top5: 95.758, weights: 'torchvision Wide_ResNet50_2_Weights.IMAGENET1K_V2' },
    preprocessing: retrained,
  },
);

export const wide_resnet101_2 = resnet(
  'wide_resnet101_2',
  { block: Bottleneck, layers: [3, 4, 23, 3], widthPerGroup: 128 },
  {
    ...wide,
    params: 126_886_696,
    macs: 22_753_050_624,
    summary: 'resnet101 with twice the channels in the 3×3 convolutions',
    published: { top1: 82.51, top5: 96.02, weights: 'torchvision Wide_ResNet101_2_Weights.IMAGENET1K_V2' },
    preprocessing: retrained,
  },
);

// —— ResNeXt: the 3×3 convolutions work in groups, each on its own share of more channels ——

const aggregated = {
  year: 2016,
  source: 'Xie et al. 2016, "Aggregated residual transformations for deep neural networks", arXiv:1611.05431',
};

export const resnext50_32x4d = resnet(
  'resnext50_32x4d',
  { block: Bottleneck, layers: [3, 4, 6, 3], groups: 32, widthPerGroup: 4 },
  {
    ...aggregated,
    params: 25_028_904,
    macs: 4_230_479_872,
    summary: 'bottlenecks in 32 groups of 4 channels, as large as resnet50 and better',
    published: { top1: 81.198, top5: 95.34, weights: 'torchvision ResNeXt50_32X4D_Weights.IMAGENET1K_V2' },
    preprocessing: retrained,
  },
);

export const resnext101_32x8d = resnet(
  'resnext101_32x8d',
  { block: Bottleneck, layers: [3, 4, 23, 3], groups: 32, widthPerGroup: 8 },
  {
    ...aggregated,
    params: 88_791_336,
    macs: 16_414_015_488,
    summary: 'resnet101 in 32 groups of 8 channels',
    published: { top1: 82.834, top5: 96.228, weights: 'torchvision ResNeXt101_32X8D_Weights.IMAGENET1K_V2' },
    preprocessing: retrained,
  },
);

export const resnext101_64x4d = resnet(
  'resnext101_64x4d',
  { block: Bottleneck, layers: [3, 4, 23, 3], groups: 64, widthPerGroup: 4 },
  {
    ...aggregated,
    params: 83_455_272,
    macs: 15_460_270_080,
    summary: 'resnet101 in 64 groups of 4 channels',
    published: { top1: 83.246, top5: 96.454, weights: 'torchvision ResNeXt101_64X4D_Weights.IMAGENET1K_V1' },
    preprocessing: retrained,
  },
);

// —— SE-ResNet: each correction's channels are scaled by what the whole picture says ——

const squeezed = {
  year: 2017,
  source: 'Hu, Shen and Sun 2017, "Squeeze-and-excitation networks", arXiv:1709.01507',
};

export const seresnet18 = resnet(
  'seresnet18',
  { block: BasicBlock, layers: [2, 2, 2, 2], squeezeExcite: true },
  {
    ...squeezed,
    params: 11_779_624,
    macs: 1_814_161_408,
    summary: 'resnet18 with squeeze-and-excitation at the end of each block',
  },
);

export const seresnet34 = resnet(
  'seresnet34',
  { block: BasicBlock, layers: [3, 4, 6, 3], squeezeExcite: true },
  {
    ...squeezed,
    params: 21_960_416,
    macs: 3_663_920_128,
    summary: 'resnet34 with squeeze-and-excitation at the end of each block',
  },
);

export const seresnet50 = resnet(
  'seresnet50',
  { block: Bottleneck, layers: [3, 4, 6, 3], squeezeExcite: true },
  {
    ...squeezed,
    params: 28_088_024,
    macs: 4_091_699_200,
    summary: 'resnet50 with squeeze-and-excitation at the end of each block',
    published: { top1: 80.26, top5: 95.068, weights: 'timm seresnet50.ra2_in1k' },
    preprocessing: preprocessing(224, { interpolation: 'bicubic' }),
  },
);

export const seresnet101 = resnet(
  'seresnet101',
  { block: Bottleneck, layers: [3, 4, 23, 3], squeezeExcite: true },
  {
    ...squeezed,
    params: 49_326_872,
    macs: 7_806_148_608,
    summary: 'resnet101 with squeeze-and-excitation at the end of each block',
  },
);

export const seresnet152 = resnet(
  'seresnet152',
  { block: Bottleneck, layers: [3, 8, 36, 3], squeezeExcite: true },
  {
    ...squeezed,
    params: 66_821_848,
    macs: 11_520_204_800,
    summary: 'resnet152 with squeeze-and-excitation at the end of each block',
  },
);

// —— ResNet-D: three 3×3 convolutions for the first 7×7, and shortcuts that average before they thin out ——

const gentle = {
  year: 2018,
  source:
    'He et al. 2018, "Bag of tricks for image classification with convolutional neural networks", arXiv:1812.01187',
};
const deepStem = { stem: 'deep', shortcut: 'avgPool' } as const;

export const resnet18d = resnet(
  'resnet18d',
  { block: BasicBlock, layers: [2, 2, 2, 2], ...deepStem },
  {
    ...gentle,
    params: 11_708_744,
    macs: 2_053_713_920,
    summary: 'resnet18 with a deep stem and averaging shortcuts',
  },
);

export const resnet26d = resnet(
  'resnet26d',
  { block: Bottleneck, layers: [2, 2, 2, 2], ...deepStem },
  {
    ...gentle,
    params: 16_014_408,
    macs: 2_581_897_216,
    summary: 'bottlenecks, two a stage, with a deep stem and averaging shortcuts',
  },
);

export const resnet34d = resnet(
  'resnet34d',
  { block: BasicBlock, layers: [3, 4, 6, 3], ...deepStem },
  {
    ...gentle,
    params: 21_816_904,
    macs: 3_903_401_984,
    summary: 'resnet34 with a deep stem and averaging shortcuts',
  },
);

export const resnet50d = resnet(
  'resnet50d',
  { block: Bottleneck, layers: [3, 4, 6, 3], ...deepStem },
  {
    ...gentle,
    params: 25_576_264,
    macs: 4_328_824_832,
    summary: 'resnet50 with a deep stem and averaging shortcuts',
  },
);

export const resnet101d = resnet(
  'resnet101d',
  { block: Bottleneck, layers: [3, 4, 23, 3], ...deepStem },
  {
    ...gentle,
    params: 44_568_392,
    macs: 8_041_046_016,
    summary: 'resnet101 with a deep stem and averaging shortcuts',
  },
);

export const resnet152d = resnet(
  'resnet152d',
  { block: Bottleneck, layers: [3, 8, 36, 3], ...deepStem },
  {
    ...gentle,
    params: 60_212_040,
    macs: 11_753_267_200,
    summary: 'resnet152 with a deep stem and averaging shortcuts',
  },
);

// —— the paper's networks for CIFAR (section 4.2): 6n + 2 layers, three stages, shortcuts without parameters ——

const small = { block: BasicBlock, channels: [16, 32, 64], shortcut: 'pad', stem: 'cifar' } as const;

const forCifar = { input: [3, 32, 32], numClasses: 10, remaps: [linearHead()] } as const;

/** The widely used files of github.com/akamaster/pytorch_resnet_cifar10 call the last layer `linear`. */
function linearHead(): RemapTable {
  return { source: 'pytorch_resnet_cifar10', when: /^linear\./, rules: [{ from: /^linear\./, to: 'fc.' }] };
}

export const resnet20 = resnet(
  'resnet20',
  { ...small, layers: [3, 3, 3] },
  {
    ...forCifar,
    params: 269_722,
    macs: 40_551_040,
    summary: '20 layers for pictures of 32 × 32; 91.25 % on CIFAR-10 in the paper',
  },
);

export const resnet32 = resnet(
  'resnet32',
  { ...small, layers: [5, 5, 5] },
  {
    ...forCifar,
    params: 464_154,
    macs: 68_862_592,
    summary: '32 layers for pictures of 32 × 32; 92.49 % on CIFAR-10 in the paper',
  },
);

export const resnet56 = resnet(
  'resnet56',
  { ...small, layers: [9, 9, 9] },
  {
    ...forCifar,
    params: 853_018,
    macs: 125_485_696,
    summary: '56 layers for pictures of 32 × 32; 93.03 % on CIFAR-10 in the paper',
  },
);
