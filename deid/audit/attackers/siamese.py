"""The verifier of Packhaeuser et al. on the bundled encoder's features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deid.audit.attackers.mami import WEIGHTS, encoder
from deid.audit.attackers.registry import Attacker, attacker

if TYPE_CHECKING:
    from deid.audit.matching import Matcher, Training


@attacker("siamese", needs=f"bundled weights {WEIGHTS}", gradient=True)
def siamese(device: str) -> Attacker:
    """Two images through one layer, their difference through another (Packhaeuser et al. 2022)."""
    return replace(encoder(WEIGHTS, device), fit=fitted, eyes="mami")


def fitted(training: Training) -> Matcher:
    """His head, loss and pairs, on features that stay as they are: his own network learns on.

    It keeps what it has learnt even where the closed form finds more; that it is under-trained is
    said then.
    """
    from deid.audit.gradient import Recipe, learnt
    from deid.audit.heads import Siamese

    recipe = Recipe(Siamese, rate=1e-2, decay=0.0, stops=4, every=25, falls_back=False)
    return learnt(training, recipe)
