"""Golden values for the networks of the zoo, from torchvision and timm on the CPU in float64.

Run `python3 test/golden/models.py [NAME ...]`; it writes data/models/NAME.json. Weights, pictures and labels come from counter.py, so a file
holds only results: class scores, losses, and digests of gradients and batch-norm statistics. Dropout and stochastic depth are off.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from counter import digest, filled, initial, initial_for_training, words
from torch.nn import functional as F

# torchvision's compiled operators (non-maximum suppression …) may be missing or built for another PyTorch; classifiers need none of them.
try:
    import torchvision
except RuntimeError:
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for module in [m for m in sys.modules if m.startswith("torchvision")]:
        del sys.modules[module]
    import torchvision
import timm

HERE = pathlib.Path(__file__).parent / "data" / "models"
CLASSES = 1000


def tv(name, **options):
    return lambda: torchvision.models.get_model(name, weights=None, **options)


# Who says how a network is named and computed; the second, where there is one, has other names for the same and must agree.
# `steps` of training: networks with batch norm show their statistics after three. `kinks`: batch norm stands before ReLU, see counter.py.
MODELS = {
    "resnet18": {"model": tv("resnet18"), "also": lambda: timm.create_model("resnet18"), "size": 64, "batch": 4, "steps": 3, "kinks": True},
    "resnet50": {"model": tv("resnet50"), "also": lambda: timm.create_model("resnet50"), "size": 64, "batch": 4, "steps": 3, "kinks": True},
    "vgg16": {"model": tv("vgg16", dropout=0.0), "size": 32, "batch": 2, "steps": 1},
    "mobilenet_v2": {
        "model": lambda: timm.create_model("mobilenetv2_100"),
        "also": tv("mobilenet_v2", dropout=0.0),
        "size": 64,
        "batch": 4,
        "steps": 3,
        "kinks": True,
    },
    "efficientnet_b0": {
        "model": lambda: timm.create_model("efficientnet_b0"),
        "also": tv("efficientnet_b0", dropout=0.0, stochastic_depth_prob=0.0),
        "size": 64,
        "batch": 4,
        "steps": 3,
    },
}


def fill(model, values):
    """Gives every parameter and buffer its value by its name."""
    with torch.no_grad():
        for path, value in model.state_dict().items():
            value.copy_(torch.from_numpy(np.asarray(values(path, tuple(value.shape)))))


def pictures(step, batch, size):
    return torch.from_numpy(filled(f"pictures {step}", (batch, 3, size, size))).double()


def labels(step, batch):
    return torch.from_numpy((words(f"labels {step}", batch) % CLASSES).astype(np.int64))


def scores(model, x):
    """A few class scores, and all of them digested."""
    y = model(x).detach()
    return {"first": [float(f"{v:.8g}") for v in y[0, :8].tolist()], "digest": digest(y.numpy())}


def multiply_adds(model, x):
    """Of its convolutions and linear layers."""
    counts = []
    layers = [m for m in model.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    hooks = [m.register_forward_hook(lambda m, _, y: counts.append(y.numel() * m.weight[0].numel())) for m in layers]
    model(x)
    for hook in hooks:
        hook.remove()
    return sum(counts)


def must_agree(model, other, x):
    """The same layers in the same order under other names."""
    theirs = [v for v in other.state_dict().values()]
    with torch.no_grad():
        for value, mine in zip(theirs, model.state_dict().values(), strict=True):
            value.copy_(mine)
    error = (model(x) - other(x)).abs().max() / model(x).abs().max()
    assert error < 1e-12, f"torchvision and timm disagree by {error}"


def golden(name, model, size, batch, steps, kinks=False, also=None):
    model = model().double()
    fill(model, initial)
    model.eval()
    case = {
        "model": name,
        "size": size,
        "batch": batch,
        "kinks": kinks,
        "parameters": sum(p.numel() for p in model.parameters()),
        "macs": multiply_adds(model, pictures("of 224", 1, 224)),
        "state": {path: list(v.shape) for path, v in model.state_dict().items()},
        "scores224": scores(model, pictures("of 224", 1, 224)),
        "scores": scores(model, pictures("of the test", batch, size)),
    }
    if also is not None:
        must_agree(model, also().double().eval(), pictures("of the test", batch, size))
    fill(model, initial_for_training if kinks else initial)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    case["losses"] = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(pictures(step, batch, size)), labels(step, batch))
        loss.backward()
        if step == 0:
            case["gradients"] = {path: digest(p.grad.numpy()) for path, p in model.named_parameters()}
        optimizer.step()
        case["losses"].append(float(f"{loss.item():.8g}"))
    case["statistics"] = {
        path: digest(v.numpy()) for path, v in model.named_buffers() if path.endswith(("running_mean", "running_var"))
    }
    return case


def compact(case):
    """JSON with one line for each entry."""
    lines = []
    for key, value in case.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f"  {json.dumps(key)}: {{\n{inner}\n  }}" if inner else f"  {json.dumps(key)}: {{}}")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name in sys.argv[1:] or MODELS:
        case = golden(name, **MODELS[name])
        (HERE / f"{name}.json").write_text(compact(case))
        print(name, case["losses"], case["scores"]["first"][:3])
