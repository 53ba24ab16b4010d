/**
 * The smallest Parquet file with pictures in it: two columns, `image` (bytes) and `label` (int32), one group of rows, one plain page each, nothing packed. An
 * envelope for what is hostile inside of it. Source: the Parquet format's parquet.thrift, in Thrift's compact protocol.
 */

export function plainParquet(rows: readonly { readonly bytes: Uint8Array; readonly label: number }[]): Buffer {
  const images = Buffer.concat(rows.flatMap(({ bytes }) => [u32(bytes.length), bytes]));
  const labels = Buffer.concat(rows.map(({ label }) => u32(label)));
  const count = rows.length;
  const parts: Buffer[] = [Buffer.from('PAR1')];
  let at = 4;
  const columns = [
    { name: 'image', type: byteArray, data: images },
    { name: 'label', type: int32, data: labels },
  ].map(({ name, type, data }) => {
    // PageHeader: kind (0: data), sizes, DataPageHeader (values, encoding 0: plain, levels 3: run lengths).
    const page = struct({
      1: i32(0),
      2: i32(data.length),
      3: i32(data.length),
      5: nested({ 1: i32(count), 2: i32(0), 3: i32(3), 4: i32(3) }),
    });
    parts.push(page, data);
    const [start, size] = [at, page.length + data.length];
    at += size;
    const metadata = {
      1: i32(type),
      2: list(5, [varint(0)]),
      3: list(8, [text(name)]),
      4: i32(0),
      5: i64(count),
      6: i64(size),
      7: i64(size),
      9: i64(start),
    };
    return struct({ 2: i64(start), 3: nested(metadata) });
  });
  const schema = [
    struct({ 4: binary('schema'), 5: i32(2) }),
    struct({ 1: i32(byteArray), 3: i32(0), 4: binary('image') }),
    struct({ 1: i32(int32), 3: i32(0), 4: binary('label') }),
  ];
  const group = struct({ 1: list(12, columns), 2: i64(at), 3: i64(count) });
  const footer = struct({ 1: i32(1), 2: list(12, schema), 3: i64(count), 4: list(12, [group]) });
  return Buffer.concat([...parts, footer, u32(footer.length), Buffer.from('PAR1')]);
}

/** Physical types. */
const int32 = 1;
const byteArray = 6;

interface Field {
  readonly type: number;
  readonly bytes: Buffer;
}

/** Fields by their numbers, in order; each begins with how far its number is from the last one. */
function struct(fields: Readonly<Record<number, Field>>): Buffer {
  let last = 0;
  const parts = Object.entries(fields).flatMap(([id, { type, bytes }]) => {
    const step = Number(id) - last;
    last = Number(id);
    return [Buffer.from([(step << 4) | type]), bytes];
  });
  return Buffer.concat([...parts, Buffer.from([0])]);
}

const i32 = (value: number): Field => ({ type: 5, bytes: varint(2 * value) });
const i64 = (value: number): Field => ({ type: 6, bytes: varint(2 * value) });
const binary = (value: string): Field => ({ type: 8, bytes: text(value) });
const nested = (fields: Readonly<Record<number, Field>>): Field => ({ type: 12, bytes: struct(fields) });

function list(type: number, items: readonly Buffer[]): Field {
  const head = items.length < 15 ? Buffer.from([(items.length << 4) | type]) : Buffer.concat([Buffer.from([0xf0 | type]), varint(items.length)]); // biome-ignore format: one line
  return { type: 9, bytes: Buffer.concat([head, ...items]) };
}

function text(value: string): Buffer {
  return Buffer.concat([varint(Buffer.byteLength(value)), Buffer.from(value)]);
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  return Buffer.from([...out, rest]);
}

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}
