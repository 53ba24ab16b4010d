/** The worker of decoder.node.ts: bytes of a file come in, a picture as the model takes it goes out. It knows nothing but what it is sent. */

import { parentPort, workerData } from 'node:worker_threads';
import { type Decoded, type DecodeJob, decodeAndPrepare, describeError, warmUp } from './decode.node.js';

const port = parentPort!;
const job = workerData as DecodeJob;

port.on('message', async ({ id, bytes }: { id: number; bytes: Uint8Array }) => {
  let answer: Decoded;
  try {
    answer = { id, data: await decodeAndPrepare(bytes, job) };
  } catch (error) {
    answer = { id, error: describeError(error) };
  }
  port.postMessage(answer, answer.data === undefined ? [] : [answer.data.buffer as ArrayBuffer]);
});
await warmUp(job);
port.postMessage('ready');
