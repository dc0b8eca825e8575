"""What is to be expected of so many pairs: how many show one person, and how many match falsely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.match.calibration import Calibration
from deid.match.known import KnownPairs
from mami_core.evaluation.search import normalised

Array = NDArray[np.float64]

#: Of a distribution of similarities.
STEPS = 4000
#: Images whose similarities to all others stand for those of all.
SAMPLE = 500
ROUNDS = 2000


@dataclass(frozen=True)
class Spread:
    """How similarities of a set's pairs are distributed: counts in `STEPS` from -1 to 1."""

    counts: NDArray[np.int64]

    @property
    def middles(self) -> Array:
        """Of the steps."""
        return np.linspace(-1.0, 1.0, STEPS, endpoint=False) + 1.0 / STEPS


def spread_of(
    queries: NDArray[np.floating], gallery: NDArray[np.floating] | None, seed: int
) -> Spread:
    """Similarities of some rows of `queries` to all of the gallery; without one, to one another."""
    held = normalised(queries if gallery is None else gallery)
    chosen = np.random.default_rng(seed).permutation(len(queries))[:SAMPLE]
    counts = np.zeros(STEPS, dtype=np.int64)
    for row in chosen.tolist():
        scores = held @ normalised(queries[row : row + 1])[0]
        if gallery is None:
            scores = np.delete(scores, row)
        counts += np.histogram(scores.clip(-1.0, 1.0), STEPS, (-1.0, 1.0))[0]
    return Spread(counts)


def prior_of(spread: Spread, calibration: Calibration) -> float:
    """The share of pairs of one person under which these similarities are likeliest.

    Expectation and maximisation over the share alone (Saerens et al., Neural Computation 2002).
    """
    weight = spread.counts / max(spread.counts.sum(), 1)
    ratio = np.exp(np.clip(calibration.log_ratio(spread.middles), -700.0, 700.0))
    share = 0.01
    for _ in range(ROUNDS):
        updated = float(weight @ (share * ratio / (share * ratio + 1.0 - share)))
        if abs(updated - share) < 1e-10:
            break
        share = updated
    return min(max(share, 1e-9), 1.0 - 1e-9)


def false_matches(
    known: KnownPairs, threshold: float, pairs: float, seed: int, *, resamples: int = 2000
) -> dict[str, Any]:
    """How many of `pairs` of different people match, with an interval for the number itself.

    Known people are drawn again, since their pairs are not independent, and the number that is met
    varies around what is expected (Poisson).

    Parameters
    ----------
    threshold
        Above it a pair matches.
    """
    impostors = ~known.mated & (known.score > threshold)
    left, right = known.left[impostors], known.right[impostors]
    people = known.images.shape[1]
    generator = np.random.default_rng(seed)
    even = np.full(people, 1.0 / people)

    def rate(times: Array) -> float:
        weighed = known.images * times
        # Every pair of two people's images within a set.
        whole = (weighed.sum(axis=1) ** 2 - (weighed**2).sum(axis=1)).sum() / 2.0
        return float(times[left] @ times[right] / whole) if whole else 0.0

    drawn = [rate(generator.multinomial(people, even).astype(float)) for _ in range(resamples)]
    numbers = generator.poisson(np.array(drawn) * pairs)
    low, high = np.quantile(numbers, [0.025, 0.975])
    value = rate(np.ones(people)) * pairs
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}
