"""The all-convolutional net and network-in-network, written from the papers' tables: a convolution and a ReLU for each row."""

from collections import OrderedDict

from torch import nn
from torch.nn import functional as F


class Rows(nn.Module):
    """Convolutions by name, each with a ReLU behind it; `pools` has what follows some of them."""

    def __init__(self, layers, pools):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.pools = pools

    def forward(self, x):
        for name, layer in self.named_children():
            x = F.relu(layer(x))
            x = self.pools.get(name, lambda same: same)(x)
        return x.flatten(2).mean(2)


def allcnn_c():
    same = {"padding": 1}
    sizes = [(3, 96, 3, same), (96, 96, 3, same), (96, 96, 3, same | {"stride": 2})]
    sizes += [(96, 192, 3, same), (192, 192, 3, same), (192, 192, 3, same | {"stride": 2})]
    sizes += [(192, 192, 3, {}), (192, 192, 1, {}), (192, 10, 1, {})]
    return Rows(OrderedDict((f"conv{i + 1}", nn.Conv2d(*size, **options)) for i, (*size, options) in enumerate(sizes)), {})


def nin():
    layers = OrderedDict(
        conv1=nn.Conv2d(3, 192, 5, padding=2), cccp1=nn.Conv2d(192, 160, 1), cccp2=nn.Conv2d(160, 96, 1),
        conv2=nn.Conv2d(96, 192, 5, padding=2), cccp3=nn.Conv2d(192, 192, 1), cccp4=nn.Conv2d(192, 192, 1),
        conv3=nn.Conv2d(192, 192, 3, padding=1), cccp5=nn.Conv2d(192, 192, 1), cccp6=nn.Conv2d(192, 10, 1),
    )  # fmt: skip
    pools = {
        "cccp2": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
        "cccp4": lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
    }
    return Rows(layers, pools)


CIFAR = {"input": 32, "native": 32, "classes": 10, "batch": 2, "steps": 1}

ROWS = {
    "allcnn_c": {"model": allcnn_c, **CIFAR},
    "nin": {"model": nin, **CIFAR, "everywhere": True},
}
