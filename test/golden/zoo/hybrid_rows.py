"""CNN and transformer in one: CoAtNet, MobileViT. Attention product by product, so that its multiply-adds are counted."""

import timm
from zoo import tm

timm.layers.set_fused_attn(False)

ROWS = {
    "coatnet_0_rw_224": {"model": tm("coatnet_0_rw_224"), "input": 224, "batch": 2, "steps": 1},
    # 96 pixels: maps of 12, 6 and 3 pixels, the last of which does not divide into patches.
    "mobilevit_xxs": {"model": tm("mobilevit_xxs"), "input": 96, "native": 256, "everywhere": True},
    "mobilevit_xs": {"model": tm("mobilevit_xs"), "input": 96, "native": 256},
    "mobilevit_s": {"model": tm("mobilevit_s"), "input": 96, "native": 256},
}
