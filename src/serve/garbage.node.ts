/**
 * V8 counts what lies outside its heap, too, and a body's bytes do: some 8 MB of them since the last time make it mark the whole heap, which takes 50 ms of two cores and all
 * that is asked meanwhile (limits of Node 20, with a heap of 40 MB; at 70 pictures of 55 kB a second, every two seconds). Nearly all of those bytes are garbage already.
 * Collecting the young alone takes a millisecond and finds them, but V8 does it only when its own young space is full, four times as many requests later. So it is asked to.
 */

import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** So much may come in between two collections. */
const MOST_BYTES = 3_000_000;

export class YoungGarbage {
  private bytes = 0;
  private asked = false;
  private readonly counted = new WeakMap<Socket, number>();
  private readonly collect = collector();

  /** What has been read of this socket since the last time has been answered. */
  cameThrough(socket: Socket): void {
    const { bytesRead } = socket;
    this.bytes += bytesRead - (this.counted.get(socket) ?? 0);
    this.counted.set(socket, bytesRead);
    if (this.bytes < MOST_BYTES || this.asked || this.collect === null) return;
    this.asked = true;
    // When those who wait have been answered.
    setImmediate(() => {
      this.asked = false;
      this.bytes = 0;
      this.collect?.({ type: 'minor' });
    });
  }
}

type Collect = (options: { type: 'minor' }) => void;

/** Null where the engine has no such function. */
function collector(): Collect | null {
  try {
    setFlagsFromString('--expose-gc'); // for contexts made from now on
    const collect: unknown = runInNewContext('gc');
    return typeof collect === 'function' ? (collect as Collect) : null;
  } catch {
    return null;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
