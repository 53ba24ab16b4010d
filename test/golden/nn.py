"""Golden values for nn: each layer's output, and the gradients at its inputs and parameters, from PyTorch on the CPU in float64.

Run `python3 test/golden/nn.py`; it writes data/nn-layers.json and data/nn-losses.json. Inputs and weights are rounded to four decimals so
that the files stay small and both sides start from the same numbers.
"""

import json
import pathlib

import warnings

import torch
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent / "data"
torch.manual_seed(0)
warnings.filterwarnings("ignore", message="Using padding=.same. with even")


def rounded(t):
    return (t.detach().double() * 1e4).round() / 1e4 if t.is_floating_point() else t.detach()


def pack(t):
    """Shape, kind and values, nine significant digits."""
    t = t.detach()
    if t.is_floating_point():
        return {"shape": list(t.shape), "data": [float(f"{v:.9g}") for v in t.double().flatten().tolist()]}
    dtype = "bool" if t.dtype == torch.bool else "int32"
    return {"shape": list(t.shape), "dtype": dtype, "data": [int(v) for v in t.flatten().tolist()]}


def randn(*shape):
    return rounded(torch.randn(shape))


cases = []


def layer(name, args, module, *inputs, options=None, train=False, post=None, forward=None):
    """Runs `module` on `inputs`; `args` and `options` are what the TypeScript constructor gets."""
    module = module.double().train(train)
    with torch.no_grad():
        for k, v in module.state_dict().items():
            if v.is_floating_point():
                scale = 0.3 if "weight" in k or "bias" in k else 1
                value = rounded(torch.randn_like(v) * scale)
                v.copy_(value.abs() + 0.5 if "running_var" in k else value)
    before = {k: pack(v) for k, v in module.state_dict().items()}
    xs = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    out = (forward or module)(*xs)
    outs = list(out) if isinstance(out, tuple) else [out]
    outs = [o for o in outs if o is not None]
    cot = [randn(*o.shape) if o.is_floating_point() else None for o in outs]
    total = sum((o * c).sum() for o, c in zip(outs, cot) if c is not None)
    leaves = {f"input{i}": x for i, x in enumerate(xs) if x.requires_grad}
    leaves.update(dict(module.named_parameters()))
    grads = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    after = {k: pack(v) for k, v in module.state_dict().items() if "running" in k or "num_batches" in k}
    cases.append({
        "layer": name, "args": args, "options": options or {}, "train": train, "state": before,
        "inputs": [pack(x) for x in xs], "outputs": [pack(o) for o in outs],
        "cotangents": [None if c is None else pack(c) for c in cot],
        "grads": {k: pack(g) for k, g in zip(leaves, grads) if g is not None}, "after": after, **(post or {}),
    })


# —— convolutions ——
layer("Conv1d", [2, 3, 3], nn.Conv1d(2, 3, 3), randn(2, 2, 7))
layer("Conv1d", [4, 4, 4], nn.Conv1d(4, 4, 4, padding="same", groups=2), randn(1, 4, 6), options={"padding": "same", "groups": 2})
layer("Conv2d", [2, 3, 3], nn.Conv2d(2, 3, 3), randn(2, 2, 5, 6))
layer("Conv2d", [4, 6, [3, 2]], nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, bias=False), randn(1, 4, 6, 5),
      options={"stride": [2, 1], "padding": [1, 2], "dilation": [1, 2], "groups": 2, "bias": False})
layer("Conv2d", [3, 3, 3], nn.Conv2d(3, 3, 3, padding=1, groups=3), randn(2, 3, 4, 4), options={"padding": 1, "groups": 3})
layer("Conv3d", [2, 2, 2], nn.Conv3d(2, 2, 2, stride=2, padding=1), randn(1, 2, 3, 4, 3), options={"stride": 2, "padding": 1})
for mode in ["reflect", "replicate", "circular"]:
    layer("Conv2d", [2, 2, 3], nn.Conv2d(2, 2, 3, padding=(1, 2), padding_mode=mode), randn(1, 2, 5, 4),
          options={"padding": [1, 2], "paddingMode": mode})
