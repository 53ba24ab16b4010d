"""The MobileNets. V3's two libraries differ in the eps and momentum of batch norm: each has rows with its own."""

from zoo import tm, tv

TORCHVISION_NORM = {"bn_eps": 1e-3, "bn_momentum": 0.01}
SMALL = {"batch": 2, "kinks": True}

ROWS = {
    "mobilenetv1_100": {"model": tm("mobilenetv1_100"), "kinks": True},
    "mobilenetv1_125": {"model": tm("mobilenetv1_125"), **SMALL},
    "mobilenet_v2": {"model": tm("mobilenetv2_100"), "also": tv("mobilenet_v2", dropout=0.0), "kinks": True, "everywhere": True},
    "mobilenetv2_050": {"model": tm("mobilenetv2_050"), **SMALL},
    "mobilenetv2_110d": {"model": tm("mobilenetv2_110d"), **SMALL},
    "mobilenetv2_120d": {"model": tm("mobilenetv2_120d"), **SMALL},
    "mobilenetv2_140": {"model": tm("mobilenetv2_140"), "also": tv("mobilenet_v2", width_mult=1.4, dropout=0.0), **SMALL},
    "mobilenet_v3_large": {
        "model": tm("mobilenetv3_large_100", **TORCHVISION_NORM),
        "also": tv("mobilenet_v3_large", dropout=0.0),
        "kinks": True,
    },
    "mobilenet_v3_small": {
        "model": tm("mobilenetv3_small_100", **TORCHVISION_NORM),
        "also": tv("mobilenet_v3_small", dropout=0.0),
        "kinks": True,
    },
    "mobilenetv3_large_100": {"model": tm("mobilenetv3_large_100"), **SMALL},
    "mobilenetv3_small_100": {"model": tm("mobilenetv3_small_100"), **SMALL},
    "mobilenetv4_conv_small": {"model": tm("mobilenetv4_conv_small"), "batch": 8, "kinks": True},
}
