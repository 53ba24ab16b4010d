"""VGG."""

from torch import nn
from zoo import tm, tv

HIDDEN = 32


def narrow(name):
    """With fewer outputs of the first two linear layers: those hold 120 million weights."""
    model = tv(name, dropout=0.0)()
    model.classifier[0] = nn.Linear(512 * 7 * 7, HIDDEN)
    model.classifier[3] = nn.Linear(HIDDEN, HIDDEN)
    model.classifier[6] = nn.Linear(HIDDEN, 1000)
    return model


def narrow_timm(name):
    model = tm(name)()
    model.pre_logits.fc1 = nn.Conv2d(512, HIDDEN, 7)
    model.pre_logits.fc2 = nn.Conv2d(HIDDEN, HIDDEN, 1)
    model.head.fc = nn.Linear(HIDDEN, 1000)
    return model


def row(name, **rest):
    small = {"model": lambda: narrow(name), "also": lambda: narrow_timm(name), "options": {"hidden": HIDDEN}}
    return {"model": tv(name, dropout=0.0), "also": tm(name), "small": small, "input": 32, "batch": 2, **rest}


PLAIN = {"steps": 1}
NORMED = {"batch": 4, "kinks": True, "below": r"features\.1\.bias$"}

ROWS = {
    "vgg11": row("vgg11", **PLAIN),
    "vgg11_bn": row("vgg11_bn", **NORMED),
    "vgg13": row("vgg13", **PLAIN),
    "vgg13_bn": row("vgg13_bn", **NORMED),
    "vgg16": {"model": tv("vgg16", dropout=0.0), "also": tm("vgg16"), "input": 32, "batch": 2, "steps": 1, "everywhere": True},
    "vgg16_bn": row("vgg16_bn", **NORMED),
    "vgg19": row("vgg19", **PLAIN),
    "vgg19_bn": row("vgg19_bn", **NORMED),
}
