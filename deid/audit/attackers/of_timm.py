"""Any network that timm builds, by name: the rows of the paper's table 4 among them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from deid.audit.attackers.registry import Attacker, Entry
from deid.audit.digests import of_weights

PREFIX = "timm:"
FORM = f"{PREFIX}MODEL[@SIDE][=FILE]"
SUMMARY = "A network of timm, the mean of its local features; adaptive, whitened"


def entry(name: str) -> Entry:
    """The attacker ``timm:MODEL[@SIDE]`` with its weights of timm's hub, or ``=FILE`` behind it."""
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
    """See `mami_core.training.guides.guide` for what can be named.

    Raises
    ------
    AbsentError
        Where the hub does not give the weights.
    mami_core.weights.WeightsError
        Where there is no such network, or a file does not hold it.
    """
    from mami_core.device import chosen
    from mami_core.evaluation.embed import in_batches
    from mami_core.training.guides import guide

    where = chosen(device)
    with from_hub():
        network: Any = guide(name).to(where)
    look = in_batches(lambda pictures: network(pictures).mean(dim=1), where)
    return Attacker(look, network.image, weights=of_weights(network))


@contextmanager
def from_hub() -> Iterator[None]:
    """What a hub does not give is absent, and the audit goes on.

    Raises
    ------
    AbsentError
        In place of `mami_core.weights.HubError`.
    """
    from mami_core.evaluation.yardsticks import AbsentError
    from mami_core.weights import HubError

    try:
        yield
    except HubError as error:
        raise AbsentError(str(error)) from None
