/**
 * Batched matrix products on plain memory: y[M, N] = a[M, K] · b[K, N], either operand stored transposed. Here the way is chosen and the work
 * cut into tasks; the kernels are `gemm-panel.ts` (vectors along N, b packed or in place) and `gemm-dot.ts` (vectors along K, for operands
 * that both lie with K contiguous). Each sum runs over K in an order that the shapes alone fix, never the number of threads.
 */

import { blocked, type Layout, plain } from '../graph/layout.js';
import type { Lowering, TargetInfo } from '../graph/op.js';
import { dotKernel, planDot } from './gemm-dot.js';
import { type PanelPlan, panelKernel, planPanel, planPanelled } from './gemm-panel.js';
import { type GemmSizes, vectorOfRows } from './gemm-shape.js';

/** The ways to compute a matrix product of these sizes, best first. */
export function matmulLowerings(sizes: GemmSizes, target: TargetInfo): Lowering[] {
  const g = vectorOfRows(sizes);
  return prefersDot(g, target) ? [dotLowering(g, target)] : [panelLowering(g, target)];
}

/** For a b [batch, K, N] that lies in panels, [batch, N/nr, K, nr], so that nothing is packed; none where N is not in whole panels. */
export function panelledLowerings(g: GemmSizes, target: TargetInfo): Lowering[] {
  if (g.transA || g.transB) return [];
  const plan = planPanelled(g, target);
  return plan === null ? [] : [loweringOf(g, plan, blocked([0, 2, 1], 2, plan.nv * target.lanes))];
}

/** Vectors along N. Fits all sizes. */
export function panelLowering(g: GemmSizes, target: TargetInfo): Lowering {
  return loweringOf(g, planPanel(g, target), plain);
}

function loweringOf(g: GemmSizes, plan: PanelPlan, layoutOfB: Layout): Lowering {
  return {
    key: `gemm_${sizesKey(g)}_${plan.key}`,
    inputs: [plain, layoutOfB],
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
