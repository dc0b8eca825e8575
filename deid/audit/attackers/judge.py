"""The identity encoder against which nothing of the toolkit was trained."""

from __future__ import annotations

from deid.audit.attackers.registry import Attacker, attacker

WEIGHTS = "judge_tiny"


@attacker("judge", needs=f"bundled weights {WEIGHTS}")
def judge(device: str) -> Attacker:
    """A second bundled identity encoder, which the remover did not learn from."""
    from mami_core.evaluation.embed import embedder

    encoder = embedder(WEIGHTS, device)
    return Attacker(encoder.embed, encoder.size)
