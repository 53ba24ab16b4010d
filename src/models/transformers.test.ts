/** What golden files do not show of Swin, CoAtNet and MobileViT: stored buffers, pictures of other sizes, initial values, what training drops. */

import { describe, expect, it } from 'vitest';
import type { Module } from '../nn/index.js';
import { manualSeed, noGrad, rand, zeros } from '../tensor/index.js';
import { coatnet_0_rw_224 } from './coatnet.js';
import { convnext_atto } from './convnext.js';
import { mobilevit_xxs } from './mobilevit.js';
import { remap, remapFor, type Stored } from './remap.js';
import { swin_t } from './swin-transformer.js';
import { vit_tiny_patch16_224 } from './vision-transformer.js';

const shapes = (entries: Iterable<[string, { readonly shape: readonly number[] }]>) =>
  Array.from(entries, ([path, { shape }]) => `${path} [${shape}]`).sort();

describe('Swin', () => {
  const own = Object.entries(swin_t().stateDict()).map(([path, { shape }]) => [path, shape] as const);

  it('reads torchvision’s files, which hold the indices of the bias tables too', () => {
    const state = new Map<string, Stored>([
      ['features.1.0.attn.relative_position_bias_table', { shape: [169, 3], data: [] }],
      ['features.1.0.attn.relative_position_index', { shape: [2401], data: [] }],
      ['features.2.reduction.weight', { shape: [192, 384], data: [] }],
    ]);
    expect(shapes(remap(state, remapFor(state.keys(), swin_t.remaps!)))).toEqual([
      'layers.0.blocks.0.attn.relative_position_bias_table [169,3]',
      'layers.1.downsample.reduction.weight [192,384]',
    ]);
  });

  it('reads the authors’ files: merging at the end of a stage, masks and indices stored', () => {
    const state = new Map<string, Stored>();
    for (const [path, shape] of own) {
      const theirs = path
        .replace(/^layers\.(\d)\.downsample/, (_, i) => `layers.${Number(i) - 1}.downsample`)
        .replace('head.fc', 'head');
      state.set(theirs, { shape, data: [] });
    }
    state.set('layers.0.blocks.1.attn_mask', { shape: [64, 49, 49], data: [] });
    state.set('layers.0.blocks.1.attn.relative_position_index', { shape: [49, 49], data: [] });
    expect(shapes(remap(state, remapFor(state.keys(), swin_t.remaps!)))).toEqual(
      own.map(([path, shape]) => `${path} [${shape}]`).sort(),
    );
  });

  it('cuts smaller windows where a stage’s map is smaller', () => {
    const table = 'attn.relative_position_bias_table';
    const state = swin_t({ imageSize: 64 }).stateDict(); // maps of 16, 8, 4 and 2 pixels
    expect([0, 1, 2, 3].map((i) => state[`layers.${i}.blocks.0.${table}`].shape[0])).toEqual([169, 169, 49, 9]);
  });

  it('takes pictures of any multiple of 4', () => {
    expect(
      swin_t({ numClasses: 3 })
        .eval()
        .forward(zeros([1, 3, 36, 52])).shape,
    ).toEqual([1, 3]);
  });
});

describe('CoAtNet', () => {
  it('takes smaller pictures, and says what larger ones need', () => {
    const model = coatnet_0_rw_224({ numClasses: 3 }).eval();
    expect(model.forward(zeros([1, 3, 64, 160])).shape).toEqual([1, 3]);
    expect(() => model.forward(zeros([1, 3, 256, 256]))).toThrow('Build the model for larger pictures: { imageSize }.');
    const larger = coatnet_0_rw_224({ numClasses: 3, imageSize: 256 }).eval();
    expect(larger.forward(zeros([1, 3, 256, 256])).shape).toEqual([1, 3]);
  });
});

describe('transformers and their kin', () => {
  it('begin from the initial values of timm', async () => {
    manualSeed(3);
    const spread = async (model: Module, path: string) => {
      const data = (await model.stateDict()[path].data()) as Float32Array;
      return Math.sqrt(data.reduce((sum, v) => sum + v * v, 0) / data.length);
    };
    const near = (got: number, wanted: number) => expect(Math.abs(got / wanted - 1)).toBeLessThan(0.05);
    near(await spread(convnext_atto(), 'stages.1.blocks.0.mlp.fc1.weight'), 0.02);
    near(await spread(convnext_atto(), 'stages.1.blocks.0.gamma'), 1e-6);
    near(await spread(vit_tiny_patch16_224(), 'pos_embed'), 0.02);
    near(await spread(vit_tiny_patch16_224(), 'blocks.0.attn.qkv.weight'), 0.02);
    near(await spread(swin_t(), 'layers.3.blocks.0.attn.relative_position_bias_table'), 0.02);
    near(await spread(coatnet_0_rw_224(), 'stages.1.blocks.1.conv1_1x1.weight'), Math.sqrt(2 / 768));
    near(await spread(coatnet_0_rw_224(), 'stages.3.blocks.1.attn.proj.weight'), Math.sqrt(1 / 768));
    near(await spread(mobilevit_xxs(), 'head.fc.weight'), 0.01);
    near(await spread(mobilevit_xxs(), 'stages.2.1.conv_fusion.conv.weight'), Math.sqrt(2 / (48 * 9)));
    for (const zeroInitResidual of [false, true]) {
      const model = mobilevit_xxs({ zeroInitResidual });
      expect(await spread(model, 'stages.1.1.conv3_1x1.bn.weight')).toBe(zeroInitResidual ? 0 : 1);
      expect(await spread(model, 'stages.1.0.conv3_1x1.bn.weight')).toBe(1); // no shortcut
    }
  });

  it('skip blocks and drop features while training, the same ones again from the same seed', async () => {
    const x = rand([4, 3, 32, 32]);
    const output = async (drop: object) => {
      manualSeed(5);
      const model = vit_tiny_patch16_224({ numClasses: 4, depth: 3, ...drop });
      return Array.from(await noGrad(() => model.forward(x)).data());
    };
    const steady = await output({});
    const blocks = await output({ stochasticDepth: 0.5 });
    expect(blocks).not.toEqual(steady);
    expect(await output({ dropout: 0.5 })).not.toEqual(steady);
    expect(await output({ stochasticDepth: 0.5 })).toEqual(blocks);
  });
});
