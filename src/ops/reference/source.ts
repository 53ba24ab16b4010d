/** What nodes without tensor operands hold, and random bits. */

import { philoxFill } from '../../util/philox.js';
import { numel } from '../../util/shape.js';
import { bufferOp, constantOp, iotaOp, randomBitsOp } from '../source.js';
import { referenceArray } from './arrays.js';
import { meaning } from './meaning.js';

export const sourceMeanings = [
  meaning(constantOp, (_, { value }, out) => referenceArray(out.dtype, numel(out.shape)).fill(value)),

  meaning(bufferOp, (_, { storage }, out) => {
    const data = referenceArray(out.dtype, numel(out.shape));
    data.set(storage.read());
    return data;
  }),

  meaning(iotaOp, (_, { n }) => Int32Array.from({ length: n }, (_, i) => i)),

  meaning(randomBitsOp, ([{ data: key }], { shape }) => {
    const out = new Int32Array(numel(shape));
    philoxFill(out, key);
    return out;
  }),
];
