"""Golden values for the tensor API where PyTorch's rule is subtle: type promotion, ties, kinks, corner cases of shapes, printing.

Run `python3 test/golden/tensor.py`; it writes data/tensor.json. Each case: inputs (rounded so that float32 holds them), the result computed in
float64, and the gradient of (result · cotangent).sum() at each float input. The TypeScript side of a case has the same name in tensor.test.ts.
"""

import json
import pathlib

import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent / "data"
torch.manual_seed(0)
inf, nan = float("inf"), float("nan")
NAMES = {torch.float64: "float32", torch.float32: "float32", torch.int32: "int32", torch.int64: "int32", torch.uint8: "uint8", torch.bool: "bool"}


def number(v):
    if v != v:
        return "nan"
    if v in (inf, -inf):
        return "inf" if v > 0 else "-inf"
    return float(f"{v:.9g}")


def pack(t):
    t = t.detach()
    data = [number(v) for v in t.double().flatten().tolist()]
    return {"shape": list(t.shape), "dtype": NAMES[t.dtype], "data": data}


def exact(t):
    """Multiples of 2^-10: the same number in float32 and float64."""
    return (t.double() * 1024).round() / 1024


def randn(*shape):
    return exact(torch.randn(shape))


def f(*values):
    return torch.tensor(values, dtype=torch.float64)


def i32(*values):
    return torch.tensor(values, dtype=torch.int32)


def u8(*values):
    return torch.tensor(values, dtype=torch.uint8)


cases = []


def case(name, fn, *inputs, grads=True):
    xs = [x.clone().requires_grad_(grads and x.is_floating_point()) for x in inputs]
    y = fn(*xs)
    entry = {"name": name, "inputs": [pack(x) for x in inputs], "output": pack(y)}
    leaves = [x for x in xs if x.requires_grad]
    if leaves and y.requires_grad:
        cot = randn(*y.shape)
        got = torch.autograd.grad((y * cot).sum(), leaves, allow_unused=True)
        entry["cotangent"] = pack(cot)
        entry["grads"] = [None if g is None else pack(g) for g in got]
    cases.append(entry)


# activations, kinks and far ends included
x = torch.cat([f(-100, -20, -3, -1, -0.5, 0, 0.5, 1, 3, 6, 20, 25, 100), randn(8)])
smooth = torch.cat([f(-100, -20, -2.5, -0.5, 0, 0.5, 2.5, 20, 25, 100), randn(8)])
for name in ["relu", "elu", "selu", "celu", "silu", "mish", "softplus", "softsign", "gelu"]:
    case(name, getattr(F, name), x)
case("logSigmoid", F.logsigmoid, x)
case("geluTanh", lambda t: F.gelu(t, approximate="tanh"), x)
case("leakyRelu", lambda t: F.leaky_relu(t, 0.2), x)
case("relu6", F.relu6, smooth)
case("hardswish", F.hardswish, smooth)
case("hardsigmoid", F.hardsigmoid, smooth)
case("hardtanh", F.hardtanh, smooth)
case("softplusBeta", lambda t: F.softplus(t, beta=2, threshold=5), x)
case("prelu", F.prelu, randn(2, 3, 4), f(0.25, -0.5, 1.5))
case("softmax", lambda t: F.softmax(t, 1), randn(3, 5))
case("logSoftmax", lambda t: F.log_softmax(t, 0), randn(3, 5) * 100)

