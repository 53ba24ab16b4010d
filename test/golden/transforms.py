"""Golden values for data/transforms: torchvision.transforms.v2.functional on tensors of bytes, as bytes.

Run `python3 test/golden/transforms.py`; it writes data/transforms.json, and data/auto-augment.json: the operations that RandAugment,
TrivialAugmentWide and AutoAugment draw from, at some magnitudes, as hashes of bytes. A case is the name of a function here and its arguments after the picture,
in the words of data/transforms/functional.ts; `call` says what that is in torchvision. Pictures are [C, H, W] from counter.py.
"""

import base64
import json
import pathlib

import numpy as np
import torch
import zoo  # noqa: F401  makes torchvision importable where its compiled operators are missing
from counter import filled, fnv1a_bytes, words
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

HERE = pathlib.Path(__file__).parent / "data"
PICTURES = [(3, 13, 17), (1, 16, 16), (3, 7, 1), (1, 1, 6)]


def picture(channels, height, width):
    """Noise, with a smooth half: [C, H, W]."""
    noise = (words(f"picture {channels}x{height}x{width}", channels * height * width) >> 24).astype(np.uint8)
    noise = noise.reshape(channels, height, width)
    y, x = np.mgrid[0:height, 0:width]
    smooth = ((x * 255) // width + (y * 255) // height) // 2
    for c in range(channels):
        noise[c, :, : width // 2] = ((smooth + 40 * c) % 256)[:, : width // 2]
    return torch.from_numpy(noise)


def displacement(height, width):
    return filled(f"displacement {height}x{width}", (1, height, width, 2), scale=0.3)


def mode(options):
    return {"interpolation": InterpolationMode(options["interpolation"])} if "interpolation" in options else {}


def fill(options):
    return {"fill": options["fill"]} if "fill" in options else {}


def sides(s):
    return [s["left"], s["top"], s["right"], s["bottom"]]


def box(b):
    return b["top"], b["left"], b["height"], b["width"]


def affine(x, o):
    return F.affine(
        x,
        angle=o.get("degrees", 0),
        translate=list(o.get("translate", [0, 0])),
        scale=o.get("scale", 1),
        shear=list(o.get("shear", [0, 0])),
        center=o.get("center"),
        **mode(o),
        **fill(o),
    )


def erase(x, b, value):
    values = torch.tensor(value if isinstance(value, list) else [value], dtype=torch.uint8)
    return F.erase(x, *box(b), values[:, None, None])


call = {
    "crop": lambda x, b: F.crop(x, *box(b)),
    "centerCrop": lambda x, h, w: F.center_crop(x, [h, w]),
    "pad": lambda x, s, o: F.pad(x, sides(s), padding_mode=o.get("mode", "constant"), **fill(o)),
    "horizontalFlip": F.horizontal_flip,
    "verticalFlip": F.vertical_flip,
    "erase": erase,
    "rotate": lambda x, d, o: F.rotate(x, d, expand=o.get("expand", False), center=o.get("center"), **mode(o), **fill(o)),
    "affine": affine,
    "perspective": lambda x, a, b, o: F.perspective(x, a, b, **mode(o), **fill(o)),
    "elastic": lambda x, o: F.elastic(x, torch.from_numpy(displacement(*x.shape[1:])), **mode(o), **fill(o)),
    "adjustBrightness": lambda x, factor: F.adjust_brightness(x, float(factor)),  # a whole number would wrap around
    "adjustContrast": F.adjust_contrast,
    "adjustSaturation": F.adjust_saturation,
    "adjustHue": F.adjust_hue,
    "adjustSharpness": F.adjust_sharpness,
    "rgbToGrayscale": F.rgb_to_grayscale,
    "gaussianBlur": lambda x, k, s=None: F.gaussian_blur(x, k, s),
    "posterize": F.posterize,
    "solarize": F.solarize,
    "autocontrast": F.autocontrast,
    "equalize": F.equalize,
    "invert": F.invert,
}

BOTH = ["nearest", "bilinear"]


def cases(channels, h, w):
    """(name, arguments) for one picture."""
    colour = [200, 30, 90][:channels] if channels > 1 else [200]
    yield "crop", {"top": 0, "left": 0, "height": (h + 1) // 2, "width": (w + 1) // 2}
    yield "crop", {"top": -2, "left": -1, "height": h + 1, "width": w + 4}
    yield "centerCrop", (h + 1) // 2, w + 3
    yield "horizontalFlip",
    yield "verticalFlip",
    around = {"left": 2, "top": 1, "right": 3, "bottom": 2}
    yield "pad", around, {"fill": colour}
    yield "pad", around, {"fill": 77}
    yield "pad", around, {"mode": "edge"}
    if min(h, w) > 3:
        yield "pad", around, {"mode": "reflect"}
        yield "pad", around, {"mode": "symmetric"}
        yield "pad", {"left": -1, "top": 2, "right": -2, "bottom": -1}, {"mode": "symmetric"}
        yield "erase", {"top": 2, "left": 1, "height": 3, "width": 5}, colour
    for degrees in (0, 90, 180, 270, -90, 450, 30, -17.5, 45, 135):
        for name in BOTH if degrees % 90 else BOTH[:1]:
            yield "rotate", degrees, {"interpolation": name}
            yield "rotate", degrees, {"interpolation": name, "expand": True, "fill": colour}
    yield "rotate", 25, {"center": [0, 2], "fill": 128}
    yield "rotate", 90, {"center": [1.5, 3], "interpolation": "bilinear"}
    for name in BOTH:
        yield "affine", {"translate": [2, -1], "interpolation": name}
        yield "affine", {"degrees": 20, "translate": [1, 2], "scale": 1.3, "shear": [10, -15], "interpolation": name, "fill": colour}
        yield "affine", {"shear": [16.7, 0], "center": [0, 0], "scale": 0.7, "interpolation": name}
        yield "affine", {"shear": [0, 16.7], "interpolation": name}
        if min(h, w) > 1:
            corners = [[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]]
            yield "perspective", corners, [[1, 2], [w - 2, 0], [w - 3, h - 1], [2, h - 4]], {"interpolation": name, "fill": colour}
            yield "perspective", corners, [[0, 1], [w - 1, 1], [w - 2, h - 3], [1, h - 2]], {"interpolation": name}
        yield "elastic", {"interpolation": name, "fill": 50}
    for factor in (0, 0.4, 0.75, 1, 1.37, 2):
        yield "adjustBrightness", factor
        yield "adjustContrast", factor
        yield "adjustSaturation", factor
        yield "adjustSharpness", factor
    for factor in (-0.5, -0.21, 0, 0.1, 0.35, 0.5):
        yield "adjustHue", factor
    yield "rgbToGrayscale", 1
    yield "rgbToGrayscale", 3
    if min(h, w) > 6:
        yield "gaussianBlur", 3
        yield "gaussianBlur", [5, 9], [0.8, 1.7]
        yield "gaussianBlur", 13, 2.5
    for bits in (0, 1, 4, 7, 8):
        yield "posterize", bits
    for threshold in (0, 100, 170.5, 255):
        yield "solarize", threshold
    yield "autocontrast",
    yield "equalize",
    yield "invert",


def case(shape, name, *args):
    made = call[name](picture(*shape), *args)
    data = base64.b64encode(made.contiguous().numpy().tobytes()).decode()
    return {"picture": list(shape), "name": name, "args": list(args), "shape": list(made.shape), "data": data}


def operations(policy, bins, magnitudes):
    """Every operation of the policy's space, at each magnitude and with each sign."""
    image = picture(3, 13, 17)
    for name, (values, signed) in policy._AUGMENTATION_SPACE.items():
        strengths = values(bins, *image.shape[1:])
        for magnitude in magnitudes if strengths is not None else [0]:
            for sign in (1, -1) if signed else (1,):
                value = sign * float(strengths[magnitude]) if strengths is not None else 0.0
                made = policy._apply_image_or_video_transform(image, name, value, InterpolationMode.NEAREST, policy._fill)
                yield {"name": name, "magnitude": magnitude, "sign": sign, "hash": fnv1a_bytes(made.contiguous().numpy().tobytes())}


if __name__ == "__main__":
    spaces = {
        "randAugment": operations(v2.RandAugment(), 31, (0, 9, 17, 30)),
        "trivialAugmentWide": operations(v2.TrivialAugmentWide(), 31, (0, 9, 17, 30)),
    }
    lines = {name: ",\n    ".join(json.dumps(row) for row in rows) for name, rows in spaces.items()}
    text = ",\n".join(f'  "{name}": [\n    {rows}\n  ]' for name, rows in lines.items())
    (HERE / "auto-augment.json").write_text("{\n" + text + "\n}\n")
    rows = [json.dumps(case(shape, *c)) for shape in PICTURES for c in cases(*shape)]
    (HERE / "transforms.json").write_text("[\n  " + ",\n  ".join(rows) + "\n]\n")
