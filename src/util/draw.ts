/**
 * Drawing from distributions, from one definition for the host and for kernels. Everything is float32 arithmetic that every machine rounds
 * alike (no fused multiply-add, no library functions), so a seed gives the same bits wherever, and by however many threads, they are drawn.
 */

import { philoxFill } from './philox.js';

/** What a tensor is to hold, before anybody has looked: a device may draw it where and how it will lie. */
export type Draw =
  | { readonly kind: 'constant'; readonly value: number }
  /** low + u · (high − low), u one of 2²⁴ steps from 0 to below 1. */
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number; readonly key: Int32Array }
  | { readonly kind: 'normal'; readonly mean: number; readonly std: number; readonly key: Int32Array };

export type RandomDraw = Exclude<Draw, { kind: 'constant' }>;

/** Writes what `draw` says into `out`. */
export function drawOnHost(out: Float32Array, draw: Draw): void {
  if (draw.kind === 'constant') {
    out.fill(draw.value);
    return;
  }
  // The bits lie where the values go: 25 million weights need no second array.
  const bits = new Int32Array(out.buffer, out.byteOffset, out.length);
  philoxFill(bits, draw.key);
  const [a, b] = scaling(draw);
  if (draw.kind === 'uniform') for (let i = 0; i < out.length; i++) out[i] = uniformOf(numbers, bits[i], a, b);
  else for (let i = 0; i < out.length; i++) out[i] = normalOf(numbers, bits[i], a, b);
}

/** The two numbers that random words are turned into values by: `uniformOf` and `normalOf` take them. */
export function scaling(draw: RandomDraw): [offset: number, factor: number] {
  return draw.kind === 'uniform'
    ? [Math.fround(draw.low), Math.fround((draw.high - draw.low) * 2 ** -24)]
    : [Math.fround(draw.mean), Math.fround(draw.std)];
}

/** Operations on 32-bit integers I (and masks) and on float32 numbers F, each rounded once. Plain numbers stand for constants. */
export interface Arithmetic<I, F> {
  xor(a: I, b: I): I;
  and(a: I, b: number): I;
  or(a: I, b: number): I;
  subtractFrom(a: number, b: I): I;
  shr(a: I, count: number): I;
  shrU(a: I, count: number): I;
  toF(a: I): F;
  asF(a: I): F;
  asI(a: F): I;
  add(a: F, b: F | number): F;
  sub(a: F, b: F | number): F;
  mul(a: F, b: F | number): F;
  div(a: F, b: F): F;
  neg(a: F): F;
  sqrt(a: F): F;
  /** a ≥ 0 ? x : y. Both may be computed. */
  whereNonNegative(a: I, x: () => F, y: () => F): F;
}

/** offset + (the upper 24 bits) · factor. */
export function uniformOf<I, F>(m: Arithmetic<I, F>, word: I, offset: F, factor: F): F {
  return m.add(m.mul(m.toF(m.shrU(word, 8)), factor), offset);
}

/** offset + z · factor, z from the standard normal distribution. */
export function normalOf<I, F>(m: Arithmetic<I, F>, word: I, offset: F, factor: F): F {
  const z = m.whereNonNegative(beforeTail(m, word), () => middleQuantile(m, word), () => tailQuantile(m, word)); // biome-ignore format: one line
  return m.add(m.mul(z, factor), offset);
}

/*
 * The z with Φ(z) = (word + ½) / 2³² + ½ for a signed word, to about 1e-6. Source: Wichura 1988, algorithm AS 241 (PPND7), without its far
 * tail, which 32 bits cannot reach.
 */

/** Not negative where |Φ(z) − ½| ≤ 0.425. */
function beforeTail<I, F>(m: Arithmetic<I, F>, word: I): I {
  return m.subtractFrom(Math.floor(0.425 * 2 ** 32), magnitude(m, word));
}

function magnitude<I, F>(m: Arithmetic<I, F>, word: I): I {
  return m.xor(word, m.shr(word, 31));
}

