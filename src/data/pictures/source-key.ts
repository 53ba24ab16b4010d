/** A text that is equal for equal sources: what a cache finds pictures by. */

import type { PictureSource } from './sample.js';

const numbers = new WeakMap<SharedArrayBuffer, number>();
let last = 0;

export function sourceKey(source: PictureSource): string {
  switch (source.kind) {
    case 'file':
      return `file ${source.path}`;
    case 'slice':
      return `slice ${source.offset} ${source.path}`;
    case 'row':
      return `row ${source.row} ${source.column} ${source.path}`;
    case 'memory': {
      const number = numbers.get(source.memory) ?? last++;
      numbers.set(source.memory, number);
      return `memory ${number} ${source.offset}`;
    }
  }
}
