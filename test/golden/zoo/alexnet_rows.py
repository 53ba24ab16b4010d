"""AlexNet in both forms; that of 2012 written from the paper, its two columns as two networks."""

import torch
from torch import nn
from torch.nn import functional as F
from zoo import tv

HIDDEN = 32


class Columns(nn.Conv2d):
    """A convolution whose maps stand on two GPUs, each of which sees its own half of the maps before."""

    def forward(self, x):
        halves = zip(x.chunk(2, 1), self.weight.chunk(2), self.bias.chunk(2))
        return torch.cat([F.conv2d(half, w, b, padding=self.padding) for half, w, b in halves], 1)


def damped(x):
    """The paper's section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75."""
    maps = x.shape[1]
    out = []
    for i in range(maps):
        total = (x[:, max(0, i - 2) : min(maps - 1, i + 2) + 1] ** 2).sum(1)
        out.append(x[:, i] / (2 + 1e-4 * total) ** 0.75)
    return torch.stack(out, 1)


class AlexNet2012(nn.Module):
    def __init__(self, hidden=4096):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = Columns(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = Columns(384, 384, 3, padding=1, groups=2)
        self.conv5 = Columns(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Linear(9216, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, 1000)

    def forward(self, x):
        x = F.max_pool2d(damped(F.relu(self.conv1(x))), 3, 2)
        x = F.max_pool2d(damped(F.relu(self.conv2(x))), 3, 2)
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        x = F.max_pool2d(F.relu(self.conv5(x)), 3, 2).flatten(1)
        return self.fc8(F.relu(self.fc7(F.relu(self.fc6(x)))))


def narrow():
    model = tv("alexnet", dropout=0.0)()
    model.classifier[1] = nn.Linear(9216, HIDDEN)
    model.classifier[4] = nn.Linear(HIDDEN, HIDDEN)
    model.classifier[6] = nn.Linear(HIDDEN, 1000)
    return model


ROWS = {
    "alexnet": {
        "model": tv("alexnet", dropout=0.0),
        "small": {"model": narrow, "options": {"hidden": HIDDEN}},
        "batch": 2,
        "steps": 1,
        "everywhere": True,
    },
    "alexnet_2012": {
        "model": AlexNet2012,
        "small": {"model": lambda: AlexNet2012(HIDDEN), "options": {"hidden": HIDDEN}},
        "input": 227,
        "native": 227,
        "batch": 2,
        "steps": 1,
    },
}