/** A ratio of polynomials in (Φ(z) − ½)². */
function middleQuantile<I, F>(m: Arithmetic<I, F>, word: I): F {
  const q = m.mul(m.add(m.toF(word), 0.5), 2 ** -32);
  const s = m.add(m.neg(m.mul(q, q)), middleCentre);
  return m.mul(q, m.div(polynomial(m, s, middleTop), polynomial(m, s, middleBottom)));
}

/** A ratio of polynomials in √−ln p. p, the chance of what lies farther out, comes from the integer, which has all its digits. */
function tailQuantile<I, F>(m: Arithmetic<I, F>, word: I): F {
  const p = m.mul(m.add(m.toF(m.subtractFrom(0x7fffffff, magnitude(m, word))), 0.5), 2 ** -32);
  const r = m.sub(m.sqrt(m.neg(logOf(m, p))), tailCentre);
  const z = m.div(polynomial(m, r, farTop), polynomial(m, r, farBottom));
  return m.whereNonNegative(word, () => z, () => m.neg(z)); // biome-ignore format: one line
}

/** ln x for a positive, normal x: exponent · ln 2 + ln of the mantissa in [1, 2), to 3e-7. */
function logOf<I, F>(m: Arithmetic<I, F>, x: F): F {
  const bits = m.asI(x);
  const exponent = m.sub(m.toF(m.shr(bits, 23)), 127);
  const f = m.sub(m.asF(m.or(m.and(bits, 0x7fffff), 0x3f800000)), 1);
  return m.add(m.mul(exponent, ln2), m.mul(f, polynomial(m, f, log1pOverX)));
}

/** coefficients[0] · x^n + … + coefficients[n]. */
function polynomial<I, F>(m: Arithmetic<I, F>, x: F, coefficients: readonly number[]): F {
  let y = m.add(m.mul(x, coefficients[0]), coefficients[1]);
  for (let i = 2; i < coefficients.length; i++) y = m.add(m.mul(y, x), coefficients[i]);
  return y;
}

/* Constants are rounded to float32 here, once: in float64 arithmetic they would be others. */
const rounded = (...values: number[]): number[] => values.map(Math.fround);
const [middleCentre, tailCentre, ln2] = rounded(0.180625, 1.6, Math.LN2);
const middleTop = rounded(59.10937472, 159.29113202, 50.434271938, 3.3871327179);
const middleBottom = rounded(67.1875636, 78.757757664, 17.895169469, 1);
const farTop = rounded(0.17023821103, 1.3067284816, 2.75681539, 1.4234372777);
const farBottom = rounded(0.12021132975, 0.7370016425, 1);
/** ln(1 + x) / x on [0, 1], interpolated at Chebyshev's points. */
const log1pOverX = rounded(
  -0.008574675768613815,
  0.044214192777872086,
  -0.10785368084907532,
  0.17757023870944977,
  -0.2449961155653,
  0.3327617645263672,
  -0.49997448921203613,
  0.9999998211860657,
);

const view = new DataView(new ArrayBuffer(4));

/** One number at a time. */
const numbers: Arithmetic<number, number> = {
  xor: (a, b) => a ^ b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  subtractFrom: (a, b) => (a - b) | 0,
  shr: (a, count) => a >> count,
  shrU: (a, count) => a >>> count,
  toF: (a) => Math.fround(a),
  asF(a) {
    view.setInt32(0, a);
    return view.getFloat32(0);
  },
  asI(a) {
    view.setFloat32(0, a);
    return view.getInt32(0);
  },
  add: (a, b) => Math.fround(a + b),
  sub: (a, b) => Math.fround(a - b),
  mul: (a, b) => Math.fround(a * b),
  div: (a, b) => Math.fround(a / b),
  neg: (a) => -a,
  sqrt: (a) => Math.fround(Math.sqrt(a)),
  whereNonNegative: (a, x, y) => (a >= 0 ? x() : y()),
};
