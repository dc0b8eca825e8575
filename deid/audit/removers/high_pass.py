"""High-pass."""

from __future__ import annotations

from deid.audit.removers.blur import blurred
from deid.audit.removers.registry import Change, Donors, remover


@remover("high-pass", parameter=4.0)
def high_pass(sigma: float, donors: Donors) -> Change:
    """The picture less its blur of so many pixels, on mid grey."""
    return lambda picture, _: picture - blurred(picture, sigma) + 0.5
