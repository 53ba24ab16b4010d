/**
 * Where realised numbers live: plain data on the host, or a block in a device's memory in that device's layout, or both.
 * A graph's `buffer` nodes point here. Writing a new value in place bumps `version`, so a node recorded before the write knows it is stale.
 */

import type { Draw } from '../util/draw.js';
import { allocate, type DType, type TypedArray } from '../util/dtype.js';
import { numel, type Shape } from '../util/shape.js';

/** A value in a device's own memory and layout. */
export interface DeviceBlock {
  readonly device: object;
  /** Plain row-major host copy. */
  read(): TypedArray;
  free(): void;
}

let nextId = 1;

export class Storage {
  readonly id = nextId++;
  version = 0;
  /** Named in messages, e.g. the parameter's path. */
  name: string | null = null;

  constructor(
    readonly shape: Shape,
    readonly dtype: DType,
    host: TypedArray | null,
    /** Persistent storages (parameters, buffers, optimiser state) move into device memory; the others are staged for each run. */
    readonly persistent = false,
  ) {
    this.#host = host;
  }

  block: DeviceBlock | null = null;
  #host: TypedArray | null;
  #fill: (() => TypedArray) | null = null;
  #draw: Draw | null = null;

  /** Row-major host data; null once the device's copy is the only current one. */
  get host(): TypedArray | null {
    if (this.#fill !== null) {
      this.#host = this.#fill();
      this.#fill = null;
      this.#draw = null;
    }
    return this.#host;
  }

  set host(data: TypedArray | null) {
    this.#host = data;
    this.#fill = null;
    this.#draw = null;
  }

  static zeros(shape: Shape, dtype: DType, persistent = false): Storage {
    return new Storage(shape, dtype, allocate(dtype, numel(shape)), persistent);
  }

  /** Current value, row-major. The array is the caller's only if it copies it. */
  read(): TypedArray {
    if (this.host !== null) return this.host;
    return this.block!.read();
  }

  /** Replaces the value from the host. */
  write(data: TypedArray): void {
    this.host = data;
    this.release();
    this.version++;
  }

  /**
   * Like `write`, but `fill` runs when somebody first looks: initial weights that a checkpoint replaces are never drawn. `draw` says what fill
   * will do, so that a device can do it in its place.
   */
  defer(fill: () => TypedArray, draw: Draw | null = null): void {
    this.release();
    this.version++;
    this.#host = null;
    this.#fill = fill;
    this.#draw = draw;
  }

  /** What the value will be drawn from; null when it is known already, or is not drawn. */
  get pendingDraw(): Draw | null {
    return this.#draw;
  }

  /** Gives device memory back (the value stays only if it is on the host). */
  release(): void {
    this.block?.free();
    this.block = null;
  }
}
