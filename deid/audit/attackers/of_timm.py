"""Any network that timm builds, by name: the rows of the paper's table 4 among them."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from deid.audit.attackers.registry import Attacker, Entry

PREFIX, SUMMARY = "timm:", "A network of timm, the mean of its local features; adaptive, whitened"


def entry(name: str) -> Entry:
    """The attacker ``timm:MODEL`` with its weights of timm's hub, or ``timm:MODEL=FILE``."""
    model, _, file = name.partition("=")
    return Entry(
        # A path stays out of every output.
        model,
        SUMMARY,
        "a file of weights" if file else "timm's hub",
        floor=False,
        build=partial(_built, name),
        network=True,
    )


def _built(name: str, device: str) -> Attacker:
    """See `mami_core.training.guides.guide` for what can be named, and what is raised."""
    from mami_core.device import chosen
    from mami_core.evaluation.embed import in_batches
    from mami_core.training.guides import guide

    where = chosen(device)
    network: Any = guide(name).to(where)
    look = in_batches(lambda pictures: network(pictures).mean(dim=1), where)
    digest = hashlib.sha256()
    for part, held in network.state_dict().items():
        digest.update(part.encode() + held.cpu().numpy().tobytes())
    return Attacker(look, network.image, weights=digest.hexdigest())
