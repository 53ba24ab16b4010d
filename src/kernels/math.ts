/**
 * Elementary functions as kernel IR: the same expressions serve scalars and vectors of any width, on every target. Errors stay within a few
 * units in the last place (1e-6 relative, tested against float64); 0, ±∞, NaN, overflow and underflow come out as IEEE 754 says, but that
 * sin and expm1 take −0 to 0.
 * Polynomials after Moshier's Cephes library (single precision) where not said otherwise. Where digits hang on it, sums are written so
 * that a fused and an unfused multiply–add serve alike.
 */

import { Float, type Int, type KernelBuilder, type Value } from '../ir/index.js';
import type { DType } from '../util/dtype.js';

/** ln 2 in two parts: the first has 10 bits, so that multiples of it by an exponent are exact. */
const LN2_HI = 0.693359375;
const LN2_LO = -2.1219444005469e-4;

/** Keeps the upper 12 bits of a significand: products of two such parts are exact. */
const UPPER = 0xfffff000 | 0;

// — signs, limits, conversions —

export function abs(x: Value): Value {
  return x instanceof Float ? x.abs() : x.max(x.neg());
}

/** −1, 0, 1; zeros and NaN stay themselves. */
export function sign(k: KernelBuilder, x: Value): Value {
  if (x instanceof Float) return k.select(x.gt(0), 1, k.select(x.lt(0), -1, x));
  return x.min(1).max(-1);
}

export function clamp(x: Value, low: number, high: number): Value {
  if (x instanceof Float) {
    const above = low === Number.NEGATIVE_INFINITY ? x : x.max(low);
    return high === Number.POSITIVE_INFINITY ? above : above.min(high);
  }
  return x.max(Math.max(low, -(2 ** 31))).min(Math.min(high, 2 ** 31 - 1));
}

/** As ops' cast: float → int truncates and saturates, uint8 keeps the low byte, anything but 0 is true. Ints hold uint8 and bool as such. */
export function cast(x: Value, dtype: DType): Value {
  switch (dtype) {
    case 'float32':
      return x instanceof Float ? x : x.toF();
    case 'int32':
      return toInt(x);
    case 'uint8':
      return toInt(x).and(255);
    case 'bool':
      return x.ne(0).and(1);
    default:
      return dtype satisfies never;
  }
}

// — exponentials —

export function exp(k: KernelBuilder, x: Float): Float {
  const limited = x.pmax(-104).pmin(89); // e^89 overflows, e^−104 rounds to 0
  const { n, r } = reduceExp(k, limited, 254);
  // Times 2ⁿ in two steps, so that results below the normal range round once and those above overflow: the exponents of both, biased, add up
  // to n + 254, which stands in the low bits; the bits above fall out on the left.
  const half = n.shr(1);
  return horner(k, r, EXP).mul(half.shl(23).asF()).mul(n.sub(half).shl(23).asF());
}

/** eˣ for x ≤ 0, where what is below the normal range may be 0: a third cheaper. */
export function expOfNegative(k: KernelBuilder, x: Float): Float {
  const { n, r } = reduceExp(k, x.pmax(-88.03), 127); // there n is −127, the exponent of 0
  return horner(k, r, EXP).mul(n.shl(23).asF());
}

/**
 * x = sign·n·ln 2 + r with |r| ≤ ½ ln 2. `n` comes with `bias` added, in the low bits of an int: cheaper than nearest() and toI() on x86.
 */
function reduceExp(k: KernelBuilder, x: Float, bias: number, sign: 1 | -1 = 1): { n: Int; r: Float } {
  // Adding 1.5·2²³ rounds to a whole number.
  const rounder = 1.5 * 2 ** 23 + bias;
  const shifted = k.f32(rounder, x.width).fma(x, sign * Math.LOG2E);
  const n = shifted.sub(rounder);
  return { n: shifted.asI(), r: x.fma(n, -sign * LN2_HI).fma(n, -sign * LN2_LO) };
}

/** eʳ for |r| ≤ ½ ln 2, to 3·10⁻⁹: a minimax polynomial of relative error whose first two coefficients are 1. */
const EXP = [
  1.3814171543344855e-3, 8.368922397494316e-3, 4.166840761899948e-2, 1.666651964187622e-1, 4.999999403953552e-1, 1, 1,
];
const EXP_OF_MINUS = EXP.map((c, i) => (i % 2 === 0 ? c : -c));
const MINUS_EXP = EXP.map((c) => -c);

