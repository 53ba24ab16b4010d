/** Operators that rearrange elements, and those about shapes: their sizes and axes must follow from constants and shapes. */

import { Flatten } from '../../../nn/index.js';
import { F, full, type PadWidth, type Tensor } from '../../../tensor/index.js';
import { numel, type Shape } from '../../../util/shape.js';
import type { OnnxNode } from '../import-node.js';
import { dtypeOf } from './elementwise.js';
import { Known, knownInts } from './known.js';
import {
  axesOf,
  axisOf,
  checkedShape,
  computes,
  numbers,
  type Operator,
  type OperatorTable,
  oneNumber,
  required,
} from './operator.js';

/** Axes were an attribute at first and became an input later; no matter when, whichever is there counts. */
function axesGiven(node: OnnxNode, input: Tensor | undefined): number[] | undefined {
  return node.ints('axes') ?? (input === undefined ? undefined : numbers(node, input, 'its axes'));
}

/** 0 keeps a size (unless allowzero), −1 takes what is left. */
function reshapeTo(node: OnnxNode, x: Tensor, wanted: readonly number[]): Tensor {
  const keeps = !node.flag('allowzero');
  const copied = wanted.map((n, i) => {
    if (n !== 0 || !keeps) return n;
    if (i >= x.ndim) throw node.fail(`shape [${wanted}] keeps axis ${i} of [${x.shape}], which has none`);
    return x.shape[i];
  });
  const open = copied.indexOf(-1);
  const rest = numel(copied.filter((n) => n !== -1));
  const filled = open < 0 ? copied : copied.with(open, rest === 0 ? 0 : x.size / rest);
  if (!filled.every((n) => Number.isInteger(n) && n >= 0) || numel(filled) !== x.size) {
    throw node.fail(`[${x.shape}] has ${x.size} elements, which do not fill the shape [${wanted}]`);
  }
  return x.reshape(filled);
}

const reshape: Operator = computes(
  (node) => (input, shape) =>
    reshapeTo(node, required(node, input), node.ints('shape') ?? numbers(node, shape, 'its shape')),
  [1],
);

/** [N, …] → [N, rest] is the layer; other axes are a function. */
const flatten: Operator = {
  translate(node, graph) {
    const axis = node.int('axis', 1);
    const rank = graph.rank(node.inputs[0]);
    if (axis === 1 && rank !== null && rank >= 2 && !graph.isKnown(node.inputs[0])) return { run: new Flatten() };
    return {
      run: (input) => {
        const x = required(node, input);
        const at = axis === x.ndim ? axis : axisOf(node, axis, x.ndim);
        return x.reshape([numel(x.shape.slice(0, at)), numel(x.shape.slice(at))]);
      },
    };
  },
};

const squeeze: Operator = computes(
  (node) => (input, axesInput) => {
    const x = required(node, input);
    const axes = axesGiven(node, axesInput);
    const named = axes === undefined ? x.shape.flatMap((n, i) => (n === 1 ? [i] : [])) : axesOf(node, axes, x.ndim);
    const wide = named.find((axis) => x.shape[axis] !== 1);
    if (wide !== undefined)
      throw node.fail(`axis ${wide} of [${x.shape}] has more than one element and cannot be dropped`);
    return x.reshape(x.shape.filter((_, i) => !named.includes(i)));
  },
  [1],
);

const unsqueeze: Operator = computes(
  (node) => (input, axesInput) => {
    const x = required(node, input);
    const given = axesGiven(node, axesInput);
    if (given === undefined) throw node.fail('its axes are missing');
    const rank = x.ndim + given.length;
    const axes = axesOf(node, given, rank);
    const rest = [...x.shape];
    return x.reshape(Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : rest.shift()!)));
  },
  [1],
);

