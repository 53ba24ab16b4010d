/** Everything about data, in Node. */

export * from './index.js';
export * from './index.node.js';