/** eˣ − 1 without losing digits near 0: 2ⁿ·(eʳ − 1) + (2ⁿ − 1), halved on the way so that n = 128 fits. */
export function expm1(k: KernelBuilder, x: Float): Float {
  const limited = x.pmax(-30).pmin(89);
  const n = limited.mul(Math.LOG2E).nearest();
  const r = limited.fma(n, -LN2_HI).fma(n, -LN2_LO);
  const half = n.toI().add(126).shl(23).asF();
  const y = half.sub(0.5).fma(half, expm1Near0(k, r));
  return k.select(n.eq(0), expm1Near0(k, x), y.add(y));
}

/** 1 / (1 + e⁻ˣ). Below −88.4, where results leave the normal range, 0. */
export function sigmoid(k: KernelBuilder, x: Float): Float {
  const limited = x.pmax(-89).pmin(87);
  const { n, r } = reduceExp(k, limited, 127, -1);
  return k.f32(1, x.width).div(k.f32(1, x.width).fma(horner(k, r, EXP_OF_MINUS), n.shl(23).asF()));
}

/** A quotient of polynomials in x² (degrees 13 and 6), from the Eigen library; beyond ±7.9 the result is ±1. */
export function tanh(k: KernelBuilder, x: Float): Float {
  const t = x.pmax(-7.905311107635498).pmin(7.905311107635498);
  const s = t.mul(t);
  const p = horner(k, s, TANH_P).mul(t);
  return k.select(x.abs().lt(0.0004), x, p.div(horner(k, s, TANH_Q)));
}

const TANH_P = [
  -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-8, 1.48572235717979e-5,
  6.37261928875436e-4, 4.89352455891786e-3,
];
const TANH_Q = [1.19825839466702e-6, 1.18534705686654e-4, 2.268434632439e-3, 4.89352518554385e-3];

/** Two polynomials that meet at |x| = 475/512: x + x·p(x²) inside, 1 − e^q(|x|) outside (N. Juffa, error below 1 ulp). */
export function erf(k: KernelBuilder, x: Float): Float {
  const t = x.abs().pmin(4); // erf is 1 in float32 from 3.92 on
  const near = x.fma(x, horner(k, x.mul(x), ERF_NEAR));
  // The exponential of −17 … −0.9 needs less care than others, and where t is small it may be anything.
  const q = horner(k, t, ERF_FAR).mul(t).sub(t);
  const shifted = k.f32(ROUNDER, x.width).fma(q, Math.LOG2E);
  const r = q.fma(shifted.sub(ROUNDER), -Math.LN2);
  const far = k.f32(1, x.width).fma(horner(k, r, MINUS_EXP), shifted.asI().shl(23).asF());
  const signed = far.asI().or(x.asI().and(SIGN)).asF();
  return k.select(t.gt(475 / 512), signed, near);
}

const ROUNDER = 1.5 * 2 ** 23 + 127;
const SIGN = 0x80000000 | 0;

const ERF_NEAR = [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1];
const ERF_FAR = [
  -1.72853470e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2, -1.06777877e-1, -6.34846687e-1, -1.28717512e-1,
]; // biome-ignore format: as published

// — logarithms —

export function log(k: KernelBuilder, x: Float): Float {
  const { f, n } = splitLog(k, x);
  const z = f.mul(f);
  const tail = f
    .mul(z)
    .mul(horner(k, f, LOG_TAIL))
    .fma(n, LN2_LO);
  const y = tail.fma(z, -0.5).add(f).fma(n, LN2_HI);
  return logEdges(k, x, y);
}

/** log(1 + x) without losing digits near 0: log(u)·x/(u − 1), where u = 1 + x as rounded (Kahan). */
export function log1p(k: KernelBuilder, x: Float): Float {
  const u = x.add(1);
  const y = log(k, u).mul(x.div(u.sub(1)));
  const exactly = k.select(u.eq(1), x, y);
  return k.select(u.eq(Number.POSITIVE_INFINITY), u, exactly);
}

const LOG_TAIL = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
];

// — trigonometry: exact to the last places for |x| up to 2¹⁶; beyond, digits are lost with the size of x —

export function sin(k: KernelBuilder, x: Float): Float {
  const { r, quadrant } = quarterTurns(x);
  return turned(k, quadrant, sinNear0(k, r), cosNear0(k, r));
}

export function cos(k: KernelBuilder, x: Float): Float {
  const { r, quadrant } = quarterTurns(x);
  return turned(k, quadrant.add(1), sinNear0(k, r), cosNear0(k, r));
}

export function tan(k: KernelBuilder, x: Float): Float {
  const { r, quadrant } = quarterTurns(x);
  const [s, c] = [sinNear0(k, r), cosNear0(k, r)];
  const odd = quadrant.and(1).ne(0);
  return k.select(odd, c.neg(), s).div(k.select(odd, s, c));
}

