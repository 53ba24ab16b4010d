/** The sections of a WebAssembly module that imports one memory. Source: core specification, binary format, modules. */
import { ByteWriter } from './writer.js';

/** relaxedSimd: fused multiply-add; threads: the memory is shared and atomics may be used. */
export interface WasmFeatures {
  readonly relaxedSimd: boolean;
  readonly threads: boolean;
}

/** A function of i32s. `body` is locals and code, without the length in front. */
export interface WasmFunction {
  readonly params: number;
  readonly results: 0 | 1;
  readonly body: Uint8Array;
  readonly exportAs?: string;
}

/** Shared memories must name their largest size; this is the largest there is: 4 GiB. */
export const MAX_PAGES = 65536;

/** With `clock` the module also imports env.clock () → f64; it is function 0, and the functions given count from 1. */
export function emitModule(
  functions: readonly WasmFunction[],
  features: WasmFeatures,
  { clock = false }: { clock?: boolean } = {},
): Uint8Array<ArrayBuffer> {
  const types: string[] = [];
  const typeOf = functions.map(({ params, results }) => {
    const key = `${params} ${results}`;
    if (!types.includes(key)) types.push(key);
    return types.indexOf(key);
  });

  const out = new ByteWriter(1024 + functions.reduce((sum, f) => sum + f.body.length + 8, 0));
  for (const byte of [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]) out.u8(byte);
  section(out, 1, (w) => {
    w.u32(types.length + (clock ? 1 : 0));
    for (const type of types) {
      const [params, results] = type.split(' ').map(Number);
      w.u8(0x60);
      for (const count of [params, results]) {
        w.u32(count);
        for (let i = 0; i < count; i++) w.u8(0x7f);
      }
    }
    if (clock) for (const byte of [0x60, 0, 1, 0x7c]) w.u8(byte);
  });
  section(out, 2, (w) => {
    w.u32(clock ? 2 : 1);
    w.name('env');
    w.name('memory');
    w.u8(0x02);
    w.u8(features.threads ? 0x03 : 0x00);
    w.u32(0);
    if (features.threads) w.u32(MAX_PAGES);
    if (clock) {
      w.name('env');
      w.name('clock');
      w.u8(0x00);
      w.u32(types.length);
    }
  });
  section(out, 3, (w) => {
    w.u32(functions.length);
    for (const type of typeOf) w.u32(type);
  });
  section(out, 7, (w) => {
    w.u32(functions.filter((f) => f.exportAs !== undefined).length);
    for (const [i, { exportAs }] of functions.entries()) {
      if (exportAs === undefined) continue;
      w.name(exportAs);
      w.u8(0x00);
      w.u32((clock ? 1 : 0) + i);
    }
  });
  section(out, 10, (w) => {
    w.u32(functions.length);
    for (const { body } of functions) w.sized(body);
  });
  return out.written();
}

function section(out: ByteWriter, id: number, fill: (w: ByteWriter) => void): void {
  const w = new ByteWriter();
  fill(w);
  out.u8(id);
  out.sized(w.written());
}