# types
case("intTimesInt", lambda t: t * 2, i32(1, -2, 3))
case("intTimesFraction", lambda t: (t * 0.5), i32(1, -2, 3))
case("intDiv", lambda t: t / 2, i32(1, -2, 3))
case("intFloorDivide", lambda t: torch.floor_divide(t, 2), i32(5, -5, 4))
case("intRemainder", lambda t: torch.remainder(t, 3), i32(5, -5, 4))
case("remainder", lambda t: torch.remainder(t, 1.5), f(5, -5, 0.5, -0.5))
case("boolPlusInt", lambda t: t + 1, torch.tensor([True, False]))
case("byteAdd", lambda t: t + 10, u8(250, 3))
case("byteSub", lambda t: t - 4, u8(250, 3))
case("bytePlusInt", lambda a, b: a + b, u8(250, 3), i32(10, -5))
case("byteTimesFraction", lambda t: t * 0.5, u8(250, 3))
case("boolSum", lambda t: t.sum(), torch.tensor([True, True, False]))
case("byteSum", lambda t: t.sum(), u8(250, 250, 250))
case("floatToInt", lambda t: t.to(torch.int32), f(2.75, -2.75, 0.5))
case("floatToBool", lambda t: t.to(torch.bool), f(2.75, 0, nan))
case("round", lambda t: torch.round(t), f(0.5, 1.5, 2.5, -0.5, -1.5, 2.25))
case("sqrtOfInt", lambda t: torch.sqrt(t.float()), i32(1, 4, 9))

# ties, zeros, infinities
case("amaxTies", lambda t: t.amax(1), f(1, 3, 3, 2, 2, 2).reshape(2, 3))
case("aminAll", lambda t: t.amin((0, 1)), f(1, 3, 1, 2, 2, 2).reshape(2, 3))
case("maxAxis", lambda t: t.max(1).values, f(1, 3, 3, 2, 2, 2).reshape(2, 3))
case("maxIndices", lambda t: t.max(1).indices, f(1, 3, 3, 2, 2, 2).reshape(2, 3))
case("argmaxNaN", lambda t: t.argmax(1), f(1, nan, 3, 2, inf, 5).reshape(2, 3))
case("argminAll", lambda t: t.argmin(), f(1, -3, 3, -3).reshape(2, 2))
case("maximumTies", torch.maximum, f(1, 2, 3), f(1, 3, 2))
case("clampLimits", lambda t: t.clamp(-1, 1), f(-2, -1, 0, 1, 2))
case("clampTensor", lambda t, a: t.clamp(min=a), f(-2, -1, 0, 1, 2), f(-1.5, -1.5, 0.5, 0.5, 0.5))
case("absAtZero", torch.abs, f(-2, 0, 3))
case("powInt", lambda t: t**3, f(-2, 0, 1.5))
case("powZero", lambda t: t**0, f(-2, 0, 1.5))
case("powTensor", torch.pow, f(0.5, 2, 3), f(2, -1, 0.5))
case("normZero", lambda t: t.norm(), f(0, 0, 0))
case("normAxis", lambda t: t.norm(dim=1, keepdim=True), randn(3, 4))
case("norm1", lambda t: t.norm(1), randn(3, 4))
case("normInf", lambda t: t.norm(inf), randn(3, 4))
case("norm3", lambda t: t.norm(3), randn(3, 4))
case("var", lambda t: t.var(1), randn(3, 4))
case("std0", lambda t: t.std(dim=(0, 1), correction=0, keepdim=True), randn(3, 4))
case("prodZero", lambda t: t.prod(1), f(2, 0, 3, 0, 0, 3).reshape(2, 3))
case("logsumexpInf", lambda t: t.logsumexp(1), f(-inf, 0, 1, 2, 3, 4).reshape(2, 3))
case("whereNoLeak", lambda t: torch.where(t > 0, t.sqrt(), -t), f(4, -1, 9))
case("cumsum", lambda t: t.cumsum(1), randn(2, 4))

# shapes
case("flattenMiddle", lambda t: t.flatten(1, 2), randn(2, 3, 2, 2))
case("repeat", lambda t: t.repeat(2, 1, 2), randn(2, 3))
case("repeatInterleave", lambda t: t.repeat_interleave(2, 1), randn(2, 3))
case("roll", lambda t: t.roll((1, -2), (0, 1)), randn(3, 4))
case("rollFlat", lambda t: t.roll(5), randn(3, 4))
case("unflatten", lambda t: t.unflatten(1, (2, -1)), randn(2, 6))
case("tril", lambda t: t.tril(-1), randn(3, 4))
case("triu", lambda t: t.triu(1), randn(3, 4))
case("moveaxis", lambda t: t.movedim(0, 2), randn(2, 3, 4))
case("chunkMiddle", lambda t: t.chunk(3, 1)[1], randn(2, 7))
case("squeezeAll", lambda t: t.squeeze(), randn(1, 2, 1, 3))
case("squeezeNamed", lambda t: t.squeeze((0, 1)), randn(1, 2, 1, 3))
case("padReflect", lambda t: F.pad(t, (2, 1, 1, 0), mode="reflect"), randn(1, 2, 3, 4))
case("padReplicate", lambda t: F.pad(t, (2, 1, 1, 0), mode="replicate"), randn(1, 2, 3, 4))
case("padCircular", lambda t: F.pad(t, (2, 1, 1, 0), mode="circular"), randn(1, 2, 3, 4))
case("padNegative", lambda t: F.pad(t, (-1, 2, 1, -1), value=7), randn(3, 4))

