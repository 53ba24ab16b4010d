"""ResNet and its kin."""

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck, ResNet
from zoo import timm, tm, tv


class CifarBlock(nn.Module):
    """Two 3×3 convolutions; where the map shrinks, the shortcut takes every other pixel and zeros for the new channels (option A)."""

    def __init__(self, channels, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.stride, self.new = stride, planes - channels

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(shortcut, (0, 0, 0, 0, self.new // 2, self.new // 2)))


class CifarResNet(nn.Module):
    """He et al. 2015, section 4.2: 6n + 2 layers, three stages of 16, 32 and 64 channels."""

    def __init__(self, n):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*[CifarBlock(16, 16, 1) for _ in range(n)])
        self.layer2 = nn.Sequential(CifarBlock(16, 32, 2), *[CifarBlock(32, 32, 1) for _ in range(n - 1)])
        self.layer3 = nn.Sequential(CifarBlock(32, 64, 2), *[CifarBlock(64, 64, 1) for _ in range(n - 1)])
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.mean(x, (2, 3)))


def cifar(n):
    row = {"model": lambda: CifarResNet(n), "input": 32, "native": 32, "classes": 10, "kinks": True}
    return row | {"everywhere": n == 3}


BOTH = ["resnet34", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"]
SQUEEZED = [f"seresnet{depth}" for depth in (18, 34, 50, 101, 152)]
DEEP_STEM = [f"resnet{depth}d" for depth in (18, 26, 34, 50, 101, 152)]

ROWS = {
    "resnet18": {"model": tv("resnet18"), "also": tm("resnet18"), "kinks": True, "everywhere": True},
    "resnet50": {"model": tv("resnet50"), "also": tm("resnet50"), "kinks": True, "everywhere": True},
}
ROWS |= {name: {"model": tv(name), "also": tm(name), "kinks": True} for name in BOTH}
ROWS |= {name: {"model": tm(name), "kinks": True, "everywhere": name == "seresnet18"} for name in SQUEEZED}
ROWS |= {name: {"model": tm(name), "kinks": True, "below": r"(bn1|conv1\.[14])\.bias$", "everywhere": name == "resnet18d"} for name in DEEP_STEM}
ROWS |= {f"resnet{6 * n + 2}": cifar(n) for n in (3, 5, 9)}


def shallow(name, network, block, **design):
    """Of those that take long the results are a shallow one's, of the same design."""
    layers = [1, 2, 3, 1] if "152" in name else [1, 1, 2, 1]
    ROWS[name]["small"] = {"model": lambda: network(block, layers, **design), "options": {"layers": layers}}


shallow("wide_resnet101_2", ResNet, Bottleneck, width_per_group=128)
shallow("resnext101_32x8d", ResNet, Bottleneck, groups=32, width_per_group=8)
shallow("resnext101_64x4d", ResNet, Bottleneck, groups=64, width_per_group=4)
for name in ("seresnet101", "seresnet152"):
    shallow(name, timm.models.resnet.ResNet, timm.models.resnet.Bottleneck, block_args={"attn_layer": "se"})
for name in ("resnet101d", "resnet152d"):
    shallow(name, timm.models.resnet.ResNet, timm.models.resnet.Bottleneck, stem_width=32, stem_type="deep", avg_down=True)
for name in ROWS:
    if "101" in name or "152" in name:
        ROWS[name]["input"] = 33  # 17, 9, 5, 3 and 2 pixels wide