// — powers and remainders —

export function pow(k: KernelBuilder, a: Value, b: Value): Value {
  return a instanceof Float ? powFloat(k, a, b as Float) : powInt(k, a, b as Int);
}

/** e^(b·log|a|), the logarithm and the product each carried in two floats, since the exponential magnifies their error up to 88 times. */
function powFloat(k: KernelBuilder, a: Float, b: Float): Float {
  const size = a.abs();
  const power = b.max(-(2 ** 32)).min(2 ** 32); // beyond, every base but ±1 has long over- or underflown
  const { hi, lo } = logInTwo(k, size);
  const [hiU, hiL] = halves(hi);
  const [bU, bL] = halves(power);
  const yHi = bU.mul(hiU);
  const yLo = bU.mul(hiL).add(bL.mul(hi)).add(power.mul(lo));
  const y = yHi.add(yLo);

  const n = y.max(-104).min(89).mul(Math.LOG2E).nearest();
  const r = yHi.sub(n.mul(LN2_HI)).add(yLo).sub(n.mul(LN2_LO));
  const inside = scale(expm1Near0(k, r).add(1), n.toI());
  const finite = k.select(y.gt(89), Number.POSITIVE_INFINITY, k.select(y.lt(-104), 0, inside));

  const infinite = size.eq(Number.POSITIVE_INFINITY);
  const edge = size.eq(0).or(infinite);
  const positive = k.select(size.gt(1), b, b.neg()).gt(0);
  const ofEdge = k.select(positive, k.f32(Number.POSITIVE_INFINITY, a.width), 0);
  const magnitude = k.select(edge, ofEdge, finite);

  const whole = b.eq(b.floor());
  const half = b.mul(0.5);
  const odd = whole.and(half.ne(half.floor()));
  const negative = a.asI().lt(0);
  const signed = k.select(negative.and(odd), magnitude.neg(), magnitude);
  const complex = a.lt(0).and(whole.not()).and(infinite.not());
  const undefinedValue = complex.or(a.ne(a)).or(b.ne(b));
  const one = b.eq(0).or(a.eq(1));
  return k.select(one, 1, k.select(undefinedValue, Number.NaN, signed));
}

/** By squaring, modulo 2³². A negative exponent leaves ±1 for the bases ±1 and 0 for the others. */
function powInt(k: KernelBuilder, base: Int, exponent: Int): Int {
  const result = k.var(k.int(1, base.width));
  const square = k.var(base);
  const bits = k.var(exponent);
  k.loop(32, () => {
    result.set(k.select(bits.value.and(1).ne(0), result.value.mul(square.value), result.value));
    square.set(square.value.mul(square.value));
    bits.set(bits.value.shrU(1));
  });
  const unit = k.select(base.eq(1), 1, k.select(base.eq(-1), exponent.and(1).neg().or(1), 0) as Int);
  return k.select(exponent.lt(0), unit, result.value);
}

/** Remainder with the sign of the divisor. Exact while the quotient is below 2²⁴. */
export function mod(k: KernelBuilder, a: Value, b: Value): Value {
  return a instanceof Float ? modFloat(k, a, b as Float) : modInt(k, a, b as Int);
}

function modFloat(k: KernelBuilder, a: Float, b: Float): Float {
  const q = a.div(b).floor();
  const [qU, qL] = halves(q);
  const [bU, bL] = halves(b);
  const r = a.sub(qU.mul(bU)).sub(qU.mul(bL)).sub(qL.mul(bU)).sub(qL.mul(bL));
  // The rounded quotient may be one too large or too small.
  const raised = k.select(
    r
      .mul(b.sub(r))
      .lt(0)
      .and(k.select(b.lt(0), r.neg(), r).lt(0)),
    r.add(b),
    r,
  );
  const inside = k.select(raised.abs().ge(b.abs()), raised.sub(b), raised);
  const opposite = a
    .lt(0)
    .and(b.gt(0))
    .or(a.gt(0).and(b.lt(0)));
  const ofInfinite = k.select(a.sub(a).ne(0), Number.NaN, k.select(opposite, b, a) as Float);
  return k.select(b.abs().eq(Number.POSITIVE_INFINITY), ofInfinite, inside);
}

/** Two quotients in float, each exact to its 24 bits, then one correction; modulo 0 gives 0. */
function modInt(k: KernelBuilder, a: Int, b: Int): Int {
  const step = (r: Int) => r.sub(r.toF().div(b.toF()).toI().mul(b));
  const r = step(step(a));
  const raised = k.select(r.ne(0).and(r.xor(b).lt(0)), r.add(b), r);
  return k.select(b.eq(0).or(raised.eq(b)), 0, raised) as Int;
}

