/** What a report is made of. Only the evaluation is needed; each section appears where there is something to say. */

import type { JsonObject } from '../io/index.js';
import type { Evaluation } from '../train/index.js';
import type { History } from './history.js';

export interface ReportFacts {
  readonly parameters?: number;
  /** Shape of one sample. */
  readonly input?: readonly number[];
  /** Which weights were measured: 'best', 'last' … */
  readonly weights?: string;
  readonly device?: string;
  readonly threads?: number;
  readonly seed?: number;
  /** Of fovea. */
  readonly version?: string;
}

/** What is known about the data: from an audit, or counted. */
export interface DataSummary {
  readonly classes: readonly { name: string; train?: number; validation?: number; test?: number }[];
  /** In pixels. */
  readonly sizes?: { readonly width: Spread; readonly height: Spread };
  /** What was noticed: broken, tiny or duplicate pictures. */
  readonly notes?: readonly (string | DataNote)[];
}

/** A finding of an audit: what kind it is lets a page say it in its other language too. */
export interface DataNote {
  readonly kind: string;
  readonly count: number;
  /** A sentence in English. */
  readonly text: string;
}

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export interface ReportContent {
  readonly model: string;
  /** What the data is called. */
  readonly data: string;
  readonly evaluation: Evaluation;
  readonly facts?: ReportFacts;
  readonly history?: History | null;
  /** What training watched after each epoch. */
  readonly watched?: 'validation' | 'test';
  /** Of a learning-rate test. */
  readonly learningRates?: { readonly points: readonly { lr: number; loss: number }[]; readonly suggestion?: number };
  readonly summary?: DataSummary | null;
  readonly config?: JsonObject;
  /** Lines for a shell that do it again. */
  readonly commands?: readonly string[];
  /** What a sample is called, such as its file, by its place in the data set. */
  readonly nameOf?: (index: number) => string | undefined;
  /** A sample that is words. */
  readonly textOf?: (index: number) => string | undefined;
}

/** A picture that is in the page. */
export interface EmbeddedPicture {
  /** `data:image/…;base64,…` */
  readonly uri: string;
  /** Few pixels: to be shown as they are, not smoothed. */
  readonly small: boolean;
}

export interface PageInput extends ReportContent {
  readonly date: Date;
  readonly facts: ReportFacts;
  readonly pictures: ReadonlyMap<number, EmbeddedPicture>;
  /** Samples that have a picture for which there was no room. */
  readonly picturesLeftOut: number;
  /** The whole confusion matrix as a picture, for many classes. */
  readonly matrixUri?: string;
}
