/** What a server takes, where nobody says otherwise. */

export interface Limits {
  /** Pictures computed together, at most. */
  readonly maxBatch: number;
  /** How long a picture waits for others on their way. */
  readonly batchDelayMs: number;
  /** Of one request's body. */
  readonly maxBytes: number;
  /** Of one picture, width times height. */
  readonly maxPixels: number;
  /** From the first byte of a request to its answer. */
  readonly timeoutMs: number;
  /** Pictures that may wait. */
  readonly queue: number;
}

export const defaultLimits: Limits = {
  maxBatch: 16,
  batchDelayMs: 2,
  maxBytes: 10_000_000,
  maxPixels: 50_000_000,
  timeoutMs: 10_000,
  queue: 256,
};

/** Files in the form of one request. */
export const mostFiles = 32;
