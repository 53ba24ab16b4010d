/**
 * Draws random values straight into the layout in which a weight is to lie. One kernel serves every shape: sizes, key and scale come from a
 * table in memory, so that a network of a hundred weights compiles two or three of these, not a hundred.
 *
 * Element e of n takes word ⌊e/Q⌋, Q = ⌈n/4⌉, of Philox block e mod Q, as `philoxFill` does on the host. The weight is [O, K], lying
 * [⌈O/B⌉][K][B] (with K = 1: a plain row of O numbers). `whole`: O/4 is a multiple of B, so that the four words of a block fall into the same
 * lanes of four equally long runs, and each block is computed once; otherwise every element computes its own.
 */

import type { Float, I32, Int, Kernel, KernelBuilder } from '../ir/index.js';
import { type Arithmetic, normalOf, type RandomDraw, scaling, uniformOf } from '../util/draw.js';
import { philox } from './rearrange.js';

export interface DrawVariant {
  readonly kind: RandomDraw['kind'];
  /** B. A multiple of the lanes. */
  readonly block: number;
  readonly whole: boolean;
}

/** Words of the table of one weight. */
export const drawTableWords = 16;
const tasks = 64;
const at = {
  runs: 0,
  rowsPerTask: 1,
  inner: 2,
  quarter: 3,
  count: 4,
  offset: 5,
  factor: 6,
  stride: 7,
  key: 8,
} as const;

/** What the kernel reads: the weight's sizes as [O, K], what to draw, and the block of its layout. */
export function drawTable(o: number, k: number, draw: RandomDraw, { block, whole }: DrawVariant): Int32Array {
  const table = new Int32Array(drawTableWords);
  const floats = new Float32Array(table.buffer);
  const rows = (Math.ceil(o / block) * k) / (whole ? 4 : 1);
  table[at.runs] = rows;
  table[at.rowsPerTask] = Math.ceil(rows / tasks);
  table[at.inner] = k;
  table[at.quarter] = Math.ceil((o * k) / 4);
  table[at.count] = o * k;
  [floats[at.offset], floats[at.factor]] = scaling(draw);
  table[at.stride] = rows * block;
  table.set(draw.key, at.key);
  return table;
}

/** Parameters: the table, and where the weight lies. Writes whole blocks: up to B − 1 elements behind a plain row. */
export function drawKernel(k: KernelBuilder, { kind, block, whole }: DrawVariant): Kernel {
  const table = k.param('table', 'i32');
  const out = k.param('out', 'f32');
  const one = (word: number) => k.load(table, word, 1);
  const each = (word: number) => k.broadcast(table, word);
  const convert = kind === 'uniform' ? uniformOf : normalOf;
  k.tasks(tasks, (task) => {
    const [inner, quarter, count] = [one(at.inner), each(at.quarter), each(at.count)];
    const [offset, factor] = [each(at.offset).asF(), each(at.factor).asF()];
    const key = [0, 1, 2, 3].map((word) => each(at.key + word));
    const zero = k.int(0);
    const from = task.mul(one(at.rowsPerTask)) as I32;
    const to = from.add(one(at.rowsPerTask)).min(one(at.runs)) as I32;
    const lanesApart = k.iota().mul(k.splat(inner));

    // Row r is block b = ⌊r/K⌋ of outputs at k = r mod K; its first element is b·B·K + k.
    const b = from.div(inner);
    const within = k.var(from.sub(b.mul(inner)));
    const first = k.var(b.mul(inner).mul(block).add(within.value));
    k.loop({ from, to }, (row) => {
      for (let v = 0; v < block; v += k.lanes) {
        const e = k.splat(first.value.add(inner.mul(v))).add(lanesApart);
        const place = (quarterOf: number) => row.mul(block).add(one(at.stride).mul(quarterOf)).add(v);
        const draw = (word: Int): Float => convert(vectors(k), word, offset, factor);
        if (whole) {
          const words = philox(k, [e, key[2], key[3], zero], [key[0], key[1]], k.lanes);
          words.forEach((word, w) => void k.store(out, place(w), draw(word)));
        } else {
          const beyond = [1, 2, 3].map((w) => e.ge(quarter.mul(w)));
          const counter = beyond.reduce((c, mask) => c.sub(quarter.and(mask)), e);
          const words = philox(k, [counter, key[2], key[3], zero], [key[0], key[1]], k.lanes);
          const word = beyond.reduce((chosen, mask, i) => k.select(mask, words[i + 1], chosen), words[0]);
          // Lanes past the last output stay 0.
          k.store(out, place(0), k.select(e.lt(count), draw(word), 0));
        }
      }
      within.set(within.value.add(1));
      first.set(first.value.add(1));
      k.if(within.value.eq(inner) as I32, () => {
        within.set(0);
        first.set(first.value.add(inner.mul(block - 1)));
      });
    });
  });
  return k.finish(`draw_${kind}_${block}${whole ? '' : '_each'}`);
}

/** Many numbers at a time. */
function vectors(k: KernelBuilder): Arithmetic<Int, Float> {
  return {
    xor: (a, b) => a.xor(b),
    and: (a, b) => a.and(b),
    or: (a, b) => a.or(b),
    subtractFrom: (a, b) => k.int(a).sub(b),
    shr: (a, count) => a.shr(count),
    shrU: (a, count) => a.shrU(count),
    toF: (a) => a.toF(),
    asF: (a) => a.asF(),
    asI: (a) => a.asI(),
    add: (a, b) => a.add(b),
    sub: (a, b) => a.sub(b),
    mul: (a, b) => a.mul(b),
    div: (a, b) => a.div(b),
    neg: (a) => a.neg(),
    sqrt: (a) => a.sqrt(),
    whereNonNegative: (a, x, y) => k.select(a.ge(0), x(), y()),
  };
}
