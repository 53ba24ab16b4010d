"""Networks that give a class to each pixel."""

import torch
from torch import nn
from torch.nn import functional as F
from zoo import labels, torchvision


def pixel_loss(outputs, step):
    """Cross entropy with a class for each pixel, and half that of the auxiliary head where there is one, as torchvision trains."""
    outputs = outputs if isinstance(outputs, dict) else {"out": outputs}
    n, classes, h, w = outputs["out"].shape
    wanted = labels(step, n * h * w, classes).reshape(n, h, w)
    loss = F.cross_entropy(outputs["out"], wanted)
    return loss + 0.5 * F.cross_entropy(outputs["aux"], wanted) if "aux" in outputs else loss


# —— U-Net, in the form and with the names of github.com/milesial/Pytorch-UNet ——


class DoubleConv(nn.Module):
    def __init__(self, channels, planes, middle=None):
        super().__init__()
        layers = []
        for a, b in ((channels, middle or planes), (middle or planes, planes)):
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, channels, planes):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(channels, planes))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, channels, planes, bilinear):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(channels, planes, channels // 2)
        else:
            self.up = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
            self.conv = DoubleConv(channels, planes)

    def forward(self, x, skip):
        x = self.up(x)
        h, w = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        x = F.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))
        return self.conv(torch.cat([skip, x], 1))


class OutConv(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv = nn.Conv2d(channels, classes, 1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    def __init__(self, classes, bilinear=False):
        super().__init__()
        half = 2 if bilinear else 1
        self.inc = DoubleConv(3, 64)
        self.down1, self.down2, self.down3 = Down(64, 128), Down(128, 256), Down(256, 512)
        self.down4 = Down(512, 1024 // half)
        self.up1, self.up2 = Up(1024, 512 // half, bilinear), Up(512, 256 // half, bilinear)
        self.up3, self.up4 = Up(256, 128 // half, bilinear), Up(128, 64, bilinear)
        self.outc = OutConv(64, classes)

    def forward(self, x):
        maps = [self.inc(x)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            maps.append(down(maps[-1]))
        x = maps.pop()
        for up in (self.up1, self.up2, self.up3, self.up4):
            x = up(x, maps.pop())
        return self.outc(x)


# —— torchvision's ——


def answers_alone(model):
    """In evaluation only the map of the network itself, as a tensor: fovea does not compute the auxiliary head then."""

    class Answer(type(model)):
        def forward(self, x):
            head = self.aux_classifier if hasattr(self, "aux_classifier") else None
            if self.training:
                return super().forward(x)
            if head is not None:
                self.aux_classifier = None
            try:
                return super().forward(x)["out"]
            finally:
                if head is not None:
                    self.aux_classifier = head

    model.__class__ = Answer
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def segmentation(name, **options):
    return lambda: answers_alone(torchvision.models.get_model(name, weights=None, weights_backbone=None, **options))


UNET = {"batch": 2, "classes": 2, "kinks": True, "below": r"double_conv\.1\.bias$", "native": 256, "loss": pixel_loss}
ROWS = {
    "unet": UNET | {"model": lambda: UNet(2), "input": 32, "everywhere": True},
    "unet_bilinear": UNET | {"registry": "unet", "model": lambda: UNet(2, True), "options": {"bilinear": True}, "input": (3, 42, 35)},
    "fcn_resnet50": {
        "model": segmentation("fcn_resnet50", aux_loss=True),
        "input": 64,
        "native": 520,
        "batch": 2,
        "classes": 21,
        "kinks": True,
        "loss": pixel_loss,
    },
    "lraspp_mobilenet_v3_large": {
        "model": segmentation("lraspp_mobilenet_v3_large"),
        "input": 64,
        "native": 520,
        "classes": 21,
        "kinks": True,
        "below": r"\.0\.1\.bias$",
        "everywhere": True,
        "loss": pixel_loss,
    },
}
