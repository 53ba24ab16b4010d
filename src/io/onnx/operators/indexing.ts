/**
 * Choosing and placing elements by index. Negative indices count from the end. An index outside of its axis reads 0 and writes nothing here,
 * while ONNX leaves it open.
 */

import { F, full, type Tensor, where, zeros } from '../../../tensor/index.js';
import { numel, type Shape } from '../../../util/shape.js';
import type { OnnxNode } from '../import-node.js';
import { Known, knownInts, mostKnown } from './known.js';
import {
  axisOf,
  checkedShape,
  computes,
  numbers,
  type Operator,
  type OperatorTable,
  oneNumber,
  required,
} from './operator.js';

/** Indices from 0 up. */
function fromFront(index: Tensor, size: number): Tensor {
  if (index instanceof Known) {
    if (!index.values.some((i) => i < 0)) return index;
    return new Known(Int32Array.from(index.values, (i) => (i < 0 ? i + size : i)), index.shape, 'int32'); // biome-ignore format: one thought
  }
  const whole = index.to('int32');
  return where(whole.lt(0), whole.add(size), whole);
}

/** Slices of x at the positions in an index of any shape, which takes the place of the axis. */
function take(node: OnnxNode, x: Tensor, axis: number, index: Tensor): Tensor {
  const size = x.shape[axis];
  const at = fromFront(index, size);
  const shape = checkedShape(node, [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)]);
  if (at instanceof Known && at.size === 1) {
    const place = at.values[0];
    if (place < 0 || place >= size)
      throw node.fail(`index ${(index as Known).values[0]} does not exist along axis ${axis} of [${x.shape}]`);
    return F.narrow(x, axis, place, 1).reshape(shape);
  }
  return F.indexSelect(x, axis, at.to('int32').reshape([at.size])).reshape(shape);
}

const gather: Operator = computes((node) => {
  const given = node.int('axis', 0);
  return (input, index) => {
    const x = required(node, input);
    return take(node, x, axisOf(node, given, x.ndim), required(node, index, 'its index'));
  };
});

const gatherElements: Operator = computes((node) => {
  const given = node.int('axis', 0);
  return (input, indices) => {
    const x = required(node, input);
    const axis = axisOf(node, given, x.ndim);
    return F.gather(x, axis, fromFront(required(node, indices, 'its indices'), x.shape[axis]).to('int32'));
  };
});

/** The last axis of `indices` names places along the first axes of x behind `batch` ones: as one number each, into x laid flat. */
function flatPlaces(node: OnnxNode, x: Shape, indices: Tensor, batch: number): { places: Tensor; rest: Shape } {
  const depth = indices.shape.at(-1) ?? 0;
  if (indices.ndim < 1 || batch + depth > x.length) {
    throw node.fail(
      `indices of shape [${indices.shape}] name ${depth} axes of [${x}]${batch > 0 ? ` behind ${batch}` : ''}`,
    );
  }
  const addressed = x.slice(0, batch + depth);
  let places = zeros(indices.shape.slice(0, -1), { dtype: 'int32' });
  for (let i = 0; i < depth; i++) {
    const along = F.select(indices, indices.ndim - 1, i);
    const stride = numel(addressed.slice(batch + i + 1));
    places = places.add(fromFront(along, x[batch + i]).mul(stride));
  }
  for (let b = 0; b < batch; b++) {
    const lead = knownInts(Array.from({ length: x[b] }, (_, i) => i * numel(addressed.slice(b + 1))));
    places = places.add(lead.reshape([x[b], ...indices.shape.slice(b + 1, -1).map(() => 1)]));
  }
  return { places, rest: x.slice(batch + depth) };
}

const gatherND: Operator = computes((node) => {
  const batch = node.int('batch_dims', 0);
  return (input, indicesInput) => {
    const [x, indices] = [required(node, input), required(node, indicesInput, 'its indices')];
    const { places, rest } = flatPlaces(node, x.shape, indices, batch);
    const rows = x.reshape([-1, ...rest]);
    return F.indexSelect(rows, 0, places.reshape([places.size])).reshape([...places.shape, ...rest]);
  };
});

/**
 * Overwriting is clearing and adding, and so differentiable; of two updates for one place ONNX lets either win, here they add up.
 */
function scatter(node: OnnxNode, x: Tensor, axis: number, index: Tensor, updates: Tensor): Tensor {
  const how = node.word('reduction', ['none', 'add'], 'none');
  const [base, source] =
    x.dtype === 'float32' || x.dtype === 'int32' ? [x, updates] : [x.to('int32'), updates.to('int32')];
  if (how === 'add') return F.scatterAdd(base, axis, index, source).to(x.dtype);
  const hits = F.scatterAdd(
    full(x.shape, 0, { dtype: base.dtype }),
    axis,
    index,
    full(index.shape, 1, { dtype: base.dtype }),
  );
  return F.scatterAdd(where(hits.gt(0), 0, base), axis, index, source).to(x.dtype);
}