# indexing
case("indexPairs", lambda t, r, c: t[r.long(), c.long()], randn(3, 4), i32(0, 2, 1), i32(3, 0, 3))
case("indexList", lambda t: t[:, [2, 0, 0]], randn(2, 3))
case("indexNegative", lambda t, r: t[r.long()], randn(3, 2), i32(-1, 0))
case("gather", lambda t, i: t.gather(1, i.reshape(2, 2).long()), randn(2, 3), i32(2, 0, 1, 1))
case("scatterAdd", lambda t, i, s: t.scatter_add(0, i.reshape(2, 2).long(), s), randn(3, 2), i32(0, 2, 0, 1), randn(2, 2))
case("topk", lambda t: t.topk(2, 1).values, randn(2, 5))
case("topkSmallest", lambda t: t.topk(2, 0, largest=False).indices, randn(5, 2))
case("sort", lambda t: t.sort(0, descending=True).values, randn(4, 2))

# matrices
case("matmulVector", lambda a, b: a @ b, randn(2, 3, 4), randn(4))
case("matmulBroadcast", lambda a, b: a @ b, randn(2, 1, 3, 4), randn(5, 4, 2))
case("linear", lambda x, w, b: F.linear(x, w, b), randn(2, 3, 4), randn(5, 4), randn(5))
case("einsumBatch", lambda a, b: torch.einsum("bij,bjk->bik", a, b), randn(2, 3, 4), randn(2, 4, 5))
case("einsumOuter", lambda a, b: torch.einsum("i,j->ji", a, b), randn(3), randn(4))
case("einsumSum", lambda a, b: torch.einsum("nchw,oc->noh", a, b), randn(2, 3, 2, 2), randn(4, 3))
case("einsumImplicit", lambda a, b: torch.einsum("ij,jk", a, b), randn(2, 3), randn(3, 4))

# windows
w = randn(4, 3, 3, 2)
case("convSame", lambda x, w, b: F.conv2d(x, w, b, padding="same"), randn(2, 3, 5, 5), w, randn(4))
case("convStrided", lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(1, 0), dilation=(1, 2)), randn(2, 3, 6, 6), w)
case("convReflect", lambda x, w: F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), w), randn(1, 3, 4, 5), w)
case("convUnbatched", lambda x, w: F.conv2d(x, w), randn(3, 4, 5), w)
case("convGroups1d", lambda x, w: F.conv1d(x, w, groups=2, padding=1), randn(2, 4, 6), randn(6, 2, 3))
case("conv3d", lambda x, w: F.conv3d(x, w), randn(1, 2, 3, 4, 4), randn(2, 2, 2, 2, 2))
case("convTranspose2d", lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1), randn(1, 3, 3, 4), randn(3, 2, 3, 3), randn(2))
case("maxPoolCeil", lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), randn(1, 2, 6, 6))
case("maxPoolIndices", lambda x: F.max_pool2d(x, 2, return_indices=True)[1], randn(1, 2, 4, 6))
case("avgPoolPad", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), randn(1, 2, 5, 5))
case("adaptiveAvg", lambda x: F.adaptive_avg_pool2d(x, (3, None)), randn(1, 2, 7, 4))
case("adaptiveMax", lambda x: F.adaptive_max_pool2d(x, 2), randn(1, 2, 5, 5))
for mode in ["nearest", "bilinear", "bicubic"]:
    case(f"{mode}Up", lambda x, m=mode: F.interpolate(x, scale_factor=2, mode=m), randn(1, 2, 3, 4))
    case(f"{mode}Odd", lambda x, m=mode: F.interpolate(x, size=(5, 3), mode=m), randn(1, 2, 4, 7))
