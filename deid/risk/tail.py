"""The upper tail of one query's impostor scores, for galleries larger than the cohort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Share of the cohort that counts as the tail, and the fewest people that it is made of.
SHARE = 0.05
FEWEST = 20


@dataclass(frozen=True)
class Level:
    """Where a query's upper tail starts and how wide it is.

    Impostor levels differ by query, and a cohort of several sources has several modes, so that
    mean and spread of *all* its scores misstate the tail (measured on two X-ray sets at 438 people:
    rank-1 0.34 and 0.44 instead of 0.55 and 0.47; with start and width of the tail 0.55 and 0.49).

    Attributes
    ----------
    start
        Score above which `share` of the cohort lies.
    width
        Mean excess over `start`.
    """

    start: float
    width: float
    share: float

    @classmethod
    def of(cls, scores: Array) -> Level:
        """The level of a query's scores ``(n,)`` to the cohort."""
        count = min(max(FEWEST, round(SHARE * scores.size)), scores.size - 1)
        ordered = np.sort(scores)
        start = float(ordered[-count - 1])
        width = float(np.mean(ordered[-count:] - start))
        return cls(start, max(width, 1e-9), count / scores.size)

    def place(self, scores: Array) -> Array:
        """Scores in widths of the tail, 0 at its start."""
        return (scores - self.start) / self.width

    def score(self, places: Array) -> Array:
        """The inverse of `place`."""
        return self.start + self.width * places


def pareto_shape(excesses: Array) -> float:
    """Shape of a generalised Pareto distribution with these excesses, by weighted moments.

    Hosking and Wallis, Technometrics 1987. Kept within half of zero, where the moments exist and
    two dozen excesses can say something.

    Parameters
    ----------
    excesses
        ``(n,)``, each query's own divided by its mean.
    """
    ordered = np.sort(excesses)
    rank = (np.arange(1, ordered.size + 1) - 0.35) / ordered.size
    first, second = ordered.mean(), ((1 - rank) * ordered).mean()
    gap = first - 2 * second
    if gap <= 0:
        return 0.5
    return float(np.clip(2 - first / gap, -0.5, 0.5))


def below(scores: Array, cohort: Array, level: Level, shape: float) -> Array:
    """Probability that one more impostor scores below each of `scores` (a tie counts half).

    Counted within the body of the cohort's scores, by the Pareto tail above its start.
    """
    ordered = np.sort(cohort)
    low, high = (np.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
    counted = (low + high) / (2.0 * ordered.size)
    place = np.maximum(level.place(scores), 0.0)
    # The mean excess is one width, so that the scale is one less the shape.
    if abs(shape) < 1e-6:
        beyond = np.exp(-place)
    else:
        beyond = np.maximum(1 + shape * place / (1 - shape), 0.0) ** (-1 / shape)
    return np.where(scores > level.start, 1 - level.share * beyond, counted)
