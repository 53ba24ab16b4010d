"""Golden values for data/resize.ts: Pillow's resize and torchvision's Resize + CenterCrop of a picture from counter.py, as hashes of bytes.

Run `python3 test/golden/resize.py`; it writes data/resize.json.
"""

import json
import pathlib

import numpy as np
from counter import fnv1a_bytes, words
from PIL import Image

HERE = pathlib.Path(__file__).parent / "data"
FILTERS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}


def picture(height, width):
    """Bytes of a counter stream, with a smooth half so that both noise and gradients are seen: [H, W, 3]."""
    noise = (words(f"picture {height}x{width}", 3 * height * width) >> 24).astype(np.uint8).reshape(3, height, width)
    y, x = np.mgrid[0:height, 0:width]
    smooth = ((x * 255) // width + (y * 255) // height) // 2
    noise[:, :, : width // 2] = smooth[:, : width // 2]
    return noise.transpose(1, 2, 0).copy()


def planes(image):
    return np.asarray(image).transpose(2, 0, 1)


def show(array):
    return {"shape": list(array.shape), "hash": fnv1a_bytes(array.tobytes()), "first": array.reshape(-1)[:6].tolist()}


def resized(height, width, to_height, to_width, name):
    image = Image.fromarray(picture(height, width)).resize((to_width, to_height), FILTERS[name])
    return {"from": [height, width], "to": [to_height, to_width], "filter": name} | show(planes(image))


def preprocessed(height, width, size, crop, name):
    from torchvision.transforms import functional as F
    from torchvision.transforms import InterpolationMode as M

    image = F.resize(Image.fromarray(picture(height, width)), size, M[name.upper()])
    return {"from": [height, width], "resize": size, "crop": crop, "filter": name} | show(planes(F.center_crop(image, crop)))


SIZES = [(20, 30, 7, 11), (7, 11, 20, 30), (64, 48, 64, 31), (33, 65, 90, 65), (1, 5, 3, 1), (97, 131, 56, 56)]
CROPS = [(60, 91, 40, 32), (91, 60, 40, 35), (33, 47, 29, 48), (50, 50, 37, 24), (101, 73, 37, 36)]

if __name__ == "__main__":
    import zoo  # noqa: F401  makes torchvision importable where its compiled operators are missing

    cases = {
        "resize": [resized(*sizes, name) for sizes in SIZES for name in FILTERS],
        "preprocess": [preprocessed(*sizes, name) for sizes in CROPS for name in ("bilinear", "bicubic")],
    }
    rows = {key: ",\n    ".join(json.dumps(case) for case in value) for key, value in cases.items()}
    text = ",\n".join(f'  "{key}": [\n    {value}\n  ]' for key, value in rows.items())
    (HERE / "resize.json").write_text("{\n" + text + "\n}\n")
