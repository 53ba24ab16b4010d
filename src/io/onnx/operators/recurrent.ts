/**
 * LSTM, GRU and RNN, unrolled over time: the length of the sequence follows from the input's shape. Weights are ONNX's own, [directions,
 * gates · hidden, …], and trained like any others. Source: docs/Operators.md; Hochreiter and Schmidhuber 1997; Cho et al. 2014, arXiv:1406.1078.
 */

import { Module } from '../../../nn/index.js';
import { F, type Parameter, type Tensor, zeros } from '../../../tensor/index.js';
import { ShapeError } from '../../../util/errors.js';
import type { OnnxNode } from '../import-node.js';
import type { Operator, OperatorTable } from './operator.js';

interface Cell {
  readonly gates: number;
  /** Whether there is a second state besides the output. */
  readonly memory: boolean;
  /** One step: the input's part of the gates and the state → the next state. */
  step(x: Tensor, state: readonly Tensor[], w: DirectionWeights): Tensor[];
}

interface DirectionWeights {
  /** [hidden, gates · hidden] */
  readonly recurrent: Tensor;
  /** [gates · hidden] each: what is added to the input's and to the recurrent part. */
  readonly inputBias: Tensor | null;
  readonly recurrentBias: Tensor | null;
  readonly peepholes: Tensor | null;
  readonly hidden: number;
  readonly activations: readonly ((x: Tensor) => Tensor)[];
}

const plus = (a: Tensor, b: Tensor | null) => (b === null ? a : a.add(b));

/** Gates are ordered input, output, forget, cell. */
const lstm: Cell = {
  gates: 4,
  memory: true,
  step(x, [h, c], { recurrent, recurrentBias, peepholes, hidden, activations: [f, g, out] }) {
    const all = plus(x.add(h.matmul(recurrent)), recurrentBias);
    const [i, o, forget, candidate] = all.split(hidden, 1);
    const peep = (k: number, memory: Tensor, gate: Tensor) =>
      peepholes === null ? gate : gate.add(memory.mul(F.narrow(peepholes, 0, k * hidden, hidden)));
    const kept = c.mul(f(peep(2, c, forget)));
    const next = kept.add(f(peep(0, c, i)).mul(g(candidate)));
    return [f(peep(1, next, o)).mul(out(next)), next];
  },
};

/** Gates are ordered update, reset, hidden. `linearBeforeReset` resets after the product, as PyTorch and cuDNN do. */
const gru = (linearBeforeReset: boolean): Cell => ({
  gates: 3,
  memory: false,
  step(x, [h], { recurrent, recurrentBias, hidden, activations: [f, g] }) {
    const [xz, xr, xh] = x.split(hidden, 1);
    const [rz, rr, rh] = recurrent.split(hidden, 1);
    const [bz, br, bh] = recurrentBias?.split(hidden, 0) ?? [null, null, null];
    const z = f(plus(xz.add(h.matmul(rz)), bz));
    const r = f(plus(xr.add(h.matmul(rr)), br));
    const candidate = linearBeforeReset
      ? g(xh.add(r.mul(plus(h.matmul(rh), bh))))
      : g(plus(xh.add(r.mul(h).matmul(rh)), bh));
    return [candidate.add(z.mul(h.sub(candidate)))];
  },
});

const rnn: Cell = {
  gates: 1,
  memory: false,
  step: (x, [h], { recurrent, recurrentBias, activations: [f] }) => [
    f(plus(x.add(h.matmul(recurrent)), recurrentBias)),
  ],
};

const activationNames: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  sigmoid: (x) => x.sigmoid(),
  tanh: (x) => x.tanh(),
  relu: (x) => x.relu(),
  hardsigmoid: (x) => x.mul(0.2).add(0.5).clamp(0, 1),
  softsign: (x) => x.softsign(),
  softplus: (x) => x.softplus(),
};

interface RecurrentOptions {
  readonly cell: Cell;
  readonly hidden: number;
  readonly directions: readonly ('forward' | 'reverse')[];
  /** For each direction. */
  readonly activations: readonly (readonly ((x: Tensor) => Tensor)[])[];
  readonly batchFirst: boolean;
}

/** Every step is recorded by itself. */
const longest = 1 << 14;

/** x [T, N, I] (or [N, T, I]), initial states [directions, N, hidden] → [all outputs [T, directions, N, hidden], last output, last memory]. */
export class Recurrent extends Module {
  readonly W: Parameter; // [directions, gates · hidden, inputs]
  readonly R: Parameter; // [directions, gates · hidden, hidden]
  readonly B: Parameter | null; // [directions, 2 · gates · hidden]
  readonly P: Parameter | null; // [directions, 3 · hidden]: an LSTM's peepholes
  readonly #options: RecurrentOptions;

  constructor(
    weights: { W: Parameter; R: Parameter; B: Parameter | null; P: Parameter | null },
    options: RecurrentOptions,
  ) {
    super();
    this.W = weights.W;
    this.R = weights.R;
    this.B = weights.B;
    this.P = weights.P;
    this.#options = options;
  }