layer("Conv1d", [1, 2, 3], nn.Conv1d(1, 2, 3, padding=2, padding_mode="circular"), randn(2, 1, 5),
      options={"padding": 2, "paddingMode": "circular"})
layer("Conv3d", [1, 1, 3], nn.Conv3d(1, 1, 3, padding=1, padding_mode="replicate"), randn(1, 1, 3, 3, 3),
      options={"padding": 1, "paddingMode": "replicate"})
layer("ConvTranspose1d", [2, 3, 3], nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1, output_padding=1), randn(1, 2, 4),
      options={"stride": 2, "padding": 1, "outputPadding": 1})
layer("ConvTranspose2d", [4, 6, 3], nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=(1, 0), groups=2, dilation=(1, 2)),
      randn(1, 4, 3, 3), options={"stride": 2, "padding": 1, "outputPadding": [1, 0], "groups": 2, "dilation": [1, 2]})
layer("ConvTranspose2d", [2, 2, 2], nn.ConvTranspose2d(2, 2, 2, stride=2, bias=False), randn(2, 2, 2, 3), options={"stride": 2, "bias": False})
layer("ConvTranspose3d", [1, 2, 2], nn.ConvTranspose3d(1, 2, 2, stride=2), randn(1, 1, 2, 2, 2), options={"stride": 2})

# —— linear, embedding, attention ——
layer("Linear", [4, 3], nn.Linear(4, 3), randn(2, 4))
layer("Linear", [4, 3], nn.Linear(4, 3, bias=False), randn(2, 3, 4), options={"bias": False})
layer("Bilinear", [2, 3, 4], nn.Bilinear(2, 3, 4), randn(5, 2), randn(5, 3))
layer("Embedding", [5, 3], nn.Embedding(5, 3), torch.tensor([[0, 4, 1], [4, 2, 2]]))
layer("Embedding", [5, 3], nn.Embedding(5, 3, padding_idx=2), torch.tensor([0, 2, 2, 4]), options={"paddingIdx": 2})
mha = nn.MultiheadAttention(6, 2, batch_first=True)
layer("MultiheadAttention", [6, 2], mha, randn(2, 3, 6), randn(2, 4, 6), randn(2, 4, 6), options={"batchFirst": True})
mha = nn.MultiheadAttention(4, 2, batch_first=False, bias=False)
layer("MultiheadAttention", [4, 2], mha, randn(3, 2, 4), randn(3, 2, 4), randn(3, 2, 4), options={"bias": False})
mha = nn.MultiheadAttention(4, 2, kdim=3, vdim=5, batch_first=True)
layer("MultiheadAttention", [4, 2], mha, randn(2, 3, 4), randn(2, 4, 3), randn(2, 4, 5), options={"batchFirst": True, "kdim": 3, "vdim": 5})
mha = nn.MultiheadAttention(4, 2, batch_first=True)
causal = torch.triu(torch.ones(3, 3, dtype=torch.bool), 1)
padding = torch.tensor([[False, False, False], [False, False, True]])
layer("MultiheadAttention", [4, 2], mha, randn(2, 3, 4), randn(2, 3, 4), randn(2, 3, 4), options={"batchFirst": True},
      forward=lambda q, k, v: mha(q, k, v, attn_mask=causal, key_padding_mask=padding, average_attn_weights=False),
      post={"call": {"attnMask": pack(causal), "keyPaddingMask": pack(padding), "averageAttnWeights": False}})

# —— normalisation ——
for train in [True, False]:
    layer("BatchNorm1d", [3], nn.BatchNorm1d(3), randn(4, 3), train=train)
    layer("BatchNorm2d", [2], nn.BatchNorm2d(2), randn(3, 2, 2, 3), train=train)
