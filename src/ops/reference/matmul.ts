/** What the batched matrix product means: three loops. */

import { numel } from '../../util/shape.js';
import { matmulGeometry, matmulOp } from '../matmul.js';
import { meaning } from './meaning.js';

export const matmulMeanings = [
  meaning(matmulOp, ([a, b], p, out) => {
    const { batch, m, n, k } = matmulGeometry(a.shape, b.shape, p);
    const [aRow, aColumn] = p.transA ? [1, m] : [k, 1];
    const [bRow, bColumn] = p.transB ? [1, k] : [n, 1];
    const y = new Float64Array(numel(out.shape));
    for (let s = 0; s < batch; s++) {
      for (let i = 0; i < m; i++) {
        for (let l = 0; l < k; l++) {
          const left = a.data[s * m * k + i * aRow + l * aColumn];
          for (let j = 0; j < n; j++) y[(s * m + i) * n + j] += left * b.data[s * k * n + l * bRow + j * bColumn];
        }
      }
    }
    return y;
  }),
];
