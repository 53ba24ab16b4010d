/**
 * Writes src/io/onnx/generated/onnx_pb.ts from onnx.proto beside it (which is the ONNX project's, unchanged; it comes with the Python package
 * `onnx`, too). Needs `protoc` and the plugin, neither of which fovea depends on:
 *
 *     npm install --ignore-scripts --prefix /tmp/protoc @bufbuild/protoc-gen-es@2
 *     node scripts/onnx-schema.mjs /tmp/protoc/node_modules/.bin/protoc-gen-es
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, SetupError, script } from './setup.mjs';

/** Every source says what it is for. */
const head = `/** The messages of an ONNX file, generated from onnx.proto by scripts/onnx-schema.mjs: not to be edited. */

`;

await script(import.meta.url, ([plugin]) => {
  if (!plugin) throw new SetupError('onnx-schema: pass the path of protoc-gen-es (see the head of this script)');
  const folder = join(root, 'src/io/onnx/generated');
  const options = ['--es_out=.', '--es_opt=target=ts,import_extension=js', `--plugin=protoc-gen-es=${plugin}`];
  const { status, error } = spawnSync('protoc', ['-I', '.', ...options, 'onnx.proto'], {
    cwd: folder,
    stdio: 'inherit',
  });
  if (error) throw new SetupError(`onnx-schema: cannot run protoc: ${error.message}`);
  if (status !== 0) return status ?? 1;
  const file = join(folder, 'onnx_pb.ts');
  writeFileSync(file, head + readFileSync(file, 'utf8'));
  return 0;
});
