"""The edit is turned back before anybody looks."""

from __future__ import annotations

from deid.audit.attackers.mami import WEIGHTS, encoder
from deid.audit.attackers.registry import Attacker, attacker


@attacker("undo", needs=f"bundled weights {WEIGHTS}")
def undo(device: str) -> Attacker:
    """Learns to turn the edit back, pixel by pixel, where that helps; then looks as mami does."""
    from deid.audit.undoing import Memory, undoing

    return undoing(encoder(WEIGHTS, device), "mami", Memory(), always=False)
