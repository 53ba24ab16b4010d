/** Samples that were opened: what training, evaluation and the report take from there. */

import type { Dataset } from '../../data/index.js';
import type { RunConfig } from '../../io/all.node.js';
import type { JsonObject } from '../../io/index.js';
import type { DataSummary } from '../../report/index.js';

export interface OpenedData {
  readonly train: Dataset;
  readonly validation: Dataset | null;
  readonly test: Dataset | null;
  /** How samples become what the model takes: what config.json says of it. */
  readonly input: RunConfig['input'];
  /** For the report. */
  readonly summary: DataSummary | null;
  /** Written into the run as data.json: which samples are in which part. Null where that follows from the choice alone. */
  readonly parts: JsonObject | null;
  /** Ends threads. */
  close(): Promise<void>;
}
