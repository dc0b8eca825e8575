"""Beyond AUC and rank-1: what is found at few false alarms, and among the first few people.

Scores of different fits are never compared: figures of several are those within each, averaged by
its mated patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mami_core.evaluation.curves import FEWEST_PAIRS
from mami_core.evaluation.intervals import Estimate, patient_bootstrap
from mami_core.evaluation.protocol import Pairs

Array = NDArray[np.float64]

#: Shares of impostor pairs that are let through, where the share of mated ones is stated.
RATES = (1e-2, 1e-3)
#: Points of a ROC, even on a logarithmic axis.
POINTS = 60


@dataclass(frozen=True)
class Detection:
    """What an attacker tells apart who compares two pictures.

    Attributes
    ----------
    eer
        Where as many mated pairs are missed as impostor pairs are let through.
    tpr
        Share of mated pairs that pass, by share of impostor pairs that do (`RATES`); None where
        fewer than `FEWEST_PAIRS` would decide.
    patient_pairs
        Pairs of distinct patients, in the fit that has fewest.
    false, true
        The ROC from the smallest supported share of false positives on, ``(POINTS,)``; empty where
        that is not below 1.
    """

    eer: Estimate
    tpr: dict[float, Estimate | None]
    patient_pairs: int
    false: Array
    true: Array

    def as_dict(self) -> dict[str, Any]:
        """As the record of an audit holds it: a reason in place of a number that is not there."""
        return {
            "eer": self.eer.as_dict(),
            "tpr": [
                {"fpr": rate} | (found.as_dict() if found else {"undecidable": self._few(rate)})
                for rate, found in self.tpr.items()
            ],
            "roc": {
                "patient_pairs": self.patient_pairs,
                "false": self.false.round(6).tolist(),
                "true": self.true.round(4).tolist(),
            },
        }

    def _few(self, rate: float) -> str:
        return (
            f"it takes {FEWEST_PAIRS / rate:,.0f} pairs of distinct patients in every fit, "
            f"and there are {self.patient_pairs:,}"
        )


def detection(folds: Sequence[Pairs], *, resamples: int = 400) -> Detection:
    """Figures of the pairs of one or more fits, with a patient bootstrap as AUC has it."""
    ways = [_Roc(fold) for fold in folds]
    mated = np.array([np.unique(fold.mated_patient).size for fold in folds])
    edges = np.cumsum([fold.people for fold in folds])
    fewest = min(_patient_pairs(fold) for fold in folds)
    least = FEWEST_PAIRS / fewest if fewest else np.inf
    at = np.geomspace(least, 1.0, POINTS) if least < 1.0 else np.empty(0)

    @cache
    def averaged(drawn: bytes, rates: tuple[float, ...] = RATES) -> Array:
        """EER and TPR within each fit, averaged; one draw of patients serves every figure."""
        parts = np.split(np.frombuffer(drawn), edges[:-1])
        table = np.stack([way.read(rates, part) for way, part in zip(ways, parts, strict=True)])
        defined = ~np.isnan(table[:, 0])
        if not defined.any():
            return np.full(1 + len(rates), np.nan)
        return np.asarray(np.average(table[defined], axis=0, weights=mated[defined]))

    def estimate(column: int) -> Estimate:
        return patient_bootstrap(
            lambda times: float(averaged(times.tobytes())[column]),
            int(edges[-1]),
            int(mated.sum()),
            resamples=resamples,
        )

    everybody = np.ones(int(edges[-1])).tobytes()
    return Detection(
        estimate(0),
        {
            rate: estimate(column) if rate >= least else None
            for column, rate in enumerate(RATES, start=1)
        },
        fewest,
        at,
        averaged(everybody, tuple(at))[1:],
    )


class _Roc:
    """The ROC of one fit's pairs, sorted once and weighted as often as patients are drawn."""

    def __init__(self, found: Pairs) -> None:
        self._found = found
        self._order = np.argsort(-found.mated, kind="stable")
        scores = found.mated[self._order]
        self._last = np.flatnonzero(np.append(np.diff(scores) != 0, True))
        # Impostors below a threshold that is just above, and just at, each mated score.
        sides = [np.searchsorted(found.impostor, scores[self._last], s) for s in ("right", "left")]
        self._under = np.stack(sides, axis=1).ravel()

    def read(self, rates: Sequence[float], times: Array) -> Array:
        """EER, and TPR at each rate, for multiplicities ``(people,)``; NaN where a side is empty.

        Between mated scores the curve is level, through ties of both kinds of pairs straight.
        """
        left, right = self._found.impostor_patients
        own = self._found.mated_weight * times[self._found.mated_patient]
        others = self._found.impostor_weight * times[left] * times[right]
        true = np.append(0.0, own[self._order].cumsum()[self._last]).repeat(2)
        under = np.append(0.0, others.cumsum())
        total = under[-1]
        if not (true[-1] > 0 and total > 0):
            return np.full(1 + len(rates), np.nan)
        false = np.concatenate(([0.0], total - under[self._under], [total])) / total
        true = true / true[-1]
        eer = np.interp(1.0, false + true, false)
        return np.append(eer, np.interp(rates, false, true))


def _patient_pairs(found: Pairs) -> int:
    left, right = found.impostor_patients
    ends = np.minimum(left, right) * found.people + np.maximum(left, right)
    return int(np.unique(ends).size)


def found_among(own: Array, impostors: Array, people: int, k: int) -> Array:
    """Probability that the own person is among the first `k` of `people`, exactly.

    The other ``people - 1`` are drawn from the `impostors` without replacement. With `k` 1 it is
    `linkability`; with all people `found_within`.

    Parameters
    ----------
    own
        Score of each query to its own person, ``(q,)``.
    impostors
        Scores to the other people, ``(q, n)``; NaN where a person is no impostor of that query.

    Returns
    -------
    ``(q,)``; the expectation over a random order of ties.
    """
    from scipy.stats import hypergeom  # a second to import

    above, tied = ((test(impostors, own[:, None])).sum(axis=1) for test in (np.greater, np.equal))
    count = (~np.isnan(impostors)).sum(axis=1)
    found = np.empty(len(own))
    for total in np.unique(count):
        rows = count == total
        # By how many impostors are ahead in all: are fewer than k of those who are drawn?
        within = hypergeom.cdf(k - 1, total, np.arange(total + 1), people - 1)
        up_to = np.append(0.0, within.cumsum())
        low, high = above[rows], (above + tied)[rows] + 1
        found[rows] = (up_to[high] - up_to[low]) / (high - low)
    return found
