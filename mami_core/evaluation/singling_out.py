"""Singling out: a predicate made from one image that is true of exactly one person.

The second criterion of Opinion 05/2014, as defined for another biometric by Vauquier et al.
(Interspeech 2025): the predicate says "the score to this image is above t", with t set on people
who are not searched so that it is true of one person in N. The attack succeeds where it is true of
exactly one of N people, whoever that is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 100
#: Smallest number of times that the N people are held out to set the threshold.
TIMES = 2


def most_people(impostors: int) -> int:
    """The largest N for which so many impostors serve: N - 1 searched, `TIMES` N held out."""
    return (impostors + 1) // (TIMES + 1)


def guess(people: int) -> float:
    """What a random predicate that is true of one in N finds: (1 - 1/N)^(N - 1), 0.368 for many."""
    return (1.0 - 1.0 / people) ** (people - 1)


def singling_out(
    own: Array, impostors: Array, people: int, *, draws: int = DRAWS, seed: int = 0
) -> Array:
    """Probability that a query's predicate isolates one of `people`.

    The query's own person is among the N that are searched; the others, and the people whom the
    threshold is set on, are drawn from its impostors without replacement. With M the number of
    times that N people can be held out, t lies midway between the M-th and the next highest of
    their M N scores.

    Parameters
    ----------
    own
        Score of each query to its own person, ``(q,)``.
    impostors
        Scores to the other people, ``(q, n)``; NaN where a person is no impostor of that query.
    people
        N, at least 2.
    draws
        How many divisions into searched and held-out people the mean is over.

    Returns
    -------
    ``(q,)``. Equal scores are in a random order.

    Raises
    ------
    ValueError
        Where a query has too few impostors (see `most_people`).
    """
    generator = np.random.default_rng(seed)
    found = np.empty(len(own))
    for index, (score, row) in enumerate(zip(own, impostors, strict=True)):
        others = row[~np.isnan(row)]
        times = (others.size - (people - 1)) // people
        if people < 2 or times < TIMES:
            raise ValueError("too few impostors to set the predicate's threshold on")
        drawn = generator.permuted(np.tile(others, (draws, 1)), axis=1)
        # So little that it moves no score past another, and enough to order equal ones.
        jitter = 1e-12 * max(1.0, float(np.abs(others).max()), abs(float(score)))
        drawn = drawn + jitter * generator.random(drawn.shape)
        asked = score + jitter * generator.random(draws)
        held = np.sort(drawn[:, people - 1 : people - 1 + times * people], axis=1)
        threshold = (held[:, -times] + held[:, -times - 1]) / 2.0
        true_of = (drawn[:, : people - 1] > threshold[:, None]).sum(axis=1) + (asked > threshold)
        found[index] = (true_of == 1).mean()
    return found
