"""The coarse outline of a picture, which every usable copy keeps."""

from __future__ import annotations

from deid.audit.attackers.pixels import centred_grey
from deid.audit.attackers.registry import Attacker, attacker

SIDE = 16


@attacker("outline", floor=True)
def outline(device: str) -> Attacker:
    """A 16 x 16 thumbnail, whitened: the outline of lungs, heart and body alone."""
    from deid.audit.closed_form import closed_form

    return Attacker(centred_grey, SIDE, fit=closed_form)
