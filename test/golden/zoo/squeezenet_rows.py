"""SqueezeNet."""

from zoo import tv


def row(name, **more):
    return {"model": tv(name, dropout=0.0), "batch": 2, "steps": 1, **more}


ROWS = {
    "squeezenet1_0": row("squeezenet1_0"),
    "squeezenet1_1": row("squeezenet1_1", everywhere=True),
}
