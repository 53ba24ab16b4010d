/** Everything about training, in Node. */

export * from './index.js';
export * from './index.node.js';
