"""EfficientNet."""

from zoo import tm, tv

ROWS = {
    "efficientnet_b0": {
        "model": tm("efficientnet_b0"),
        "also": tv("efficientnet_b0", dropout=0.0, stochastic_depth_prob=0.0),
        "everywhere": True,
    },
}