case("bilinearCorners", lambda x: F.interpolate(x, size=(5, 6), mode="bilinear", align_corners=True), randn(1, 2, 3, 4))
case("linearScale", lambda x: F.interpolate(x, scale_factor=1.7, mode="linear"), randn(1, 2, 5))
case("trilinear", lambda x: F.interpolate(x, size=(3, 4, 2), mode="trilinear"), randn(1, 1, 2, 3, 4))
case("nearestScale", lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest"), randn(1, 2, 5))
case("pixelShuffle", lambda x: F.pixel_shuffle(x, 2), randn(1, 8, 2, 3))
case("pixelUnshuffle", lambda x: F.pixel_unshuffle(x, 2), randn(1, 2, 4, 6))

# printing
prints = []


def shown(t):
    prints.append({**pack(t), "text": str(t)})


shown(torch.tensor(3.0))
shown(torch.tensor(7, dtype=torch.int32))
shown(torch.tensor([]))
shown(torch.tensor([[15.0]]))
shown(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
shown(torch.tensor([1.5, -2.25, 100.0]))
shown(torch.tensor([0.1, 1.0 / 3, -2.0 / 3]))
shown(torch.tensor([1e-5, 1.0, 3.0]))
shown(torch.tensor([1.0, 2000.0]))
shown(torch.tensor([1.0, 1e9]))
shown(torch.tensor([nan, inf, -inf, 1.0]))
shown(torch.tensor([nan, inf, 1.5, -1e-3]))
shown(torch.tensor([0.0, -0.0, 0.0]))
shown(torch.tensor([True, False]))
shown(torch.tensor([1, 20, -300], dtype=torch.int32))
shown(torch.tensor([1, 20, 255], dtype=torch.uint8))
shown(torch.zeros(0, 3))
shown(exact(torch.randn(2, 3, 4)).float())
shown(exact(torch.randn(25)).float())
shown(torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2))
shown(torch.arange(1001, dtype=torch.float32))
shown(torch.arange(1200, dtype=torch.float32).reshape(30, 40))
shown(torch.arange(4 * 9 * 40, dtype=torch.int32).reshape(4, 9, 40))
shown(torch.arange(120, dtype=torch.uint8))

# int32 and int64 print alike but for the dtype, which int64 hides in PyTorch and int32 in fovea
for p in prints:
    p["text"] = p["text"].replace(", dtype=torch.int32", "").replace(",\n       dtype=torch.int32", "").replace("torch.", "")

# Added later, after all others: these draw from the generator too.
for mode in ["bilinear", "bicubic"]:
    case(f"{mode}Antialias", lambda x, m=mode: F.interpolate(x, size=(9, 4), mode=m, antialias=True), randn(1, 2, 5, 11))

# Places inside and far outside, and one grid with its corners exactly on the border.
pictures, places = randn(2, 3, 4, 5), exact(torch.randn(2, 3, 4, 2) * 1.5)
ends = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
corners = torch.stack(torch.meshgrid(ends, ends, indexing="xy"), -1)[None].expand(2, 3, 3, 2).clone()
for mode in ["bilinear", "nearest", "bicubic"]:
    for padding in ["zeros", "border", "reflection"]:
        for aligned in [False, True]:
            name = f"gridSample {mode} {padding} {'aligned' if aligned else 'edges'}"
            case(name, lambda x, g: F.grid_sample(x, g, mode, padding, aligned), pictures, places)
for padding in ["zeros", "border", "reflection"]:
    case(f"gridSample corners {padding}", lambda x, g: F.grid_sample(x, g, "bilinear", padding, True), pictures, corners)
case("gridSample one pixel", lambda x, g: F.grid_sample(x, g, "bilinear", "reflection", True), randn(2, 1, 1, 1), places)

(HERE / "tensor.json").write_text(json.dumps({"cases": cases, "prints": prints}, separators=(",", ":")) + "\n")
print(len(cases), "cases,", len(prints), "prints")
