/**
 * Texts as networks take them: rows of int32 tokens of one length. Words are found by Unicode's classes, Chinese characters and Japanese kana one by one (they
 * are not divided by spaces); the vocabulary is that of the training texts, most frequent first, behind `<pad>` (0) and `<unk>` (1). Token 0 fills up short
 * texts, which is what `models.textcnn` expects. Kim 2014, arXiv:1408.5882, section 3.
 */

import { array, integer, type Json, type JsonObject, literal, object, string } from '../io/schema.js';
import { ConfigError, FormatError } from '../util/errors.js';
import type { Batch, Dataset } from './dataset.js';

export const padToken = 0;
export const unknownToken = 1;

/** One character of the scripts that are written without spaces; a word with marks, digits and inner apostrophes; an emoji; `!` and `?`, which say something. */
const pattern =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}])[\p{L}\p{M}\p{N}])+(?:['’](?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}])[\p{L}\p{M}])+)*|\p{Extended_Pictographic}|[!?]/gu;

/** The tokens of a text, lower-case, in compatibility form (full-width letters are letters). */
export function* tokens(text: string): Generator<string, void, undefined> {
  for (const [token] of text.normalize('NFKC').toLowerCase().normalize('NFKC').matchAll(pattern))
    yield token.replaceAll('’', "'");
}

export function tokenize(text: string): string[] {
  return [...tokens(text)];
}

export interface VocabularyOptions {
  /** Rarer tokens are unknown. */
  readonly minCount?: number;
  /** How many tokens at most, `<pad>` and `<unk>` with them. */
  readonly maxSize?: number;
  /** Tokens of one text. Left out, long enough for 95 % of the texts, at most 512. */
  readonly length?: number;
}

const vocabularySchema = object({
  format: literal('fovea-vocabulary'),
  version: literal(1),
  tokenizer: literal('words-1'),
  length: integer({ min: 1, max: 1 << 20 }),
  tokens: array(string),
});

/** Which token has which number, and how long texts are made. Plain data: `toJson`, `fromJson`. */
export class Vocabulary {
  readonly #index: Map<string, number>;

  private constructor(
    /** By number; 0 and 1 are `<pad>` and `<unk>`. */
    readonly tokens: readonly string[],
    /** Tokens of one encoded text. */
    readonly length: number,
  ) {
    this.#index = new Map(tokens.map((token, i) => [token, i]));
  }

  /** From the training texts, and only those. The same texts make the same vocabulary. @throws {ConfigError} */
  static build(
    texts: Iterable<string>,
    { minCount = 1, maxSize = 30_000, length }: VocabularyOptions = {},
  ): Vocabulary {
    for (const [name, value, least] of [
      ['minCount', minCount, 1],
      ['maxSize', maxSize, 3],
      ['length', length ?? 1, 1],
    ] as const) {
      if (!(Number.isSafeInteger(value) && value >= least)) {
        throw new ConfigError(`Vocabulary: ${name} is a whole number from ${least} up, not ${value}`);
      }
    }
    const counts = new Map<string, number>();
    const lengths: number[] = [];
    for (const text of texts) {
      let count = 0;
      for (const token of tokens(text)) {
        counts.set(token, (counts.get(token) ?? 0) + 1);
        count++;
      }
      lengths.push(count);
    }
    const frequent = [...counts].filter(([, count]) => count >= minCount);
    frequent.sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
    const kept = frequent.slice(0, maxSize - specials.length).map(([token]) => token);
    return new Vocabulary([...specials, ...kept], length ?? usualLength(lengths));
  }

  get size(): number {
    return this.tokens.length;
  }

  /** `length` numbers: the beginning of a long text, a short one filled up with `<pad>`. */
  encode(text: string, length = this.length): Int32Array {
    const out = new Int32Array(length); // of padToken
    let at = 0;
    for (const token of tokens(text)) {
      if (at === length) break;
      out[at++] = this.#index.get(token) ?? unknownToken;
    }
    return out;
  }

  /** The tokens behind the numbers, padding left out. */
  decode(encoded: ArrayLike<number>): string[] {
    return Array.from(encoded, (i) => this.tokens[i] ?? specials[unknownToken]).filter(
      (token) => token !== specials[padToken],
    );
  }

  /** For config.json: `model.vocabulary`. */
  toJson(): JsonObject {
    const { length } = this;
    return { format: 'fovea-vocabulary', version: 1, tokenizer: 'words-1', length, tokens: [...this.tokens] };
  }

  /** @throws {FormatError} for what `toJson` did not write */
  static fromJson(json: Json | undefined, where = 'vocabulary'): Vocabulary {
    const { tokens: list, length } = vocabularySchema(json, where);
    if (specials.some((special, i) => list[i] !== special)) {
      throw new FormatError(
        `${where}: tokens begin with ${specials.join(', ')}, not with ${list.slice(0, 2).join(', ')}`,
      );
    }
    if (new Set(list).size !== list.length) throw new FormatError(`${where}: a token is there twice`);
    return new Vocabulary(list, length);
  }
}

const specials: readonly string[] = ['<pad>', '<unk>']; // no text has such tokens: brackets are none

/** Long enough for 95 % of the texts. */
function usualLength(lengths: number[]): number {
  if (lengths.length === 0) return 1;
  lengths.sort((a, b) => a - b);
  return Math.min(512, Math.max(1, lengths[Math.min(lengths.length - 1, Math.floor(0.95 * lengths.length))]));
}

/** Texts as a model takes them, [N, length]: for `predict`. */
export function encodeTexts(
  texts: readonly string[],
  vocabulary: Vocabulary,
  { length = vocabulary.length }: { length?: number } = {},
): Omit<Batch, 'labels'> & { readonly inputs: Int32Array } {
  const inputs = new Int32Array(texts.length * length);
  for (const [i, text] of texts.entries()) inputs.set(vocabulary.encode(text, length), i * length);
  return { inputs, shape: [texts.length, length] };
}

/** Labelled texts; samples are tokens [length]. */
export class TextDataset implements Dataset {
  readonly length: number;
  readonly labels: Int32Array;
  readonly shape: readonly [length: number];
  readonly texts: readonly string[];
  readonly classes: readonly string[];
  readonly vocabulary: Vocabulary;
  readonly #tokens: Int32Array;

  /** @throws {ConfigError} for a label that names no class */
  constructor({
    texts,
    labels,
    classes,
    vocabulary,
  }: {
    texts: readonly string[];
    labels: ArrayLike<number>;
    classes: readonly string[];
    vocabulary: Vocabulary;
  }) {
    if (texts.length !== labels.length)
      throw new ConfigError(`TextDataset: ${texts.length} texts, ${labels.length} labels`);
    for (let i = 0; i < labels.length; i++) {
      if (!Number.isInteger(labels[i]) || labels[i] < 0 || labels[i] >= classes.length) {
        throw new ConfigError(
          `TextDataset: label ${labels[i]} of text ${i} names no class: there are ${classes.length}`,
        );
      }
    }
    this.length = texts.length;
    this.texts = texts;
    this.labels = Int32Array.from(labels);
    this.classes = classes;
    this.vocabulary = vocabulary;
    this.shape = [vocabulary.length];
    this.#tokens = encodeTexts(texts, vocabulary).inputs;
  }

  batch(indices: ArrayLike<number>): Batch {
    const [length] = this.shape;
    const inputs = new Int32Array(indices.length * length);
    const labels = new Int32Array(indices.length);
    for (let k = 0; k < indices.length; k++) {
      const i = indices[k];
      if (!(i in this.texts)) throw new ConfigError(`TextDataset: there is no text ${i}: it has ${this.length}`);
      inputs.set(this.#tokens.subarray(i * length, (i + 1) * length), k * length);
      labels[k] = this.labels[i];
    }
    return { inputs, labels, shape: [indices.length, length] };
  }
}
