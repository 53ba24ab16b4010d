/**
 * Constants in registers. Selection takes each constant from memory, at every use; a loop full of polynomials is then bound by its loads.
 * Where an innermost loop leaves vector registers free, the constants it uses most are loaded once, before it.
 */
import { FOLDS, livesOf } from './allocate.js';
import { A, B, BASE, C, D, DISP, IN_MEMORY, IN_REGISTER, INDEX, M, type MachineCode, MEM, OP, POOL, STRIDE, VECTOR, WIDTH } from './machine.js'; // biome-ignore format: one thought

/** Rewrites the code, if there is anything to gain. `vectors` is the number of vector registers. */
export function holdConstants(code: MachineCode, vectors: number): void {
  const found = innermostLoops(code)
    .map(([from, to]) => ({ from, to, counts: countConstants(code, from, to) }))
    .filter(({ counts }) => counts.size > 0);
  if (found.length === 0) return;
  const pressure = pressureOf(code);
  const held = new Map<number, Map<number, number>>(); // first operation of a loop → constant → its register
  for (const { from, to, counts } of found) {
    let most = 0;
    for (let i = from; i <= to; i++) if (pressure[i] > most) most = pressure[i];
    if (most >= vectors) continue;
    const best = [...counts].sort((a, b) => b[1] - a[1]).slice(0, vectors - most);
    held.set(from, new Map(best.map(([key]) => [key, code.register(VECTOR)])));
  }
  if (held.size > 0) rewrite(code, held);
}

/** Head and end of each loop that contains no other. */
function innermostLoops({ words, count }: MachineCode): [from: number, to: number][] {
  const loops: [number, number][] = [];
  let head = -1;
  for (let i = 0, at = OP; i < count; i++, at += STRIDE) {
    if (words[at] === M.loop) head = i;
    else if (words[at] === M.back && head >= 0) {
      loops.push([head, i]);
      head = -1;
    }
  }
  return loops;
}

/** Vectors alive after each operation. */
function pressureOf(code: MachineCode): Int32Array {
  const { start, end } = livesOf(code);
  const pressure = new Int32Array(code.count + 2);
  for (let v = 0; v < code.registers; v++) {
    if (start[v] < 0 || code.files[v] !== VECTOR) continue;
    pressure[start[v]]++;
    pressure[end[v]]--;
  }
  for (let i = 1; i < pressure.length; i++) pressure[i] += pressure[i - 1];
  return pressure;
}

/** The constant and vector width that the operation at `at` reads and could as well have in a register, as one number; or −1. */
function constantAt(words: Int32Array, at: number): number {
  if (words[at + BASE] !== POOL || words[at + WIDTH] === 0) return -1;
  const op = words[at + OP];
  const loads = op === M.vload || op === M.vbroadcast;
  if (!loads && (FOLDS[op] === 0 || words[at + MEM] === IN_REGISTER)) return -1;
  return words[at + DISP] * 4 + words[at + WIDTH];
}

function countConstants({ words }: MachineCode, from: number, to: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (let at = from * STRIDE; at < to * STRIDE; at += STRIDE) {
    const key = constantAt(words, at);
    if (key >= 0) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** Loads before the loops, and registers for what was loaded within. */
function rewrite(code: MachineCode, held: ReadonlyMap<number, ReadonlyMap<number, number>>): void {
  const { count } = code;
  const alias = aliases(code);
  const words = code.restart();
  let here: ReadonlyMap<number, number> | undefined;
  for (let i = 0, at = 0; i < count; i++, at += STRIDE) {
    const op = words[at + OP];
    if (held.has(i)) {
      here = held.get(i);
      for (const [key, register] of here ?? []) loadConstant(code, key, register);
    }
    for (const field of [A, B, C]) {
      const v = words[at + field];
      if (v >= 0 && alias[v] >= 0) words[at + field] = alias[v];
    }
    const register = here === undefined ? undefined : here.get(constantAt(words, at));
    if (op === M.back) here = undefined;
    if (register === undefined) {
      code.copy(words, at);
      continue;
    }
    const d = words[at + D];
    if (op === M.vload || op === M.vbroadcast) {
      if (alias[d] === ONCE) alias[d] = register;
      else code.push(M.vmov, words[at + WIDTH], d, register);
      continue;
    }
    const copy = code.copy(words, at);
    code.words[copy + B] = register;
    code.words[copy + MEM] = IN_REGISTER;
    code.words[copy + BASE] = -1;
    code.words[copy + INDEX] = -1;
    code.words[copy + DISP] = 0;
  }
  code.recycle(words);
}

/** Registers that are defined once: others may be read in their stead. */
const ONCE = -2;

function aliases({ words, count, registers }: MachineCode): Int32Array {
  const alias = new Int32Array(registers).fill(-1);
  for (let at = 0; at < count * STRIDE; at += STRIDE) {
    const d = words[at + D];
    if (d >= 0) alias[d] = alias[d] === -1 ? ONCE : -3;
  }
  return alias;
}

function loadConstant(code: MachineCode, key: number, register: number): void {
  const constant = key >> 2;
  const one = code.constants[constant].length === 4;
  const at = code.push(one ? M.vbroadcast : M.vload, key & 3, register);
  code.words[at + BASE] = POOL;
  code.words[at + DISP] = constant;
  code.words[at + MEM] = IN_MEMORY;
}
