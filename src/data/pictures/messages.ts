/** What the pool and its workers say to each other. All of it is plain data. */

import type { CachedPlace, PictureFacts, PictureItem, PictureSpec } from './pipeline.node.js';

/** How far a picture goes: the whole way, or only so far, to be timed or looked at. */
export type PictureTask = 'load' | 'audit' | 'header' | 'read' | 'decode' | 'resize';

export interface PictureJob {
  readonly id: number;
  readonly spec: number;
  readonly task: PictureTask;
  readonly items: readonly PictureItem[];
  /** Whether resized pictures are to be kept. */
  readonly keep: boolean;
  /** Of `load`: where the pictures are written, each from its own byte on. Nobody else writes there while the worker has the job. */
  readonly out: SharedArrayBuffer | null;
  readonly offsets: readonly number[];
}

export type ToWorker =
  /** `cache` is where its pictures are kept, by number. */
  | { readonly kind: 'spec'; readonly id: number; readonly spec: PictureSpec; readonly cache: number | null }
  | { readonly kind: 'forget'; readonly id: number }
  /** Memory of a cache: `own` to fill, others to read. */
  | {
      readonly kind: 'slab';
      readonly id: number;
      readonly memory: SharedArrayBuffer;
      readonly cache: number;
      readonly own: boolean;
    }
  | { readonly kind: 'drop'; readonly id: number }
  | ({ readonly kind: 'job' } & PictureJob);

/** An error as it crosses: its class by name. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly code?: string | null;
  readonly path?: string;
}

export type ItemResult =
  | { readonly ok: true; readonly place: CachedPlace | null; readonly facts?: PictureFacts }
  | { readonly ok: false; readonly error: SentError };

export type FromWorker =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'done';
      readonly id: number;
      readonly results: readonly ItemResult[];
    }
  /** The whole job is wrong, not one of its pictures. */
  | { readonly kind: 'failed'; readonly id: number; readonly error: SentError }
  /** The worker's slab of a cache has no room for a picture of this many bytes. */
  | { readonly kind: 'full'; readonly cache: number; readonly bytes: number };
