/** `npm start`: from a fresh clone to a first trained network. Arguments after `--` go to the command and win: `npm start -- --epochs 3`. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, script, setup } from './setup.mjs';

await script(import.meta.url, (extra) => {
  setup();
  const args = ['train', 'mnist', '--model', 'classic', '--epochs', '1', ...extra];
  console.log(`> fovea ${args.join(' ')}`);
  return (
    spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), ...args], { cwd: root, stdio: 'inherit' }).status ?? 1
  );
});
