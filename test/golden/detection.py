"""Golden values for what detectors do around their networks, from torchvision: `python3 test/golden/detection.py` writes data/detection.json.

Anchors of SSDLite for pictures of 320 x 320; the boxes found in made-up outputs for pictures of 64 x 48; box coding. torchvision's compiled
non-maximum suppression may be missing: a plain one stands in for it.
"""

import json
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent / "zoo"))
import zoo  # noqa: E402, F401 (declares the operators that torchvision asks for)
import torchvision  # noqa: E402
from counter import digest, filled  # noqa: E402
from torchvision.models.detection._utils import BoxCoder  # noqa: E402
from torchvision.models.detection.image_list import ImageList  # noqa: E402
from torchvision.ops import box_iou  # noqa: E402

sys.modules["zoo"] = zoo
from ssdlite_rows import CLASSES, untrained  # noqa: E402


def nms(boxes, scores, iou_threshold):
    order = scores.argsort(descending=True, stable=True).tolist()
    overlap = box_iou(boxes, boxes)
    kept = []
    for i in order:
        if all(overlap[i, j] <= iou_threshold for j in kept):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)


torchvision.ops.boxes.nms = nms
model = untrained(CLASSES).double()


def anchors(height, width, sizes):
    images = ImageList(torch.zeros(1, 3, height, width), [(height, width)])
    return model.anchor_generator(images, [torch.zeros(1, 1, *size) for size in sizes])[0].double()


def shown(values):
    return {"shape": list(values.shape), "digest": [float(f"{v:.8g}") for v in digest(values.numpy())]}


large = anchors(320, 320, [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)])
small = anchors(64, 48, [(4, 3), (2, 2), (1, 1), (1, 1), (1, 1), (1, 1)])
deltas = torch.from_numpy(filled("deltas", (2, len(small), 4), scale=3)).double()
logits = torch.from_numpy(filled("logits", (2, len(small), CLASSES), scale=4)).double()
found = model.postprocess_detections({"bbox_regression": deltas, "cls_logits": logits}, [small, small], [(64, 48)] * 2)
coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
golden = {
    "anchors": shown(large),
    "smallAnchors": shown(small),
    "decoded": shown(coder.decode_single(deltas[0], small)),
    "encoded": shown(coder.encode_single(small.flip(0), small)),
    "found": [
        {
            "labels": d["labels"].tolist(),
            "scores": [float(f"{v:.7g}") for v in d["scores"].tolist()],
            "boxes": [[float(f"{v:.7g}") for v in box] for box in d["boxes"].tolist()],
        }
        for d in found
    ],
}
(pathlib.Path(__file__).parent / "data" / "detection.json").write_text(json.dumps(golden) + "\n")
print([len(d["labels"]) for d in found], large[:8])
