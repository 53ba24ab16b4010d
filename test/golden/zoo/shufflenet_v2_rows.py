"""ShuffleNetV2."""

from zoo import tv


def row(name, **more):
    return {"model": tv(name), "kinks": True, "below": r"branch2\.1\.bias$", **more}


ROWS = {
    "shufflenet_v2_x0_5": row("shufflenet_v2_x0_5", everywhere=True),
    "shufflenet_v2_x1_0": row("shufflenet_v2_x1_0"),
    "shufflenet_v2_x1_5": row("shufflenet_v2_x1_5"),
    "shufflenet_v2_x2_0": row("shufflenet_v2_x2_0"),
}
