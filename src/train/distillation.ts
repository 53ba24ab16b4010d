/** Learning from another network: the student is also asked to answer as its teacher does. Hinton et al. 2015, arXiv:1503.02531. */

import { inEvalMode, type Module } from '../nn/index.js';
import { distillationLoss } from '../nn/loss.js';
import type { Tensor } from '../tensor/index.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, sameShape } from '../util/shape.js';
import { type Normalization, prepare, rowsOf } from './evaluate.js';

export interface Distillation {
  /** Gives scores, or logarithms of probabilities, of the same classes. It stays as it is: in evaluation mode, without gradients. */
  readonly teacher: Module;
  /** Divides both networks' scores before the softmax: above 1, the teacher's small probabilities count too. */
  readonly temperature?: number;
  /** Share of the teacher in the loss; the labels have the rest. */
  readonly alpha?: number;
  /** How the teacher's pictures become numbers; left out, as the student's do. */
  readonly normalize?: Normalization;
}

/** (1 − alpha) · loss + alpha · T² · KL(teacher ‖ student), in the same program as the rest of the step. */
export function withTeacher(
  { teacher, temperature = 4, alpha = 0.5, normalize }: Distillation,
  student: { loss: Tensor; scores: Tensor; inputs: Tensor; normalize: Normalization | null },
): Tensor {
  const { loss, scores, inputs } = student;
  const answers: Tensor = inEvalMode(teacher, () =>
    rowsOf(teacher.forward(prepare(inputs, normalize ?? student.normalize))),
  );
  if (!sameShape(answers.shape, scores.shape)) {
    throw new ConfigError(
      `distillation: the teacher gives ${formatShape(answers.shape)}, the student ${formatShape(scores.shape)}: both need the same classes`,
    );
  }
  return loss.mul(1 - alpha).add(distillationLoss(scores, answers, { temperature }).mul(alpha));
}

/** @throws {ConfigError} for a temperature or share that is none. */
export function checkDistillation({ temperature = 4, alpha = 0.5 }: Distillation): void {
  if (!(temperature > 0 && temperature < Infinity)) {
    throw new ConfigError(`distillation: temperature is above 0, not ${temperature}`);
  }
  if (!(alpha >= 0 && alpha <= 1)) throw new ConfigError(`distillation: alpha lies within 0 … 1, not ${alpha}`);
}
