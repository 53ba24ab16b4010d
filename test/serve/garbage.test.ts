/** The server asks for a collection of the young when enough has come in, and only then. */

import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { YoungGarbage } from '../../src/serve/garbage.node.js';

const socketOf = (bytesRead: number) => ({ bytesRead }) as Socket;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('bodies that have been answered', () => {
  it('are collected when some megabytes have come, each byte of a socket counted once', async () => {
    const garbage = new YoungGarbage();
    const socket = { bytesRead: 0 };
    const litter = () => {
      for (let i = 0; i < 50; i++) new Uint8Array(200_000).fill(1);
      return process.memoryUsage().arrayBuffers;
    };
    const before = litter();
    for (let i = 0; i < 10; i++) {
      socket.bytesRead = 2_000_000;
      garbage.cameThrough(socket as Socket);
    }
    await pause(50);
    expect(process.memoryUsage().arrayBuffers).toBeGreaterThan(before - 5_000_000);
    garbage.cameThrough(socketOf(2_000_000));
    for (let i = 0; i < 40 && process.memoryUsage().arrayBuffers > before - 9_000_000; i++) await pause(50);
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(before - 9_000_000);
  });

  it('do not leave the function that collects to anybody else', () => {
    new YoungGarbage();
    expect((globalThis as { gc?: unknown }).gc).toBeUndefined();
  });
});
