"""ConvNeXt and ConvNeXt V2. There is no batch norm, so one step of training shows everything; all but the smallest show it with fewer blocks."""

from zoo import tm, tv

FEW = (1, 1, 2, 1)


def row(name, **more):
    return {"model": tm(name), "steps": 1, "batch": 2} | more


def shallow(name, **more):
    return row(name, small={"model": tm(name, depths=FEW), "options": {"depths": list(FEW)}}, **more)


def other(name):
    return {"also": tv(name, stochastic_depth_prob=0.0), "also_input": 64}


ROWS = {
    "convnext_atto": row("convnext_atto", everywhere=True),
    "convnext_femto": shallow("convnext_femto"),
    "convnext_pico": shallow("convnext_pico"),
    "convnext_nano": shallow("convnext_nano"),
    "convnext_tiny": shallow("convnext_tiny", **other("convnext_tiny")),
    "convnext_small": shallow("convnext_small", **other("convnext_small")),
    "convnext_base": shallow("convnext_base", **other("convnext_base")),
    "convnext_large": shallow("convnext_large", **other("convnext_large")),
    "convnextv2_atto": row("convnextv2_atto", everywhere=True),
    "convnextv2_femto": shallow("convnextv2_femto"),
    "convnextv2_pico": shallow("convnextv2_pico"),
    "convnextv2_nano": shallow("convnextv2_nano"),
    "convnextv2_tiny": shallow("convnextv2_tiny"),
    "convnextv2_small": shallow("convnextv2_small"),
    "convnextv2_base": shallow("convnextv2_base"),
    "convnextv2_large": shallow("convnextv2_large"),
}
