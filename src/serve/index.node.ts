/** A model behind HTTP. */

export type { RequestLine } from './app.node.js';
export { defaultLimits, type Limits } from './limits.js';
export { type ServeOptions, type Server, serve } from './server.node.js';
