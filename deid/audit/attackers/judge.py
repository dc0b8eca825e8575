"""The identity encoder against which nothing of the toolkit was trained."""

from __future__ import annotations

from deid.audit.attackers.mami import encoder
from deid.audit.attackers.registry import Attacker, attacker

WEIGHTS = "judge_tiny"


@attacker("judge", needs=f"bundled weights {WEIGHTS}", network=True)
def judge(device: str) -> Attacker:
    """A second bundled identity encoder, which the remover did not learn from."""
    return encoder(WEIGHTS, device)
