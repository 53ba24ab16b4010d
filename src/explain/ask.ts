/**
 * Asking a model: which class of a picture is explained, the score to be explained, and every layer's output on the way there. Models are left as they
 * were: they run in evaluation mode, gradients are taken by tensors of the recording and reach no parameter.
 */

import { answerOf, inEvalMode, type Module } from '../nn/index.js';
import { logSoftmaxOp, softmaxOp } from '../ops/reduce.js';
import { enableGrad, fromOwned, Tensor } from '../tensor/index.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';

// biome-ignore lint/suspicious/noExplicitAny: what comes out is each model's own business
export type Outputs = any;

/** Outputs of the model for N pictures → one number to be explained for each, [N]. */
export type TargetFunction = (outputs: Outputs) => Tensor;

/**
 * What is to be explained: a class for all pictures, one for each, the likeliest one of each ('top'), or any number computed from the outputs.
 * The score of a class is the one before softmax, also where the model ends in (log-)softmax, whose slope vanishes where the model is sure.
 */
export type Target = 'top' | number | ArrayLike<number> | TargetFunction;

export interface AskOptions {
  /** Default 'top'. */
  readonly target?: Target;
  /** Called as parts of the work are done. Throw to stop. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Where the evidence lies for what a model says, and what was computed to find out. */
export interface Explanation {
  /** [N, H, W] in 0 … 1, of the input's size: what to draw. */
  readonly maps: Tensor;
  /** What the method's paper defines: of a CAM the map [N, h, w] of the layer's size, of the others a share of each number of the input [N, C, H, W]. */
  readonly raw: Tensor;
  /** The class explained for each picture; null where a function was. */
  readonly classes: Int32Array | null;
}

/** Runs `body` with the model in evaluation mode and gradients recorded, whatever stood before. */
export function asking<T>(model: Module, body: () => T): T {
  return inEvalMode(model, () => enableGrad(body));
}

/** x must be pictures. @throws {ShapeError} */
export function checkPictures(method: string, x: Tensor): void {
  if (x.ndim === 4 && x.dtype === 'float32') return;
  throw new ShapeError(
    `${method}: x must be pictures [N, C, H, W] in float32, as the model takes them; it is ${x.dtype} ${formatShape(x.shape)}`,
  );
}

/** The classes that `target` means for each picture; null for a function. Of 'top' the model is asked. */
export async function resolveClasses(model: Module, x: Tensor, target: Target = 'top'): Promise<Int32Array | null> {
  const count = x.shape[0];
  if (typeof target === 'function') return null;
  if (target === 'top') {
    const best = asking(model, () => rowsOf(model.forward(x)).argmax(1));
    return Int32Array.from(await best.data());
  }
  const classes = typeof target === 'number' ? new Int32Array(count).fill(target) : Int32Array.from(target);
  if (classes.length !== count) {
    throw new ConfigError(`target: ${classes.length} classes for ${count} pictures; pass one class, or one for each`);
  }
  const wrong = classes.find((c) => !(c >= 0));
  if (wrong !== undefined) throw new ConfigError(`target: classes count from 0; got ${wrong}`);
  return classes;
}

/** The scores that are explained, one for each picture [N]: of `classes`, or what the function says. */
export function scoresOf(outputs: Outputs, classes: Tensor | null, target: Target | undefined): Tensor {
  if (classes !== null) {
    return rowsOf(outputs)
      .gather(1, classes.reshape([classes.size, 1]))
      .reshape([classes.size]);
  }
  const scores = (target as TargetFunction)(outputs);
  if (scores instanceof Tensor && scores.ndim === 1) return scores;
  const given = scores instanceof Tensor ? formatShape(scores.shape) : String(scores);
  throw new ShapeError(`target: the function must return one number for each picture, [N]; it returned ${given}`);
}

/** Classes as data of the graph, so that other classes are the same program. */
export function classTensor(classes: Int32Array | null): Tensor | null {
  return classes === null ? null : fromOwned(classes.slice(), [classes.length], 'int32');
}

/** Rows of scores [N, classes], before softmax. @throws {ConfigError} for a model that gives something else */
export function rowsOf(outputs: Outputs): Tensor {
  const answer: Tensor | undefined = answerOf(outputs);
  if (!(answer instanceof Tensor) || answer.ndim !== 2) {
    const given =
      answer instanceof Tensor ? formatShape(answer.shape) : `a record of ${Object.keys(outputs).join(', ')}`;
    throw new ConfigError(
      `The model gives ${given}, not rows of scores [N, classes]: pass a function as target, outputs → one number for each picture, [N].`,
    );
  }
  const { op, inputs, attrs } = answer.node;
  const isSoftmax = (op === softmaxOp || op === logSoftmaxOp) && (attrs as { axis: number }).axis === 1;
  return isSoftmax ? new Tensor(inputs[0]) : answer;
}

/** What a layer gave, in the order in which calls ended. */
export interface Answer {
  readonly path: string;
  readonly module: Module;
  readonly inputs: readonly unknown[];
  readonly output: Tensor;
}

/** One run of the model, with the outputs of all layers that give one tensor. Recorded only; nothing is computed. */
export function listen(model: Module, x: Tensor): { outputs: Outputs; answers: Answer[] } {
  return asking(model, () => {
    const answers: Answer[] = [];
    const handles = [...model.namedModules()].map(([path, module]) =>
      module.registerForwardHook((_module, inputs, output) => {
        if (output instanceof Tensor) answers.push({ path, module, inputs, output });
      }),
    );
    try {
      return { outputs: model.forward(x), answers };
    } finally {
      for (const handle of handles) handle.remove();
    }
  });
}
