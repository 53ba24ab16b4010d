/**
 * What a model said about each picture it was measured on, in 20 bytes a picture: enough to find the worst mistakes, the answers it was least sure
 * of, and the pictures behind each cell of the confusion matrix.
 */

/** A model's answer to one picture. */
export interface SampleResult {
  /** Its place in the data set. */
  readonly index: number;
  readonly actual: number;
  readonly predicted: number;
  /** Probability of the class predicted. */
  readonly confidence: number;
  /** Probability of the actual class. */
  readonly probability: number;
}

export class SampleResults implements Iterable<SampleResult> {
  #length = 0;
  /** Columns: index, actual, predicted. */
  #classes: Int32Array;
  /** Columns: confidence, probability of the actual class. */
  #shares: Float32Array;

  /** `capacity`: how many are expected; more fit too. */
  constructor(capacity = 64) {
    this.#classes = new Int32Array(3 * capacity);
    this.#shares = new Float32Array(2 * capacity);
  }

  get length(): number {
    return this.#length;
  }

  add({ index, actual, predicted, confidence, probability }: SampleResult): void {
    const at = this.#length++;
    if (3 * at === this.#classes.length) this.#grow();
    this.#classes.set([index, actual, predicted], 3 * at);
    this.#shares.set([confidence, probability], 2 * at);
  }

  /** In the order they were added. */
  at(i: number): SampleResult {
    const [index, actual, predicted] = this.#classes.subarray(3 * i, 3 * i + 3);
    const [confidence, probability] = this.#shares.subarray(2 * i, 2 * i + 2);
    return { index, actual, predicted, confidence, probability };
  }

  *[Symbol.iterator](): Iterator<SampleResult> {
    for (let i = 0; i < this.#length; i++) yield this.at(i);
  }

  isCorrect(i: number): boolean {
    return this.#classes[3 * i + 1] === this.#classes[3 * i + 2];
  }

  /** Of each in turn, for `calibration`. */
  confidences(): Float32Array {
    return Float32Array.from({ length: this.#length }, (_, i) => this.#shares[2 * i]);
  }

  /** The wrong answers given with the most confidence, most first. */
  worstMistakes(count: number): SampleResult[] {
    return this.#pick(count, (i) => (this.isCorrect(i) ? null : -this.#shares[2 * i]));
  }

  /** The right answers given with the least confidence, least first. */
  leastConfident(count: number): SampleResult[] {
    return this.#pick(count, (i) => (this.isCorrect(i) ? this.#shares[2 * i] : null));
  }

  /** Pictures of class `actual` that were taken for `predicted`, most confident first. */
  ofPair(actual: number, predicted: number, count: number): SampleResult[] {
    const isPair = (i: number) => this.#classes[3 * i + 1] === actual && this.#classes[3 * i + 2] === predicted;
    return this.#pick(count, (i) => (isPair(i) ? -this.#shares[2 * i] : null));
  }

  /** The `count` with the smallest keys, equals in their order; null leaves one out. A sorted list of `count` is kept, never all. */
  #pick(count: number, keyOf: (i: number) => number | null): SampleResult[] {
    const best: { key: number; i: number }[] = [];
    for (let i = 0; i < this.#length; i++) {
      const key = keyOf(i);
      if (key === null || (best.length === count && !(key < best[count - 1]?.key))) continue;
      let at = best.length;
      while (at > 0 && best[at - 1].key > key) at--;
      best.splice(at, 0, { key, i });
      if (best.length > count) best.pop();
    }
    return best.map(({ i }) => this.at(i));
  }

  #grow(): void {
    const [classes, shares] = [this.#classes, this.#shares];
    const capacity = Math.max(64, 2 * this.#length);
    this.#classes = new Int32Array(3 * capacity);
    this.#shares = new Float32Array(2 * capacity);
    this.#classes.set(classes);
    this.#shares.set(shares);
  }
}
