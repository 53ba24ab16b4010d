"""Golden values for the networks of the zoo, from PyTorch, torchvision and timm on the CPU in float64.

`python3 test/golden/zoo.py [NAME ...]` writes data/zoo/NAME.json for those (or all) rows of zoo/*.py. Weights, inputs and labels come from
counter.py, so a file holds only results: names and shapes as one hash, class scores, losses, and digests of gradients and batch-norm
statistics in the order of the parameters and buffers. Dropout and stochastic depth are off. `--names NAME` prints names and shapes instead;
`--others NAME ...` writes those of `also` to data/zoo/remap/NAME.txt, for tests of remap tables.

A row is a dict:
    model       builds the network that says how it is named and computed
    registry    its name here, where a row tests another form of it, with `options` (NAME)
    also        builds the same network of another library, whose names differ and whose results must agree (optional)
    also_input  the size at which the two are compared, where the other takes no other; then the whole networks are, `small` or not (input)
    renamed     (name in `model`) -> name in `also`, where the two have their entries in different orders
    input       one input at the test's size: a number (pictures [3, size, size]), or its shape; `tokens` for text: how many different ones
    native      the size or shape at which multiply-adds are counted (224)
    batch       of the test (4)
    steps       of training (3); those without batch norm show all in 1
    kinks       batch norm stands before a kink such as ReLU's: see `initial_for_training` of counter.py (False)
    steady      scores come from the values for training too: with the others rounding grows from block to block, in PyTorch as here (False)
    below       pattern of batch norm biases of which a quarter go below the kink: those directly before it ("bn1\\.bias$")
    classes     (1000)
    options     for fovea's builder, beside { numClasses, dropout: 0, stochasticDepth: 0 } ({})
    everywhere  tested on WebAssembly too, not just on the widest device: one or two rows of a family (False)
    small       {"model", "also", "options"} of a smaller network of the same code, which the results come from where the whole one would take
                long; names, parameters and multiply-adds are the whole one's ({})
    loss        (outputs, step) -> loss, where it is not cross entropy of the outputs with labels; zoo/<family>.test.ts has the same
    scores      (outputs) -> {name: tensor}, where the outputs in evaluation are not one tensor
"""

import importlib
import json
import pathlib
import sys

import numpy as np
import torch
from counter import digest, filled, fnv1a, initial, initial_for_training, words
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

# torchvision's compiled operators (non-maximum suppression …) may be missing or built for another PyTorch; few networks need them.
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

HERE = pathlib.Path(__file__).parent


def tv(name, **options):
    """torchvision's network, untrained."""
    return lambda: torchvision.models.get_model(name, weights=None, **options)


def tm(name, **options):
    """timm's network, untrained."""
    return lambda: timm.create_model(name, **options)


def fill(model, values):
    """Gives every parameter and buffer its value by its name."""
    state = model.state_dict()
    with torch.no_grad():
        for path, value in state.items():
            value.copy_(torch.from_numpy(np.asarray(values(path, tuple(value.shape), state))))


def inputs(stream, batch, shape, tokens=None):
    if tokens is not None:
        return torch.from_numpy((words(stream, batch * shape[0]) % tokens).astype(np.int64)).reshape(batch, *shape)
    return torch.from_numpy(filled(stream, (batch, *shape))).double()


def labels(step, batch, classes):
    return torch.from_numpy((words(f"labels {step}", batch) % classes).astype(np.int64))


def rounded(values, digits=7):
    return [float(f"{v:.{digits}g}") for v in values]


def show(y):
    """A few values of a result, and all of them digested."""
    y = y.detach()
    return {"shape": list(y.shape), "first": rounded(y.reshape(-1)[:8].tolist()), "digest": rounded(digest(y.numpy()))}


def multiply_adds(model, x):
    """Of its convolutions, linear layers and matrix products; shapes are all that counting takes."""
    with FlopCounterMode(display=False) as counter:
        model.to("meta")(x.to("meta"))
    return counter.get_total_flops() // 2


def must_agree(model, other, x, single, renamed=None):
    """The same layers under other names: in the same order, unless `renamed` finds them."""
    mine, theirs = model.state_dict(), other.state_dict()
    names = theirs if renamed is None else [renamed(path) for path in mine]
    assert set(names) == set(theirs), set(names) ^ set(theirs)
    with torch.no_grad():
        for name, value in zip(names, mine.values(), strict=True):
            theirs[name].copy_(value.reshape(theirs[name].shape))
    error = (single(model(x)) - single(other(x))).abs().max() / single(model(x)).abs().max()
    assert error < 1e-12, f"the two libraries disagree by {error}"


