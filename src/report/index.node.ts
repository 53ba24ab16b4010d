/** Reports as files, in Node. */

export * from './index.js';
export { type RobustnessReportOptions, renderRobustness } from './robustness.node.js';
export { picturesOf, type ReportOptions, renderReport, writeReport } from './write.node.js';