// — helpers —

function toInt(x: Value): Int {
  return x instanceof Float ? x.toI() : x;
}

/** c[0]·xⁿ + … + c[n]. */
function horner(k: KernelBuilder, x: Float, coefficients: readonly number[]): Float {
  return coefficients.slice(1).reduce((sum, c) => k.f32(c, x.width).fma(sum, x), k.f32(coefficients[0], x.width));
}

/** eʳ − 1 for |r| ≤ ½ ln 2. */
function expm1Near0(k: KernelBuilder, r: Float): Float {
  return r.fma(r.mul(r), horner(k, r, EXP_TAIL));
}

const EXP_TAIL = [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1];

/** y · 2ⁿ for −150 ≤ n ≤ 128, in two steps, so that results below the normal range round once and those above overflow. */
function scale(y: Float, n: Int): Float {
  const first = n.shr(1);
  return y.mul(first.add(127).shl(23).asF()).mul(n.sub(first).add(127).shl(23).asF());
}

/** x = 2ⁿ·(1 + f) with √½ ≤ 1 + f < √2, for positive finite x; numbers below the normal range are scaled up first. */
function splitLog(k: KernelBuilder, x: Float): { f: Float; n: Float } {
  const small = x.lt(2 ** -126);
  const bits = k.select(small, x.mul(2 ** 23), x).asI();
  const shifted = bits.sub(SQRT_HALF_BITS);
  const n = shifted.shr(23);
  const f = bits.sub(n.shl(23)).asF().sub(1);
  return { f, n: n.toF().sub(k.select(small, k.f32(23, x.width), 0)) };
}

const SQRT_HALF_BITS = 0x3f3504f3;

/** log 0 = −∞, log ∞ = ∞, NaN for NaN and below 0. */
function logEdges(k: KernelBuilder, x: Float, y: Float): Float {
  const positive = k.select(x.eq(Number.POSITIVE_INFINITY), x, y);
  return k.select(x.gt(0), positive, k.select(x.eq(0), k.f32(Number.NEGATIVE_INFINITY, x.width), Number.NaN));
}

/** log x as the sum of two floats, hi + lo, to about 2⁻²⁹ of itself. */
function logInTwo(k: KernelBuilder, x: Float): { hi: Float; lo: Float } {
  const { f, n } = splitLog(k, x);
  const [u, l] = halves(f);
  const square = u.mul(u).mul(-0.5); // exact
  const rest = l.mul(f.add(u)).mul(-0.5);
  const cube = f
    .mul(f)
    .mul(f)
    .mul(horner(k, f, LOG_TAIL));
  const first = f.add(square);
  const firstLost = square.sub(first.sub(f));
  const whole = n.mul(LN2_HI); // exact
  const second = whole.add(first);
  const secondLost = first.sub(second.sub(whole));
  const tail = cube.add(rest).add(n.mul(LN2_LO)).add(firstLost).add(secondLost);
  const hi = second.add(tail);
  return { hi, lo: tail.sub(hi.sub(second)) };
}

/** x as the sum of its upper 12 significant bits and the rest. */
function halves(x: Float): [upper: Float, lower: Float] {
  const upper = x.asI().and(UPPER).asF();
  return [upper, x.sub(upper)];
}

/** x = quadrant·π/2 + r with |r| ≤ π/4. The first three parts of π/2 have 8 bits: their products with a quadrant below 2¹⁶ are exact. */
function quarterTurns(x: Float): { r: Float; quadrant: Int } {
  const n = x.mul(2 / Math.PI).nearest();
  const r = HALF_PI.reduce((rest, part) => rest.fma(n, -part), x);
  return { r, quadrant: n.toI() };
}

const HALF_PI = [1.5703125, 4.825592041015625e-4, 1.2665987014770508e-6, 9.92093629470503e-10];

function turned(k: KernelBuilder, quadrant: Int, s: Float, c: Float): Float {
  const y = k.select(quadrant.and(1).ne(0), c, s);
  return k.select(quadrant.and(2).ne(0), y.neg(), y);
}

function sinNear0(k: KernelBuilder, r: Float): Float {
  const z = r.mul(r);
  return r.fma(r.mul(z), horner(k, z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]));
}

function cosNear0(k: KernelBuilder, r: Float): Float {
  const z = r.mul(r);
  return z
    .mul(-0.5)
    .fma(z.mul(z), horner(k, z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]))
    .add(1);
}
