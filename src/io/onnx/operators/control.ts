/** Constants, branches, and the operators that fovea refuses, with the reason. */

import { Module } from '../../../nn/index.js';
import { Tensor } from '../../../tensor/index.js';
import { type Operator, type OperatorTable, oneNumber } from './operator.js';

/** Runs one of two graphs; which one follows from constants and shapes. */
class Branches extends Module {
  constructor(
    readonly then_branch: Module,
    readonly else_branch: Module,
    readonly choose: (condition: Tensor) => boolean,
  ) {
    super();
  }

  override forward(condition: Tensor, ...read: Tensor[]): Tensor | Tensor[] {
    const chosen = this.choose(condition);
    const reads = (chosen ? this.then_branch : this.else_branch) as Module & { inputNames: readonly string[] };
    const [first, second] = [this.then_branch, this.else_branch].map((b) => (b as typeof reads).inputNames.length);
    const output = reads.forward(...(chosen ? read.slice(0, first) : read.slice(first, first + second)));
    return output instanceof Tensor ? output : Object.values(output as Record<string, Tensor>);
  }
}

/** Exporters write it where an axis may have size 1 or not; the branch that is not taken may even have another shape. */
const branch: Operator = {
  known: [0],
  translate(node, graph) {
    const [thenGraph, elseGraph] = [node.graph('then_branch'), node.graph('else_branch')];
    if (thenGraph === undefined || elseGraph === undefined) throw node.fail('one of its branches is missing');
    const [yes, no] = [graph.subgraph(node, thenGraph), graph.subgraph(node, elseGraph)];
    const choose = (condition: Tensor) => oneNumber(node, condition, 'its condition') !== 0;
    return { run: new Branches(yes.module, no.module, choose), inputs: [node.inputs[0], ...yes.reads, ...no.reads] };
  },
};

export const control: OperatorTable = { If: branch };

const dataDependent = 'the shape of its result depends on numbers, not on shapes';
const cutHint = 'name inner values as outputs (the option `outputs`) and do this step on what they give';

/** Why operators that exist are not translated. */
export const refusals: Readonly<Record<string, string>> = {
  NonMaxSuppression: `${dataDependent}: ${cutHint}`,
  Unique: dataDependent,
  Compress: dataDependent,
  Loop: 'fovea records a network once for each shape; loops whose length is data cannot be',
  Scan: 'fovea records a network once for each shape; loops whose length is data cannot be',
  SequenceConstruct: 'lists of tensors are not values of a network here',
  SequenceEmpty: 'lists of tensors are not values of a network here',
  SequenceInsert: 'lists of tensors are not values of a network here',
  SequenceAt: 'lists of tensors are not values of a network here',
  ConcatFromSequence: 'lists of tensors are not values of a network here',
  SplitToSequence: 'lists of tensors are not values of a network here',
  RandomNormal: 'a network that draws numbers gives another result each time',
  RandomNormalLike: 'a network that draws numbers gives another result each time',
  RandomUniform: 'a network that draws numbers gives another result each time',
  RandomUniformLike: 'a network that draws numbers gives another result each time',
  Multinomial: 'a network that draws numbers gives another result each time',
};
