"""One figure from several fits: scores of different fits are never compared with one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mami_core.evaluation.metrics import Ranks
from mami_core.evaluation.protocol import Pairs

Array = NDArray[np.float64]


def counts(folds: Sequence[Pairs]) -> tuple[int, int]:
    """How many people the folds show, and how many of them have mates."""
    mated = sum(int(np.unique(fold.mated_patient).size) for fold in folds)
    return sum(fold.people for fold in folds), mated


def weighted_auc(folds: Sequence[Pairs]) -> Callable[[Array], float]:
    """AUC for multiplicities ``(people,)`` of all folds' people: that within each fold, averaged by
    its mated patients.
    """
    ranks = [Ranks.of(fold.mated, fold.impostor) for fold in folds]
    mated = [int(np.unique(fold.mated_patient).size) for fold in folds]
    edges = np.cumsum([0, *(fold.people for fold in folds)])

    def statistic(times: Array) -> float:
        values = np.array(
            [
                _auc(rank, fold, times[low:high])
                for rank, fold, low, high in zip(ranks, folds, edges, edges[1:], strict=False)
            ]
        )
        defined = ~np.isnan(values)
        weight = np.array(mated, dtype=np.float64)[defined]
        return float(values[defined] @ weight / weight.sum()) if weight.sum() else float("nan")

    return statistic


def _auc(rank: Ranks, fold: Pairs, times: Array) -> float:
    left, right = fold.impostor_patients
    return rank.auc(
        fold.mated_weight * times[fold.mated_patient],
        fold.impostor_weight * times[left] * times[right],
    )
