/**
 * The pictures in a request: its body as it is, or the files of a form. A body is read piece by piece and given up as soon as it is longer than
 * allowed; all bodies being read or waiting count against one budget, so that memory is bounded however many come.
 */

import type { IncomingMessage } from 'node:http';
import type { Buffers } from './buffers.js';
import type { Signal } from './cancellation.js';
import { mostFiles } from './limits.js';
import { Refusal } from './refusal.js';

export interface Upload {
  /** As the form calls it; null for a body that is the picture itself. */
  readonly file: string | null;
  /** In an array buffer of its own, which may be longer. */
  readonly bytes: Uint8Array;
}

/** Bytes that may be held at the same time. */
export class Budget {
  private used = 0;

  constructor(private readonly limit: number) {}

  /** @throws {Refusal} 503 if so much is not free */
  take(bytes: number): void {
    if (this.used + bytes > this.limit) throw busy('too many pictures are being sent at once');
    this.used += bytes;
  }

  give(bytes: number): void {
    this.used -= bytes;
  }
}

export function busy(why: string): Refusal {
  return new Refusal(503, 'busy', `The server is busy: ${why}. Try again in a second.`, { 'Retry-After': '1' });
}

const raw = /^(image\/[\w.+-]+|application\/octet-stream|application\/x-www-form-urlencoded)$/;
const form = 'multipart/form-data';

/** What kind of body a request has. @throws {Refusal} 415 for one that can hold no picture */
export function bodyKind({ headers }: IncomingMessage): 'raw' | 'form' {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw unsupported(
      `Content-Encoding ${shortened(encoding)} is not read; pictures are compressed already, send them as they are`,
    );
  }
  const type = (headers['content-type'] ?? 'application/octet-stream').split(';')[0].trim().toLowerCase();
  if (type === form) return 'form';
  // What curl --data-binary says unless it is told otherwise is let pass: the bytes show whether they are a picture.
  if (raw.test(type)) return 'raw';
  throw unsupported(
    `Content-Type ${shortened(type)} holds no picture. Send the file's bytes as image/jpeg, image/png … or application/octet-stream, or files as ${form}`,
  );
}

function unsupported(message: string): Refusal {
  return new Refusal(415, 'unsupported_media_type', `${message}.`);
}

/**
 * The whole body, in one of the buffers. What it takes of `budget` is given back by whoever calls, by its length.
 * @throws {Refusal} 413 as soon as it is known to be longer than `maxBytes`; 400 if the client stopped in the middle
 */
export async function readBody(
  incoming: IncomingMessage,
  { maxBytes, budget, buffers, signal }: { maxBytes: number; budget: Budget; buffers: Buffers; signal: Signal },
): Promise<Uint8Array> {
  const announced = Number(incoming.headers['content-length'] ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      const stop = (error: unknown) => {
        incoming.off('data', onData);
        incoming.pause();
        reject(error);
      };
      const onData = (piece: Uint8Array) => {
        try {
          if (length + piece.length > maxBytes) throw tooLarge(maxBytes);
          budget.take(piece.length);
        } catch (error) {
          return stop(error);
        }
        length += piece.length;
        pieces.push(piece);
      };
      incoming.on('data', onData);
      incoming.once('end', resolve);
      incoming.once('error', reject);
      incoming.once('close', () => {
        if (!incoming.readableEnded) reject(endedEarly());
      });
      if (signal.aborted) stop(signal.reason);
      else signal.addEventListener('abort', () => stop(signal.reason), { once: true });
    });
  } catch (error) {
    budget.give(length);
    throw error instanceof Error && 'code' in error && error.code === 'ECONNRESET' ? endedEarly() : error;
  }
  const body = new Uint8Array(buffers.take(length), 0, length);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}

/** The files of a form. @throws {Refusal} 400 for a broken form, one without files or with too many */
export async function filesOf(body: Uint8Array<ArrayBuffer>, contentType: string): Promise<Upload[]> {
  let fields: FormData;
  try {
    fields = await new Response(body, { headers: { 'Content-Type': contentType } }).formData();
  } catch {
    throw new Refusal(
      400,
      'bad_request',
      `The body is not the ${form} its Content-Type says: is the boundary right, and the body whole?`,
    );
  }
  const files = [...fields].flatMap(([name, value]) => (typeof value === 'string' ? [] : [{ name, value }]));
  if (files.length === 0) {
    throw new Refusal(400, 'bad_request', 'The form has no file. Send one, as curl -F picture=@cat.jpg does.');
  }
  if (files.length > mostFiles) {
    throw new Refusal(413, 'too_large', `The form has ${files.length} files; up to ${mostFiles} are taken at once.`);
  }
  return Promise.all(
    files.map(async ({ name, value }) => ({
      file: value.name === '' || value.name === 'blob' ? name : value.name,
      bytes: new Uint8Array(await value.arrayBuffer()),
    })),
  );
}

function endedEarly(): Refusal {
  return new Refusal(400, 'bad_request', 'The body ended too early.');
}

function tooLarge(maxBytes: number): Refusal {
  return new Refusal(
    413,
    'too_large',
    `The body is larger than ${maxBytes.toLocaleString('en-US')} bytes, the limit of this server (--max-bytes).`,
  );
}

function shortened(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
