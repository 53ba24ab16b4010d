"""
Golden values for the structured ops: convolution, transposed convolution, pooling, matmul and indexing, with input gradients, by PyTorch in
float64. Run: python3 test/golden/ops.py  (writes data/ops.json; made with torch 2.13).

Inputs are not stored. Element i of an input with seed s is ((7919 s + 104729 i) mod 2003 - 1001) / 1024 (distinct for i < 2003, exact
in float32); an index input takes (7919 s + 104729 i) mod 2003 mod range. The gradient of each float output is the same sequence with seed 99.
"""

import json
import math
import random
from pathlib import Path

import torch
import torch.nn.functional as F

rng = random.Random(2024)
cases = []


def sequence(seed, shape):
    return [(7919 * seed + 104729 * i) % 2003 for i in range(math.prod(shape))]


def floats(seed, shape):
    return torch.tensor([(v - 1001) / 1024 for v in sequence(seed, shape)], dtype=torch.float64).reshape(shape)


def rounded(t):
    return [int(v) if float(v).is_integer() else float(f"{v:.12g}") for v in t.detach().flatten().tolist()]


def case(op, shapes, options, run, index=None):
    """index: {input position: range} for integer inputs."""
    index = index or {}
    inputs = []
    for i, shape in enumerate(shapes):
        if i in index:
            inputs.append(torch.tensor([v % index[i] for v in sequence(i + 1, shape)], dtype=torch.int64).reshape(shape))
        else:
            inputs.append(floats(i + 1, shape).requires_grad_())
    outputs = run(*inputs)
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    real = [o for o in outputs if o.is_floating_point()]
    torch.autograd.backward(real, [floats(99, o.shape) for o in real])
    cases.append({
        "op": op,
        "inputs": [{"shape": list(s), **({"range": index[i]} if i in index else {})} for i, s in enumerate(shapes)],
        "options": options,
        "outputs": [{"shape": list(o.shape), "data": rounded(o)} for o in outputs],
        "grads": [None if x.grad is None else rounded(x.grad) for x in inputs],
    })


def pick(dims, low, high):
    return [rng.randint(low, high) for _ in range(dims)]


