"""Risk and utility of one file, from what the models said of it before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.risk import fidelity, findings, is_empty, largest, residual_risk, utility
from deid.scrub.terms import Look, Original, Terms


@dataclass(frozen=True)
class Figures:
    """DESIGN section 5; None is `unknown`, never a number.

    Attributes
    ----------
    strength
        At which the remover worked; 0 where it did not.
    chosen
        The strength was raised until this very risk was low enough, so that it reads too low.
    """

    strength: float = 0.0
    risk_before: float | None = None
    risk: float | None = None
    risk_basis: str = "unknown"
    utility: float | None = None
    findings: float | None = None
    fidelity: float | None = None
    chosen: bool = False

    def within(self, max_risk: float) -> bool:
        """Whether the risk is known and not above `max_risk`."""
        return self.risk is not None and self.risk <= max_risk

    def columns(self) -> dict[str, Any]:
        """As the report writes them."""
        names = ("risk_before", "risk", "utility", "findings", "fidelity")
        figures = {
            name: "unknown" if getattr(self, name) is None else round(getattr(self, name), 6)
            for name in names
        }
        chosen = ", chosen by this attacker" if self.chosen else ""
        return {**figures, "risk_basis": self.risk_basis + chosen}


def measure(
    decided: Look,
    protected: Original,
    others: dict[str, NDArray[np.float32]],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    *,
    named: bool,
    strength: float,
    terms: Terms,
) -> Figures:
    """Risk and utility of one edited image.

    Parameters
    ----------
    decided
        The look at the original, with what the models said of it.
    protected
        What the models say of the edited image.
    others
        By attacker, ``(images, D)`` embeddings of the person's other images; empty where there are
        none.
    named
        Whether it is known whose they are. If not they may be other people's, and searching for
        those would find chance: the risk without them is asked for too, and the larger one holds.
    before, after
        Views of the original and the edited image at native size, ``(F, R, C[, 3])``.
    """
    original, modality = decided.original, decided.modality or ""
    assert original is not None
    empty = is_empty(before)
    risks = [
        largest(
            residual_risk(
                queries[attacker.name],
                original.identity[attacker.name],
                attacker.cohort,
                others=mates,
                gallery_size=terms.gallery_size,
                empty=empty,
            )
            for attacker in terms.card.attackers.get(modality, ())
            for mates in [others.get(attacker.name), *([] if named else [None])]
        )
        for queries in (original.identity, protected.identity)
    ]
    speaking = list(terms.card.findings[modality])
    return Figures(
        strength=strength,
        risk_before=risks[0].value,
        risk=risks[1].value,
        risk_basis=str(risks[1]),
        utility=utility(original.keys, protected.keys, terms.card.utility_zero[modality]),
        findings=findings(original.findings[:, speaking], protected.findings[:, speaking]),
        fidelity=fidelity(before, after),
    )
