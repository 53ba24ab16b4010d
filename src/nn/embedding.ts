/** A table of vectors, looked up by number. */

import { type Parameter, type Tensor, where } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { draw, normalQuantile } from './init.js';
import { requireCount } from './linear.js';
import { Module } from './module.js';
import { parameter } from './parameter.js';

/**
 * Row `index` of the weight for each index: integers [*] → [*, embeddingDim]. Rows start from the standard normal distribution; row
 * `paddingIdx` starts at zero and is never trained.
 */
export class Embedding extends Module {
  readonly weight: Parameter; // [numEmbeddings, embeddingDim]
  readonly paddingIdx: number | null;

  constructor(
    readonly numEmbeddings: number,
    readonly embeddingDim: number,
    { paddingIdx = null }: { paddingIdx?: number | null } = {},
  ) {
    super();
    requireCount(this, 'numEmbeddings', numEmbeddings);
    requireCount(this, 'embeddingDim', embeddingDim);
    const row = paddingIdx !== null && paddingIdx < 0 ? paddingIdx + numEmbeddings : paddingIdx;
    if (row !== null && !(Number.isInteger(row) && row >= 0 && row < numEmbeddings)) {
      throw new ConfigError(
        `Embedding: paddingIdx must be one of ${-numEmbeddings} … ${numEmbeddings - 1}; got ${paddingIdx}`,
      );
    }
    this.paddingIdx = row;
    this.weight = draw(parameter([numEmbeddings, embeddingDim]), (bits, out) => {
      for (let i = 0; i < out.length; i++) out[i] = normalQuantile(((bits[i] >>> 0) + 0.5) * 2 ** -32);
      if (row !== null) out.fill(0, row * embeddingDim, (row + 1) * embeddingDim);
    });
  }

  override forward(index: Tensor): Tensor {
    if (index.dtype === 'float32') throw new ConfigError("Embedding: indices are integers: pass index.to('int32')");
    const rows = this.weight.indexSelect(0, index.reshape([index.size])).reshape([...index.shape, this.embeddingDim]);
    if (this.paddingIdx === null) return rows;
    return where(index.eq(this.paddingIdx).unsqueeze(-1), rows.detach(), rows);
  }

  override extraRepr(): string {
    return `${this.numEmbeddings}, ${this.embeddingDim}${this.paddingIdx === null ? '' : `, paddingIdx=${this.paddingIdx}`}`;
  }
}