def names_of(model):
    return "".join(f"{path} {list(v.shape)}\n" for path, v in model.state_dict().items())


def golden(
    name,
    model,
    registry=None,
    also=None,
    also_input=None,
    renamed=None,
    input=64,
    native=224,
    batch=4,
    steps=3,
    kinks=False,
    steady=False,
    below=r"bn1\.bias$",
    classes=1000,
    options=None,
    everywhere=False,
    tokens=None,
    small=None,
    loss=None,
    scores=None,
):
    shape, native = ((3, n, n) if isinstance(n, int) else tuple(n) for n in (input, native))
    scores = scores or (lambda y: {"scores": y})
    build = model
    on = torch.device("cpu" if small is None or also_input is not None else "meta")  # where only names and shapes matter
    with on:
        model = build().double().eval()
    case = {"model": registry or name, "input": list(shape), "batch": batch, "classes": classes, "kinks": kinks, "below": below}
    case |= {"options": options or {}, "everywhere": everywhere, "tokens": tokens}
    case["parameters"] = sum(p.numel() for p in model.parameters())
    with torch.no_grad(), on:
        case["macs"] = multiply_adds(build().eval(), inputs("", 1, native, tokens).to(torch.int64 if tokens else torch.float32))
    case["entries"] = len(model.state_dict())
    case["names"] = fnv1a(names_of(model))
    if also_input is not None:
        fill(model, initial)
        with torch.no_grad():
            must_agree(model, also().double().eval(), inputs("inputs of the test", 1, (3, also_input, also_input)), lambda y: y, renamed)
        also = None
    if small is not None:
        model, also = small["model"]().double().eval(), small.get("also")
        case["small"] = small["options"]
    if steady:
        case["steady"] = True

    def for_training(*of):
        return initial_for_training(*of, below)

    fill(model, for_training if steady else initial)
    x = inputs("inputs of the test", batch, shape, tokens)
    with torch.no_grad():
        case["scores"] = {key: show(y) for key, y in scores(model(x)).items()}
        if also is not None:
            must_agree(model, also().double().eval(), x, lambda y: next(iter(scores(y).values())), renamed)

    fill(model, for_training if kinks else initial)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9 if steps > 1 else 0)
    case["losses"] = []
    for step in range(steps):
        optimizer.zero_grad()
        outputs = model(inputs(f"inputs {step}", batch, shape, tokens))
        value = loss(outputs, step) if loss else F.cross_entropy(outputs, labels(step, batch, classes))
        value.backward()
        if step == 0:
            named = list(model.named_parameters())
            unused = [path for path, p in named if p.grad is None]
            assert not unused, f"no gradient reaches {unused}"
            case["gradients"] = [rounded(digest(p.grad.numpy()), 6) for _, p in named]
        optimizer.step()
        case["losses"].append(float(f"{value.item():.8g}"))
    buffers = [v for path, v in model.named_buffers() if path.endswith(("running_mean", "running_var"))]
    case["statistics"] = [rounded(digest(v.numpy())) for v in buffers]
    return case


def compact(case):
    """JSON with one line for each entry, a few pairs a line."""
    lines = []
    for key, value in case.items():
        text = json.dumps(value)
        if key in ("gradients", "statistics") and value:
            pairs = [json.dumps(pair) for pair in value]
            rows = [", ".join(pairs[i : i + 4]) for i in range(0, len(pairs), 4)]
            text = "[\n    " + ",\n    ".join(rows) + "\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def rows():
    found = {}
    sys.modules["zoo"] = sys.modules["__main__"]  # rows import their helpers from here
    sys.path.insert(0, str(HERE / "zoo"))
    for file in sorted((HERE / "zoo").glob("*.py")):
        found |= importlib.import_module(file.stem).ROWS
    return found


if __name__ == "__main__":
    torch.manual_seed(0)
    (HERE / "data" / "zoo").mkdir(exist_ok=True)
    known = rows()
    if sys.argv[1:2] == ["--names"]:
        print(names_of(known[sys.argv[2]]["model"]()), end="")
        sys.exit()
    if sys.argv[1:2] == ["--others"]:
        for name in sys.argv[2:]:
            (HERE / "data" / "zoo" / "remap").mkdir(exist_ok=True)
            (HERE / "data" / "zoo" / "remap" / f"{name}.txt").write_text(names_of(known[name]["also"]()))
        sys.exit()
    for name in sys.argv[1:] or known:
        case = golden(name, **known[name])
        (HERE / "data" / "zoo" / f"{name}.json").write_text(compact(case))
        print(name, case["parameters"], case["macs"], case["losses"], flush=True)
