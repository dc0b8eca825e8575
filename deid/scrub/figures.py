"""Risk and utility of one file, from what the models said of it before and after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.risk import UNKNOWN, Risk, fidelity, findings, is_empty, largest, residual_risk, utility
from deid.scrub.terms import Attacker, Card, Look, Original, Terms

#: By attacker, ``(D,)`` of one image or ``(images, D)`` of several.
Embeddings = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Figures:
    """DESIGN section 5; None is `unknown`, never a number.

    Attributes
    ----------
    strength
        At which the remover worked; 0 where it did not.
    before, after
        Risk of the untouched and of the edited image.
    judges
        Who measured the risk anew; nobody where no bound was given.
    empty
        Whether the untouched image shows nothing, so that chance is the risk of what nobody is
        seen in.
    """

    strength: float = 0.0
    before: Risk = UNKNOWN
    after: Risk = UNKNOWN
    utility: float | None = None
    findings: float | None = None
    fidelity: float | None = None
    judges: tuple[str, ...] = ()
    empty: bool = False

    @property
    def risk_before(self) -> float | None:
        """The probability that the person is found by the untouched image."""
        return self.before.value

    @property
    def risk(self) -> float | None:
        """The same by the edited image."""
        return self.after.value

    def above(self, max_risk: float) -> bool:
        """Whether the risk is known and above `max_risk`."""
        return self.risk is not None and self.risk > max_risk

    def columns(self) -> dict[str, Any]:
        """As the report writes them."""
        names = ("risk_before", "risk", "utility", "findings", "fidelity")
        figures = {
            name: "unknown" if getattr(self, name) is None else round(getattr(self, name), 6)
            for name in names
        }
        anew = f", measured anew by {' and '.join(self.judges)}" if self.judges else ""
        return {**figures, "risk_basis": str(self.after) + anew}


def measure(
    decided: Look,
    protected: Original,
    others: Embeddings,
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
    attackers = terms.card.attackers.get(modality, ())
    empty = is_empty(before)
    risks = [
        _risk(attackers, original.identity, seen, others, named, empty, terms.gallery_size)
        for seen in (original.identity, protected.identity)
    ]
    kept, unchanged = _usefulness(original, protected, modality, terms.card)
    return Figures(
        strength=strength,
        before=risks[0],
        after=risks[1],
        empty=empty,
        utility=kept,
        findings=unchanged,
        fidelity=fidelity(before, after),
    )


def _usefulness(
    original: Original, protected: Original, modality: str, card: Card
) -> tuple[float | None, float | None]:
    """Utility and findings; None where the medical encoder knows nothing of that modality."""
    if original.medical is None or protected.medical is None:
        return None, None
    (keys, before), (keys_after, after) = original.medical, protected.medical
    kept = utility(keys, keys_after, card.utility_zero[modality])
    speaking = list(card.findings[modality])
    return kept, findings(before[:, speaking], after[:, speaking]) if speaking else None


def measured_anew(
    figures: Figures,
    decided: Look,
    protected: Embeddings,
    others: Embeddings,
    *,
    named: bool,
    terms: Terms,
) -> Figures:
    """The same figures with the risk measured anew by the judges, who chose nothing.

    The larger one of what those find who chose and what the judges find, before and after the edit;
    unknown where the judges can not tell.

    Parameters
    ----------
    figures
        At the strength that was chosen, of a known risk.
    protected
        What the judges see in the edited image.
    decided, others, named
        As in `measure`.
    """
    assert decided.original is not None
    judges = terms.card.judges.get(decided.modality or "", ())
    untouched = decided.original.identity
    before, after = (
        _risk(judges, untouched, seen, others, named, figures.empty, terms.gallery_size)
        for seen in (untouched, protected)
    )
    if after.value is None:
        return replace(figures, before=UNKNOWN, after=UNKNOWN)
    return replace(
        figures,
        before=largest([figures.before, before]),
        after=largest([figures.after, after]),
        judges=tuple(one.name for one in judges),
    )


def _risk(
    attackers: Iterable[Attacker],
    original: Embeddings,
    seen: Embeddings,
    others: Embeddings,
    named: bool,
    empty: bool,
    gallery_size: int,
) -> Risk:
    """The largest risk over attackers, and over the two answers to whose the others are."""
    return largest(
        residual_risk(
            seen[attacker.name],
            original[attacker.name],
            attacker.cohort,
            others=mates,
            gallery_size=gallery_size,
            empty=empty,
        )
        for attacker in attackers
        for mates in [others.get(attacker.name), *([] if named else [None])]
    )
