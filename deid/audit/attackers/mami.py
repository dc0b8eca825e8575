"""The identity encoder that comes with the toolkit."""

from __future__ import annotations

from deid.audit.attackers.registry import Attacker, attacker
from mami_core.data import Record

WEIGHTS = "mami_tiny"
#: Sets whose `train` people the bundled networks were trained on, as their cards say.
TRAINED_ON = frozenset({"nih", "kermany", "odir", "tvhl", "lidc", "openkbp"})


@attacker("mami", needs=f"bundled weights {WEIGHTS}")
def mami(device: str) -> Attacker:
    """The bundled identity encoder, as it was trained."""
    from mami_core.evaluation.embed import embedder

    encoder = embedder(WEIGHTS, device)
    return Attacker(encoder.embed, encoder.size)


def taught_the_bundled(record: Record) -> bool:
    """Whether an image is of a set and split that the bundled networks were trained on."""
    return record.source in TRAINED_ON and record.split == "train"
