"""LeNet-5, as published and as taught, and the tutorial network. Written from the paper: one loop for each map, no trick of the other side."""

import torch
from torch import nn
from torch.nn import functional as F


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


def lenet5_sequential():
    """As "Dive into Deep Learning" builds it, in the modern activations."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


class Classic(nn.Module):
    """The layers of PyTorch's MNIST example."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x.flatten(1)))), 1)


# Table I of the paper: the columns of each row of crosses.
TABLE_I = [
    [0, 4, 5, 6, 9, 10, 11, 12, 14, 15],
    [0, 1, 5, 6, 7, 10, 11, 12, 13, 15],
    [0, 1, 2, 6, 7, 8, 11, 13, 14, 15],
    [1, 2, 3, 6, 7, 8, 9, 12, 14, 15],
    [2, 3, 4, 7, 8, 9, 10, 12, 13, 15],
    [3, 4, 5, 8, 9, 10, 11, 13, 14, 15],
]

DIGITS = """
....... ...##.. .#####. .#####. .....## ####### ..####. ####### .#####. ..###..
..###.. ..###.. ##...## ##...## ....### ##..... .##.... ####### ##...## .##.##.
.##.##. .####.. ##...## .....## ...#### ##..... ##..... .....## ##...## ##...##
##...## ...##.. .....## .....## ..##.## ##..... ##..... .....## ##...## ##...##
##...## ...##.. ....##. ....##. .##..## ######. ##.###. ....##. .##.##. ##...##
##...## ...##.. ...##.. ..###.. ##...## ##...## ###..## ....##. ..###.. ##..###
##...## ...##.. ..##... ....##. ####### .....## ##...## ...##.. .##.##. .###.##
##...## ...##.. .##.... .....## ####### .....## ##...## ...##.. ##...## .....##
##...## ...##.. ##..... .....## .....## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... .....## .....## .....## ##...## ..##... ##...## .....##
..###.. ...##.. ##..... ##...## .....## ##...## .##.##. .##.... ##...## ....##.
....... .###### ####### .#####. .....## .#####. ..###.. .##.... .#####. .####..
"""
ROWS_OF_DIGITS = [line.split() for line in DIGITS.strip().splitlines()]
CODES = [[1.0 if pixel == "#" else -1.0 for row in ROWS_OF_DIGITS for pixel in row[digit]] for digit in range(10)]


def squash(a):
    return 1.7159 * torch.tanh(2 / 3 * a)


class Subsampling(nn.Module):
    def __init__(self, maps):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(maps))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, x):
        maps = []
        for i, (weight, bias) in enumerate(zip(self.weight, self.bias)):
            m = x[:, i]
            four = m[:, 0::2, 0::2] + m[:, 0::2, 1::2] + m[:, 1::2, 0::2] + m[:, 1::2, 1::2]
            maps.append(four * weight + bias)
        return torch.stack(maps, 1)


class C3(nn.Module):
    """Every map of every map before it, where the table has no cross with a kernel of zeros."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(60, 5, 5))
        self.bias = nn.Parameter(torch.zeros(16))

    def forward(self, x):
        kernels = iter(self.weight)
        maps = []
        for i in range(16):
            total = self.bias[i]
            for j in range(6):
                kernel = next(kernels) if i in TABLE_I[j] else torch.zeros(5, 5, dtype=x.dtype)
                total = total + F.conv2d(x[:, j : j + 1], kernel[None, None])
            maps.append(total)
        return torch.cat(maps, 1)


class LeNet5Of1998(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = C3()
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)

    def forward(self, x):
        x = F.pad(x, (2, 2, 2, 2), mode="replicate")
        for layer in (self.c1, self.s2, self.c3, self.s4, self.c5):
            x = squash(layer(x))
        x = squash(self.f6(x.flatten(1)))
        return torch.stack([-sum((x[:, j] - w) ** 2 for j, w in enumerate(code)) for code in CODES], 1)


MNIST = {"input": (1, 28, 28), "native": (1, 28, 28), "classes": 10, "steps": 1, "everywhere": True}

ROWS = {
    "lenet5_1998": {"model": LeNet5Of1998, **MNIST},
    "lenet5": {"model": LeNet5, "also": lenet5_sequential, **MNIST},
    "classic": {"model": Classic, **MNIST},
}