/** Both shapes meet by the broadcasting rule. */
const expand: Operator = computes(
  (node) => (input, shapeInput) => {
    const x = required(node, input);
    const wanted = numbers(node, shapeInput, 'its shape');
    const rank = Math.max(x.ndim, wanted.length);
    const from = [...new Array<number>(rank - x.ndim).fill(1), ...x.shape];
    const to = [...new Array<number>(rank - wanted.length).fill(1), ...wanted];
    const met = from.map((n, i) => {
      if (n !== to[i] && n !== 1 && to[i] !== 1) throw node.fail(`[${x.shape}] does not stretch to [${wanted}]`);
      return n === 1 ? to[i] : n;
    });
    return F.expand(x, checkedShape(node, met));
  },
  [1],
);

const tile: Operator = computes(
  (node) => (input, repeatsInput) => {
    const x = required(node, input);
    const repeats = numbers(node, repeatsInput, 'its repeats');
    if (repeats.length !== x.ndim) throw node.fail(`${repeats.length} repeats for ${x.ndim} axes`);
    const shape = x.shape.map((n, i) => n * repeats[i]);
    checkedShape(node, shape);
    return F.repeat(x, repeats);
  },
  [1],
);

const padModes = { constant: 'constant', reflect: 'reflect', edge: 'replicate', wrap: 'circular' } as const;

/** The widths were attributes (`paddings`, then `pads`) and became an input with version 11, axes came with 18. */
const pad: Operator = computes(
  (node) => {
    const mode = padModes[node.word('mode', ['constant', 'reflect', 'edge', 'wrap'], 'constant')];
    return (input, padsInput, valueInput, axesInput) => {
      const x = required(node, input);
      const pads = node.ints('pads') ?? node.ints('paddings') ?? numbers(node, padsInput, 'its pads');
      const value =
        node.float('value') ?? (valueInput === undefined ? 0 : (numbers(node, valueInput, 'its value')[0] ?? 0));
      const given = axesInput === undefined ? x.shape.map((_, i) => i) : numbers(node, axesInput, 'its axes');
      const axes = axesOf(node, given, x.ndim);
      if (pads.length !== 2 * axes.length)
        throw node.fail(`${pads.length} pads for ${axes.length} axes; two for each are expected`);
      const widths = x.shape.map((_, i): PadWidth => {
        const at = axes.indexOf(i);
        return at < 0 ? [0, 0] : [pads[at], pads[at + axes.length]];
      });
      const padded = x.shape.map((n, i) => n + widths[i][0] + widths[i][1]);
      checkedShape(node, padded);
      return widths.every(([lo, hi]) => lo === 0 && hi === 0) ? x : x.pad(widths, { mode, value });
    };
  },
  [1, 2, 3],
);

const transpose: Operator = computes((node) => {
  const perm = node.ints('perm');
  return (input) => {
    const x = required(node, input);
    const axes = perm ?? x.shape.map((_, i) => x.ndim - 1 - i);
    if (axes.length !== x.ndim || axesOf(node, axes, x.ndim).some((axis, i) => axis !== axes[i])) {
      throw node.fail(`perm [${axes}] does not order the axes of [${x.shape}]`);
    }
    return x.permute(axes);
  };
});

const concat: Operator = computes((node) => {
  const given = node.int('axis', 1);
  return (...inputs) => {
    const all = inputs.map((x) => required(node, x, 'an input'));
    const axis = axisOf(node, given, all[0].ndim);
    const filled = all.filter((x) => x.shape[axis] > 0);
    return filled.length <= 1 ? (filled[0] ?? all[0]) : F.concat(filled, axis);
  };
});

/** Sizes come from an attribute, an input (13), or are as equal as they can be (num_outputs, 18). */
const split: Operator = computes(
  (node) => {
    const given = node.int('axis', 0);
    const count = node.outputs.length;
    return (input, sizesInput) => {
      const x = required(node, input);
      const axis = axisOf(node, given, x.ndim);
      const size = Math.ceil(x.shape[axis] / count);
      const even = Array.from({ length: count }, (_, i) => Math.max(0, Math.min(size, x.shape[axis] - i * size)));
      const sizes = node.ints('split') ?? (sizesInput === undefined ? even : numbers(node, sizesInput, 'its sizes'));
      if (sizes.length !== count || sizes.reduce((a, b) => a + b, 0) !== x.shape[axis] || sizes.some((n) => n < 0)) {
        throw node.fail(`axis ${axis} of [${x.shape}] does not split into ${count} parts of [${sizes}]`);
      }
      return x.split(sizes, axis);
    };
  },
  [1],
);

