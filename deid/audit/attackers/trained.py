"""The bundled encoder's features, and a head that is trained by gradient on top."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deid.audit.attackers.mami import WEIGHTS, encoder
from deid.audit.attackers.registry import Attacker, attacker

if TYPE_CHECKING:
    from deid.audit.matching import Matcher, Training


@attacker("trained", needs=f"bundled weights {WEIGHTS}")
def trained(device: str) -> Attacker:
    """A linear head on mami's features, trained by gradient from the closed form on."""
    return replace(encoder(WEIGHTS, device), fit=fitted, eyes="mami")


def fitted(training: Training) -> Matcher:
    """The closed form and what a gradient adds to it; the closed form alone where that is nothing.

    A matrix for each kind of role, zero at first, is added to the closed form's: InfoNCE over the
    attacker's own patients, both ways, in the very roles of the test. AdamW draws it back to zero.
    """
    from deid.audit.gradient import Recipe, learnt
    from deid.audit.heads import Residual

    # Of nih's own patients most was found after 10 to 30 such steps, and less with larger ones.
    return learnt(training, Recipe(Residual, rate=3e-4, decay=1.0, stops=8, every=8))