layer("BatchNorm1d", [2], nn.BatchNorm1d(2, eps=1e-3, momentum=0.3), randn(3, 2, 4), train=True, options={"eps": 1e-3, "momentum": 0.3})
layer("BatchNorm3d", [2], nn.BatchNorm3d(2), randn(2, 2, 2, 2, 2), train=True)
layer("BatchNorm2d", [2], nn.BatchNorm2d(2, momentum=None), randn(2, 2, 2, 2), train=True, options={"momentum": None})
layer("BatchNorm2d", [2], nn.BatchNorm2d(2, affine=False), randn(2, 2, 2, 2), train=True, options={"affine": False})
layer("BatchNorm2d", [2], nn.BatchNorm2d(2, track_running_stats=False), randn(2, 2, 2, 2), options={"trackRunningStats": False})
layer("LayerNorm", [4], nn.LayerNorm(4), randn(2, 3, 4))
layer("LayerNorm", [[3, 4]], nn.LayerNorm((3, 4), eps=1e-3, bias=False), randn(2, 3, 4), options={"eps": 1e-3, "bias": False})
layer("LayerNorm", [4], nn.LayerNorm(4, elementwise_affine=False), randn(2, 4), options={"elementwiseAffine": False})
layer("RMSNorm", [4], nn.RMSNorm(4, eps=1e-5), randn(2, 3, 4), options={"eps": 1e-5})


class LayerNorm2d(nn.LayerNorm):
    """torchvision.models.convnext.LayerNorm2d."""

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


layer("LayerNorm2d", [3], LayerNorm2d(3, eps=1e-6), randn(2, 3, 2, 2))
layer("GroupNorm", [2, 4], nn.GroupNorm(2, 4), randn(2, 4, 3, 2))
layer("GroupNorm", [3, 3], nn.GroupNorm(3, 3, affine=False), randn(2, 3, 4), options={"affine": False})
layer("InstanceNorm1d", [2], nn.InstanceNorm1d(2), randn(2, 2, 5))
layer("InstanceNorm2d", [2], nn.InstanceNorm2d(2, affine=True), randn(2, 2, 3, 2), options={"affine": True})
layer("InstanceNorm2d", [2], nn.InstanceNorm2d(2, track_running_stats=True), randn(2, 2, 3, 2), train=True, options={"trackRunningStats": True})
layer("InstanceNorm2d", [2], nn.InstanceNorm2d(2, track_running_stats=True), randn(2, 2, 3, 2), options={"trackRunningStats": True})
layer("InstanceNorm3d", [1], nn.InstanceNorm3d(1), randn(2, 1, 2, 2, 2))
layer("LocalResponseNorm", [3], nn.LocalResponseNorm(3, alpha=0.2, beta=0.7, k=1.5), randn(2, 5, 2, 2), options={"alpha": 0.2, "beta": 0.7, "k": 1.5})
layer("LocalResponseNorm", [4], nn.LocalResponseNorm(4), randn(1, 6, 3))

# —— pooling ——
layer("MaxPool1d", [2], nn.MaxPool1d(2), randn(2, 2, 7))
layer("MaxPool2d", [3], nn.MaxPool2d(3, 2, 1), randn(1, 2, 6, 5), options={"stride": 2, "padding": 1})
layer("MaxPool2d", [[2, 3]], nn.MaxPool2d((2, 3), (1, 2), dilation=(2, 1), ceil_mode=True), randn(1, 1, 6, 6),
      options={"stride": [1, 2], "dilation": [2, 1], "ceilMode": True})
layer("MaxPool2d", [2], nn.MaxPool2d(2, return_indices=True), randn(1, 2, 4, 5), options={"returnIndices": True})
layer("MaxPool3d", [2], nn.MaxPool3d(2), randn(1, 1, 4, 4, 4))
layer("AvgPool1d", [3], nn.AvgPool1d(3, 2, 1), randn(1, 2, 7), options={"stride": 2, "padding": 1})
layer("AvgPool2d", [3], nn.AvgPool2d(3, 2, 1, ceil_mode=True), randn(1, 1, 6, 6), options={"stride": 2, "padding": 1, "ceilMode": True})
layer("AvgPool2d", [3], nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), randn(1, 1, 6, 6),
      options={"stride": 2, "padding": 1, "ceilMode": True, "countIncludePad": False})
