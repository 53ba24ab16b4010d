"""VGG."""

from zoo import tv

ROWS = {
    "vgg16": {"model": tv("vgg16", dropout=0.0), "input": 32, "batch": 2, "steps": 1, "everywhere": True},
}
