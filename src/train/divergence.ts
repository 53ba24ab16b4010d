/** When the loss stops being a number: the layer where it began, and what to try. */

import { type Module, ownTensors } from '../nn/module.js';
import { assignOnlyIf, F, noGrad, realize, Tensor, tensor } from '../tensor/index.js';

/** The loss of a step was NaN or infinite. The weights are those before that step. */
export class DivergenceError extends Error {
  override readonly name = 'DivergenceError';

  constructor(
    readonly step: number,
    /** Path of the first module whose output is not finite; 'input' or 'loss' when it is none of them. */
    readonly layer: string,
    readonly learningRate: number,
    readonly loss: number,
    where: string,
  ) {
    super(
      `training stopped in step ${step}: the loss is ${Number.isNaN(loss) ? 'NaN' : loss}\n` +
        `  ${where}\n` +
        `  learning rate ${Number(learningRate.toPrecision(4))}; the weights are those before this step\n` +
        `  Try a learning rate of ${Number((learningRate / 10).toPrecision(2))}, or limit gradients with clipGradNorm.`,
    );
  }
}

/** What the model did with `input`, module by module: the path of the first whose output is not finite, and that in words. */
export async function findNonFinite(model: Module, input: Tensor): Promise<{ layer: string; where: string }> {
  const outputs: [path: string, module: Module, finite: Tensor][] = [];
  const paths = new Map(Array.from(model.namedModules(), ([path, module]) => [module, path]));
  const handles = [...paths.keys()].map((m) =>
    m.registerForwardHook((module, _inputs, output) => {
      if (output instanceof Tensor && output.dtype === 'float32') {
        outputs.push([paths.get(module)!, module, allFinite(output)]);
      }
    }),
  );
  try {
    noGrad(() => void model.forward(input));
    assignOnlyIf(tensor(false)); // running statistics have seen this batch already
  } finally {
    for (const handle of handles) handle.remove();
  }
  const inputFinite = allFinite(input.to('float32'));
  await realize(inputFinite, ...outputs.map(([, , finite]) => finite));
  if (!(await inputFinite.item())) {
    return { layer: 'input', where: 'the pictures themselves hold values that are not finite' };
  }
  for (const [path, module, finite] of outputs) {
    if (await finite.item()) continue;
    const layer = path === '' ? '(model)' : path;
    const kind = module.constructor.name;
    for (const [name, tensor] of ownTensors(module)) {
      if (tensor.dtype === 'float32' && !(await allFinite(tensor).item())) {
        return { layer, where: `first in the output of ${layer} (${kind}), whose ${name} is not finite any more` };
      }
    }
    return { layer, where: `first in the output of ${layer} (${kind}), whose weights are finite` };
  }
  return { layer: 'loss', where: 'every layer gives finite numbers: it began in the loss function' };
}

function allFinite(x: Tensor): Tensor {
  return F.isFinite(x).all();
}
