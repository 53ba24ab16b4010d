/**
 * TextCNN: convolutions over the vectors of neighbouring words, of which the strongest answer in the whole text counts.
 * Kim 2014, "Convolutional neural networks for sentence classification", arXiv:1408.5882. Names are those of the PyTorch version that most
 * checkpoints come from (Shawn1993/cnn-text-classification-pytorch): embed, convs.0 … convs.2, fc1.
 */

import { Dropout, Embedding, init, Linear, Module, ModuleList, parameter, type StateEntry } from '../nn/index.js';
import { concat, type Parameter, type Tensor } from '../tensor/index.js';
import { defineModel, type ModelOptions } from './define.js';
import type { RemapTable, Stored } from './remap.js';

export interface TextCNNOptions extends ModelOptions {
  /** How many words each kind of window covers. */
  readonly windows?: readonly number[];
  /** Maps of each kind. */
  readonly maps?: number;
  /** Length of a word's vector. */
  readonly embedDim?: number;
  /**
   * The paper's variants. 'rand': vectors start at random and are trained. 'nonStatic': `vectors` are trained further. 'static': they stay as they
   * are. Left out: 'nonStatic' with `vectors`, else 'rand'. Without `vectors` all start at random, until a file gives better ones.
   */
  readonly embeddings?: 'rand' | 'nonStatic' | 'static';
  /** What each token starts from, [inChannels, embedDim]: word2vec, GloVe. */
  readonly vectors?: StateEntry;
  /** The token that fills up short texts: its vector is 0 and stays so. */
  readonly paddingIdx?: number | null;
  /** Share of the features dropped in front of the linear layer while training. */
  readonly dropout?: number;
}

/**
 * Windows of `size` words: vectors [N, L, embedDim] → [N, maps, L − size + 1]. The weight is that of a 2-D convolution as wide as a vector; as the
 * window has nowhere to go across one, this is a 1-D convolution over words whose channels are the vector's elements.
 */
export class WordWindows extends Module {
  readonly weight: Parameter; // [maps, 1, size, embedDim]
  readonly bias: Parameter; // [maps]

  constructor(
    readonly size: number,
    readonly embedDim: number,
    readonly maps: number,
  ) {
    super();
    const bound = 1 / Math.sqrt(size * embedDim);
    this.weight = init.uniform(parameter([maps, 1, size, embedDim]), -bound, bound);
    this.bias = init.uniform(parameter([maps]), -bound, bound);
  }

  override forward(words: Tensor): Tensor {
    const kernel = this.weight.squeeze(1).transpose(1, 2); // [maps, embedDim, size]
    return words.transpose(1, 2).conv1d(kernel, { bias: this.bias });
  }

  override extraRepr(): string {
    return `${this.size}, embedDim=${this.embedDim}, maps=${this.maps}`;
  }
}

/**
 * Texts [N, L] of tokens 0 … inChannels − 1 → class scores [N, numClasses]. A text shorter than the largest window is filled up with vectors of
 * 0. Token 0 is padding, as in the author's code. Initial values are those of PyTorch's layers.
 */
export class TextCNN extends Module {
  readonly embed: Embedding;
  readonly convs: ModuleList;
  readonly dropout: Dropout;
  readonly fc1: Linear;
  readonly #longest: number;

  constructor(options: TextCNNOptions & Required<ModelOptions>) {
    super();
    const { numClasses, inChannels, windows = [3, 4, 5], maps = 100, embedDim = 300 } = options;
    const { embeddings, vectors, paddingIdx = 0, dropout = 0.5 } = options;
    this.embed = new Embedding(inChannels, embedDim, { paddingIdx });
    this.convs = new ModuleList(windows.map((size) => new WordWindows(size, embedDim, maps)));
    this.dropout = new Dropout(dropout);
    this.fc1 = new Linear(windows.length * maps, numClasses);
    this.#longest = Math.max(...windows);

    if (vectors !== undefined && embeddings !== 'rand') this.embed.loadStateDict({ weight: vectors });
    if (embeddings === 'static') this.embed.requiresGrad(false);
  }

  override forward(tokens: Tensor): Tensor {
    const missing = Math.max(0, this.#longest - tokens.shape[1]);
    const words = this.embed.forward(tokens).pad([
      [0, missing],
      [0, 0],
    ]);
    const strongest = this.convs.map((conv) => (conv.forward(words) as Tensor).relu().amax(2)); // over time
    return this.fc1.forward(this.dropout.forward(concat(strongest, 1)));
  }
}

/** Versions that call the embedding and the linear layer otherwise, or convolve over words in one dimension: weights [maps, embedDim, size]. */
const conv1d: RemapTable = {
  source: 'TextCNN with Conv1d',
  when: /^convs\.\d+\.weight$/,
  rules: [
    { from: /^convs\.\d+\.weight$/, to: (match) => match[0], transform: fromConv1d },
    { from: /^embedding\./, to: 'embed.' },
    { from: /^fc\./, to: 'fc1.' },
  ],
};

/** [maps, embedDim, size] → [maps, 1, size, embedDim]; what has four axes is right as it is. */
function fromConv1d(value: Stored): Stored {
  if (value.shape.length !== 3) return value;
  const [maps, embedDim, size] = value.shape;
  const data = new Float32Array(value.data.length);
  for (let m = 0; m < maps; m++) {
    for (let d = 0; d < embedDim; d++) {
      for (let k = 0; k < size; k++) {
        data[(m * size + k) * embedDim + d] = value.data[(m * embedDim + d) * size + k];
      }
    }
  }
  return { shape: [maps, 1, size, embedDim], data };
}

export const textcnn = defineModel('textcnn', (o: TextCNNOptions & Required<ModelOptions>) => new TextCNN(o), {
  params: 5_990_402,
  macs: 19_020_600,
  input: [56],
  inputKind: 'tokens',
  vocabulary: 18_765, // texts and words of the paper's film reviews (its table 1)
  numClasses: 2,
  output: 'logits',
  heads: ['fc1'],
  year: 2014,
  summary: 'windows of three, four and five words, the strongest answer of each kind; for sentences',
  source: 'Kim 2014, arXiv:1408.5882',
  remaps: [conv1d],
});