/** Bounds were attributes before version 10. They count from either end and may lie beyond it; a negative step runs backwards. */
const slice: Operator = computes(
  (node) => (input, startsInput, endsInput, axesInput, stepsInput) => {
    const x = required(node, input);
    const starts = node.ints('starts') ?? numbers(node, startsInput, 'its starts');
    const ends = node.ints('ends') ?? numbers(node, endsInput, 'its ends');
    const axes = axesOf(node, axesGiven(node, axesInput) ?? starts.map((_, i) => i), x.ndim);
    const steps = stepsInput === undefined ? starts.map(() => 1) : numbers(node, stepsInput, 'its steps');
    if (new Set([starts, ends, axes, steps].map((list) => list.length)).size !== 1) {
      throw node.fail(
        `${starts.length} starts, ${ends.length} ends, ${axes.length} axes and ${steps.length} steps do not go together`,
      );
    }
    return axes.reduce((y, axis, i) => cut(node, y, axis, starts[i], ends[i], steps[i]), x);
  },
  [1, 2, 3, 4],
);

function cut(node: OnnxNode, x: Tensor, axis: number, start: number, end: number, step: number): Tensor {
  const n = x.shape[axis];
  if (step === 0) throw node.fail('a step is 0');
  const limit = (at: number, low: number, high: number) => Math.max(low, Math.min(high, at < 0 ? at + n : at));
  const [first, stop] =
    step > 0 ? [limit(start, 0, n), limit(end, 0, n)] : [limit(start, 0, n - 1), limit(end, -1, n - 1)];
  const count = Math.max(0, Math.ceil((stop - first) / step));
  const range = (lowest: number, stride: number) => {
    const whole = new Array<null>(axis).fill(null);
    return x.slice(...whole, { start: lowest, stop: lowest + Math.max(0, (count - 1) * stride + 1), step: stride });
  };
  if (count === 0) return x.slice(...new Array<null>(axis).fill(null), { start: 0, stop: 0 });
  if (step > 0) return count === n ? x : range(first, step);
  return range(first + (count - 1) * step, -step).flip(axis);
}

/** Channels → pixels: the channel's number is (block row, block column, channel) for DCR, (channel, block row, block column) for CRD. */
const depthToSpace: Operator = computes((node) => {
  const b = blockOf(node);
  const columns = node.word('mode', ['DCR', 'CRD'], 'DCR') === 'CRD';
  return (input) => {
    const x = required(node, input);
    const [n, c, h, w] = pictureShape(node, x);
    if (c % b ** 2 !== 0) throw node.fail(`${c} channels do not divide into blocks of ${b} × ${b}`);
    const deep = c / b ** 2;
    const split = columns ? x.reshape([n, deep, b, b, h, w]) : x.reshape([n, b, b, deep, h, w]);
    return split.permute(columns ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]).reshape([n, deep, h * b, w * b]);
  };
});

const spaceToDepth: Operator = computes((node) => {
  const b = blockOf(node);
  return (input) => {
    const x = required(node, input);
    const [n, c, h, w] = pictureShape(node, x);
    if (h % b !== 0 || w % b !== 0) throw node.fail(`${h} × ${w} does not divide into blocks of ${b} × ${b}`);
    const split = x.reshape([n, c, h / b, b, w / b, b]);
    return split.permute([0, 3, 5, 1, 2, 4]).reshape([n, c * b ** 2, h / b, w / b]);
  };
});

function blockOf(node: OnnxNode): number {
  const size = node.int('blocksize', 0);
  if (!(size >= 1)) throw node.fail(`blocksize is ${size}; it is at least 1`);
  return size;
}

function pictureShape(node: OnnxNode, x: Tensor): Shape {
  if (x.ndim !== 4) throw node.fail(`it takes [N, C, H, W], not [${x.shape}]`);
  return x.shape;
}

