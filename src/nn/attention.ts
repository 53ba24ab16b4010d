/** Attention: every position reads from all positions, as much as their contents call for. Vaswani et al. 2017, arXiv:1706.03762. */

import { scopeSuffix } from '../graph/node.js';
import { F, type Parameter, type Tensor, tensor, where } from '../tensor/index.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { Dropout } from './dropout.js';
import { truncNormal, xavierUniform, zeros } from './init.js';
import { Linear, requireCount } from './linear.js';
import { Module } from './module.js';
import { parameter } from './parameter.js';

export interface AttentionOptions {
  /** Probability with which an attention weight is dropped while training. */
  readonly dropout?: number;
  readonly bias?: boolean;
  /** Sizes of the keys' and values' vectors, if not embedDim. */
  readonly kdim?: number;
  readonly vdim?: number;
  /** Inputs are [N, L, E] instead of [L, N, E]. */
  readonly batchFirst?: boolean;
}

export interface AttentionCall {
  /** [N, S], true where a key is to be ignored (or numbers that are added). */
  readonly keyPaddingMask?: Tensor | null;
  /** [L, S] or [N·numHeads, L, S], true where attending is forbidden (or numbers that are added). */
  readonly attnMask?: Tensor | null;
  /** Also return the attention weights. */
  readonly needWeights?: boolean;
  /** [N, L, S], the mean over the heads, instead of [N, numHeads, L, S]. */
  readonly averageAttnWeights?: boolean;
}

/**
 * Multi-head attention: queries [L, N, E], keys [S, N, kdim], values [S, N, vdim] → [output [L, N, E], weights or null]; with `batchFirst`
 * [N, L, E] and so on. Parameters, their names and initial values are PyTorch's.
 */
export class MultiheadAttention extends Module {
  readonly in_proj_weight: Parameter | null; // [3·embedDim, embedDim], unless kdim or vdim differ; then
  readonly q_proj_weight: Parameter | null; // [embedDim, embedDim]
  readonly k_proj_weight: Parameter | null; // [embedDim, kdim]
  readonly v_proj_weight: Parameter | null; // [embedDim, vdim]
  readonly in_proj_bias: Parameter | null; // [3·embedDim]
  readonly out_proj: Linear;
  readonly #dropout: Dropout;
  readonly batchFirst: boolean;

  constructor(
    readonly embedDim: number,
    readonly numHeads: number,
    { dropout = 0, bias = true, kdim = embedDim, vdim = embedDim, batchFirst = false }: AttentionOptions = {},
  ) {
    super();
    requireCount(this, 'embedDim', embedDim);
    requireCount(this, 'numHeads', numHeads);
    if (embedDim % numHeads !== 0) {
      throw new ConfigError(`MultiheadAttention: numHeads = ${numHeads} must divide embedDim = ${embedDim}`);
    }
    const together = kdim === embedDim && vdim === embedDim;
    const apart = (size: number) => (together ? null : xavierUniform(parameter([embedDim, size])));
    this.in_proj_weight = together ? xavierUniform(parameter([3 * embedDim, embedDim])) : null;
    this.q_proj_weight = apart(embedDim);
    this.k_proj_weight = apart(kdim);
    this.v_proj_weight = apart(vdim);
    this.in_proj_bias = bias ? parameter([3 * embedDim]) : null;
    this.out_proj = new Linear(embedDim, embedDim, { bias });
    if (this.out_proj.bias !== null) zeros(this.out_proj.bias);
    this.#dropout = new Dropout(dropout);
    this.batchFirst = batchFirst;
  }

