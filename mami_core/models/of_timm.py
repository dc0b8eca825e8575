"""Networks that timm builds, with the weights of its hub or of a file, and their local features."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor

from mami_core.weights import HubError, WeightsError

HUB = "hf-hub:"


def of_timm(name: str, file: str = "") -> Any:
    """The network without its classifier, all of whose weights are those of the hub or the file.

    timm takes a file of another network without a word and leaves what that lacks as it was drawn.
    So it is built twice: what differs was drawn.

    Raises
    ------
    HubError
        Where no file is given and the hub has no weights, or can not be reached.
    WeightsError
        Where timm has no such network, or the file does not hold all of it.
    """
    if not (name.startswith(HUB) or timm.is_model(name)):
        raise WeightsError(f"timm has no model '{name}'; name one that timm lists")
    options: dict[str, Any] = {"pretrained_cfg_overlay": {"file": file}} if file else {}
    built: list[Any] = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                built.append(timm.create_model(name, pretrained=True, num_classes=0, **options))
            except Exception as error:
                # timm raises whatever its hub, its unpickler or its registry raise.
                why = type(error).__name__
                if file:
                    raise WeightsError(
                        f"the file of '{name}' can not be read as its weights ({why}); give one "
                        "that timm reads"
                    ) from error
                raise HubError(
                    f"timm's hub has no weights of '{name}' or can not be reached ({why}); give "
                    "=FILE for weights on disk"
                ) from error
    one, other = (network.state_dict() for network in built)
    drawn = sum(not torch.equal(value, other[key]) for key, value in one.items())
    if drawn:
        raise WeightsError(
            f"the weights given for '{name}' lack {drawn} of its {len(one)} parts; give those of "
            "this very network"
        )
    return built[0]


def local(network: Any, last: Tensor) -> Tensor:
    """The features with which a network of timm ends, ``(B, N, D)``, whatever their layout."""
    if last.ndim == 3:
        return last[:, int(getattr(network, "num_prefix_tokens", 0)) :]
    if getattr(network, "output_fmt", "NCHW") == "NHWC":
        return last.flatten(1, 2)
    return last.flatten(2).transpose(1, 2)