layer("AvgPool2d", [2], nn.AvgPool2d(2, divisor_override=3), randn(1, 1, 4, 4), options={"divisorOverride": 3})
layer("AvgPool3d", [2], nn.AvgPool3d(2), randn(1, 1, 4, 2, 2))
layer("AdaptiveAvgPool1d", [3], nn.AdaptiveAvgPool1d(3), randn(1, 2, 7))
layer("AdaptiveAvgPool2d", [[3, 2]], nn.AdaptiveAvgPool2d((3, 2)), randn(1, 2, 5, 4))
layer("AdaptiveAvgPool2d", [1], nn.AdaptiveAvgPool2d(1), randn(2, 2, 3, 3))
layer("AdaptiveAvgPool2d", [[None, 2]], nn.AdaptiveAvgPool2d((None, 2)), randn(1, 1, 3, 4))
layer("AdaptiveAvgPool3d", [2], nn.AdaptiveAvgPool3d(2), randn(1, 1, 3, 4, 2))
layer("AdaptiveMaxPool1d", [3], nn.AdaptiveMaxPool1d(3), randn(1, 2, 7))
layer("AdaptiveMaxPool2d", [[3, 2]], nn.AdaptiveMaxPool2d((3, 2)), randn(1, 2, 5, 4))
layer("AdaptiveMaxPool3d", [1], nn.AdaptiveMaxPool3d(1), randn(1, 2, 2, 2, 2))

# —— activations ——
for name, args, module, options in [
    ("ReLU", [], nn.ReLU(), {}), ("ReLU6", [], nn.ReLU6(), {}), ("LeakyReLU", [], nn.LeakyReLU(), {}),
    ("LeakyReLU", [0.2], nn.LeakyReLU(0.2), {}), ("PReLU", [], nn.PReLU(), {}), ("PReLU", [3], nn.PReLU(3), {}),
    ("ELU", [], nn.ELU(), {}), ("ELU", [0.5], nn.ELU(0.5), {}), ("SELU", [], nn.SELU(), {}), ("CELU", [0.7], nn.CELU(0.7), {}),
    ("SiLU", [], nn.SiLU(), {}), ("GELU", [], nn.GELU(), {}), ("GELU", [], nn.GELU("tanh"), {"approximate": "tanh"}),
    ("Sigmoid", [], nn.Sigmoid(), {}), ("Tanh", [], nn.Tanh(), {}), ("Hardswish", [], nn.Hardswish(), {}),
    ("Hardsigmoid", [], nn.Hardsigmoid(), {}), ("Hardtanh", [], nn.Hardtanh(-0.5, 2), {"minVal": -0.5, "maxVal": 2}), ("Softplus", [], nn.Softplus(), {}),
    ("Softplus", [], nn.Softplus(2, 1), {"beta": 2, "threshold": 1}), ("Softsign", [], nn.Softsign(), {}), ("Mish", [], nn.Mish(), {}),
    ("LogSigmoid", [], nn.LogSigmoid(), {}), ("Tanhshrink", [], nn.Tanhshrink(), {}), ("Softmax", [1], nn.Softmax(1), {}),
    ("LogSoftmax", [-1], nn.LogSoftmax(-1), {}), ("Softmin", [1], nn.Softmin(1), {}), ("GLU", [0], nn.GLU(0), {}), ("Threshold", [0.1, -3], nn.Threshold(0.1, -3), {}),
    ("Softshrink", [], nn.Softshrink(), {}), ("Hardshrink", [], nn.Hardshrink(), {}),
]:
    layer(name, args, module, rounded(torch.randn(2, 3, 4) * 3), options=options)
layer("Softmax2d", [], nn.Softmax2d(), randn(1, 3, 2, 2))

