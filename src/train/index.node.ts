/** Trainings on disk, for Node. */

export { type Classifier, type ClassifierOptions, openClassifier } from './classifier.node.js';
export { type LoadedRun, loadRun, type RunWeights } from './load-run.node.js';
export { CsvLog, TensorBoardLog, type TensorBoardOptions } from './log-writers.node.js';
export { modelTensors, RunRecorder, type RunRecorderOptions } from './run-recorder.node.js';
