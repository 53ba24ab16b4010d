/** Everything about files and formats, in Node. */

export * from './index.js';
export * from './index.node.js';
