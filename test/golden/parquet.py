"""
Writes the small Parquet files that src/data/pictures/sources.test.ts reads, with pyarrow, as data hubs write them:
a struct column of pictures, labels with the names of their classes in the file's notes, several row groups, and the codecs and encodings that occur.
Run: python3 test/golden/parquet.py
"""

import json
import struct
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

out = Path(__file__).parent / "data" / "parquet"
out.mkdir(parents=True, exist_ok=True)


def png(i: int) -> bytes:
    """A grey picture of 3 x 2 pixels: i, i + 1 ... i + 5."""
    rows = b"".join(b"\0" + bytes((i + 3 * y + x) % 256 for x in range(3)) for y in range(2))

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def table(count: int, labels, start: int = 0, missing=(), names=None) -> pa.Table:
    pictures = [None if i in missing else {"bytes": png(start + i), "path": f"{start + i}.png"} for i in range(count)]
    image = pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    made = pa.table({"image": image, "label": labels})
    if names is None:
        return made
    features = {
        "image": {"_type": "Image"},
        "label": {"names": names, "_type": "ClassLabel"},
    }
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


names = ["cat", "dog", "owl"]
ints = lambda n: pa.array([i % 3 for i in range(n)], pa.int64())
pq.write_table(table(10, ints(10), names=names), out / "train-00000-of-00002.parquet", row_group_size=4)
pq.write_table(table(5, ints(5), 10, names=names), out / "train-00001-of-00002.parquet", row_group_size=4)
pq.write_table(table(4, pa.array([0, 1, -1, None], pa.int64()), 20, names=names), out / "test-00000-of-00001.parquet")

texts = pa.array([f"{'ab'[i % 2]}" for i in range(40)])
for codec in ["none", "gzip", "brotli", "zstd", "lz4"]:
    pq.write_table(
        table(40, texts, missing=(3, 17)),
        out / f"codec-{codec}.parquet",
        compression=codec,
        data_page_size=300,
        write_batch_size=5,
        dictionary_pagesize_limit=200,
        data_page_version="2.0" if codec in ("gzip", "none") else "1.0",
    )
pq.write_table(
    table(40, pa.array([i % 2 for i in range(40)], pa.int32())),
    out / "encodings.parquet",
    use_dictionary=False,
    column_encoding={"label": "DELTA_BINARY_PACKED", "image.bytes": "DELTA_LENGTH_BYTE_ARRAY"},
)