  override forward(x: Tensor, initial?: Tensor, initialMemory?: Tensor): Tensor[] {
    const { directions, batchFirst, cell } = this.#options;
    const turned = (t: Tensor) => (batchFirst ? t.transpose(0, 1) : t);
    const sequence = turned(x);
    const states = [initial, initialMemory]
      .slice(0, cell.memory ? 2 : 1)
      .map((s) => (s === undefined ? undefined : turned(s)));
    const runs = directions.map((direction, d) => this.#run(sequence, d, direction === 'reverse', states));
    const all = F.stack(runs.map((run) => run.outputs), 1); // biome-ignore format: one thought
    const last = runs[0].state.map((_, i) => turned(F.stack(runs.map((run) => run.state[i])))); // biome-ignore format: one thought
    return [batchFirst ? all.permute([2, 0, 1, 3]) : all, ...last];
  }

  #run(
    x: Tensor,
    d: number,
    reverse: boolean,
    initial: readonly (Tensor | undefined)[],
  ): { outputs: Tensor; state: Tensor[] } {
    const { cell, hidden, activations } = this.#options;
    const [time, batch, inputs] = x.shape;
    if (time > longest)
      throw new ShapeError(`Recurrent: a sequence of ${time} steps is beyond what is unrolled (${longest})`);
    const width = cell.gates * hidden;
    const bias = this.B === null ? null : F.select(this.B, 0, d);
    const w: DirectionWeights = {
      recurrent: F.select(this.R, 0, d).transpose(0, 1),
      inputBias: bias === null ? null : F.narrow(bias, 0, 0, width),
      recurrentBias: bias === null ? null : F.narrow(bias, 0, width, width),
      peepholes: this.P === null ? null : F.select(this.P, 0, d),
      hidden,
      activations: activations[d],
    };
    // The input's part of all steps is one product.
    const projected = plus(
      x.reshape([time * batch, inputs]).matmul(F.select(this.W, 0, d).transpose(0, 1)),
      w.inputBias,
    );
    const steps = projected.reshape([time, batch, width]).unbind(0);
    let state = initial.map((s) => (s === undefined ? zeros([batch, hidden]) : F.select(s, 0, d)));
    const outputs: Tensor[] = [];
    for (let i = 0; i < time; i++) {
      const t = reverse ? time - 1 - i : i;
      state = cell.step(steps[t], state, w);
      outputs[t] = state[0];
    }
    return { outputs: F.stack(outputs), state };
  }

  override extraRepr(): string {
    const { hidden, directions } = this.#options;
    return `${this.W.shape[2]}, ${hidden}, directions=${directions.length}`;
  }
}

/** Inputs: x, W, R, B, sequence lengths, initial state, and for an LSTM initial memory and peepholes. */
function recurrent(cellOf: (node: OnnxNode) => Cell, defaults: readonly string[]): Operator {
  return {
    translate(node, graph) {
      const cell = cellOf(node);
      const direction = node.word('direction', ['forward', 'reverse', 'bidirectional'], 'forward');
      const directions = direction === 'bidirectional' ? (['forward', 'reverse'] as const) : [direction];
      const [W, R] = [graph.parameter(node.input(1)), graph.parameter(node.input(2))];
      const [B, P] = [graph.parameter(node.input(3)), graph.parameter(node.input(7))];
      if (W === null || R === null) throw node.fail('its weights are computed by the graph; constants are expected');
      const hidden = node.int('hidden_size', R.shape.at(-1) ?? 0);
      const shapes = { W: [W.shape[2]], R: [hidden] } as const;
      const fits = (t: Tensor, ...rest: readonly number[]) => t.shape.join() === [directions.length, ...rest].join();
      const gates = cell.gates * hidden;
      const sound = fits(W, gates, ...shapes.W) && fits(R, gates, ...shapes.R) && (B === null || fits(B, 2 * gates));
      if (!sound || hidden < 1)
        throw node.fail(`W [${W.shape}], R [${R.shape}] and hidden_size ${hidden} do not go together`);
      if (P !== null && !fits(P, 3 * hidden)) throw node.fail(`its peepholes have shape [${P.shape}]`);
      if (node.has('clip')) throw node.fail('clip is not supported');
      if (node.flag('input_forget')) throw node.fail('input_forget is not supported');
      refuseLengths(node, node.input(4) === null ? null : graph.constant(node.input(4))?.list());
      const names = node.strings('activations') ?? directions.flatMap(() => defaults);
      const activations = directions.map((_, d) =>
        names.slice(d * defaults.length, (d + 1) * defaults.length).map((name) => {
          const f = activationNames[name.toLowerCase()];
          if (f === undefined)
            throw node.fail(`activation '${name}' is not one of ${Object.keys(activationNames).join(', ')}`);
          return f;
        }),
      );
      if (activations.some((each) => each.length !== defaults.length))
        throw node.fail(`${names.length} activations do not suffice`);
      const options = { cell, hidden, directions, activations, batchFirst: node.flag('layout') };
      const given = [node.inputs[0], node.inputs[5] ?? '', ...(cell.memory ? [node.inputs[6] ?? ''] : [])];
      return { run: new Recurrent({ W, R, B, P }, options), inputs: given, path: graph.placeOf(node.input(1)) };
    },
  };
}

/** Lengths that are the same for all say nothing; others would need masks. */
function refuseLengths(node: OnnxNode, lengths: number[] | null | undefined): void {
  if (lengths === null || (lengths !== undefined && new Set(lengths).size <= 1)) return;
  throw node.fail('sequences of different lengths are not supported');
}

export const recurrents: OperatorTable = {
  LSTM: recurrent(() => lstm, ['sigmoid', 'tanh', 'tanh']),
  GRU: recurrent((node) => gru(node.flag('linear_before_reset')), ['sigmoid', 'tanh']),
  RNN: recurrent(() => rnn, ['tanh']),
};
