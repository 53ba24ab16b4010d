/** C3D's weights under mmaction2's names. */

import { expect, it } from 'vitest';
import { c3d, remap, remapFor } from './index.js';

it('c3d takes the names of mmaction2 one to one', () => {
  const shapes = Object.entries(c3d().stateDict()).map(([path, { shape }]) => [path, shape] as const);
  const theirs = new Map(
    shapes.map(([path, shape]) => {
      const name = path
        .replace(/^conv([12])\./, 'conv$1a.')
        .replace(/^(conv\d[ab])\./, 'backbone.$1.conv.')
        .replace(/^(fc[67])/, 'backbone.$1')
        .replace(/^fc8/, 'cls_head.fc_cls');
      return [name, { shape, data: [] }];
    }),
  );
  expect([...theirs.keys()].filter((_, i) => i % 2 === 0)).toEqual([
    'backbone.conv1a.conv.weight',
    'backbone.conv2a.conv.weight',
    'backbone.conv3a.conv.weight',
    'backbone.conv3b.conv.weight',
    'backbone.conv4a.conv.weight',
    'backbone.conv4b.conv.weight',
    'backbone.conv5a.conv.weight',
    'backbone.conv5b.conv.weight',
    'backbone.fc6.weight',
    'backbone.fc7.weight',
    'cls_head.fc_cls.weight',
  ]);
  const renamed = remap(theirs, remapFor(theirs.keys(), c3d.remaps!));
  expect(Array.from(renamed, ([path, { shape }]) => [path, shape])).toEqual(shapes);
});
