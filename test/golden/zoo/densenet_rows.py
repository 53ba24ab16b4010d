"""DenseNet."""

from zoo import tm, tv


def row(name, **more):
    return {"model": tv(name), "also": tm(name), "batch": 3, "kinks": True, "below": r"norm2\.bias$", **more}


ROWS = {
    "densenet121": row("densenet121", everywhere=True),
    "densenet161": row("densenet161"),
    "densenet169": row("densenet169"),
    "densenet201": row("densenet201"),
}
