"""What a diagnosis says, which every usable copy keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deid.audit.attackers.registry import Attacker, attacker

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "mfm_tiny"


@attacker("findings", needs=f"bundled weights {WEIGHTS}", floor=True)
def findings(device: str) -> Attacker:
    """The bundled medical encoder's finding probabilities, whitened: the diagnosis alone."""
    from deid.audit.closed_form import closed_form
    from mami_core.device import chosen
    from mami_core.evaluation.embed import in_batches
    from mami_core.weights import load

    where = chosen(device)
    loaded = load(WEIGHTS)
    model: Any = loaded.model.to(where)

    def probabilities(pictures: Tensor) -> Tensor:
        return model.probabilities(model(pictures).logits)

    return Attacker(in_batches(probabilities, where), int(loaded.facts["image"]), fit=closed_form)
