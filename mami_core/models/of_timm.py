"""Networks that timm builds, with the weights of its hub or of a file, and their local features."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm
import torch
from torch import Tensor

from mami_core.weights import HubError, WeightsError

HUB = "hf-hub:"
#: Sides of pictures that a network may be asked to look at.
SIDES = range(32, 2049)


def of_timm(spec: str, file: str = "") -> Any:
    """The network without its classifier, all of whose weights are those of the hub or the file.

    ``NAME@SIDE`` looks at pictures of that side in place of those that it was made for; where it
    takes one size alone, the places of its patches are interpolated (its ``pretrained_cfg`` says
    the side, as of every network).

    timm takes a file of another network without a word and leaves what that lacks as it was drawn.
    So it is built twice: what differs was drawn.

    Raises
    ------
    HubError
        Where no file is given and the hub has no weights, or can not be reached.
    WeightsError
        Where timm has no such network, or not of that size, or the file does not hold all of it.
    """
    name, side = _named(spec)
    if not (name.startswith(HUB) or timm.is_model(name)):
        raise WeightsError(f"timm has no model '{name}'; name one that timm lists")
    overlay: dict[str, Any] = {"file": file} if file else {}
    options: dict[str, Any] = {"pretrained_cfg_overlay": overlay}
    if side is not None:
        overlay["input_size"] = (3, side, side)
        told = timm.get_pretrained_cfg(name, allow_unregistered=True)
        if told is not None and told.fixed_input_size:
            options["img_size"] = side
    built: list[Any] = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]), _unheard():
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


@contextmanager
def _unheard() -> Iterator[None]:
    """timm logs every key that a file has too many, and paths; what matters is raised."""
    log = logging.getLogger("timm")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


def _named(spec: str) -> tuple[str, int | None]:
    """Name and side; a revision of the hub stands behind an @ as well, and is no number."""
    found = re.fullmatch(r"(.+)@(\d{1,5})", spec)
    if not found:
        return spec, None
    side = int(found[2])
    if side not in SIDES:
        raise WeightsError(
            f"'{spec}': the side of pictures is {SIDES[0]} to {SIDES[-1]} pixels; give another"
        )
    return found[1], side


def local(network: Any, last: Tensor) -> Tensor:
    """The features with which a network of timm ends, ``(B, N, D)``, whatever their layout."""
    if last.ndim == 3:
        return last[:, int(getattr(network, "num_prefix_tokens", 0)) :]
    if getattr(network, "output_fmt", "NCHW") == "NHWC":
        return last.flatten(1, 2)
    return last.flatten(2).transpose(1, 2)
