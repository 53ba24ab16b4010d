/**
 * torchvision's names for the layers of MobileNets and EfficientNets. torchvision numbers what timm calls by name: the blocks of a MobileNet
 * from first to last, those of an EfficientNet by stage, and the layers of a block in the order they run in, each a pair of a convolution
 * (0) and its batch norm (1).
 */

import {
  type BlockRow,
  ConvBnAct,
  DepthwiseSeparableConv,
  EdgeResidual,
  InvertedResidual,
  type Stages,
} from './inverted-residual.js';
import type { RemapRule, RemapTable } from './remap.js';

type Pair = readonly [theirs: string, ours: string];

/** A block's convolutions with their batch norms, in the order they run in; squeeze-and-excitation stands in front of the last. */
const layersOf = new Map<BlockRow['Block'], readonly (readonly [conv: string, norm: string])[]>([
  [ConvBnAct, [['conv', 'bn1']]],
  [
    DepthwiseSeparableConv,
    [
      ['conv_dw', 'bn1'],
      ['conv_pw', 'bn2'],
    ],
  ],
  [
    EdgeResidual,
    [
      ['conv_exp', 'bn1'],
      ['conv_pwl', 'bn2'],
    ],
  ],
  [
    InvertedResidual,
    [
      ['conv_pw', 'bn1'],
      ['conv_dw', 'bn2'],
      ['conv_pwl', 'bn3'],
    ],
  ],
]);

const stem: readonly Pair[] = [
  ['features.0.0', 'conv_stem'],
  ['features.0.1', 'bn1'],
];

/** MobileNetV2: `features.2.conv.0.0`; a block's last convolution and batch norm stand beside the pairs, not in one. */
export function mobileNetV2Names(stages: Stages): RemapTable {
  return tableOf(() => {
    const blocks = numbered(stages);
    const inside = blocks.flatMap(({ row, index, ours }): Pair[] => {
      const layers = layersOf.get(row.Block)!;
      return layers.flatMap(([conv, norm], i): Pair[] => {
        const theirs = `features.${index + 1}.conv`;
        const [first, second] = i < layers.length - 1 ? [`${i}.0`, `${i}.1`] : [`${i}`, `${i + 1}`];
        return [
          [`${theirs}.${first}`, `${ours}.${conv}`],
          [`${theirs}.${second}`, `${ours}.${norm}`],
        ];
      });
    });
    return [...stem, ...inside, ...headOf(blocks.length + 1)];
  });
}

/** MobileNetV3: `features.2.block.0.0`; the layer behind the pooling is a linear one. */
export function mobileNetV3Names(stages: Stages): RemapTable {
  const layers = (): Pair[] => {
    const blocks = numbered(stages).flatMap(({ row, index, ours }) => {
      const theirs = `features.${index + 1}`;
      return row.Block === ConvBnAct ? pair(theirs, ours, 'conv', 'bn1') : blockNames(row, `${theirs}.block`, ours);
    });
    return [...stem, ...blocks, ['classifier.3', 'classifier']];
  };
  const head: RemapRule[] = [
    {
      from: /^classifier\.0\.weight$/,
      to: 'conv_head.weight',
      transform: ({ shape, data }) => ({ shape: [...shape, 1, 1], data }),
    },
    { from: /^classifier\.0\.bias$/, to: 'conv_head.bias' },
  ];
  return tableOf(layers, head);
}

/** EfficientNet and EfficientNetV2: `features.STAGE.BLOCK.block.0.0`. */
export function efficientNetNames(stages: Stages): RemapTable {
  return tableOf(() => {
    const blocks = numbered(stages).flatMap(({ row, stage, place, ours }) =>
      blockNames(row, `features.${stage + 1}.${place}.block`, ours),
    );
    return [...stem, ...blocks, ...headOf(stages.length + 1)];
  });
}

function headOf(last: number): Pair[] {
  return [...pair(`features.${last}`, '', 'conv_head', 'bn2'), ['classifier.1', 'classifier']];
}

function blockNames(row: BlockRow, theirs: string, ours: string): Pair[] {
  const layers = layersOf.get(row.Block)!;
  const squeezed = row.squeeze !== undefined && row.squeeze !== null;
  const last = layers.length - 1;
  const names = layers.flatMap(([conv, norm], i) =>
    pair(`${theirs}.${squeezed && i === last ? i + 1 : i}`, ours, conv, norm),
  );
  if (!squeezed) return names;
  const se: Pair[] = [
    [`${theirs}.${last}.fc1`, `${ours}.se.conv_reduce`],
    [`${theirs}.${last}.fc2`, `${ours}.se.conv_expand`],
  ];
  return [...names, ...se];
}

function pair(theirs: string, ours: string, conv: string, norm: string): Pair[] {
  const within = ours === '' ? '' : `${ours}.`;
  return [
    [`${theirs}.0`, within + conv],
    [`${theirs}.1`, within + norm],
  ];
}

/** Every block: its place in the network, and in its stage. */
function numbered(stages: Stages) {
  const blocks = stages.flatMap((rows, stage) =>
    rows
      .flatMap((row) => new Array<BlockRow>(row.repeats ?? 1).fill(row))
      .map((row, place) => ({ row, stage, place, ours: `blocks.${stage}.${place}` })),
  );
  return blocks.map((block, index) => ({ ...block, index }));
}

/** The pairs are listed when a file first calls for them. */
function tableOf(layers: () => readonly Pair[], rules: readonly RemapRule[] = []): RemapTable {
  let ours: ReadonlyMap<string, string> | null = null;
  const rename: RemapRule = {
    from: /^(.+)\.([^.]+)$/,
    to: ([name, layer, entry]) => {
      ours ??= new Map(layers());
      return ours.has(layer) ? `${ours.get(layer)}.${entry}` : name;
    },
  };
  return { source: 'torchvision', when: /^features\.0\.0\.weight$/, rules: [...rules, rename] };
}