const scatterElements: Operator = computes((node) => {
  const given = node.int('axis', 0);
  return (input, indices, updates) => {
    const x = required(node, input);
    const axis = axisOf(node, given, x.ndim);
    const index = fromFront(required(node, indices, 'its indices'), x.shape[axis]).to('int32');
    return scatter(node, x, axis, index, required(node, updates, 'its updates'));
  };
});

const scatterND: Operator = computes((node) => (input, indicesInput, updatesInput) => {
  const x = required(node, input);
  const [indices, updates] = [required(node, indicesInput, 'its indices'), required(node, updatesInput, 'its updates')];
  const { places, rest } = flatPlaces(node, x.shape, indices, 0);
  const width = numel(rest);
  const rows = x.reshape([-1, width]);
  const index = F.expand(places.reshape([places.size, 1]), [places.size, width]);
  return scatter(node, rows, 0, index, updates.reshape([places.size, width])).reshape(x.shape);
});

/** Values are [off, on]; the new axis stands at `axis`. */
const oneHot: Operator = computes(
  (node) => {
    const given = node.int('axis', -1);
    return (input, depthInput, valuesInput) => {
      const indices = required(node, input);
      const depth = oneNumber(node, depthInput, 'its depth');
      const [off, on] = numbers(node, valuesInput, 'its values');
      const axis = axisOf(node, given, indices.ndim + 1);
      checkedShape(node, indices.shape.toSpliced(axis, 0, depth));
      const hot = F.oneHot(fromFront(indices, depth).to('int32'), depth).moveaxis(-1, axis);
      return where(hot.gt(0), on, off).to(valuesInput!.dtype);
    };
  },
  [1, 2],
);

/** Places of what is not 0, by axis: a shape that follows from numbers, so these must be known. */
const nonZero: Operator = computes(
  (node) => (input) => {
    const values = numbers(node, input, 'its input', mostKnown);
    const { shape } = input!;
    const hits = values.flatMap((v, i) => (v !== 0 ? [i] : []));
    const places = shape.map((n, axis) => {
      const inner = numel(shape.slice(axis + 1));
      return hits.map((i) => Math.floor(i / inner) % n);
    });
    return new Known(Int32Array.from(places.flat()), [shape.length, hits.length], 'int32');
  },
  [0],
);

/** Names beyond fovea's own two operands are contracted from the first on; '...' stands for the axes that are not named. */
const einsum: Operator = computes((node) => {
  const equation = node.string('equation');
  if (equation === undefined) throw node.fail('its equation is missing');
  return (...inputs) => {
    const operands = inputs.map((x) => required(node, x, 'an input'));
    const { terms, result } = einsumTerms(node, equation, operands);
    let [letters, value] = [terms[0], operands[0]];
    if (operands.length === 1) return F.einsum(`${letters}->${result}`, value);
    for (let i = 1; i < operands.length; i++) {
      const later = new Set([...result, ...terms.slice(i + 1).join('')]);
      const kept =
        i === operands.length - 1 ? result : [...new Set(letters + terms[i])].filter((l) => later.has(l)).join('');
      value = F.einsum(`${letters},${terms[i]}->${kept}`, value, operands[i]);
      letters = kept;
    }
    return value;
  };
});

function einsumTerms(
  node: OnnxNode,
  equation: string,
  operands: readonly Tensor[],
): { terms: string[]; result: string } {
  const text = equation.replaceAll(' ', '');
  const [left, right] = text.split('->');
  const terms = left.split(',');
  if (terms.length !== operands.length)
    throw node.fail(`'${equation}' names ${terms.length} operands, there are ${operands.length}`);
  const free = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'].filter((l) => !text.includes(l));
  const hidden = terms.map((term, i) => (term.includes('...') ? operands[i].ndim - (term.length - 3) : 0));
  const most = Math.max(0, ...hidden);
  if (hidden.some((n) => n < 0) || most > free.length) throw node.fail(`'${equation}' does not fit its operands`);
  const dots = free.slice(0, most).join('');
  const written = terms.map((term, i) => term.replace('...', dots.slice(most - hidden[i])));
  const letters = [...written.join('')];
  const once = [...new Set(letters)]
    .filter((l) => !dots.includes(l) && letters.indexOf(l) === letters.lastIndexOf(l))
    .sort();
  return { terms: written, result: right === undefined ? dots + once.join('') : right.replace('...', dots) };
}

export const indexing: OperatorTable = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  Scatter: scatterElements,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  OneHot: oneHot,
  NonZero: nonZero,
  Einsum: einsum,
};
