/** The worker of decoder.node.ts: bytes of a file come in, a picture as the model takes it goes out. It knows nothing but what it is sent. */

import { parentPort, workerData } from 'node:worker_threads';
import {
  type Decoded,
  type DecodeJob,
  type DecodeTask,
  decodeAndPrepare,
  describeError,
  warmUp,
} from './decode.node.js';

const port = parentPort!;
const job = workerData as DecodeJob;

port.on('message', async (task: DecodeTask) => {
  const answer: Decoded = await decodeAndPrepare(task.bytes, job, task.target).then(
    () => task,
    (error) => ({ ...task, error: describeError(error) }),
  );
  port.postMessage(answer, [task.bytes.buffer as ArrayBuffer, task.target.buffer as ArrayBuffer]);
});
await warmUp(job);
port.postMessage('ready');
