/** The launch that copies a value, as it lies, from one place to another. */

import type { Node } from '../graph/node.js';
import type { TargetInfo } from '../graph/op.js';
import { type ElemType, KernelBuilder } from '../ir/index.js';
import { pointwiseKernel } from '../kernels/nest.js';
import type { Place, PlannedLaunch } from './lower.js';

export function storeCopy(
  target: TargetInfo,
  elem: ElemType,
  elements: number,
  node: Node,
  from: Place,
  to: Place,
): PlannedLaunch {
  const walk = { elem, strides: [1], offset: 0 };
  const body = { steps: [{ kind: 'load', operand: 0 } as const], operands: [walk], outputs: [{ step: 0, to: walk }] };
  const k = new KernelBuilder({ lanes: target.lanes, registers: target.registers });
  return {
    kernel: pointwiseKernel(k, `store_${elements}`, [elements], body),
    args: [
      { place: from, offsetBytes: 0, writes: false },
      { place: to, offsetBytes: 0, writes: true },
    ],
    title: 'store',
    nodes: [node],
    macs: 0,
  };
}
