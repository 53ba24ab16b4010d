/**
 * Windows as ONNX writes them: kernel_shape, strides, dilations, and pads for both ends of each axis or a rule in auto_pad ("same" pads so that
 * the output has ⌈input / stride⌉ elements; the odd one goes to the end or to the beginning).
 */

import type { OnnxNode } from '../import-node.js';

export type Pads = readonly (readonly [lo: number, hi: number])[];

export interface OnnxWindow {
  readonly kernelSize: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  /** null: 'same' with a stride, which depends on the input's size. */
  readonly padding: Pads | null;
}

/** @throws {FormatError} for lists of another length than the kernel's and for numbers out of their range. */
export function windowOf(node: OnnxNode, kernel: readonly number[] | null): OnnxWindow {
  const kernelSize = node.ints('kernel_shape') ?? kernel;
  if (kernelSize === null) throw node.fail('kernel_shape is missing');
  const rank = kernelSize.length;
  if (kernel !== null && (rank !== kernel.length || kernel.some((n, i) => n !== kernelSize[i]))) {
    throw node.fail(`kernel_shape is [${kernelSize}], its weight has [${kernel}]`);
  }
  const list = (name: string, fallback: number, least: number, length = rank): number[] => {
    const values = node.ints(name) ?? new Array<number>(length).fill(fallback);
    // Some writers leave an empty list where they mean the default.
    const all = values.length === 0 ? new Array<number>(length).fill(fallback) : values;
    if (all.length !== length || !all.every((v) => Number.isSafeInteger(v) && v >= least && v < 2 ** 31)) {
      throw node.fail(`${name} is [${values}]; ${length} whole numbers from ${least} up are expected`);
    }
    return all;
  };
  if (rank < 1 || kernelSize.some((n) => !(Number.isSafeInteger(n) && n >= 1 && n < 2 ** 31))) {
    throw node.fail(`a window of [${kernelSize}] has no size`);
  }
  const stride = list('strides', 1, 1);
  const dilation = list('dilations', 1, 1);
  const pads = list('pads', 0, 0, 2 * rank);
  const rule = node.word('auto_pad', ['NOTSET', '', 'VALID', 'SAME_UPPER', 'SAME_LOWER'], 'NOTSET');
  const window = { kernelSize, stride, dilation };
  if (rule === 'VALID') return { ...window, padding: kernelSize.map(() => [0, 0]) };
  if (rule === 'NOTSET' || rule === '')
    return { ...window, padding: kernelSize.map((_, i) => [pads[i], pads[i + rank]]) };
  const fixed = stride.every((s) => s === 1);
  return { ...window, padding: fixed ? autoPadding(node, kernelSize, { ...window, padding: null }) : null };
}

/** What 'same' pads an input with these spatial sizes by. */
export function autoPadding(node: OnnxNode, spatial: readonly number[], window: OnnxWindow): Pads {
  const upper = node.string('auto_pad') === 'SAME_UPPER';
  return window.kernelSize.map((kernel, i) => {
    const span = window.dilation[i] * (kernel - 1) + 1;
    const outputs = Math.ceil(spatial[i] / window.stride[i]);
    const total = Math.max(0, (outputs - 1) * window.stride[i] + span - spatial[i]);
    const half = Math.floor(total / 2);
    return upper ? [half, total - half] : [total - half, half];
  });
}