/** The same Known for the same shape, so that what is computed from it is remembered. */
function rememberedShape(): (shape: Shape) => Known {
  const made = new Map<string, Known>();
  return (shape) => {
    const key = shape.join();
    const found = made.get(key) ?? knownInts(shape);
    if (made.size >= 16) made.clear();
    made.set(key, found);
    return found;
  };
}

const shapeOf: Operator = {
  translate(node) {
    const remembered = rememberedShape();
    const [start, end] = [node.int('start', 0), node.int('end')];
    return { run: (input) => remembered(required(node, input).shape.slice(start, end)), fromShapes: true };
  },
};

const sizeOf: Operator = {
  translate(node) {
    const made = new Map<number, Known>();
    const remembered = (size: number) => made.get(size) ?? new Known(Int32Array.of(size), [], 'int32');
    return {
      run: (input) => {
        const { size } = required(node, input);
        made.set(size, remembered(size));
        return made.get(size)!;
      },
      fromShapes: true,
    };
  },
};

const range: Operator = computes(
  (node) =>
    (...bounds) => {
      const [start, limit, delta] = bounds.map((t) => oneNumber(node, t, 'a bound'));
      const count = Math.max(0, Math.ceil((limit - start) / delta));
      if (!Number.isFinite(count)) throw node.fail(`a range from ${start} to ${limit} in steps of ${delta} has no end`);
      checkedShape(node, [count]);
      if (count > mostInRange)
        throw node.fail(`a range of ${count} numbers is beyond what fovea makes (${mostInRange})`);
      const values = { length: count };
      const at = (_: unknown, i: number) => start + i * delta;
      if (bounds[0]!.dtype === 'float32') return new Known(Float32Array.from(values, at), [count], 'float32');
      return new Known(Int32Array.from(values, at), [count], 'int32');
    },
  [0, 1, 2],
);

const mostInRange = 1 << 24;

const constantOfShape: Operator = {
  known: [0],
  translate(node, graph) {
    const value = graph.tensorAttribute(node, 'value');
    if (value !== null && value.size !== 1) throw node.fail(`its value has ${value.size} elements, 1 is expected`);
    return {
      run: (shape) =>
        full(checkedShape(node, numbers(node, shape, 'its shape')), value?.values[0] ?? 0, {
          dtype: value?.dtype ?? 'float32',
        }),
    };
  },
};

export const movement: OperatorTable = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Expand: expand,
  Tile: tile,
  Pad: pad,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Shape: shapeOf,
  Size: sizeOf,
  Range: range,
  ConstantOfShape: constantOfShape,

  Trilu: computes(
    (node) => {
      const upper = node.flag('upper', true);
      return (input, k) => {
        const x = required(node, input);
        const diagonal = k === undefined ? 0 : oneNumber(node, k, 'its diagonal');
        return upper ? F.triu(x, diagonal) : F.tril(x, diagonal);
      };
    },
    [1],
  ),
  /** The shape of the input counts, not its numbers. */
  EyeLike: {
    translate(node) {
      const k = node.int('k', 0);
      const type = node.int('dtype');
      return {
        run: (input) => {
          const x = required(node, input);
          if (x.ndim !== 2) throw node.fail(`it takes a matrix, not [${x.shape}]`);
          const ones = full(x.shape, 1, { dtype: 'float32' });
          return F.tril(F.triu(ones, k), k).to(type === undefined ? x.dtype : dtypeOf(node, type));
        },
        fromShapes: true,
      };
    },
  },
  ReverseSequence: {
    known: [1],
    translate(node) {
      const [timeAxis, batchAxis] = [node.int('time_axis', 0), node.int('batch_axis', 1)];
      return {
        run: (input, lengths) => {
          const x = required(node, input);
          const each = numbers(node, lengths, 'its lengths');
          if (each.some((n) => n !== x.shape[timeAxis])) {
            throw node.fail(`sequences of different lengths ([${each}], batch axis ${batchAxis}) are not supported`);
          }
          return x.flip(timeAxis);
        },
      };
    },
  },
};
