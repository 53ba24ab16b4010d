/** Reports as files, in Node. */

export * from './index.js';
export { type MapReportOptions, renderMap } from './map.node.js';
export { type RobustnessReportOptions, renderRobustness } from './robustness.node.js';
export { picturesOf, type ReportOptions, renderReport, writeReport } from './write.node.js';
