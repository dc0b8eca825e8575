"""The medical encoder on a network of the user's own, which stays as it is: only what stands on it
learns."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from mami_core.models.mfm import MedicalConfig, MedicalEncoder
from mami_core.models.of_timm import TIMM, fingerprint, of_timm, plan
from mami_core.training import start
from mami_core.training.loop import TrainingError

#: Views of smaller pictures have no room for what is hidden in them.
LEAST_SIDE = 64


class Begun(NamedTuple):
    """A medical encoder before its training.

    Attributes
    ----------
    model
        All of it.
    learner
        The part that learns.
    start
        Where its weights start, one line.
    whose
        What tells its trunk from others; nothing for ours.
    """

    model: MedicalEncoder
    learner: nn.Module
    start: str
    whose: tuple[str, ...] = ()


def begin(spec: str, config: MedicalConfig, init: str) -> Begun:
    """A medical encoder on the network that ``timm:NAME[=FILE]`` names, on the CPU.

    Parameters
    ----------
    config
        Its trunk and the side of its pictures are replaced by the network's.
    init
        As of `mami_core.training.start.begin`, for what stands on the network.

    Raises
    ------
    TrainingError
        Where the text names no network, or one that looks at pictures of less than `LEAST_SIDE`.
    mami_core.weights.WeightsError
        Where there is no such network, its weights can not be had, or it gives no local features.
    """
    name, _, file = spec.removeprefix(TIMM).partition("=")
    if not spec.startswith(TIMM) or not name:
        raise TrainingError("--trunk is timm:NAME[=FILE], a network that timm builds")
    network = of_timm(name, file)
    held = plan(network)
    side = int(held["told"]["input_size"][-1])
    if side < LEAST_SIDE:
        raise TrainingError(
            f"the network of --trunk looks at pictures of {side} pixels, and {LEAST_SIDE} are the "
            f"least; timm:NAME@{LEAST_SIDE} shows it larger ones"
        )
    model = MedicalEncoder(replace(config, trunk=held["name"], image=side, own=held), network)
    whose = fingerprint(network)
    # As the loop lays out what learns.
    network.to(memory_format=torch.channels_last)
    told = "starting from scratch"
    if init not in ("imagenet", "none"):
        given = {name: value.clone() for name, value in network.state_dict().items()}
        told = start.begin(model, "mfm", init)
        # An earlier encoder brings its own trunk along.
        network.load_state_dict(given)
    return Begun(
        model, _learner(model), f"{told} on the network given, which stays as it is", (whose,)
    )


def _learner(model: MedicalEncoder) -> nn.Module:
    """All but the trunk, which neither a training nor its checkpoints touch then."""
    part = nn.Module()
    for name, child in model.named_children():
        if name != "trunk":
            part.add_module(name, child)
    part.register_parameter("queries", model.queries)
    return part
