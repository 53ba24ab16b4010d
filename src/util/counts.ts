/** Numbers of things, in English. */

/** 1199882 → 1,199,882 */
export function grouped(n: number): string {
  return n.toLocaleString('en-US');
}

/** 1 step, 1,200 steps; `one` is the word for a single one. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
}
