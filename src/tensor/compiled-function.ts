/**
 * A function of tensors, recorded once for each shape of its arguments and then only run: no graph is built in a call, and what depends on
 * weights alone is computed ahead (freeze.ts). For inference, where a call takes a few milliseconds and recording would be a part of it.
 */

import { leafStorage } from '../graph/stale.js';
import { Storage } from '../graph/storage.js';
import type { PreparedStep, Target } from '../graph/target.js';
import { topological } from '../graph/traverse.js';
import { buffer } from '../ops/source.js';
import { allocate } from '../util/dtype.js';
import { ConfigError } from '../util/errors.js';
import { formatShape, numel } from '../util/shape.js';
import { fromOwned } from './creation.js';
import { freeze } from './freeze.js';
import { noGrad } from './history.js';
import { device, readValue, realize, withoutAssignments } from './runtime.js';
import { Tensor } from './tensor.js';

type Result = Tensor | readonly Tensor[];

export type CompiledFunction<In extends readonly Tensor[], Out> = (...inputs: In) => Promise<Out>;

/**
 * Like `fn`, but prepared: `const run = compile((x) => model.forward(x)); const y = await run(x)`. The result is computed when the promise
 * resolves, and no gradient flows through it. Weights that change in between are noticed, and the function is prepared anew; anything else
 * that `fn` looks at besides its arguments is taken as it was in the first call, as with PyTorch's and JAX's tracing.
 * @throws {ConfigError} in the call, when `fn` assigns to a tensor, as batch normalisation does in training
 */
export function compile<In extends readonly Tensor[], Out extends Result>(
  fn: (...inputs: In) => Out,
): CompiledFunction<In, Out> {
  const prepared = new Map<string, Promise<Prepared>>();
  return async (...inputs) => {
    await realize();
    const target = await device();
    if (target.prepare === undefined) return runOnce(fn, inputs);
    const values = await Promise.all(inputs.map(readValue));
    const key = inputs.map(({ dtype, shape }) => `${dtype}${formatShape(shape)}`).join();
    let step = await prepared.get(key);
    if (step === undefined || !isCurrent(step, target)) {
      const made = prepare(fn, inputs, target);
      prepared.set(key, made);
      made.catch(() => prepared.delete(key));
      step = await made;
    }
    const results = await step.step.run(values);
    const tensors = results.map((data, i) => fromOwned(data, step.outputs[i].shape, step.outputs[i].dtype));
    return (step.single ? tensors[0] : tensors) as unknown as Out;
  };
}

interface Prepared {
  readonly target: Target;
  readonly step: PreparedStep;
  readonly outputs: readonly Tensor[];
  /** Whether the function returns one tensor, not a list. */
  readonly single: boolean;
  /** What was read besides the arguments, and the version that was current. */
  readonly reads: readonly { readonly storage: Storage; readonly version: number }[];
}

function isCurrent({ target, reads }: Prepared, now: Target): boolean {
  return target === now && reads.every(({ storage, version }) => storage.version === version);
}

async function prepare<In extends readonly Tensor[]>(
  fn: (...inputs: In) => Result,
  inputs: In,
  target: Target,
): Promise<Prepared> {
  const places = inputs.map(({ shape, dtype }) => new Storage(shape, dtype, allocate(dtype, numel(shape))));
  const stand = places.map((storage) => new Tensor(buffer(storage))) as unknown as In;
  const result = traced(fn, stand);
  const outputs = asList(result);
  const recorded = outputs.map((t) => t.current);
  const changing = new Set(places);
  const reads = new Map<Storage, number>();
  for (const node of topological(recorded, (n) => leafStorage(n) !== null)) {
    const storage = leafStorage(node);
    if (storage !== null && !changing.has(storage)) reads.set(storage, storage.version);
  }
  const { roots, constants } = freeze(recorded, leafStorage, changing);
  if (constants.length > 0) {
    await target.realize(
      [],
      constants.map(({ storage, value }) => ({ storage, value })),
    );
  }
  const step = await target.prepare!(roots, places);
  const read = [...reads].map(([storage, version]) => ({ storage, version }));
  return { target, step, outputs, single: result instanceof Tensor, reads: read };
}

async function runOnce<In extends readonly Tensor[], Out extends Result>(
  fn: (...inputs: In) => Out,
  inputs: In,
): Promise<Out> {
  const result = traced(fn, inputs);
  await realize(...asList(result));
  return result;
}

function traced<In extends readonly Tensor[], Out extends Result>(fn: (...inputs: In) => Out, inputs: In): Out {
  const result = withoutAssignments(
    () => noGrad(() => fn(...inputs)),
    'compile: the function changes a tensor, so one recording of it cannot be run again and again.\n' +
      '  Call model.eval() first: in training, batch normalisation and the like keep statistics.',
  );
  const outputs = asList(result);
  if (outputs.length === 0 || !outputs.every((t) => t instanceof Tensor)) {
    throw new ConfigError('compile: the function must return a tensor or a list of tensors.');
  }
  return result;
}

function asList(result: Result): readonly Tensor[] {
  return Array.isArray(result) ? result : [result as Tensor];
}
