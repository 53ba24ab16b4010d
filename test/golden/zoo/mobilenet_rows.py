"""The MobileNets."""

from zoo import tm, tv

ROWS = {
    "mobilenet_v2": {"model": tm("mobilenetv2_100"), "also": tv("mobilenet_v2", dropout=0.0), "kinks": True, "everywhere": True},
}