# —— shapes and sizes ——
layer("Flatten", [], nn.Flatten(), randn(2, 3, 2, 2))
layer("Flatten", [0, 1], nn.Flatten(0, 1), randn(2, 3, 2))
layer("Unflatten", [1, [2, 3]], nn.Unflatten(1, (2, 3)), randn(2, 6, 2))
layer("PixelShuffle", [2], nn.PixelShuffle(2), randn(1, 8, 2, 3))
layer("PixelUnshuffle", [2], nn.PixelUnshuffle(2), randn(1, 2, 4, 6))
layer("ChannelShuffle", [2], nn.ChannelShuffle(2), randn(1, 6, 2, 2))
layer("ZeroPad2d", [[1, 2, 0, 1]], nn.ZeroPad2d((1, 2, 0, 1)), randn(1, 1, 2, 3))
layer("ConstantPad1d", [[1, 2], 0.5], nn.ConstantPad1d((1, 2), 0.5), randn(1, 2, 3))
layer("ReflectionPad2d", [[1, 1, 2, 0]], nn.ReflectionPad2d((1, 1, 2, 0)), randn(1, 1, 3, 3))
layer("ReplicationPad2d", [1], nn.ReplicationPad2d(1), randn(1, 1, 2, 3))
layer("CircularPad2d", [[1, 0, 1, 2]], nn.CircularPad2d((1, 0, 1, 2)), randn(1, 1, 3, 3))
layer("Upsample", [], nn.Upsample(scale_factor=2), randn(1, 2, 2, 3), options={"scaleFactor": 2})
layer("Upsample", [], nn.Upsample(size=(5, 4)), randn(1, 1, 2, 3), options={"size": [5, 4]})
layer("Upsample", [], nn.Upsample(scale_factor=2, mode="bilinear"), randn(1, 2, 2, 3), options={"scaleFactor": 2, "mode": "bilinear"})
layer("Upsample", [], nn.Upsample(scale_factor=(2, 1.5), mode="bilinear", align_corners=True), randn(1, 1, 3, 4),
      options={"scaleFactor": [2, 1.5], "mode": "bilinear", "alignCorners": True})
layer("Upsample", [], nn.Upsample(size=(3, 3), mode="bilinear"), randn(1, 1, 5, 4), options={"size": [3, 3], "mode": "bilinear"})
layer("Upsample", [], nn.Upsample(scale_factor=2, mode="linear"), randn(1, 2, 3), options={"scaleFactor": 2, "mode": "linear"})
layer("Upsample", [], nn.Upsample(scale_factor=2, mode="trilinear"), randn(1, 1, 2, 2, 2), options={"scaleFactor": 2, "mode": "trilinear"})
layer("Upsample", [], nn.Upsample(scale_factor=2, mode="bicubic"), randn(1, 1, 3, 4), options={"scaleFactor": 2, "mode": "bicubic"})

(HERE / "nn-layers.json").write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(len(cases), "layers")

# —— losses ——
losses = []


def loss(name, fn, x, target, options=None, tensors=None, target_grad=False):
    """`fn(x, target)` is the PyTorch call; `options` and `tensors` (by option name) are what the TypeScript function gets."""
    xs = x.clone().requires_grad_()
    t = target.clone().requires_grad_(target_grad)
    out = fn(xs, t)
    cot = randn(*out.shape)
    leaves = [xs, t] if target_grad else [xs]
    grads = torch.autograd.grad((out * cot).sum(), leaves)
    losses.append({"loss": name, "options": options or {}, "tensors": {k: pack(v) for k, v in (tensors or {}).items()}, "input": pack(x),
                   "target": pack(target), "output": pack(out), "cotangent": pack(cot), "grad": pack(grads[0]),
                   **({"targetGrad": pack(grads[1])} if target_grad else {})})


idx = torch.tensor([0, 2, 3, 2])
w = torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64)
for red in ["mean", "sum", "none"]:
    loss("crossEntropy", lambda x, t: F.cross_entropy(x, t, reduction=red), randn(4, 4), idx, {"reduction": red})
    loss("nll", lambda x, t: F.nll_loss(x, t, w, ignore_index=2, reduction=red), randn(4, 4), idx, {"reduction": red, "ignoreIndex": 2}, {"weight": w})
    loss("crossEntropy", lambda x, t: F.cross_entropy(x, t, w, ignore_index=2, reduction=red, label_smoothing=0.1), randn(4, 4), idx,
         {"reduction": red, "ignoreIndex": 2, "labelSmoothing": 0.1}, {"weight": w})
    loss("mse", lambda x, t: F.mse_loss(x, t, reduction=red), randn(2, 3), randn(2, 3), {"reduction": red}, target_grad=True)
    loss("l1", lambda x, t: F.l1_loss(x, t, reduction=red), randn(2, 3), randn(2, 3), {"reduction": red})
    loss("huber", lambda x, t: F.huber_loss(x, t, reduction=red, delta=0.7), randn(2, 3), randn(2, 3), {"reduction": red, "delta": 0.7})
    loss("smoothL1", lambda x, t: F.smooth_l1_loss(x, t, reduction=red, beta=0.5), randn(2, 3), randn(2, 3), {"reduction": red, "beta": 0.5})
    loss("bceWithLogits", lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction=red), rounded(torch.randn(2, 3) * 4),
         rounded(torch.rand(2, 3)), {"reduction": red})
    loss("bce", lambda x, t: F.binary_cross_entropy(x, t, reduction=red), rounded(torch.rand(2, 3)), rounded(torch.rand(2, 3)), {"reduction": red})
    loss("klDiv", lambda x, t: F.kl_div(x, t, reduction=red), randn(2, 3), rounded(torch.rand(2, 3)), {"reduction": red})
