"""Matching figures from scores, exact and with ties taken as what they are.

Every function takes what one attacker sees: scores, higher where two images look more like one
person. Ties are never broken by position: verification counts half, and ranks are expectations over
a random order, so that a constant score gives chance and not luck.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def auc(
    mated: Array,
    impostor: Array,
    mated_weight: Array | None = None,
    impostor_weight: Array | None = None,
) -> float:
    """Probability that a mated pair outscores an impostor pair; a tie counts half.

    Parameters
    ----------
    mated, impostor
        Scores ``(m,)`` and ``(k,)``.
    mated_weight, impostor_weight
        Non-negative weights of the same shapes; equal ones where absent.
    """
    heavy = np.ones_like(mated) if mated_weight is None else mated_weight
    light = np.ones_like(impostor) if impostor_weight is None else impostor_weight
    order = np.argsort(impostor, kind="stable")
    ranks = Ranks.of(mated, impostor[order])
    return ranks.auc(heavy, light[order])


class Ranks:
    """Where mated scores fall among sorted impostor scores, kept for many weightings.

    A bootstrap draws other weights for the same scores; sorting once makes it linear.
    """

    def __init__(self, below: NDArray[np.intp], not_above: NDArray[np.intp]) -> None:
        self._below = below
        self._not_above = not_above

    @classmethod
    def of(cls, mated: Array, impostor_sorted: Array) -> Ranks:
        """Find `mated` among `impostor_sorted` (ascending)."""
        return cls(
            np.searchsorted(impostor_sorted, mated, side="left"),
            np.searchsorted(impostor_sorted, mated, side="right"),
        )

    def auc(self, mated_weight: Array, impostor_weight: Array) -> float:
        """Weighted AUC; the impostor weights are in sorted order. NaN where a side has none."""
        total = np.concatenate(([0.0], np.cumsum(impostor_weight)))
        heavy = mated_weight.sum()
        if heavy <= 0 or total[-1] <= 0:
            return float("nan")
        wins = (total[self._below] + total[self._not_above]) / 2.0
        return float(mated_weight @ wins / (heavy * total[-1]))


def found_within(own: Array, impostors: Array, k: int = 1) -> Array:
    """Probability that the own person is among the first `k` (rank-1; CMC for larger `k`).

    Parameters
    ----------
    own
        Score of each query to its own person, ``(q,)``.
    impostors
        Scores to the other people, ``(q, n)``; NaN where a person is no impostor of that query.

    Returns
    -------
    ``(q,)``; with m people strictly above and t tied, the share of the t + 1 equally likely places
    that lie within `k`: ``1 / (1 + t)`` for k = 1 and m = 0.
    """
    above, tied, _ = _counts(own, impostors)
    return np.clip((k - above) / (1.0 + tied), 0.0, 1.0)


def linkability(own: Array, impostors: Array, gallery: int) -> Array:
    """Probability that the own person comes first among `gallery` people, exactly.

    The other ``gallery - 1`` are drawn from the `impostors` without replacement, and the
    expectation over all draws is taken in closed form (Vauquier et al., Interspeech 2025; there
    ties count for the attacker, here their order is random). With m impostors above, t tied and b
    below of n:
    ``[C(b+t+1, N) - C(b, N)] / ((t+1) C(n, N-1))``.

    Raises
    ------
    ValueError
        Where a query has fewer than ``gallery - 1`` impostors.
    """
    above, tied, count = _counts(own, impostors)
    if gallery < 1 or (count < gallery - 1).any():
        raise ValueError("the gallery holds more people than there are impostors to draw from")
    below = count - above - tied
    factorials = _log_factorials(int(count.max(initial=0)) + 1)

    def log_choose(n: NDArray[np.int64], k: int) -> Array:
        fits = n >= k
        n = np.where(fits, n, k)
        value = factorials[n] - factorials[k] - factorials[n - k]
        return np.where(fits, value, -np.inf)

    whole = log_choose(below + tied + 1, gallery)
    none = log_choose(below, gallery)
    with np.errstate(invalid="ignore"):
        share = np.where(np.isfinite(whole), -np.expm1(none - whole), 0.0)
    # Without ties the two terms are close and their difference is known.
    share = np.where((tied == 0) & np.isfinite(whole), gallery / (below + 1.0), share)
    scale = whole - log_choose(count, gallery - 1) - np.log1p(tied)
    return np.minimum(np.exp(scale) * share, 1.0)


def average_precision(scores: Array, mate: NDArray[np.bool_]) -> float:
    """Expected average precision of one query over a random order of its ties.

    Closed form for tied groups: McSherry and Najork, ECIR 2008.

    Parameters
    ----------
    scores
        Scores of the query to the gallery's images, ``(n,)``.
    mate
        Which of them are the query's person, ``(n,)``.
    """
    relevant = int(mate.sum())
    if not relevant:
        return float("nan")
    _, group = np.unique(-scores, return_inverse=True)
    sizes = np.bincount(group)
    hits = np.bincount(group, weights=mate)
    seen, found, total = 0, 0.0, 0.0
    for size, hit in zip(sizes, hits, strict=True):
        if hit:
            place = np.arange(1, size + 1)
            others = (place - 1) * (hit - 1) / max(size - 1, 1)
            total += float(np.sum(hit / size * (found + 1 + others) / (seen + place)))
        seen, found = seen + int(size), found + float(hit)
    return total / relevant


def _counts(
    own: Array, impostors: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """How many impostors of each query are above, tied, and there at all."""
    scores = own[:, None]
    above = (impostors > scores).sum(axis=1, dtype=np.int64)
    tied = (impostors == scores).sum(axis=1, dtype=np.int64)
    return above, tied, (~np.isnan(impostors)).sum(axis=1, dtype=np.int64)


def _log_factorials(largest: int) -> Array:
    # A running sum of logarithms would lose digits; the gamma function does not.
    return np.array([math.lgamma(n + 1) for n in range(largest + 1)])
