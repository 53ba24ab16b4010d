"""Golden files for src/io/safetensors.ts, made by the reference implementation (safetensors 0.8, torch 2.13, numpy).

    python3 test/golden/safetensors_files.py

every-dtype.safetensors   one tensor per dtype, special values included; expected.json has their values as float32 bits / integers
plain.safetensors         the four dtypes fovea writes: fovea must produce these bytes exactly
batch-norm.safetensors    a layer's state with its int64 count of batches: these bytes exactly, too
expected.json             the above, and every F16 / BF16 / F8 value by its bits: a digest of the float32 bytes, NaNs made canonical
"""

import hashlib
import json
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

out = pathlib.Path(__file__).parent / "data" / "safetensors"
out.mkdir(parents=True, exist_ok=True)


def float_bits(t):
    with np.errstate(over="ignore"):  # 1e300 becomes inf on purpose
        f = t.to(torch.float64).numpy().astype(np.float32)
    f = np.where(np.isnan(f), np.float32(np.nan), f).astype(np.float32)
    bits = f.view(np.uint32).copy()
    bits[np.isnan(f)] = 0x7FC00000
    return bits


def describe(t):
    if t.dtype == torch.bool:
        return {"dtype": "bool", "values": t.int().flatten().tolist()}
    if t.dtype == torch.uint8:
        return {"dtype": "uint8", "values": t.flatten().tolist()}
    if t.is_floating_point():
        return {"dtype": "float32", "bits": float_bits(t.flatten()).tolist()}
    return {"dtype": "int32", "values": t.flatten().tolist()}


inf, nan = float("inf"), float("nan")
floats = [0.0, -0.0, 1.0, -1.5, 3.14159265358979, 1e-8, -6.1e-5, 65504.0, 448.0, 1e30, inf, -inf, nan]
every = {
    "f64": torch.tensor([*floats, 1e300, 5e-324, 16777217.0], dtype=torch.float64).reshape(4, 4),
    "f32": torch.tensor([*floats, 1e-45], dtype=torch.float32).reshape(2, 7),
    "f16": torch.tensor(floats, dtype=torch.float16),
    "bf16": torch.tensor(floats, dtype=torch.bfloat16),
    "f8_e4m3": torch.tensor(floats, dtype=torch.float8_e4m3fn),
    "f8_e5m2": torch.tensor(floats, dtype=torch.float8_e5m2),
    "i64": torch.tensor([0, -1, 2**31 - 1, -(2**31)], dtype=torch.int64),
    "i32": torch.tensor([[0, -1], [2**31 - 1, -(2**31)]], dtype=torch.int32),
    "i16": torch.tensor([0, -1, 32767, -32768], dtype=torch.int16),
    "i8": torch.tensor([0, -1, 127, -128], dtype=torch.int8),
    "u64": torch.tensor([0, 1, 2**31 - 1], dtype=torch.uint64),
    "u32": torch.tensor([0, 1, 2**31 - 1], dtype=torch.uint32),
    "u16": torch.tensor([0, 1, 65535], dtype=torch.uint16),
    "u8": torch.tensor([0, 1, 255], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(42.5),
    "empty": torch.zeros(3, 0, 2),
    "layer1.0.bn1.num_batches_tracked": torch.tensor(7, dtype=torch.int64),
}
save_file(every, out / "every-dtype.safetensors", {"format": "pt"})

plain = {
    "fc.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7,
    "fc.bias": torch.tensor([-0.5, 0.25]),
    'a "quoted"\n\u00fcml\u00e4ut \U0001f441': torch.tensor([1.0]),
    "\uffee": torch.tensor([2.0]),
    "steps": torch.tensor([3, 4, 5], dtype=torch.int32),
    "picture": torch.arange(5, dtype=torch.uint8),
    "mask": torch.tensor([True, False, True]),
    "nothing": torch.zeros(0, 4),
}
save_file(plain, out / "plain.safetensors", {"format": "pt"})

norm = torch.nn.BatchNorm2d(3).state_dict()
norm["num_batches_tracked"] += 2**30 + 5
norm["steps"] = torch.tensor([-3, 4], dtype=torch.int32)
save_file({f"bn1.{name}": t for name, t in norm.items()}, out / "batch-norm.safetensors", {"format": "pt"})


def digest(torch_dtype, numpy_dtype, count):
    t = torch.from_numpy(np.arange(count).astype(numpy_dtype)).view(torch_dtype)
    return hashlib.sha256(float_bits(t).tobytes()).hexdigest()


expected = {
    "every": {name: {"shape": list(t.shape), **describe(t)} for name, t in every.items()},
    "plain": {name: {"shape": list(t.shape), **describe(t)} for name, t in plain.items()},
    "digests": {
        "F16": digest(torch.float16, np.uint16, 65536),
        "BF16": digest(torch.bfloat16, np.uint16, 65536),
        "F8_E4M3": digest(torch.float8_e4m3fn, np.uint8, 256),
        "F8_E5M2": digest(torch.float8_e5m2, np.uint8, 256),
    },
}
(out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