def conv_cases(dims):
    conv = [F.conv1d, F.conv2d, F.conv3d][dims - 1]
    for i in range(7):
        groups = rng.choice([1, 1, 2, 3])
        kernel, stride, dilation, padding = pick(dims, 1, 3), pick(dims, 1, 3), pick(dims, 1, 2), pick(dims, 0, 2)
        if i >= 5:  # 'same', with even kernels too
            stride, padding = [1] * dims, "same"
            kernel = [rng.choice([2, 4] if dims < 3 else [2]) for _ in range(dims)]
        spatial = [rng.randint(3 if k < 3 else 5, [9, 6, 5][dims - 1]) for k in kernel]
        cin, cout = groups * rng.randint(1, 2), groups * rng.randint(1, 2)
        case("conv", [[2 if dims < 3 else 1, cin, *spatial], [cout, cin // groups, *kernel]],
             {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
             lambda x, w: conv(x, w, None, stride, padding, dilation, groups))


def conv_transpose_cases(dims):
    conv = [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d][dims - 1]
    for i in range(6):
        groups = rng.choice([1, 2])
        kernel, stride, dilation = pick(dims, 2, 3), pick(dims, 1, 3), pick(dims, 1, 2 if i < 4 else 3)
        padding = [rng.randint(0, 1) for _ in range(dims)]
        extra = [rng.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation)]  # beyond the stride too, where dilation allows it
        spatial = pick(dims, 2, [5, 3, 2][dims - 1])
        cin, cout = groups * rng.randint(1, 2), groups * rng.randint(1, 2)
        case("convTranspose", [[2 if dims < 3 else 1, cin, *spatial], [cin, cout // groups, *kernel]],
             {"stride": stride, "padding": padding, "outputPadding": extra, "dilation": dilation, "groups": groups},
             lambda x, w: conv(x, w, None, stride, padding, extra, groups, dilation))


def pool_cases(dims):
    maximum = [F.max_pool1d, F.max_pool2d, F.max_pool3d][dims - 1]
    average = [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d][dims - 1]
    for i in range(7):
        kernel, stride = pick(dims, 2, 3), pick(dims, 1, 3)
        padding = [rng.randint(0, k // 2) for k in kernel]
        spatial = pick(dims, 5, [9, 7, 6][dims - 1])
        shape = [[2, 2, 1][dims - 1], [2, 2, 1][dims - 1], *spatial]
        ceil = i % 2 == 1
        dilation = pick(dims, 1, 2) if i >= 3 else [1] * dims
        case("maxPool", [shape],
             {"kernelSize": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceilMode": ceil},
             lambda x: maximum(x, kernel, stride, padding, dilation, ceil, True))
        include = i % 4 < 2
        options = {"kernelSize": kernel, "stride": stride, "padding": padding, "ceilMode": ceil, "countIncludePad": include}
        if i == 6 and dims > 1:
            case("avgPool", [shape], {**options, "divisorOverride": 5},
                 lambda x: average(x, kernel, stride, padding, ceil, include, divisor_override=5))
        else:
            case("avgPool", [shape], options, lambda x: average(x, kernel, stride, padding, ceil, include))


def adaptive_cases(dims):
    average = [F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d][dims - 1]
    maximum = [F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d][dims - 1]
    for spatial, size in [
        ([6, 7, 4], [2, 3, 4]),  # even; even though 3 does not divide 7; untouched
        ([7, 5, 5], [4, 2, 3]),
        ([5, 6, 3], [3, 2, 2]),
        ([4, 6, 7], [1, 1, 1]),
        ([2, 3, 5], [3, 5, 2]),  # more outputs than inputs
    ]:
        shape, out = [1, 2, *spatial[-dims:]], size[-dims:]
        case("adaptiveAvgPool", [shape], {"outputSize": out}, lambda x: average(x, out))
        case("adaptiveMaxPool", [shape], {"outputSize": out}, lambda x: maximum(x, out, True))


def matmul_cases():
    for a, b in [([3, 4], [4, 5]), ([4], [4]), ([4], [4, 3]), ([3, 4], [4]), ([2, 3, 4], [4, 5]), ([2, 3, 4], [4]), ([4], [2, 4, 3]),
                 ([2, 3, 4], [2, 4, 5]), ([3, 4], [2, 4, 2]), ([2, 1, 3, 4], [3, 4, 2]), ([2, 1, 3, 4], [1, 3, 4, 2]), ([5, 3, 4], [1, 4, 2]),
                 ([1, 3, 4], [2, 2, 4, 2]), ([0, 3, 4], [4, 2]), ([2, 3, 0], [0, 2])]:
        case("matmul", [a, b], {}, torch.matmul)


def indexing_cases():
    for shape, axis, index in [([5], 0, [7]), ([3, 4], 1, [3, 6]), ([3, 4], 0, [2, 3]), ([2, 3, 4], 1, [2, 5, 3]), ([2, 3, 4], -1, [1, 2, 6])]:
        case("gather", [shape, index], {"axis": axis}, lambda x, i: torch.gather(x, axis, i), {1: shape[axis]})
        case("scatterAdd", [shape, index, index], {"axis": axis},
             lambda x, i, src: torch.scatter_add(x, axis, i, src), {1: shape[axis]})
    for shape, axis, n in [([5, 3], 0, 4), ([2, 5, 3], 1, 7), ([2, 3], -1, 2)]:
        case("indexSelect", [shape, [n]], {"axis": axis}, lambda x, i: torch.index_select(x, axis, i), {1: shape[axis]})
    for shape, k, axis, largest in [([7], 3, 0, True), ([3, 6], 2, 1, False), ([4, 5], 4, 0, True), ([2, 5, 3], 2, 1, True)]:
        case("topk", [shape], {"k": k, "axis": axis, "largest": largest}, lambda x: torch.topk(x, k, axis, largest))
    for shape, axis, descending in [([7], 0, False), ([3, 6], 0, True), ([2, 5, 3], 1, False)]:
        case("sort", [shape], {"axis": axis, "descending": descending},
             lambda x: tuple(torch.sort(x, dim=axis, descending=descending, stable=True)))
    for shape, axis in [([6], 0), ([3, 4], 0), ([3, 4], 1), ([2, 3, 4], -2)]:
        case("cumsum", [shape], {"axis": axis}, lambda x: torch.cumsum(x, axis))


for d in (1, 2, 3):
    conv_cases(d)
    conv_transpose_cases(d)
    pool_cases(d)
    adaptive_cases(d)
matmul_cases()
indexing_cases()
out = Path(__file__).parent / "data" / "ops.json"
out.parent.mkdir(exist_ok=True)
out.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(len(cases), "cases,", out.stat().st_size, "bytes")
