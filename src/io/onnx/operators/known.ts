/**
 * Tensors whose numbers are known while a network is recorded: constants, shapes, and what is computed from these. Exporters write sizes as
 * programs (Shape → Gather → Concat → Reshape); here they are computed on the host, by the reference's meaning of the same operations that
 * would run on a device, so that each operator is written once. Nothing known ever depends on the numbers of an input, only on shapes.
 */

import { Storage } from '../../../graph/storage.js';
import { topological } from '../../../graph/traverse.js';
import { ReferenceTarget } from '../../../ops/reference/index.js';
import { buffer } from '../../../ops/source.js';
import { Tensor } from '../../../tensor/index.js';
import { allocate, type DType, type TypedArray } from '../../../util/dtype.js';
import { numel, type Shape } from '../../../util/shape.js';

/** A tensor with its numbers at hand: do not write to them. */
export class Known extends Tensor {
  constructor(
    readonly values: TypedArray,
    shape: Shape,
    dtype: DType,
  ) {
    super(buffer(new Storage(shape, dtype, values)));
  }

  /** The numbers as plain ones. */
  list(): number[] {
    return Array.from(this.values);
  }
}

/** int32 numbers along one axis. */
export function knownInts(values: readonly number[]): Known {
  return new Known(Int32Array.from(values, toInt32), [values.length], 'int32');
}

/** ONNX counts in int64 and writes "to the end" as its largest value; fovea's integers have 32 bits. */
export function toInt32(value: number): number {
  return Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, value));
}

/** More numbers than this are left to the device, even if they are known. */
export const mostKnown = 1 << 20;

/** So few are computed on the host in any case: shapes and sizes must be. */
const alwaysKnown = 1 << 9;

/**
 * What may be computed on the host for one model, in elements and multiply-adds. It lasts for the constants of any network that was meant to run;
 * a file made to keep the host busy comes to its end in a few seconds.
 */
export class HostWork {
  #left = 2 ** 25;

  /** Whether there is room for as much work as computing `t` is; takes it. */
  admits(t: Tensor): boolean {
    if (numel(t.shape) > mostKnown) return false;
    let work = 0;
    for (const node of topological([t.current], (n) => n.inputs.length === 0)) {
      work += numel(node.shape) + (node.op.facts.macs?.(node) ?? 0);
    }
    if (work <= alwaysKnown) return true;
    if (work > this.#left) return false;
    this.#left -= work;
    return true;
  }
}

const reference = new ReferenceTarget();

/**
 * `compute`, run on the host where all inputs are known and small. Results are kept for the inputs they came from, so shape arithmetic is done
 * once for each shape of a network's inputs.
 */
export function hostWherePossible(
  compute: (...inputs: (Tensor | undefined)[]) => Tensor | readonly Tensor[],
  work: HostWork,
): (...inputs: (Tensor | undefined)[]) => Tensor | readonly Tensor[] {
  const remembered: { inputs: readonly (Tensor | undefined)[]; results: readonly Tensor[] }[] = [];
  return (...inputs) => {
    if (!inputs.every((x) => x === undefined || x instanceof Known)) return compute(...inputs);
    const found = remembered.find((entry) => entry.inputs.every((x, i) => x === inputs[i]));
    if (found !== undefined) return found.results;
    const made = compute(...inputs);
    const results = (made instanceof Tensor ? [made] : made).map((t) => onHost(t, work));
    if (results.every((t) => t instanceof Known)) {
      if (remembered.length >= shapesRemembered) remembered.shift();
      remembered.push({ inputs, results });
    }
    return results;
  };
}

/** For how many input shapes a step's known results are kept. */
const shapesRemembered = 4;

/** The tensor with its numbers, which must follow from constants; the tensor itself where that would be too much work. */
function onHost(t: Tensor, work: HostWork): Tensor {
  if (t instanceof Known || !work.admits(t)) return t;
  const { data } = reference.evaluate(t.current);
  const values = allocate(t.dtype, data.length);
  values.set(data as ArrayLike<number>);
  return new Known(values, t.shape, t.dtype);
}
