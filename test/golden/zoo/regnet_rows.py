"""RegNet."""

import re

from zoo import tm, tv

# torchvision's name: timm's.
TORCHVISION = {f"regnet_{kind}_{size}": f"regnet{kind}_{number}" for kind in "xy" for size, number in [
    ("400mf", "004"), ("800mf", "008"), ("1_6gf", "016"), ("3_2gf", "032"), ("8gf", "080"),
]}  # fmt: skip
# These round widths to whole groups another way, and timm keeps both.
for name in ("regnet_x_400mf", "regnet_y_800mf", "regnet_y_8gf"):
    TORCHVISION[name] += "_tv"
TIMM = ["regnetx_002", "regnetx_004", "regnetx_006", "regnetx_040", "regnetx_064"]
TIMM += ["regnety_002", "regnety_006", "regnety_008", "regnety_040", "regnety_064", "regnety_080"]


def renamed(path):
    """timm's name -> torchvision's."""
    path = re.sub(r"^s(\d)\.b(\d+)\.", lambda m: f"trunk_output.block{m[1]}.block{m[1]}-{int(m[2]) - 1}.", path)
    path = re.sub(r"\.conv([123])\.", lambda m: f".f.{'abc'[int(m[1]) - 1]}.", path)
    path = re.sub(r"\.se\.", ".f.se.", path)
    path = re.sub(r"\.downsample\.", ".proj.", path)
    path = re.sub(r"\.conv\.", ".0.", path)
    path = re.sub(r"\.bn\.", ".1.", path)
    return path.replace("head.fc", "fc")


SHARED = {"kinks": True, "below": r"conv1\.bn\.bias$"}
ROWS = {name: SHARED | {"model": tm(other), "also": tv(name), "renamed": renamed} for name, other in TORCHVISION.items()}
ROWS |= {name: SHARED | {"model": tm(name)} for name in TIMM}
ROWS["regnet_y_400mf"]["everywhere"] = True
for name in ROWS:
    if "gf" in name or name.endswith(("040", "064", "080")):
        ROWS[name]["input"] = 33  # large enough to be slow, and of the same parts as the others; 17, 9, 5, 3 and 2 pixels wide
