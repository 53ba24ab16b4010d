/** The worker of decoder.node.ts: bytes of a file come in, a picture as the model takes it goes out. It knows nothing but what it is sent. */

import { parentPort, workerData } from 'node:worker_threads';
import { type Decoded, type DecodeJob, decodeAndPrepare, describeError } from './decode.node.js';

parentPort!.on('message', async ({ id, bytes }: { id: number; bytes: Uint8Array }) => {
  let answer: Decoded;
  try {
    answer = { id, data: await decodeAndPrepare(bytes, workerData as DecodeJob) };
  } catch (error) {
    answer = { id, error: describeError(error) };
  }
  parentPort!.postMessage(answer, answer.data === undefined ? [] : [answer.data.buffer as ArrayBuffer]);
});
