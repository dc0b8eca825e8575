"""From a similarity to a probability, and to the rate at which different people reach it.

Both are learnt on pairs of known people, and never applied to anybody they were learnt on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deid.match.known import PARTS, KnownPairs
from mami_core.data import Record

Array = NDArray[np.float64]

#: Patients with another visit, and pairs of people a false match at the rate that is stated, that a
#: calibration takes (DESIGN, section 4).
FEWEST_PATIENTS, FEWEST_PAIRS = 30, 10
#: The least rate that is stated unasked.
LEAST_RATE = 1e-4
#: Impostors that a fit keeps: those that a false match has to pass.
MOST_KEPT = 100_000
#: Cosines are told apart by so many steps in a fit of the probability.
STEPS = 2000


class UndecidableError(ValueError):
    """The known people do not support a probability: why, in words."""


@dataclass(frozen=True)
class Calibration:
    """One fit.

    Attributes
    ----------
    level, slope
        Of the log of how much likelier a similarity is of one person than of two.
    impostors
        The highest similarities of different people, ascending.
    total
        How many pairs of different people there are.
    """

    level: float
    slope: float
    impostors: Array
    total: int

    def log_ratio(self, scores: Array) -> Array:
        """Natural logarithm of the likelihood ratio."""
        return self.level + self.slope * scores

    def probability(self, scores: Array, prior: float) -> Array:
        """That a pair is of one person, where so many of all pairs are."""
        odds = self.log_ratio(scores) + math.log(prior) - math.log1p(-prior)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -700.0, 700.0))), dtype=np.float64)

    def rate(self, scores: Array) -> Array:
        """At which different people reach a similarity; a bound that holds on average.

        The pair itself counts as one of the impostors, so that it is never 0.
        """
        reach = len(self.impostors) - np.searchsorted(self.impostors, scores, side="left")
        return np.asarray((reach + 1.0) / (self.total + 1.0), dtype=np.float64)

    def threshold(self, rate: float) -> float:
        """Above it (not at it) `rate` is kept."""
        allowed = max(math.floor(rate * (self.total + 1.0)) - 1, 0)
        return float(self.impostors[max(len(self.impostors) - 1 - allowed, 0)])


def fitted(score: Array, mated: NDArray[np.bool_]) -> Calibration:
    """A logistic fit on pairs in the proportion in which they are there.

    (Weighing both kinds alike would fit where nearly all pairs lie, and not where the decision
    falls: measured on nih and kermany `val`, 0.60 said where 0.87 is true.)

    Raises
    ------
    UndecidableError
        Where the similarity does not tell people apart.
    """
    from sklearn.linear_model import LogisticRegression

    counts = np.stack(
        [np.histogram(score[kind], STEPS, (-1.0, 1.0))[0] for kind in (~mated, mated)]
    )
    of_two_or_one, step = np.nonzero(counts)
    if len(np.unique(step)) == 1:  # a slope would be rounding alone
        raise UndecidableError("all pairs look equally alike")
    spread = float(score.std()) or 1.0
    fit = LogisticRegression(C=1.0, solver="newton-cholesky").fit(
        ((2.0 * step + 1.0) / STEPS - 1.0)[:, None] / spread,
        of_two_or_one,
        sample_weight=counts[of_two_or_one, step],
    )
    slope = float(fit.coef_[0, 0]) / spread
    if slope <= 0.0:
        raise UndecidableError("pairs of one person are no more alike than pairs of two")
    base = float(mated.mean())
    level = float(fit.intercept_[0]) - math.log(base) + math.log1p(-base)
    highest = np.sort(score[~mated])[-MOST_KEPT:]
    return Calibration(level, slope, highest, int((~mated).sum()))


class OutOfFold:
    """Fits on the known people, of which each pair gets one that has seen neither of its two.

    Raises
    ------
    UndecidableError
        Where too few people are known.
    """

    def __init__(self, known: KnownPairs) -> None:
        self.known = known
        if known.patients < FEWEST_PATIENTS:
            raise UndecidableError(
                f"{known.patients} known patients have an image of another visit, "
                f"and it takes {FEWEST_PATIENTS}"
            )
        self.whole = fitted(known.score, known.mated)
        #: Pairs of people behind the fit that has the fewest.
        self.support = min(
            known.pairs_of_people((one, other)) for one in range(PARTS) for other in range(one)
        )
        self._fits = {(-1, -1): self.whole}

    @property
    def least_rate(self) -> float:
        """The least false-match rate that the known people can support, to two digits."""
        rate = FEWEST_PAIRS / max(self.support, 1)
        digits = 1 - math.floor(math.log10(rate))
        return math.ceil(rate * 10**digits - 1e-9) / 10**digits

    def supported(self, asked: float | None) -> float:
        """The rate that is stated.

        Raises
        ------
        UndecidableError
            Where the known people can not support it.
        """
        rate = max(self.least_rate, LEAST_RATE) if asked is None else asked
        if rate < self.least_rate:
            raise UndecidableError(
                f"a false-match rate of {rate:.1e} takes {FEWEST_PAIRS / rate:,.0f} pairs of "
                f"different people, and a fit has {self.support:,}: it can state "
                f"{self.least_rate:.1e} at the least"
            )
        if rate >= 1.0:
            raise UndecidableError("the known people are too few to state any false-match rate")
        return rate

    def fit_for(self, one: int, other: int) -> Calibration:
        """Of the people outside of two parts; -1 is somebody who is not among the known."""
        parts = (min(one, other), max(one, other))
        if parts not in self._fits:
            kept = self.known.outside(parts)
            self._fits[parts] = fitted(self.known.score[kept], self.known.mated[kept])
        return self._fits[parts]

    def least(self, left: Sequence[Record], right: Sequence[Record], rate: float) -> float:
        """A similarity that no pair of theirs that keeps `rate` is below."""
        ones, others = ({self.known.part_of(record) for record in side} for side in (left, right))
        return min(self.fit_for(one, other).threshold(rate) for one in ones for other in others)

    def judged(
        self, left: Sequence[Record], right: Sequence[Record], scores: Array, prior: float
    ) -> tuple[Array, Array]:
        """Probability and false-match rate of pairs ``(m,)``, each by the fit for its people."""
        sides = [[self.known.part_of(record) for record in side] for side in (left, right)]
        parts = np.sort(np.array(sides, dtype=np.intp).reshape(2, -1), axis=0)
        probability, rate = np.empty((2, len(scores)))
        for one, other in np.unique(parts, axis=1).T.tolist():
            fit = self.fit_for(one, other)
            here = (parts[0] == one) & (parts[1] == other)
            probability[here] = fit.probability(scores[here], prior)
            rate[here] = fit.rate(scores[here])
        return probability, rate
