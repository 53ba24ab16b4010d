"""EfficientNet and EfficientNetV2. torchvision's B5 to B7 and V2 have batch norms of their own eps and momentum."""

from timm.models.efficientnet import _gen_efficientnet, _gen_efficientnetv2_l, _gen_efficientnetv2_m, _gen_efficientnetv2_s
from zoo import tm, tv

OFF = {"dropout": 0.0, "stochastic_depth_prob": 0.0}
STEADY = {"kinks": True, "steady": True}  # no kinks, but through so many blocks rounding would grow


def scaled(number, native, smaller=None):
    """`smaller`: width and depth of the network that the results come from; the whole ones of both libraries are compared all the same."""
    norm = {"bn_eps": 1e-3, "bn_momentum": 0.01} if number >= 5 else {}
    name = f"efficientnet_b{number}"
    row = {"model": tm(name, **norm), "also": tv(name, **OFF), "native": native, "batch": 4, **STEADY}
    return {name: row if smaller is None else row | shrunk(name, _gen_efficientnet, *smaller, **norm) | {"also_input": 64}}


def shrunk(name, build, width, depth, **more):
    scale = {"channel_multiplier": width, "depth_multiplier": depth}
    options = {"widthMultiplier": width, "depthMultiplier": depth}
    return {"small": {"model": lambda: build(name, **scale, **more), "options": options}}


def tensorflow(number, native, width, depth):
    """The whole network differs from its symmetric sister in padding and eps only, which a smaller one shows as well."""
    name = f"tf_efficientnet_b{number}"
    small = shrunk(name, _gen_efficientnet, width, depth, bn_eps=1e-3, pad_type="same")
    return {name: {"model": tm(name), "native": native, "batch": 4, **STEADY, **small}}


def second(size, native, build, smaller=None):
    """timm's network padded symmetrically, with torchvision's eps."""
    name = f"efficientnet_v2_{size}"
    row = {"model": tm(f"tf_efficientnetv2_{size}", pad_type=""), "also": tv(name, **OFF), "native": native, "batch": 4, **STEADY}
    return {name: row if smaller is None else row | shrunk(name, build, *smaller, bn_eps=1e-3) | {"also_input": 64}}


def second_tensorflow(size, native, build, width=0.5):
    name = f"tf_efficientnetv2_{size}"
    small = shrunk(name, build, width, 0.3, bn_eps=1e-3, pad_type="same")
    return {name: {"model": tm(name), "native": native, "batch": 4, **STEADY, **small}}


ROWS = {
    "efficientnet_b0": {
        "model": tm("efficientnet_b0"),
        "also": tv("efficientnet_b0", **OFF),
        "everywhere": True,
    },
    **scaled(1, 240),
    **scaled(2, 288),
    **scaled(3, 300),
    **scaled(4, 380),
    **scaled(5, 456, smaller=(0.8, 1.1)),
    **scaled(6, 528, smaller=(0.9, 1.3)),
    **scaled(7, 600, smaller=(1.0, 1.55)),
    # Odd and even maps, which 'same' pads on both sides and on one.
    "tf_efficientnet_b0": {"model": tm("tf_efficientnet_b0"), "input": (3, 61, 64), "batch": 4, **STEADY},
    **tensorflow(1, 240, 0.5, 0.55),
    **tensorflow(2, 260, 0.55, 0.6),
    **tensorflow(3, 300, 0.6, 0.7),
    **tensorflow(4, 380, 0.7, 0.9),
    **tensorflow(5, 456, 0.8, 0.55),
    **tensorflow(6, 528, 0.9, 0.65),
    **tensorflow(7, 600, 1.0, 0.5),
    **second("s", 384, _gen_efficientnetv2_s),
    **second("m", 480, _gen_efficientnetv2_m, smaller=(0.5, 0.5)),
    **second("l", 480, _gen_efficientnetv2_l, smaller=(0.5, 0.5)),
    **second_tensorflow("s", 384, _gen_efficientnetv2_s, width=1),
    **second_tensorflow("m", 480, _gen_efficientnetv2_m),
    **second_tensorflow("l", 480, _gen_efficientnetv2_l),
}
