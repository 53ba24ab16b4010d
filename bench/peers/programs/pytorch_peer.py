"""
PyTorch as a peer of the bench: eager, float32, models of torchvision. Answers the questions of ../protocol.ts, one JSON object a line.

    python3 pytorch_peer.py THREADS CACHE                        serves until its input ends
    python3 pytorch_peer.py THREADS CACHE --first-forward NAME   builds a model, computes once, says so
    python3 pytorch_peer.py THREADS CACHE --epoch FOLDER         one epoch of MNIST from the IDX files in FOLDER, with the final test

For inference it makes, once, the networks that the other peers read (CACHE): weights drawn from a fixed seed, batch norm calibrated on
random pictures so that activations stay near one, as in a trained network; then batch norm folded into the convolutions. Per model:
NAME.safetensors (weights before folding, torchvision's names), NAME.onnx (opset 17, folded), NAME.graph.json and NAME.folded.safetensors
(folded, for frameworks that read no ONNX).
"""

import gc
import json
import os
import sys
import time

# What libraries print must not get between the answers.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def say(answer):
    answers.write(json.dumps(answer) + "\n")


try:
    import torch
except Exception as error:  # a broken installation raises whatever it likes
    say({"cannot": f"python3 cannot import torch: {type(error).__name__}: {str(error).splitlines()[0]}"})
    sys.exit(0)

import torch.nn.functional as F
from torch import nn


class Cannot(Exception):
    """A workload this peer does not do; the text says why."""


def import_torchvision():
    """torchvision, also one built for another torch: its compiled operators then fail to register, and no model here needs them."""
    register = torch.library.register_fake
    torch.library.register_fake = lambda name, *rest, **options: (
        (lambda function: function) if str(name).startswith("torchvision::") else register(name, *rest, **options)
    )
    try:
        import torchvision
    except ImportError as error:
        raise Cannot(f"python3 cannot import torchvision: {error}") from error
    finally:
        torch.library.register_fake = register
    return torchvision


