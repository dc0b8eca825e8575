"""The identity encoder that comes with the toolkit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deid.audit.attackers.registry import Attacker, attacker
from mami_core.data import Record

if TYPE_CHECKING:
    from torch import Tensor

    from mami_core.weights import Weights

WEIGHTS = "mami_tiny"
#: Sets whose `train` people the bundled networks were trained on, as their cards say.
TRAINED_ON = frozenset({"nih", "kermany", "odir", "tvhl", "lidc", "openkbp"})


@attacker("mami", needs=f"bundled weights {WEIGHTS}", network=True)
def mami(device: str) -> Attacker:
    """The bundled identity encoder as it was trained; adaptive, its features of all depths."""
    return encoder(WEIGHTS, device)


def encoder(weights: str, device: str) -> Attacker:
    """An identity encoder: its identities to match by, and its depths to learn by.

    Gradients make an encoder's features better and its head narrower: learning starts from the
    features.
    """
    from mami_core.weights import load

    return of_depths(load(weights), device)


def of_depths(loaded: Weights, device: str) -> Attacker:
    """A network of ours that says who it is and what it is told by, features of several depths."""
    import torch

    from mami_core.device import chosen
    from mami_core.evaluation.embed import in_batches

    where = chosen(device)
    model: Any = loaded.model.to(where)

    def look(pictures: Tensor) -> Tensor:
        seen = model(pictures)
        return torch.cat([seen.identity, seen.pooled], dim=1)

    return Attacker(in_batches(look, where), int(loaded.facts["image"]), depths=model.depths)


def taught_the_bundled(record: Record) -> bool:
    """Whether an image is of a set and split that the bundled networks were trained on."""
    return record.source in TRAINED_ON and record.split == "train"
