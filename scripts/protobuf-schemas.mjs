/**
 * Writes the TypeScript of the protobuf schemas beside them: src/io/onnx/generated/onnx_pb.ts from onnx.proto (which is the ONNX project's, unchanged; it
 * comes with the Python package `onnx`, too), and src/io/tensorboard/generated/event_pb.ts from event.proto (the few messages we write, with the
 * field numbers of TensorFlow's). Needs `protoc` and the plugin, neither of which fovea depends on:
 *
 *     npm install --ignore-scripts --prefix /tmp/protoc @bufbuild/protoc-gen-es@2
 *     node scripts/protobuf-schemas.mjs /tmp/protoc/node_modules/.bin/protoc-gen-es
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, SetupError, script } from './setup.mjs';

/** Every source says what it is for. */
const schemas = [
  { folder: 'src/io/onnx/generated', name: 'onnx', holds: 'The messages of an ONNX file' },
  { folder: 'src/io/tensorboard/generated', name: 'event', holds: "The messages of TensorBoard's event files" },
];

await script(import.meta.url, ([plugin]) => {
  if (!plugin) throw new SetupError('protobuf-schemas: pass the path of protoc-gen-es (see the head of this script)');
  for (const { folder, name, holds } of schemas) {
    const cwd = join(root, folder);
    const options = ['--es_out=.', '--es_opt=target=ts,import_extension=js', `--plugin=protoc-gen-es=${plugin}`];
    const { status, error } = spawnSync('protoc', ['-I', '.', ...options, `${name}.proto`], { cwd, stdio: 'inherit' });
    if (error) throw new SetupError(`protobuf-schemas: cannot run protoc: ${error.message}`);
    if (status !== 0) return status ?? 1;
    const file = join(cwd, `${name}_pb.ts`);
    const head = `/** ${holds}, generated from ${name}.proto by scripts/protobuf-schemas.mjs: not to be edited. */\n\n`;
    writeFileSync(file, head + readFileSync(file, 'utf8'));
  }
  return 0;
});
