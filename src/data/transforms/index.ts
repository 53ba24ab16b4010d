/** What happens to pictures and batches between the data set and the model. */

export { compose, computeMeanStd, normalize, oneHot, type Transform, toTensor } from './batch.js';
