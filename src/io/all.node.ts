/** Everything about files and formats, in Node. */

export * from './index.js';
export * from './index.node.js';
// Both take a path here too.
export { loadModel, loadWeights } from './weights.node.js';
