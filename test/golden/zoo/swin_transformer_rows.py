"""Swin. Attention product by product, so that its multiply-adds are counted."""

import re

import timm
from torch import nn
from zoo import tm, torchvision

timm.layers.set_fused_attn(False)


class Other(nn.Module):
    """torchvision's, without the indices among its entries: they are not weights."""

    def __init__(self):
        super().__init__()
        self.model = torchvision.models.swin_t(weights=None)

    def forward(self, x):
        return self.model(x)

    def state_dict(self):
        return {path: v for path, v in self.model.state_dict().items() if not path.endswith("relative_position_index")}


def torchvisions(path):
    for mine, theirs in [
        (r"^patch_embed\.proj", "features.0.0"),
        (r"^patch_embed\.norm", "features.0.2"),
        (r"^layers\.(\d)\.downsample", lambda m: f"features.{2 * int(m[1])}"),
        (r"^layers\.(\d)\.blocks", lambda m: f"features.{2 * int(m[1]) + 1}"),
        (r"mlp\.fc1", "mlp.0"),
        (r"mlp\.fc2", "mlp.3"),
        (r"^head\.fc", "head"),
    ]:
        path = re.sub(mine, theirs, path)
    return path


ROWS = {
    "swin_t": {
        "model": tm("swin_tiny_patch4_window7_224", strict_img_size=False, drop_path_rate=0.0),
        "also": Other,
        "renamed": torchvisions,
        "also_input": 224,  # it pads other sizes differently
        "input": 112,  # 28, 14, 7 and 4 pixels: whole windows, one window, and not even one
        "batch": 2,
        "steps": 1,
    },
}
