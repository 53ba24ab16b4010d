/**
 * The bytes of every instruction in the x86-64 assembler's table, by GNU as.
 *
 * `node scripts/run-ts.mjs test/golden/x64.ts` writes data/x64.txt; it needs `as` and `objdump` of GNU binutils (made with 2.40). Each line:
 * the instruction's name, the text given to `as` (the label 1: stands before it), the bytes. Where there are two encodings of one length and
 * fovea takes the other one, that follows behind a tilde, provided that objdump reads it as the same text.
 */

import { writeFileSync } from 'node:fs';
import { assembleCase, differences, gnuAssemble, goldenCasesOf, MNEMONICS } from '../x64-cases.js';

const cases = MNEMONICS.flatMap(goldenCasesOf);
const gnu = gnuAssemble(cases.map(({ text }) => text));
const lines = cases.map((c, i) => {
  const ours = assembleCase(c);
  const other = ours !== gnu[i].bytes && differences([c], [ours], [gnu[i]]).length === 0;
  return `${c.name}\t${c.text}\t${gnu[i].bytes}${other ? `\t~ ${ours}` : ''}\n`;
});
writeFileSync('test/golden/data/x64.txt', lines.join(''));
console.log(`${lines.length} instructions of ${MNEMONICS.length} names`);
