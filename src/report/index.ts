/** Reports of evaluations, and the plots in them. Writing files is in index.node.ts. */

export { type EpochLine, type History, parseHistory, type StepLine } from './history.js';
export type { DataNote, DataSummary, ReportContent, ReportFacts, Spread } from './input.js';
export { type AuditFacts, summaryOf } from './summary.js';
