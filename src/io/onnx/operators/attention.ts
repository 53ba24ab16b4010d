/** Attention as one operator (version 23 on). Older exports spell it out in products and a softmax. Vaswani et al. 2017, arXiv:1706.03762. */

import { F, full, type Tensor, where } from '../../../tensor/index.js';
import type { OnnxNode } from '../import-node.js';
import { computes, type Operator, type OperatorTable, required } from './operator.js';

/** [N, L, heads · E] → [N, heads, L, E]; what has four axes is there already. */
function byHeads(node: OnnxNode, t: Tensor, heads: number | undefined): Tensor {
  if (t.ndim === 4) return t;
  if (t.ndim !== 3 || heads === undefined || heads < 1 || t.shape[2] % heads !== 0) {
    throw node.fail(`[${t.shape}] does not divide into ${heads ?? 'an unknown number of'} heads`);
  }
  return t.reshape([t.shape[0], t.shape[1], heads, -1]).transpose(1, 2);
}

const attention: Operator = computes((node) => {
  const [queryHeads, keyHeads] = [node.int('q_num_heads'), node.int('kv_num_heads')];
  const [causal, softcap] = [node.flag('is_causal'), node.float('softcap', 0)];
  if (node.outputs.some((_, i) => i > 0 && node.wants(i))) throw node.fail('only its first output is supported');
  if (node.input(4) !== null || node.input(5) !== null)
    throw node.fail('keys and values of the past are not supported');
  if (node.input(6) !== null) throw node.fail('lengths of keys and values are not supported');
  return (query, key, value, mask) => {
    const q = byHeads(node, required(node, query), queryHeads);
    const [k, v] = [key, value].map((t) => byHeads(node, required(node, t, 'an input'), keyHeads));
    const shared = q.shape[1] / k.shape[1]; // queries of several heads may read one head of keys
    if (!Number.isInteger(shared)) throw node.fail(`${q.shape[1]} heads of queries cannot share ${k.shape[1]} of keys`);
    const [keys, values] = [k, v].map((t) => (shared === 1 ? t : F.repeatInterleave(t, shared, 1)));
    const scale = node.float('scale', 1 / Math.sqrt(q.shape[3]));
    let scores = q.mul(scale).matmul(keys.transpose(-2, -1));
    if (causal) {
      const visible = F.tril(full([q.shape[2], k.shape[2]], 1));
      scores = where(visible.gt(0), scores, Number.NEGATIVE_INFINITY);
    }
    if (mask !== undefined) {
      scores = mask.dtype === 'bool' ? where(mask, scores, Number.NEGATIVE_INFINITY) : scores.add(mask);
    }
    if (softcap > 0) scores = scores.div(softcap).tanh().mul(softcap);
    const y = scores.softmax(-1).matmul(values);
    return required(node, query).ndim === 4 ? y : y.transpose(1, 2).flatten(2);
  };
});

export const attentions: OperatorTable = { Attention: attention };
