/**
 * Memory that goes from hand to hand: a body's bytes to the thread that decodes them, the picture back, and both to the next request. Fresh memory would do, but V8 counts
 * what lies outside its heap, and half a megabyte with each request made it mark the whole heap every second: 50 ms in which answers came late.
 */
export class Buffers {
  private readonly free = new Map<number, ArrayBuffer[]>();
  private kept = 0;

  /** No more than `mostBytes` are kept for later. */
  constructor(private readonly mostBytes: number) {}

  /** At least so many bytes; what they hold is left over from before. */
  take(bytes: number): ArrayBuffer {
    const size = sizeFor(bytes);
    const buffer = this.free.get(size)?.pop();
    if (buffer === undefined) return new ArrayBuffer(size);
    this.kept -= size;
    return buffer;
  }

  /** Nobody looks at it any more. One that came from elsewhere, or has gone to another thread, is let go. */
  give(buffer: ArrayBufferLike): void {
    const size = buffer.byteLength;
    if (!(buffer instanceof ArrayBuffer) || size !== sizeFor(size) || this.kept + size > this.mostBytes) return;
    const list = this.free.get(size);
    if (list === undefined) this.free.set(size, [buffer]);
    else list.push(buffer);
    this.kept += size;
  }
}

/** Powers of two, so that few kinds serve all. */
function sizeFor(bytes: number): number {
  return Math.max(4096, 2 ** Math.ceil(Math.log2(bytes)));
}
