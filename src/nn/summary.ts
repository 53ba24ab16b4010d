/**
 * What a model is made of: for each layer its output shape, parameters, multiply–accumulates and receptive field. Nothing is computed: the
 * model runs lazily on zeros, and the graph it records is read.
 */

import { Parameter, Tensor, zeros } from '../tensor/index.js';
import { grouped } from '../util/counts.js';
import type { DType } from '../util/dtype.js';
import type { Shape } from '../util/shape.js';
import { inEvalMode, type Module, ownTensors } from './module.js';
import { type FieldOf, inOrder, receptiveFields } from './receptive-field.js';

export interface SummaryRow {
  /** '' is the model itself: work done by functions in its own forward. */
  readonly path: string;
  readonly type: string;
  /** Of the last call, with a batch of 1; null when the layer was not used (heads that only train). */
  readonly outputShape: Shape | null;
  /** Trained numbers the layer holds itself; shared ones count where they first appear. */
  readonly params: number;
  /** Multiply–accumulates of convolutions and matrix products recorded in the layer, for one sample. */
  readonly macs: number;
  /** null where there is no map of the input (after flattening, or without spatial axes). */
  readonly receptiveField: FieldOf | null;
}

export interface SummaryOptions {
  /** Element type of the inputs: 'int32' for models that begin with an embedding. */
  readonly dtype?: DType;
}

export class Summary {
  constructor(
    readonly rows: readonly SummaryRow[],
    readonly totalParams: number,
    readonly trainableParams: number,
    readonly inputShapes: readonly Shape[],
  ) {}

  get totalMacs(): number {
    return this.rows.reduce((sum, row) => sum + row.macs, 0);
  }

  /** Writes the table to the console. */
  print(): void {
    console.log(this.toString());
  }

  toString(): string {
    const head = ['Layer', 'Type', 'Output shape', 'Params', 'MACs', 'Receptive field'];
    const body = this.rows.map((row) => [
      row.path === '' ? '(model)' : row.path,
      row.type,
      row.outputShape === null ? 'not used' : `[${['N', ...row.outputShape.slice(1)].join(', ')}]`,
      grouped(row.params),
      grouped(row.macs),
      fieldText(row.receptiveField),
    ]);
    const widths = head.map((h, i) => Math.max(h.length, ...body.map((cells) => cells[i].length)));
    const line = (cells: readonly string[]) =>
      cells
        .map((cell, i) => (i === 3 || i === 4 ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
        .join('  ')
        .trimEnd();
    const rule = '─'.repeat(widths.reduce((sum, w) => sum + w + 2, -2));
    const frozen = this.totalParams - this.trainableParams;
    return [
      line(head),
      rule,
      ...body.map(line),
      rule,
      `Input ${this.inputShapes.map((s) => `[${['N', ...s].join(', ')}]`).join(', ')}`,
      `Parameters ${grouped(this.totalParams)}${frozen > 0 ? ` (${grouped(frozen)} frozen)` : ''}, ${((this.totalParams * 4) / 1e6).toFixed(2)} MB in float32`,
      `Multiply–accumulates ${grouped(this.totalMacs)} for each sample`,
    ].join('\n');
  }
}

/** Summarises `model` for inputs of `inputShape` (without the batch), or of several shapes if it takes several inputs. */
export function summary(
  model: Module,
  inputShape: Shape | readonly Shape[],
  { dtype = 'float32' }: SummaryOptions = {},
): Summary {
  const shapes = (
    inputShape.length > 0 && Array.isArray(inputShape[0]) ? inputShape : [inputShape]
  ) as readonly Shape[];
  const inputs = shapes.map((shape) => zeros([1, ...shape], { dtype }));
  const outputs = new Map<Module, Tensor | null>();
  inEvalMode(model, () => {
    const handles = model
      .modules()
      .flatMap((module) => [
        module.registerForwardPreHook((m) => void (outputs.has(m) || outputs.set(m, null))),
        module.registerForwardHook((m, _inputs, output) => void outputs.set(m, firstTensor(output))),
      ]);
    try {
      model.forward(...inputs);
    } finally {
      for (const handle of handles) handle.remove();
    }
  });

  const nodes = [...outputs.values()].filter((t) => t !== null).map((t) => t.current);
  const macs = macsByScope(nodes);
  const fields = receptiveFields(nodes, inputs[0].current);
  const paths = new Map<Module, string>(Array.from(model.namedModules(), ([path, module]) => [module, path]));
  const counted = new Set<Tensor>();
  const unused = [...paths.keys()].filter((module) => !outputs.has(module));
  const rows: SummaryRow[] = [];
  for (const module of [...outputs.keys(), ...unused]) {
    const path = paths.get(module)!;
    const params = ownParams(module, counted);
    const row = rowOf(module, path, outputs.get(module) ?? null, params, macs.get(path) ?? 0, fields);
    const leaf = module.children().length === 0 && outputs.has(module);
    if (leaf || params > 0 || row.macs > 0) rows.push(row);
  }
  return new Summary(rows, model.parameterCount(), model.parameterCount({ trainable: true }), shapes);
}

function rowOf(
  module: Module,
  path: string,
  output: Tensor | null,
  params: number,
  macs: number,
  fields: ReadonlyMap<unknown, FieldOf>,
): SummaryRow {
  const receptiveField = output === null ? null : (fields.get(output.current) ?? null);
  return { path, type: module.constructor.name, outputShape: output?.shape ?? null, params, macs, receptiveField };
}

function ownParams(module: Module, counted: Set<Tensor>): number {
  let params = 0;
  for (const [, tensor] of ownTensors(module)) {
    if (!(tensor instanceof Parameter) || counted.has(tensor)) continue;
    counted.add(tensor);
    params += tensor.size;
  }
  return params;
}

function macsByScope(outputs: readonly Tensor['current'][]): Map<string, number> {
  const macs = new Map<string, number>();
  for (const node of inOrder(outputs)) {
    const count = node.op.facts.macs?.(node) ?? 0;
    if (count > 0) macs.set(node.scope ?? '', (macs.get(node.scope ?? '') ?? 0) + count);
  }
  return macs;
}

function firstTensor(output: unknown): Tensor | null {
  if (output instanceof Tensor) return output;
  if (output === null || typeof output !== 'object') return null;
  for (const value of Object.values(output)) if (value instanceof Tensor) return value;
  return null;
}

function fieldText(field: FieldOf | null): string {
  if (field === null) return '';
  if (field === 'all') return 'all';
  const { size, jump } = field;
  const text = (values: readonly number[]) =>
    values.every((v) => v === values[0]) ? `${round(values[0])}` : values.map(round).join('×');
  return `${text(size)}, jump ${text(jump)}`;
}

function round(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}
