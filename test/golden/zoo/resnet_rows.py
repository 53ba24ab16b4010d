"""ResNet and its kin."""

from zoo import tm, tv

ROWS = {
    "resnet18": {"model": tv("resnet18"), "also": tm("resnet18"), "kinks": True, "everywhere": True},
    "resnet50": {"model": tv("resnet50"), "also": tm("resnet50"), "kinks": True, "everywhere": True},
}