class Classic(nn.Module):
    """src/models/classic.ts."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout = nn.Dropout2d(0.25)
        self.fc1 = nn.Linear(64 * 12 * 12, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(self.dropout(x), 1)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), 1)


def build(name, classes, stem):
    if name == "classic":
        return Classic()
    model = getattr(import_torchvision().models, name)(weights=None, num_classes=classes)
    if stem == "cifar":
        model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    return model


def pictures(batch, shape):
    """The same numbers in every peer: sin(0.37 i) · cos(0.011 i)."""
    count = batch * shape[0] * shape[1] * shape[2]
    i = torch.arange(count, dtype=torch.float64)
    return (torch.sin(i * 0.37) * torch.cos(i * 0.011)).float().reshape(batch, *shape)


# ---- the networks that are shared between peers ----------------------------------------------------------------------------------------


def shared_weights(name, classes, cache):
    """A model in evaluation mode with the shared weights, which are made when they are not there yet."""
    from safetensors.torch import load_file, save_file

    path = os.path.join(cache, f"{name}.safetensors")
    torch.manual_seed(0)
    model = build(name, classes, None)
    if os.path.exists(path):
        model.load_state_dict(load_file(path), strict=False)  # the counters num_batches_tracked are left out
        return model.eval()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.2, 0.2)
            norm.momentum = None  # a plain average
        if norms:
            model.train()
            for _ in range(2):
                model(0.5 * torch.randn(8, 3, 224, 224))
    os.makedirs(cache, exist_ok=True)
    weights = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    order = {"order": json.dumps(list(weights))}  # the file sorts its tensors; theirs is the order of the layers
    save_whole(path, lambda to: save_file(weights, to, order))
    return model.eval()


def folded(model):
    from torch.fx.experimental.optimization import fuse

    return fuse(model)


def export(name, classes, cache):
    """Writes the files the other peers need, unless they are there."""
    paths = {kind: os.path.join(cache, f"{name}.{kind}") for kind in ("onnx", "graph.json", "folded.safetensors")}
    if all(os.path.exists(path) for path in paths.values()):
        return
    from safetensors.torch import save_file

    model = folded(shared_weights(name, classes, cache))
    x = pictures(1, (3, 224, 224))
    with torch.no_grad():
        save_whole(
            paths["onnx"],
            lambda to: torch.onnx.export(
                model, (x,), to, opset_version=17, dynamo=False, input_names=["x"], output_names=["y"]
            ),
        )
    save_whole(paths["folded.safetensors"], lambda to: save_file({k: v.contiguous() for k, v in model.state_dict().items()}, to))
    text = json.dumps(plain_graph(model))

    def write(to):
        with open(to, "w") as file:
            file.write(text)

    save_whole(paths["graph.json"], write)


def save_whole(path, write):
    """Two peers never see half a file."""
    write(path + ".part")
    os.replace(path + ".part", path)


def plain_graph(model):
    """The traced, folded network as a list of {name, op, inputs, …}: the few operations that image classifiers are made of."""
    modules = dict(model.named_modules())
    alias, nodes = {}, []
    for node in model.graph.nodes:
        inputs = [alias.get(a.name, a.name) for a in node.args if isinstance(a, torch.fx.Node)]
        module = modules.get(node.target) if node.op == "call_module" else None
        if node.op == "placeholder":
            nodes.append({"name": node.name, "op": "input", "inputs": []})
        elif node.op == "output":
            nodes.append({"name": "output", "op": "output", "inputs": inputs})
        elif isinstance(module, nn.Conv2d):
            facts = {"stride": module.stride, "padding": module.padding, "dilation": module.dilation, "groups": module.groups}
            nodes.append({"name": node.name, "op": "conv", "inputs": inputs, "module": node.target, **facts})
        elif isinstance(module, nn.Linear):
            nodes.append({"name": node.name, "op": "linear", "inputs": inputs, "module": node.target})
        elif isinstance(module, nn.MaxPool2d):
            facts = {"kernel": module.kernel_size, "stride": module.stride, "padding": module.padding}
            nodes.append({"name": node.name, "op": "maxPool", "inputs": inputs, **facts})
        elif isinstance(module, (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Sigmoid)):
            nodes.append({"name": node.name, "op": type(module).__name__.lower(), "inputs": inputs})
        elif isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            nodes.append({"name": node.name, "op": "globalAvgPool", "inputs": inputs})
        elif node.op == "call_function" and node.target is F.adaptive_avg_pool2d:
            nodes.append({"name": node.name, "op": "globalAvgPool", "inputs": inputs})
        elif node.op == "call_function" and node.target is torch.flatten:
            nodes.append({"name": node.name, "op": "flatten", "inputs": inputs})
        elif node.op == "call_function" and getattr(node.target, "__name__", "") in ("add", "iadd", "mul"):
            nodes.append({"name": node.name, "op": node.target.__name__.lstrip("i"), "inputs": inputs})
        elif isinstance(module, nn.AdaptiveAvgPool2d) or type(module).__name__ in ("Identity", "Dropout", "StochasticDepth"):
            alias[node.name] = inputs[0]  # VGG's pooling to 7 × 7 finds 7 × 7 there
        elif getattr(node.target, "__name__", "") in ("dropout", "stochastic_depth"):
            alias[node.name] = inputs[0]
        else:
            raise Cannot(f"plain_graph: no word for {node.op} {node.target} {module}")
    return nodes


# ---- workloads -------------------------------------------------------------------------------------------------------------------------


class Training:
    def __init__(self, w):
        torch.manual_seed(1)
        self.model = build(w["model"], w["classes"], w.get("stem")).train()
        parameters = list(self.model.parameters())
        self.params = sum(p.numel() for p in parameters)
        if w["optimizer"] == "adam":
            self.optimizer = torch.optim.Adam(parameters, lr=1e-3)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
        self.loss = F.nll_loss if w["model"] == "classic" else F.cross_entropy
        self.x = pictures(w["batch"], w["input"])
        self.labels = torch.arange(w["batch"]) % 10

    def step(self):
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.x), self.labels)
        loss.backward()
        self.optimizer.step()
        if not loss.item() < 1e9:
            raise ValueError("the loss is not a number")


class Inference:
    def __init__(self, w, cache):
        export(w["model"], w["classes"], cache)
        model = shared_weights(w["model"], w["classes"], cache)
        self.params = sum(p.numel() for p in model.parameters())
        self.model = folded(model)
        self.x = pictures(w["batch"], w["input"])
        self.y = None

    def step(self):
        with torch.inference_mode():
            self.y = self.model(self.x)


def serve(cache):
    say({"hello": {"version": torch.__version__, "notes": [f"eager float32, {torch.get_num_threads()} threads"]}})
    work = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                w = request["workload"]
                work = None
                gc.collect()
                work = Training(w) if w["kind"] == "train" else Inference(w, cache)
                say({"ready": {"params": work.params}})
            elif request["do"] == "run":
                ms = []
                for _ in range(request["times"]):
                    start = time.perf_counter()
                    work.step()
                    ms.append(1000 * (time.perf_counter() - start))
                say({"ms": ms})
            elif request["do"] == "output":
                say({"output": work.y.flatten().tolist()})
            elif request["do"] == "release":
                work = None
                gc.collect()
                say({"released": True})
            else:
                say({"failed": f"no such request: {request['do']}"})
        except Cannot as reason:
            say({"cannot": str(reason)})
        except Exception as error:
            say({"failed": f"{type(error).__name__}: {error}"})


def first_forward(name):
    torch.manual_seed(1)
    model = build(name, 1000, None).eval()
    with torch.inference_mode():
        y = model(pictures(1, (3, 224, 224)))
    say({"first": {"finite": bool(torch.isfinite(y).all())}})


def epoch(folder):
    """The recipe of `fovea train mnist --model classic --epochs 1`: Adam, steps of 64 shuffled pictures, all data in memory from the start."""
    import gzip

    def idx(prefix, kind, header):
        name = next(n for n in sorted(os.listdir(folder)) if n.startswith(prefix) and kind in n)
        path = os.path.join(folder, name)
        with (gzip.open(path) if name.endswith(".gz") else open(path, "rb")) as file:
            return torch.frombuffer(bytearray(file.read()[header:]), dtype=torch.uint8)

    def part(prefix):
        x = idx(prefix, "images", 16).reshape(-1, 1, 28, 28).float().div_(255).sub_(0.1307).div_(0.3081)
        return x, idx(prefix, "labels", 8).long()

    torch.manual_seed(1)
    (x, labels), (x_test, labels_test) = part("train"), part("t10k")
    model = Classic()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for chosen in torch.randperm(len(x)).split(64):
        optimizer.zero_grad()
        loss = F.nll_loss(model(x[chosen]), labels[chosen])
        loss.backward()
        optimizer.step()
        loss.item()
    model.eval()
    with torch.inference_mode():
        right = sum(int((model(a).argmax(1) == b).sum()) for a, b in zip(x_test.split(64), labels_test.split(64)))
    say({"epoch": {"testAccuracy": right / len(labels_test)}})


def main():
    threads, cache = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(threads)
    try:
        if len(sys.argv) == 3:
            serve(cache)
        elif sys.argv[3] == "--first-forward":
            first_forward(sys.argv[4])
        elif sys.argv[3] == "--epoch":
            epoch(sys.argv[4])
    except Cannot as reason:
        say({"cannot": str(reason)})


main()
