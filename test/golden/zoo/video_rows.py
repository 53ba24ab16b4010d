"""Networks for films."""

from torch import nn
from torch.nn import functional as F
from zoo import tv


class C3D(nn.Module):
    """From the paper's figure 3; names and the last pooling's padding as in c3d-pytorch."""

    def __init__(self, width=64, hidden=4096):
        super().__init__()
        maps = [3, width, 2 * width, 4 * width, 4 * width, 8 * width, 8 * width, 8 * width, 8 * width]
        for name, before, after in zip(("1", "2", "3a", "3b", "4a", "4b", "5a", "5b"), maps, maps[1:]):
            self.add_module(f"conv{name}", nn.Conv3d(before, after, 3, padding=1))
        self.fc6 = nn.Linear(8 * width * 16, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, 487)

    def forward(self, x):
        pools = {"conv1": (1, 2, 2), "conv2": 2, "conv3b": 2, "conv4b": 2}
        for name, layer in self.named_children():
            if not name.startswith("conv"):
                break
            x = F.relu(layer(x))
            if name in pools:
                x = F.max_pool3d(x, pools[name])
        x = F.max_pool3d(x, 2, padding=(0, 1, 1)).flatten(1)
        return self.fc8(F.relu(self.fc7(F.relu(self.fc6(x)))))


FILM = {"input": (3, 8, 32, 32), "native": (3, 16, 112, 112), "classes": 400, "kinks": True, "below": r"conv1\.1\.bias$"}

ROWS = {
    "c3d": {
        "model": C3D,
        "small": {"model": lambda: C3D(8, 32), "options": {"width": 8, "hidden": 32}},
        "input": (3, 16, 96, 96),
        "native": (3, 16, 112, 112),
        "classes": 487,
        "batch": 2,
        "steps": 1,
    },
    "r3d_18": {"model": tv("r3d_18"), **FILM, "everywhere": True},
    "mc3_18": {"model": tv("mc3_18"), **FILM},
    "r2plus1d_18": {"model": tv("r2plus1d_18"), **FILM},
}