  override forward(
    query: Tensor,
    key: Tensor = query,
    value: Tensor = key,
    { keyPaddingMask = null, attnMask = null, needWeights = true, averageAttnWeights = true }: AttentionCall = {},
  ): [output: Tensor, weights: Tensor | null] {
    this.check(query, key, value);
    const batched = (t: Tensor) => (this.batchFirst ? t : t.transpose(0, 1));
    const [q, k, v] = this.project(query, key, value).map((t) => this.split(batched(t))); // [N, numHeads, L or S, E/numHeads]
    const scores = q.mul(1 / Math.sqrt(this.embedDim / this.numHeads)).matmul(k.transpose(-2, -1));
    const masked = this.mask(this.mask(scores, attnMask), keyPaddingMask?.unsqueeze(1).unsqueeze(1) ?? null);
    const weights = masked.softmax(-1);
    this.#dropout.training = this.training;
    const mixed = this.#dropout.forward(weights).matmul(v).transpose(1, 2).flatten(2); // [N, L, E]
    const output = batched(this.out_proj.forward(mixed));
    return [output, needWeights ? (averageAttnWeights ? weights.mean(1) : weights) : null];
  }

  private check(query: Tensor, key: Tensor, value: Tensor): void {
    const kdim = (this.k_proj_weight ?? this.in_proj_weight)!.shape[1];
    const vdim = (this.v_proj_weight ?? this.in_proj_weight)!.shape[1];
    const sizes = [this.embedDim, kdim, vdim];
    const good = [query, key, value].every((t, i) => t.shape.length === 3 && t.shape[2] === sizes[i]);
    const [n, s] = this.batchFirst ? [0, 1] : [1, 0];
    if (good && key.shape[s] === value.shape[s] && key.shape[n] === query.shape[n] && value.shape[n] === query.shape[n])
      return;
    const letters = this.batchFirst ? ['N L E', 'N S kdim', 'N S vdim'] : ['L N E', 'S N kdim', 'S N vdim'];
    const lines = [query, key, value].map(
      (t, i) => `  ${['query', 'key  ', 'value'][i]}  ${formatShape(t.shape)}   ${letters[i]}`,
    );
    throw new ShapeError(
      `MultiheadAttention: the inputs do not fit\n${lines.join('\n')}\n` +
        `  Here E = ${this.embedDim}, kdim = ${kdim}, vdim = ${vdim}; N is common to all, S to key and value` +
        `${this.batchFirst ? '.' : '. For the batch in front, pass { batchFirst: true }.'}`,
    );
  }

  private project(query: Tensor, key: Tensor, value: Tensor): Tensor[] {
    const e = this.embedDim;
    const part = (i: number) => this.in_proj_bias?.narrow(0, i * e, e) ?? null;
    if (this.in_proj_weight === null) {
      const weights = [this.q_proj_weight!, this.k_proj_weight!, this.v_proj_weight!];
      return [query, key, value].map((t, i) => F.linear(t, weights[i], part(i)));
    }
    // Self-attention: one product for all three.
    if (query === key && key === value) return F.linear(query, this.in_proj_weight, this.in_proj_bias).chunk(3, -1);
    return [query, key, value].map((t, i) => F.linear(t, this.in_proj_weight!.narrow(0, i * e, e), part(i)));
  }

  private split(t: Tensor): Tensor {
    return t.unflatten(2, [this.numHeads, this.embedDim / this.numHeads]).transpose(1, 2);
  }

  private mask(scores: Tensor, mask: Tensor | null): Tensor {
    if (mask === null) return scores;
    const shaped = mask.shape.length === 3 ? mask.reshape(scores.shape) : mask;
    return shaped.dtype === 'float32' ? scores.add(shaped) : where(shaped, -Infinity, scores);
  }

  override extraRepr(): string {
    return `${this.embedDim}, ${this.numHeads}${this.batchFirst ? ', batchFirst=true' : ''}`;
  }
}

export interface SelfAttentionOptions {
  readonly qkvBias?: boolean;
  /** Probability with which an attention weight is dropped while training. */
  readonly dropout?: number;
}

/**
 * Multi-head self-attention of tokens [N, L, dim] → [N, L, dim], with the parameter names of timm's vision transformers: one layer makes
 * queries, keys and values. `bias` broadcasts over the scores [N, numHeads, L, L] and is added to them: relative positions, masks.
 */
export class Attention extends Module {
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly #dropout: Dropout;

