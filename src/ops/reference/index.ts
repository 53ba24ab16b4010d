/**
 * The reference: what every op means, written plainly, and the target that runs graphs by it. Other targets are tested against it; a page
 * that computes on one of them never loads it, so the meanings stand here and not with the shape rules. What computes each element from
 * those at the same place says so itself (`element` in its facts), since the compiler folds constants with it.
 */

export { type Feeds, ReferenceTarget } from './target.js';
