"""SSDLite. Its raw outputs for pictures of 64 x 64, the loss of torchvision's SSD for made-up boxes, and the boxes found in the end."""

from types import MethodType

import torch
from counter import filled, words
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection.image_list import ImageList

CLASSES = 5
BOXES = 2  # in each picture


def untrained(classes=91):
    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes)


def network(classes=91):
    """Without the transforms around it: pictures as they are, outputs as they are."""

    def forward(self, images):
        maps = list(self.backbone(images).values())
        outputs = self.head(maps)
        if not images.is_meta:
            sizes = [tuple(images.shape[2:])] * len(images)
            outputs["anchors"] = self.anchor_generator(ImageList(images, sizes), maps)
        return outputs

    model = untrained(classes)
    model.forward = MethodType(forward, model)
    return model


def truths(step, batch):
    """Boxes around the middle of the picture, 8 to 40 pixels wide and high."""
    u = torch.from_numpy(filled(f"boxes {step}", (batch, BOXES, 4))).double()
    centres, sizes = 32 + 16 * u[..., :2], 24 + 16 * u[..., 2:]
    labels = torch.from_numpy(words(f"labels {step}", batch * BOXES).astype("int64") % (CLASSES - 1) + 1)
    boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], -1)
    return [{"boxes": b, "labels": l} for b, l in zip(boxes, labels.reshape(batch, BOXES))]


def loss(outputs, step):
    model = untrained(CLASSES)
    anchors = outputs["anchors"]
    targets = truths(step, len(anchors))
    from torchvision.ops import box_iou

    matched = [model.proposal_matcher(box_iou(t["boxes"], a)) for t, a in zip(targets, anchors)]
    losses = model.compute_loss(targets, outputs, anchors, matched)
    return losses["bbox_regression"] + losses["classification"]


ROWS = {
    "ssdlite320_mobilenet_v3_large": {
        "model": network,
        "small": {"model": lambda: network(CLASSES), "options": {"numClasses": CLASSES}},
        "classes": 91,
        "native": 320,
        "kinks": True,
        "below": r"\.1\.bias$",
        "batch": 8,
        "loss": loss,
        "scores": lambda y: {"boxes": y["bbox_regression"], "scores": y["cls_logits"], "anchors": torch.stack(y["anchors"])[0]},
    },
}