  constructor(
    readonly dim: number,
    readonly numHeads: number,
    { qkvBias = true, dropout = 0 }: SelfAttentionOptions = {},
  ) {
    super();
    requireHeads(this, dim, numHeads);
    this.qkv = new Linear(dim, 3 * dim, { bias: qkvBias });
    this.proj = new Linear(dim, dim);
    this.#dropout = new Dropout(dropout);
  }

  override forward(x: Tensor, bias: Tensor | null = null): Tensor {
    this.#dropout.training = this.training;
    const [n, l] = x.shape;
    const split = this.qkv.forward(x).reshape([n, l, 3, this.numHeads, this.dim / this.numHeads]);
    const [q, k, v] = split.permute([2, 0, 3, 1, 4]).unbind(0); // [N, numHeads, L, dim / numHeads]
    const scores = q.mul((this.dim / this.numHeads) ** -0.5).matmul(k.transpose(-2, -1));
    const weights = (bias === null ? scores : scores.add(bias)).softmax(-1);
    const mixed = this.#dropout.forward(weights).matmul(v);
    return this.proj.forward(mixed.transpose(1, 2).flatten(2));
  }

  override extraRepr(): string {
    return `${this.dim}, ${this.numHeads}`;
  }
}

/**
 * A learned number for each head and each distance between two places of a window, to be added to attention scores: [numHeads, L, L], L = H · W.
 * Shaw et al. 2018, arXiv:1803.02155, in two dimensions as in Swin (Liu et al. 2021, arXiv:2103.14030). The table of a window serves smaller
 * ones too, which have fewer distances.
 */
export class RelativePositionBias extends Module {
  readonly relative_position_bias_table: Parameter; // [(2·height − 1) · (2·width − 1), numHeads]
  readonly #indices = new Map<string, Tensor>();

  constructor(
    readonly windowSize: readonly [height: number, width: number],
    readonly numHeads: number,
  ) {
    super();
    const [height, width] = windowSize;
    this.relative_position_bias_table = parameter([(2 * height - 1) * (2 * width - 1), numHeads]);
    truncNormal(this.relative_position_bias_table, { std: 0.02 });
  }

  /** For a window of `size`, at most `windowSize`. */
  override forward(size: readonly [height: number, width: number] = this.windowSize): Tensor {
    const area = size[0] * size[1];
    const rows = this.relative_position_bias_table.indexSelect(0, this.#index(size));
    return rows.reshape([area, area, this.numHeads]).permute([2, 0, 1]);
  }

  /** The table's row for each pair of places. */
  #index([h, w]: readonly [number, number]): Tensor {
    const [height, width] = this.windowSize;
    if (h > height || w > width) {
      throw new ShapeError(
        `RelativePositionBias: a window of ${h} × ${w} is larger than the table${scopeSuffix()}\n` +
          `  relative_position_bias_table is for ${height} × ${width} places. Build the model for larger pictures: { imageSize }.`,
      );
    }
    const known = this.#indices.get(`${h} ${w}`);
    if (known !== undefined) return known;
    const index = Int32Array.from({ length: (h * w) ** 2 }, (_, i) => {
      const [query, key] = [Math.floor(i / (h * w)), i % (h * w)];
      const dy = Math.floor(query / w) - Math.floor(key / w);
      const dx = (query % w) - (key % w);
      return (dy + height - 1) * (2 * width - 1) + dx + width - 1;
    });
    const made = tensor(index, { dtype: 'int32' });
    this.#indices.set(`${h} ${w}`, made);
    return made;
  }

  override extraRepr(): string {
    return `windowSize=${formatShape(this.windowSize)}, numHeads=${this.numHeads}`;
  }
}

function requireHeads(layer: Module, dim: number, numHeads: number): void {
  requireCount(layer, 'dim', dim);
  requireCount(layer, 'numHeads', numHeads);
  if (dim % numHeads === 0) return;
  throw new ConfigError(`${layer.constructor.name}: numHeads = ${numHeads} must divide dim = ${dim}`);
}
