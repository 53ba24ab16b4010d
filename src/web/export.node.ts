/**
 * A model as a folder for any static host: a page that classifies pictures in the visitor's browser, the model, the scripts, and how to use them in
 * a page of one's own. The folder is made under another name first, so it is there whole or not at all.
 */

import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { fileError } from '../io/file-error.node.js';
import { type Fit, writeFit } from '../io/fit.js';
import { onnxModel } from '../io/onnx/export.js';
import { encodeOnnxPieces } from '../io/onnx/model-file.js';
import { create, StringStringEntryProtoSchema } from '../io/onnx/schema.js';
import { encodeWeights, rebuildable } from '../io/weights.js';
import type { Preprocessing } from '../models/index.js';
import type { Module } from '../nn/index.js';
import { ConfigError } from '../util/errors.js';
import { openBundle } from './bundle.node.js';
import { renderPage } from './page.js';
import { readmeText, usePage } from './use-page.js';

export interface WebExport {
  readonly model: Module;
  readonly modelName: string;
  /** Heading of the page. */
  readonly title: string;
  readonly classes: readonly string[];
  readonly inputShape: readonly [channels: number, height: number, width: number];
  readonly preprocessing: Preprocessing;
  readonly fit: Fit;
}

export interface WebExportOptions {
  /** Replace what is in the folder. */
  readonly force?: boolean;
  /** Where the build put the scripts. */
  readonly bundle?: string;
}

export interface WebExported {
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
  /** Of the scripts together, as they travel. */
  readonly scriptsGzipBytes: number;
  readonly modelFile: string;
}

/** @throws {ConfigError} if the folder holds something and `force` is not set. @throws {FileError} that says why it cannot be written */
export async function exportWeb(what: WebExport, folder: string, options: WebExportOptions = {}): Promise<WebExported> {
  const { force = false, bundle } = options;
  const { folder: from, files: scripts } = await openBundle(bundle);
  await checkFree(folder, force);
  const zoo = rebuildable(what.model) !== null;
  const modelFile = zoo ? 'model.safetensors' : 'model.onnx';
  const needed = [...scripts.always, ...(zoo ? scripts.zoo : scripts.onnx)];
  const model = zoo ? await asSafetensors(what) : await asOnnx(what);

  const target = resolve(folder);
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
  try {
    await mkdir(join(temporary, 'fovea'), { recursive: true });
    for (const file of needed) await copyFile(join(from, file), join(temporary, file));
    await writeFile(join(temporary, modelFile), model);
    const scriptsGzipBytes = await gzipSize(needed.map((file) => join(from, file)));
    const { title, classes } = what;
    const preload = needed.filter((file) => file !== 'page.js').map((file) => `./${file}`);
    const page = renderPage({ title, classes, backend: 'local', model: `./${modelFile}`, preload });
    const modelBytes = model.reduce((sum, piece) => sum + piece.length, 0);
    const facts = { ...what, modelFile, modelBytes, scriptsGzipBytes, scripts: needed };
    await writeFile(join(temporary, 'index.html'), page);
    await writeFile(join(temporary, 'use.html'), usePage(facts));
    await writeFile(join(temporary, 'README.md'), readmeText(facts));
    await takePlace(temporary, target);
    return { files: await listed(folder), scriptsGzipBytes, modelFile };
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error instanceof Error && 'code' in error ? fileError('write', folder, error) : error;
  }
}

async function asSafetensors({ model, preprocessing, classes, fit }: WebExport): Promise<Uint8Array[]> {
  return encodeWeights(model, { preprocessing, classes, metadata: writeFit(fit) });
}

async function asOnnx({ model, modelName, inputShape, preprocessing, classes, fit }: WebExport): Promise<Uint8Array[]> {
  const proto = await onnxModel(model, { input: inputShape, name: modelName, preprocessing, classes });
  for (const [key, value] of Object.entries(writeFit(fit))) {
    proto.metadataProps.push(create(StringStringEntryProtoSchema, { key, value }));
  }
  return encodeOnnxPieces(proto);
}

async function checkFree(folder: string, force: boolean): Promise<void> {
  const found = await stat(folder).catch(() => null);
  if (found === null) return;
  if (!found.isDirectory()) throw new ConfigError(`${folder} is a file; --web takes the name of a folder`);
  const names = await readdir(folder);
  if (names.length === 0) return;
  if (!force)
    throw new ConfigError(`${folder} is not empty: choose another folder, or replace what is in it with --force`);
  // Whatever else --force is for, it is not for losing a folder that was meant for something else.
  if (names.includes('fovea.js') && names.includes('index.html')) return;
  throw new ConfigError(
    `${folder} holds something other than an exported page, which --force does not delete: choose another folder`,
  );
}

/** The new folder under the name of the old one, which is moved aside first and deleted last. */
async function takePlace(temporary: string, target: string): Promise<void> {
  const old = `${temporary}.old`;
  const replaced = await rename(target, old).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  try {
    await rename(temporary, target);
  } catch (error) {
    if (replaced) await rename(old, target);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
}

async function gzipSize(files: readonly string[]): Promise<number> {
  let sum = 0;
  for (const file of files) sum += gzipSync(await readFile(file), { level: 9 }).length;
  return sum;
}

async function listed(folder: string): Promise<{ path: string; sizeBytes: number }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(files.sort().map(async (path) => ({ path, sizeBytes: (await stat(path)).size })));
}
