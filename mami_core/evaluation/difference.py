"""What one encoder finds more than another on the same images, with people drawn for both alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mami_core.data.record import Record
from mami_core.evaluation.folds import counts, weighted_auc
from mami_core.evaluation.intervals import Estimate, mean_difference, paired_bootstrap, wilson
from mami_core.evaluation.metrics import found_within
from mami_core.evaluation.protocol import Gallery, Pairs, matched


@dataclass(frozen=True)
class Both:
    """Scores of one source's images by two encoders."""

    first: tuple[Gallery, Pairs]
    second: tuple[Gallery, Pairs]


@dataclass(frozen=True)
class Difference:
    """The first encoder's AUC and rank-1 less the second's."""

    auc: Estimate
    rank1: Estimate

    def as_dict(self) -> dict[str, dict[str, float | int]]:
        """As `deid evaluate --json` prints it."""
        return {"auc": self.auc.as_dict(), "rank1": self.rank1.as_dict()}


def both(
    first: NDArray[np.floating], second: NDArray[np.floating], records: Sequence[Record]
) -> Both | None:
    """Score embeddings ``(n, d)`` and ``(n, e)``; None where no subject has two units."""
    scores = matched(first, records), matched(second, records)
    return Both(scores[0], scores[1]) if scores[0] and scores[1] else None


def difference(sources: Sequence[Both]) -> Difference:
    """Over the patients of all `sources`, each of whom weighs the same.

    AUC is averaged over sources, by their patients with a mate: pairs of two sources would tell
    hospitals apart.
    """
    one, other = ([pairs for _, pairs in side] for side in _sides(sources))
    auc = paired_bootstrap(weighted_auc(one), weighted_auc(other), *counts(one))
    found = [
        np.concatenate([_by_patient(searched) for searched, _ in side]) for side in _sides(sources)
    ]
    return Difference(_doubted(auc), _doubted(mean_difference(found[0] - found[1])))


def _doubted(found: Estimate) -> Estimate:
    """Where no resample differs, as large a share of patients as may have been missed could."""
    if found.high - found.low > 1e-12:
        return found
    missed = wilson(0.0, found.patients).high
    low, high = max(-1.0, found.value - missed), min(1.0, found.value + missed)
    return replace(found, low=low, high=high)


def _sides(sources: Sequence[Both]) -> tuple[list[tuple[Gallery, Pairs]], ...]:
    return [one.first for one in sources], [one.second for one in sources]


def _by_patient(searched: Gallery) -> NDArray[np.float64]:
    """Share of each patient's queries that find the patient first."""
    _, index = np.unique(searched.patient, return_inverse=True)
    found = found_within(searched.own, searched.impostors)
    return np.bincount(index, weights=found) / np.bincount(index)
