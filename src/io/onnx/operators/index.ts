/** The table of ONNX's operators: what is not in it is refused before anything runs. */

import { activations } from './activations.js';
import { attentions } from './attention.js';
import { control } from './control.js';
import { convolution } from './convolution.js';
import { elementwise } from './elementwise.js';
import { indexing } from './indexing.js';
import { movement } from './movement.js';
import { normalization } from './normalization.js';
import type { Operator } from './operator.js';
import { pooling } from './pooling.js';
import { recurrents } from './recurrent.js';
import { reductions } from './reduction.js';
import { resizing } from './resize.js';
import { samplings } from './sampling.js';

export { refusals } from './control.js';

export const operators: ReadonlyMap<string, Operator> = new Map(
  [
    elementwise,
    activations,
    convolution,
    normalization,
    pooling,
    movement,
    reductions,
    indexing,
    resizing,
    samplings,
    recurrents,
    attentions,
    control,
  ].flatMap((table) => Object.entries(table)),
);
