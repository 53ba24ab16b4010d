"""Golden files for src/io/pytorch/, made by torch 2.13 itself; hostile ones by pickle.

    OMP_NUM_THREADS=1 python3 test/golden/pytorch_files.py

tensors-zip.pt, tensors-legacy.pt   every dtype; views, transposed, expanded, shared and tied storages; parameters; empty and scalar
protocol-N-{zip,legacy}.pt          a small state dict by pickle protocols 2 to 5
checkpoint.pt                       what a training script leaves: DataParallel's names, optimiser, scheduler, arguments, counters
ema.pt                              weights under 'model' and 'model_ema'
deflated.pt                         tensors-zip.pt packed again with deflate
unsummed.pt                         written without checksums
expected.json                       what the above hold: float32 bits, or integers
hostile.json                        files that ask for code, base64
"""

import argparse
import base64
import collections
import io
import json
import os
import pathlib
import pickle
import zipfile

import numpy as np
import torch

out = pathlib.Path(__file__).parent / "data" / "pytorch"
out.mkdir(parents=True, exist_ok=True)


def describe(t):
    t = t.detach()
    if t.dtype == torch.bool:
        return {"dtype": "bool", "values": t.int().flatten().tolist()}
    if t.dtype == torch.uint8:
        return {"dtype": "uint8", "values": t.flatten().tolist()}
    if not t.is_floating_point():
        return {"dtype": "int32", "values": t.flatten().tolist()}
    with np.errstate(over="ignore"):
        f = t.to(torch.float64).flatten().numpy().astype(np.float32)
    f = np.where(np.isnan(f), np.float32(np.nan), f)
    return {"dtype": "float32", "bits": f.view(np.uint32).tolist()}


inf, nan = float("inf"), float("nan")
floats = [0.0, -0.0, 1.0, -1.5, 3.14159265358979, 1e-8, 65504.0, inf, -inf, nan]
grid = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7
tied = torch.nn.Parameter(torch.tensor([[0.5, -2.0]]))
tensors = collections.OrderedDict(
    f64=torch.tensor([*floats, 1e300, 16777217.0], dtype=torch.float64),
    f32=torch.tensor(floats).reshape(2, 5),
    f16=torch.tensor(floats, dtype=torch.float16),
    bf16=torch.tensor(floats, dtype=torch.bfloat16),
    f8=torch.tensor(floats[:5], dtype=torch.float8_e4m3fn),
    i64=torch.tensor([0, -1, 2**31 - 1, -(2**31)]),
    i32=torch.tensor([[0, -1], [2**31 - 1, -(2**31)]], dtype=torch.int32),
    i16=torch.tensor([0, -1, 32767, -32768], dtype=torch.int16),
    u16=torch.tensor([0, 1, 65535], dtype=torch.uint16),
    i8=torch.tensor([0, -1, 127, -128], dtype=torch.int8),
    u8=torch.tensor([0, 1, 255], dtype=torch.uint8),
    bool=torch.tensor([True, False, True]),
    scalar=torch.tensor(42.5),
    empty=torch.zeros(3, 0, 2),
    parameter=torch.nn.Parameter(torch.tensor([1.0, 2.0])),
    grid=grid,
    row=grid[2],
    column=grid[:, 1],
    transposed=grid.t(),
    window=grid[1:3, 2:5],
    everyOther=grid[::2, ::3],
    expanded=torch.tensor([[1.0], [2.0]]).expand(2, 3),
    halfTransposed=torch.arange(6, dtype=torch.float16).reshape(2, 3).t(),
    channelsLast=torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
)
tensors["embedding.weight"] = tied
tensors["head.weight"] = tied
tensors["bn.num_batches_tracked"] = torch.tensor(7)

torch.save(tensors, out / "tensors-zip.pt")
torch.save(tensors, out / "tensors-legacy.pt", _use_new_zipfile_serialization=False)

small = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1)).state_dict()
for key, value in small.items():
    value.copy_(torch.arange(value.numel()).reshape(value.shape) + len(key))
for protocol in (2, 3, 4, 5):
    torch.save(small, out / f"protocol-{protocol}-zip.pt", pickle_protocol=protocol)
    torch.save(
        small,
        out / f"protocol-{protocol}-legacy.pt",
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=False,
    )

torch.manual_seed(0)
model = torch.nn.DataParallel(torch.nn.Linear(3, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
model(torch.ones(1, 3)).sum().backward()
optimizer.step()
torch.save(
    {
        "epoch": 12,
        "arch": "linear",
        "best_acc1": 76.5,
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "args": argparse.Namespace(lr=0.1, device=torch.device("cpu"), amp=None, seeds=(1, 2), key=b"\x00\xff"),
        "classes": {"cat", "dog"},
        "dtype": torch.float32,
        "size": torch.Size([3, 2]),
        "big": 2**80,
        "small": -(2**40),
        "rng": torch.zeros(4, dtype=torch.uint8),
    },
    out / "checkpoint.pt",
)
torch.save({"model": {"w": torch.tensor([1.0])}, "model_ema": {"module.w": torch.tensor([2.0])}, "epoch": 1}, out / "ema.pt")

with zipfile.ZipFile(out / "tensors-zip.pt") as plain:
    with zipfile.ZipFile(out / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for info in plain.infolist():
            packed.writestr(zipfile.ZipInfo(info.filename), plain.read(info), zipfile.ZIP_DEFLATED)

torch.serialization.set_crc32_options(False)
torch.save({"x": torch.ones(3)}, out / "unsummed.pt")
torch.serialization.set_crc32_options(True)


def expected(state):
    return {name: {"shape": list(t.shape), **describe(t)} for name, t in state.items()}


(out / "expected.json").write_text(
    json.dumps(
        {
            "tensors": expected(tensors),
            "small": expected(small),
            "checkpoint": expected({k.removeprefix("module."): v for k, v in model.state_dict().items()}),
        },
        indent=1,
    )
    + "\n"
)


# —— files that ask for code ——


class Calls:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def in_zip(data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        z.writestr(zipfile.ZipInfo("archive/data.pkl"), data)
        z.writestr(zipfile.ZipInfo("archive/version"), b"3\n")
    return buffer.getvalue()


def in_legacy(data):
    head = [pickle.dumps(x, protocol=2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join([*head, data, pickle.dumps([], protocol=2)])


hostile = {
    "os.system": Calls(os.system, "echo owned"),
    "builtins.eval": Calls(eval, "1 + 1"),
    "builtins.exec": {"state_dict": {"x": Calls(exec, "x = 1")}},
    "builtins.getattr": Calls(getattr, "text", "upper"),
    "numpy": np.float32(1.5),
    "nn.Module": torch.nn.Linear(1, 1),
}
files = {}
for name, value in hostile.items():
    for protocol in (0, 2, 4):
        data = pickle.dumps(value, protocol=protocol)
        files[f"{name}, protocol {protocol}, zip"] = in_zip(data)
        files[f"{name}, protocol {protocol}, legacy"] = in_legacy(data)
files["opcode INST"] = in_zip(b"(S'echo owned'\nios\nsystem\n.")
files["opcode OBJ"] = in_zip(b"(cos\nsystem\nS'echo owned'\no.")
files["a name out of two"] = in_zip(b"\x80\x04\x8c\x05posix\x8c\x06system\x93.")
files["a name on the way to a method"] = in_zip(b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.")
(out / "hostile.json").write_text(
    json.dumps({name: base64.b64encode(data).decode() for name, data in files.items()}, indent=1) + "\n"
)
