/** Data sets on disk, for Node. */

export { fashionClasses, type MnistOptions, mnist } from './mnist.node.js';