loss("crossEntropy", F.cross_entropy, randn(2, 3, 2, 2), torch.tensor([[[0, 1], [2, -100]], [[2, 2], [-100, 0]]]))
loss("crossEntropy", F.cross_entropy, randn(3), torch.tensor(1))
loss("nll", F.nll_loss, randn(2, 3, 2), torch.tensor([[0, 1], [2, 1]]))
p = torch.softmax(randn(4, 4), 1)
loss("crossEntropy", F.cross_entropy, randn(4, 4), rounded(p), target_grad=True)
loss("crossEntropy", lambda x, t: F.cross_entropy(x, t, w, label_smoothing=0.2), randn(4, 4), rounded(p), {"labelSmoothing": 0.2}, {"weight": w})
loss("crossEntropy", lambda x, t: F.cross_entropy(x, t, reduction="sum"), randn(2, 3, 2), rounded(torch.softmax(randn(2, 3, 2), 1)), {"reduction": "sum"})
pw = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
loss("bceWithLogits", lambda x, t: F.binary_cross_entropy_with_logits(x, t, weight=pw, pos_weight=pw), randn(2, 3), rounded(torch.rand(2, 3)), {},
     {"weight": pw, "posWeight": pw})
loss("bce", lambda x, t: F.binary_cross_entropy(x, t, pw), torch.tensor([[0.01, 0.99, 0.5]], dtype=torch.float64), torch.tensor([[0.0, 1.0, 0.25]], dtype=torch.float64), {}, {"weight": pw})
loss("klDiv", lambda x, t: F.kl_div(x, t, reduction="batchmean", log_target=True), randn(2, 3), randn(2, 3), {"reduction": "batchmean", "logTarget": True})
loss("klDiv", lambda x, t: F.kl_div(x, t, reduction="batchmean"), randn(2, 3), torch.tensor([[0.0, 0.5, 0.5], [1, 0, 0]], dtype=torch.float64), {"reduction": "batchmean"})


def sigmoid_focal(x, t, alpha, gamma, reduction):
    """torchvision.ops.sigmoid_focal_loss."""
    prob = torch.sigmoid(x)
    ce = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    p_t = prob * t + (1 - prob) * (1 - t)
    out = ce * (1 - p_t) ** gamma
    if alpha >= 0:
        out = (alpha * t + (1 - alpha) * (1 - t)) * out
    return out.mean() if reduction == "mean" else out.sum() if reduction == "sum" else out


hot = torch.tensor([[0, 1, 0], [1, 0, 1]], dtype=torch.float64)
loss("focal", lambda x, t: sigmoid_focal(x, t, 0.25, 2, "mean"), randn(2, 3), hot)
loss("focal", lambda x, t: sigmoid_focal(x, t, -1, 1.5, "none"), randn(2, 3), hot, {"alpha": None, "gamma": 1.5, "reduction": "none"})


def softmax_focal(x, t, gamma):
    """Lin et al. 2017 with softmax probabilities, no class weights."""
    logp = F.log_softmax(x, 1).gather(1, t[:, None])[:, 0]
    return (-((1 - logp.exp()) ** gamma) * logp).mean()


loss("focal", lambda x, t: softmax_focal(x, t, 2), randn(4, 4), idx, {"alpha": None})

(HERE / "nn-losses.json").write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in losses) + "\n]\n")
print(len(losses), "losses")
