/**
 * Batched matrix products on plain memory: y[M, N] = a[M, K] · b[K, N], either operand stored transposed. Here the way is chosen and the work
 * cut into tasks; the kernels are `gemm-panel.ts` (vectors along N, b packed or in place) and `gemm-dot.ts` (vectors along K, for operands
 * that both lie with K contiguous). Each sum runs over K in an order that the shapes alone fix, never the number of threads.
 */

import { plain } from '../graph/layout.js';
import type { Lowering, TargetInfo } from '../graph/op.js';
import { dotKernel, planDot } from './gemm-dot.js';
import { panelKernel, planPanel } from './gemm-panel.js';
import { type GemmSizes, vectorOfRows } from './gemm-shape.js';

/** The ways to compute a matrix product of these sizes, best first. */
export function matmulLowerings(sizes: GemmSizes, target: TargetInfo): Lowering[] {
  const g = vectorOfRows(sizes);
  return prefersDot(g, target) ? [dotLowering(g, target)] : [panelLowering(g, target)];
}

/** Vectors along N. Fits all sizes. */
export function panelLowering(g: GemmSizes, target: TargetInfo): Lowering {
  const plan = planPanel(g, target);
  return {
    key: `gemm_${sizesKey(g)}_${plan.key}`,
    inputs: [plain, plain],
    output: plain,
    coords: [g.batch, g.m, g.n],
    epilogue: true,
    ...(plan.scratchBytes > 0 ? { scratchBytes: plan.scratchBytes } : {}),
    build: (k, epilogue) => panelKernel(k, g, plan, epilogue),
  };
}

/** Vectors along K. Fits where neither the rows of a nor the columns of b are strided: a not transposed, b transposed. */
export function dotLowering(g: GemmSizes, target: TargetInfo): Lowering {
  const plan = planDot(g, target);
  return {
    key: `gemm_${sizesKey(g)}_${plan.key}`,
    inputs: [plain, plain],
    output: plain,
    coords: [g.batch, g.m, g.n],
    epilogue: true,
    ...(plan.scratchBytes > 0 ? { scratchBytes: plan.scratchBytes } : {}),
    build: (k, epilogue) => dotKernel(k, g, plan, epilogue),
  };
}

/** Sums long enough to pay for folding their lanes at the end, or too few rows to pay for packing b. */
function prefersDot(g: GemmSizes, target: TargetInfo): boolean {
  if (g.transA || !g.transB) return false;
  return g.k >= 64 * target.lanes || (g.m < 16 && g.k >= 4 * target.lanes) || g.m === 1;
}

function sizesKey(g: GemmSizes): string {
  const letters = `${g.swapped ? 's' : ''}${g.transA ? 't' : 'n'}${g.transB ? 't' : 'n'}`;
  return `${g.batch}x${g.m}x${g.n}x${g.k}_${letters}`;
}
