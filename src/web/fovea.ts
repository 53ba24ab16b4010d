/**
 * What the exported folder's fovea.js is: a model of that folder, opened in a page and asked about pictures.
 *
 *     import { openModel } from './fovea.js';
 *     const model = await openModel('./model.safetensors');
 *     const [best] = await model.classify(document.querySelector('img'));
 *     console.log(best.class, best.probability);
 *
 * In a page that is cross-origin isolated it computes on all cores, in others on one.
 */

import { contain, preprocess } from '../data/preprocess.js';
import { type Fit, readFit } from '../io/fit.js';
import { parseSafetensors } from '../io/safetensors.js';
import { readFacts } from '../io/weights-metadata.js';
import type { Preprocessing } from '../models/preprocessing.js';
import type { Module } from '../nn/index.js';
import { openDevice, setDevice } from '../tensor/index.js';
import { likeliest, scorer } from '../train/scorer.js';
import { FormatError } from '../util/errors.js';
import { type PictureSource, planesOf } from './pixels.js';

export type { PictureSource } from './pixels.js';

export interface OpenOptions {
  /** Called while the file comes; `total` is 0 where the server does not say. */
  readonly onProgress?: (progress: { loaded: number; total: number }) => void;
  /** Left out: one for each core, where the page may share memory. */
  readonly threads?: number;
}

/** A class and how likely it is. */
export interface Guess {
  readonly class: string;
  /** Its place among the model's outputs. */
  readonly index: number;
  readonly probability: number;
}

export interface WebModel {
  /** Of the architecture. */
  readonly name: string;
  readonly classes: readonly string[];
  /** [channels, height, width] of what the network sees. */
  readonly inputShape: readonly [channels: 1 | 3, height: number, width: number];
  /** Threads that compute. */
  readonly threads: number;
  /** What is in a picture: the `top` likeliest classes, likeliest first. @throws {FormatError} for what the browser cannot decode */
  classify(picture: PictureSource, options?: { top?: number }): Promise<Guess[]>;
}

/**
 * Opens a file that `fovea export --web` wrote: its address, or its bytes. @throws {FormatError} for another file, or where it cannot be fetched
 */
export async function openModel(
  file: string | URL | Blob | ArrayBuffer | Uint8Array,
  { onProgress, threads }: OpenOptions = {},
): Promise<WebModel> {
  const [bytes, device] = await Promise.all([bytesOf(file, onProgress), theDevice(threads)]);
  const { model, name, preprocessing, classes, fit } = await networkOf(bytes);
  const { mean, std, crop } = preprocessing;
  const channels = mean.length;
  if (channels !== 1 && channels !== 3)
    throw new FormatError(`openModel: pictures have 1 or 3 channels, not ${channels}`);
  const inputShape = [channels, ...crop] as const;
  const { score } = scorer(model, { classes, inputShape, normalize: { mean, std } });
  const prepare = fit === 'contain' ? contain : preprocess;
  return {
    name,
    classes,
    inputShape,
    threads: device.threads,
    classify: async (picture, { top = 5 } = {}) => {
      const { data } = prepare(await planesOf(picture, channels), preprocessing);
      const guesses = likeliest(await score(data), classes, Math.min(top, classes.length));
      return guesses.map(({ name, index, probability }) => ({ class: name, index, probability }));
    },
  };
}

interface Network {
  readonly model: Module;
  readonly name: string;
  readonly preprocessing: Preprocessing;
  readonly classes: readonly string[];
  readonly fit: Fit;
}

/** Networks of fovea's own zoo come as safetensors, all others as ONNX. The reader of each is loaded when it is needed. */
async function networkOf(bytes: Uint8Array): Promise<Network> {
  if (!isSafetensors(bytes)) {
    const { importOnnx } = await import('../io/onnx/import.js').catch(() => {
      throw new FormatError(
        'openModel: this is no safetensors file, and the folder was exported without the reader of ONNX files',
      );
    });
    const model = importOnnx(bytes);
    const { preprocessing, classes, properties } = model.metadata;
    return whole({ model, name: 'ONNX', preprocessing, classes, fit: readFit(properties) });
  }
  const { tensors, metadata } = parseSafetensors(bytes);
  const { model: named, preprocessing, classes } = readFacts(metadata);
  if (named === null)
    throw new FormatError('openModel: the file does not say which model it is; write it with fovea export --web');
  const { findModel } = await import('../models/index.js');
  const model = findModel(named.name)(named.options).eval();
  model.loadStateDict(tensors);
  return whole({ model, name: named.name, preprocessing, classes, fit: readFit(metadata) });
}

function whole({ preprocessing, classes, ...rest }: { [K in keyof Network]: Network[K] | null }): Network {
  if (preprocessing === null || classes === null) {
    throw new FormatError(
      'openModel: the file does not say what pictures it wants or what its classes are called; write it with fovea export --web',
    );
  }
  return { ...(rest as Network), preprocessing, classes };
}

/** Eight bytes of length, then a JSON object. */
function isSafetensors(bytes: Uint8Array): boolean {
  return bytes.length > 8 && bytes[8] === 0x7b;
}

let opened: ReturnType<typeof openDevice> | null = null;

/** One for all models of the page. */
function theDevice(threads: number | undefined): ReturnType<typeof openDevice> {
  opened ??= openDevice('wasm', { threads }).then((device) => {
    setDevice(device.target);
    return device;
  });
  return opened;
}

async function bytesOf(
  file: string | URL | Blob | ArrayBuffer | Uint8Array,
  onProgress: OpenOptions['onProgress'],
): Promise<Uint8Array> {
  if (file instanceof Uint8Array) return file;
  if (file instanceof ArrayBuffer) return new Uint8Array(file);
  if (file instanceof Blob) return new Uint8Array(await file.arrayBuffer());
  const response = await fetch(file).catch((error: Error) => {
    throw new FormatError(`openModel: ${file} cannot be fetched: ${error.message}`);
  });
  if (!response.ok) throw new FormatError(`openModel: ${file} cannot be fetched: the server says ${response.status}`);
  if (onProgress === undefined || response.body === null) return new Uint8Array(await response.arrayBuffer());
  // A compressed answer's length is not that of the file.
  const total = response.headers.has('Content-Encoding') ? 0 : Number(response.headers.get('Content-Length') ?? 0);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    loaded += value.length;
    onProgress({ loaded, total });
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}
