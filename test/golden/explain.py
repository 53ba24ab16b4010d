"""Golden values for explain/: `python3 test/golden/explain.py` writes data/explain.json.

The packages that define these methods for PyTorch (pytorch-grad-cam, Captum) are not needed: their definitions are written out here with PyTorch's own
hooks and autograd, in float64. Nets: a small one of two convolutions for pictures of 12 x 12, and torchvision's resnet18 with 10 classes for 32 x 32.
Weights and pictures come from counter.py. Large results are stored as counter.digest.
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from counter import digest, filled, initial
from torch import nn

torch.set_num_threads(1)


def small():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 5),
    )  # fmt: skip


def with_weights(model):
    state = model.state_dict()
    model.load_state_dict({k: torch.from_numpy(initial(k, tuple(v.shape))) for k, v in state.items()})
    return model.double().eval().requires_grad_(False)


def scale(cam):
    low = cam.amin((1, 2), keepdim=True)
    return (cam - low) / ((cam - low).amax((1, 2), keepdim=True) + 1e-7)


def heat(cam, size):
    up = F.interpolate(scale(cam.clamp(min=0))[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return scale(up)


def score(model, x, classes):
    return model(x)[torch.arange(len(x)), classes]


def activations(model, layer, x):
    kept = []
    handle = dict(model.named_modules())[layer].register_forward_hook(lambda m, i, o: kept.append(o))
    out = model(x.clone().requires_grad_())
    handle.remove()
    return out, kept[0]


def cams(model, layer, x, classes):
    out, a = activations(model, layer, x)
    (g,) = torch.autograd.grad(out[torch.arange(len(x)), classes].sum(), a)
    a = a.detach()
    total = a.sum((2, 3), keepdim=True)
    alpha = g**2 / (2 * g**2 + total * g**3 + 1e-6)
    alpha = torch.where(g != 0, alpha, 0)
    maps = {
        "grad-cam": (a * g.mean((2, 3), keepdim=True)).sum(1),
        "grad-cam++": (a * (g.clamp(min=0) * alpha).sum((2, 3), keepdim=True)).sum(1),
        "hires-cam": (a * g).sum(1),
        "layer-cam": (a * g.clamp(min=0)).sum(1),
        "eigen-cam": torch.stack([eigen(one) for one in a]),
        "score-cam": score_cam(model, a, x, classes),
    }
    return {name: {"raw": rounded(m), "maps": shown(heat(m, x.shape[2:]))} for name, m in maps.items()}


def eigen(a):
    points = a.reshape(a.shape[0], -1).T
    centered = points - points.mean(0)
    v = torch.linalg.svd(centered, full_matrices=True)[2][0]
    projection = centered @ v
    if projection @ points.sum(1) < 0:  # the sign is ours: the package leaves it to chance
        projection = -projection
    return projection.reshape(a.shape[1:])


def score_cam(model, a, x, classes):
    up = F.interpolate(a, size=x.shape[2:], mode="bilinear", align_corners=True)
    low, high = up.amin((2, 3), keepdim=True), up.amax((2, 3), keepdim=True)
    masks = (up - low) / (high - low + 1e-8)
    weights = [model(x[n] * masks[n][:, None])[:, classes[n]].softmax(0) for n in range(len(x))]
    return (a * torch.stack(weights)[:, :, None, None]).sum(1)


def gradient(model, x, classes):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(score(model, x, classes).sum(), x)[0]


def guided(model, x, classes):
    class Guided(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * (x > 0) * (dy > 0)

    originals = nn.ReLU.forward
    nn.ReLU.forward = lambda self, x: Guided.apply(x)
    try:
        return gradient(model, x, classes)
    finally:
        nn.ReLU.forward = originals


def integrated(model, x, classes, baseline, steps):
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    total = sum(
        w / 2 * gradient(model, baseline + (1 + z) / 2 * (x - baseline), classes) for z, w in zip(nodes, weights)
    )
    attributions = total * (x - baseline)
    delta = attributions.sum((1, 2, 3)) - (score(model, x, classes) - score(model, baseline, classes))
    return attributions, delta


def smooth(model, x, classes, samples):
    noise = torch.from_numpy(filled("noise", (samples, *x.shape), scale=0.5)).double()
    return torch.stack([gradient(model, x + n, classes) for n in noise]).mean(0)


def occlusion(model, x, classes, window, stride, baseline):
    height, width = x.shape[2:]
    base = score(model, x, classes)
    total, times = torch.zeros(len(x), height, width).double(), torch.zeros(height, width).double()
    for i in range(-(-(height - window[0]) // stride[0]) + 1):
        for j in range(-(-(width - window[1]) // stride[1]) + 1):
            mask = torch.zeros(height, width).double()
            mask[i * stride[0] : i * stride[0] + window[0], j * stride[1] : j * stride[1] + window[1]] = 1
            fall = base - score(model, x * (1 - mask) + baseline * mask, classes)
            total += fall[:, None, None] * mask
            times += mask
    return total / times.clamp(min=1)


def rise(model, x, classes, count, keep):
    masks = torch.from_numpy(filled("masks", (count, 1, *x.shape[2:]), scale=0.5, offset=0.5)).double()
    out = []
    for n in range(len(x)):
        p = model(x[n] * masks).softmax(1)[:, classes[n]]
        out.append((p[:, None, None] * masks[:, 0]).sum(0) / count / keep)
    return torch.stack(out)


def cka(a, b):
    a, b = a.flatten(1), b.flatten(1)
    a, b = a - a.mean(0), b - b.mean(0)
    hsic = lambda p, q: (q.T @ p).norm() ** 2
    return (hsic(a, b) / (hsic(a, a).sqrt() * hsic(b, b).sqrt())).item()


def effective_field(model, layer, x):
    x = x.clone().requires_grad_()
    kept = []
    handle = dict(model.named_modules())[layer].register_forward_hook(lambda m, i, o: kept.append(o))
    model(x)
    handle.remove()
    h, w = kept[0].shape[2:]
    (g,) = torch.autograd.grad(kept[0][:, :, h // 2, w // 2].sum(), x)
    return g.abs().sum(1).mean(0)


def rounded(t):
    return {"shape": list(t.shape), "values": [float(f"{v:.7g}") for v in t.detach().reshape(-1).tolist()]}


def shown(t):
    if t.numel() <= 1000:
        return rounded(t)
    return {"shape": list(t.shape), "digest": [float(f"{v:.8g}") for v in digest(t.detach().numpy())]}


def pictures(name, shape):
    return torch.from_numpy(filled(name, shape, scale=1.5)).double()


def golden(model, layer, x, classes):
    baseline = torch.from_numpy(filled("baseline", tuple(x.shape), scale=0.3)).double()
    g = gradient(model, x, classes)
    ig, delta = integrated(model, x, classes, baseline, 20)
    return {
        "input": list(x.shape),
        "layer": layer,
        "classes": classes.tolist(),
        "top": model(x).argmax(1).tolist(),
        "cams": cams(model, layer, x, classes),
        "saliency": shown(g.abs()),
        "input-x-gradient": shown(x * g),
        "guided-backprop": shown(guided(model, x, classes)),
        "integrated-gradients": {"raw": shown(ig), "delta": rounded(delta)},
        "smooth-grad": shown(smooth(model, x, classes, 6)),
        "occlusion": shown(occlusion(model, x, classes, (5, 4), (3, 2), 0.25)),
        "rise": shown(rise(model, x, classes, 10, 0.5)),
    }


def pca():
    points = torch.from_numpy(filled("points", (40, 12)) * np.linspace(2, 0.2, 12, dtype=np.float32) + 1).double()
    centered = points - points.mean(0)
    u, s, v = torch.linalg.svd(centered, full_matrices=False)
    v = v[:4]
    v = v * torch.sign(v.gather(1, v.abs().argmax(1, keepdim=True)))
    return {
        "components": rounded(v), "scores": rounded(centered @ v.T), "variances": rounded(s[:4] ** 2 / 39),
        "shares": rounded(s[:4] ** 2 / (s**2).sum()),
    }  # fmt: skip


little = with_weights(small())
resnet = with_weights(torchvision.models.resnet18(num_classes=10))
two = pictures("pictures", (2, 3, 12, 12))
eight = pictures("cka", (8, 3, 12, 12))
layers = {name: activations(little, name, eight)[1] for name in ["1", "3", "6"]}
result = {
    "small": golden(little, "3", two, torch.tensor([1, 3])),
    "resnet18": golden(resnet, "layer2", pictures("pictures", (2, 3, 32, 32)), torch.tensor([2, 7])),
    "cka": [[float(f"{cka(layers[a], layers[b]):.7g}") for b in layers] for a in layers],
    "effectiveField": rounded(effective_field(little, "2", eight)),
    "pca": pca(),
}
path = pathlib.Path(__file__).parent / "data" / "explain.json"
path.write_text(json.dumps(result, separators=(",", ":")).replace('},"', '},\n"') + "\n")
