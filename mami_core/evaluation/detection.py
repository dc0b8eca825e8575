"""What is told apart pair by pair, at few false alarms too, and found among the first few people.

Scores of different fits are never compared: figures of several are those within each, averaged by
its mated patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mami_core.evaluation.curves import FEWEST_PAIRS
from mami_core.evaluation.intervals import Estimate, on_logits, resampled
from mami_core.evaluation.protocol import Pairs

Array = NDArray[np.float64]

#: Shares of impostor pairs that are let through, where the share of mated ones is stated.
RATES = (1e-2, 1e-3)
#: Points of a ROC, even on a logarithmic axis.
POINTS = 60
#: Pairs of patients times resamples that are held at a time (32 MiB).
HELD = 1 << 22


@dataclass(frozen=True)
class Detection:
    """What an attacker tells apart who compares two pictures.

    Attributes
    ----------
    auc
        The area under the ROC of all pairs: the probability that a mated pair outscores an impostor
        pair, where a tie counts half.
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

    auc: Estimate
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


def detection(folds: Sequence[Pairs], *, resamples: int = 1000, seed: int = 0) -> Detection:
    """Figures of the pairs of one or more fits, with a bootstrap over patients.

    Parameters
    ----------
    resamples, seed
        As `mami_core.evaluation.patient_bootstrap` takes them; one draw of patients serves every
        figure.
    """
    ways = [_Roc(fold) for fold in folds]
    mated = np.array([np.unique(fold.mated_patient).size for fold in folds])
    edges = np.cumsum([fold.people for fold in folds])
    fewest = min(_patient_pairs(fold) for fold in folds)
    least = FEWEST_PAIRS / fewest if fewest else np.inf
    at = np.geomspace(least, 1.0, POINTS) if least < 1.0 else np.empty(0)

    def averaged(times: Array, rates: Sequence[float] = RATES) -> Array:
        """What `_Roc.read` says of each fit, averaged over those where it is defined."""
        parts = np.split(times, edges[:-1], axis=1)
        tables = np.stack([way.read(rates, part) for way, part in zip(ways, parts, strict=True)])
        defined = ~np.isnan(tables)
        weight = np.where(defined, mated[:, None, None], 0)
        with np.errstate(invalid="ignore"):
            summed = (np.where(defined, tables, 0.0) * weight).sum(axis=0)
            return np.asarray(summed / weight.sum(axis=0))

    everybody = np.ones((1, int(edges[-1])))
    values = averaged(everybody)[0]
    drawn = np.concatenate([averaged(some) for some in resampled(int(edges[-1]), resamples, seed)])
    auc, eer, *passing = (
        on_logits(float(value), column, int(mated.sum()))
        for value, column in zip(values, drawn.T, strict=True)
    )
    return Detection(
        auc,
        eer,
        {
            rate: found if rate >= least else None
            for rate, found in zip(RATES, passing, strict=True)
        },
        fewest,
        at,
        averaged(everybody, tuple(at))[0, 2:],
    )


class _Roc:
    """The ROC of one fit's pairs, sorted once and weighted as often as patients are drawn.

    What lies between two mated scores is added up by pair of patients: a resample then weighs
    pairs of patients, and never looks at a score.
    """

    def __init__(self, found: Pairs) -> None:
        from scipy.sparse import csr_array  # half a second to import

        order = np.argsort(-found.mated, kind="stable")
        scores = found.mated[order]
        last = np.append(np.diff(scores) != 0, True)
        level = np.append(0, last.cumsum()[:-1])
        self._mated = csr_array(
            (found.mated_weight[order], (level, found.mated_patient[order])),
            shape=(int(last.sum()), found.people),
        )
        # How many impostors lie above, and how many do not lie below, each mated score.
        many = found.impostor.size
        sides = [many - np.searchsorted(found.impostor, scores[last], s) for s in ("right", "left")]
        passed = np.stack(sides, axis=1).ravel()
        between = np.searchsorted(passed, np.arange(many)[::-1], side="right")
        ends, pair = np.unique(_ends(found), return_inverse=True)
        self._left, self._right = np.divmod(ends, found.people)
        self._impostor = csr_array(
            (found.impostor_weight, (between, pair)), shape=(passed.size + 1, ends.size)
        )

    def read(self, rates: Sequence[float], times: Array) -> Array:
        """AUC, EER, and TPR at each rate, for multiplicities ``(k, people)``: a row each.

        Between mated scores the curve is level, through ties of both kinds of pairs straight. NaN
        where a side is empty.
        """
        step = max(1, HELD // max(self._left.size, 1))
        parts = [
            self._some(rates, times[start : start + step]) for start in range(0, len(times), step)
        ]
        return np.concatenate(parts)

    def _some(self, rates: Sequence[float], times: Array) -> Array:
        drawn = np.ascontiguousarray(times.T)
        under = (self._impostor @ (drawn[self._left] * drawn[self._right])).cumsum(axis=0)
        over = (self._mated @ drawn).cumsum(axis=0)
        nothing = np.zeros((1, len(times)))
        false = np.concatenate((nothing, under))
        true = np.concatenate((nothing, over)).repeat(2, axis=0)
        table = np.full((len(times), 2 + len(rates)), np.nan)
        for number in np.flatnonzero((false[-1] > 0) & (true[-1] > 0)):
            passed = false[:, number] / false[-1, number]
            found = true[:, number] / true[-1, number]
            table[number] = [
                np.trapezoid(found, passed),
                np.interp(1.0, passed + found, passed),
                *np.interp(rates, passed, found),
            ]
        return table


def _ends(found: Pairs) -> NDArray[np.intp]:
    """The two patients of each impostor pair as one number, whichever of them is searched with."""
    left, right = found.impostor_patients
    return np.minimum(left, right) * found.people + np.maximum(left, right)


def _patient_pairs(found: Pairs) -> int:
    return int(np.unique(_ends(found)).size)


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
