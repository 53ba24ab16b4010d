"""ViT and DeiT. Attention product by product, so that its multiply-adds are counted; pictures smaller than 224 resample the position embeddings."""

import re

import timm
from zoo import tm, tv

timm.layers.set_fused_attn(False)


def row(name, size=64, **more):
    return {"model": tm(name, dynamic_img_size=True), "input": size, "steps": 1, "batch": 2} | more


def shallow(name, **more):
    return row(name, small={"model": tm(name, dynamic_img_size=True, depth=3), "options": {"depth": 3}}, **more)


def torchvisions(path):
    for mine, theirs in [
        (r"^cls_token", "class_token"),
        (r"^pos_embed", "encoder.pos_embedding"),
        (r"^patch_embed\.proj", "conv_proj"),
        (r"^blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
        (r"\.norm([12])\.", r".ln_\1."),
        (r"attn\.qkv\.", "self_attention.in_proj_"),
        (r"attn\.proj", "self_attention.out_proj"),
        (r"mlp\.fc1", "mlp.0"),
        (r"mlp\.fc2", "mlp.3"),
        (r"^norm", "encoder.ln"),
        (r"^head", "heads.head"),
    ]:
        path = re.sub(mine, theirs, path)
    return path


ROWS = {
    "vit_tiny_patch16_224": row("vit_tiny_patch16_224", everywhere=True),
    "vit_small_patch16_224": shallow("vit_small_patch16_224"),
    "vit_small_patch32_224": shallow("vit_small_patch32_224", size=96),
    "vit_b_16": shallow("vit_base_patch16_224"),
    "vit_b_32": shallow("vit_base_patch32_224", size=96, also=tv("vit_b_32"), also_input=224, renamed=torchvisions),
    "deit_tiny_patch16_224": shallow("deit_tiny_patch16_224"),
    "deit_small_patch16_224": shallow("deit_small_patch16_224"),
    "deit_base_patch16_224": shallow("deit_base_patch16_224"),
    "deit_tiny_distilled_patch16_224": shallow("deit_tiny_distilled_patch16_224", everywhere=True),
    "deit_small_distilled_patch16_224": shallow("deit_small_distilled_patch16_224"),
    "deit_base_distilled_patch16_224": shallow("deit_base_distilled_patch16_224"),
}
