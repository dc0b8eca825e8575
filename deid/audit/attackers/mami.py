"""The identity encoder that comes with the toolkit."""

from __future__ import annotations

from deid.audit.attackers.registry import Attacker, attacker

WEIGHTS = "mami_tiny"


@attacker("mami", needs=f"bundled weights {WEIGHTS}")
def mami(device: str) -> Attacker:
    """The bundled identity encoder, as it was trained."""
    from mami_core.evaluation.embed import embedder

    encoder = embedder(WEIGHTS, device)
    return Attacker(encoder.embed, encoder.size)
