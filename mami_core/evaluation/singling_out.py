"""Singling out: a predicate made from one image that is true of exactly one person.

The second criterion of Opinion 05/2014, as defined for another biometric by Vauquier et al.
(Interspeech 2025): the predicate says "the score to this image is above t", with t set on held-out
images so that it is true of one in N. The attack succeeds where it is true of exactly one of N
people, whoever that is.

There each of the N people has further images to set t on. Here most people have one score, so that
the others' held-out scores are those of other people, and the own person's is the one that is
searched: t is a little too good, and the figure errs towards exposure. From `FEWEST` people on,
noise still finds no more than a guess.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 100
#: Held-out scores a person, at most. (9 in the paper; of scores without identity, 9 would single
#: out 0.46 among 5 people, 3 the 0.41 of a guess.)
TIMES = 3
#: Smallest N that is worth a figure.
FEWEST = 5


def most_people(impostors: int) -> int:
    """The largest N for which so many impostors serve: N - 1 searched, and N - 1 held out."""
    return impostors // 2 + 1


def guess(people: int) -> float:
    """What a random predicate that is true of one in N finds: (1 - 1/N)^(N - 1), 0.368 for many."""
    return (1.0 - 1.0 / people) ** (people - 1)


def singling_out(
    own: Array, impostors: Array, people: int, *, draws: int = DRAWS, seed: int = 0
) -> Array:
    """Probability that a query's predicate isolates one of `people`.

    The query's own person is among the N that are searched; the others, and the people whom the
    threshold is set on, are drawn from its impostors without replacement. With M scores a person
    held out, t lies midway between the M-th and the next highest of the M N scores.

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
        times = min((others.size - (people - 1)) // max(people - 1, 1), TIMES)
        if people < 2 or times < 1:
            raise ValueError("too few impostors to set the predicate's threshold on")
        drawn = generator.permuted(np.tile(others, (draws, 1)), axis=1)
        # So little that it moves no score past another, and enough to order equal ones.
        jitter = 1e-12 * max(1.0, float(np.abs(others).max()), abs(float(score)))
        drawn = drawn + jitter * generator.random(drawn.shape)
        asked, *again = score + jitter * generator.random((times + 1, draws))
        kept = drawn[:, people - 1 : (people - 1) * (times + 1)]
        held = np.sort(np.column_stack([kept, *again]), axis=1)
        threshold = (held[:, -times] + held[:, -times - 1]) / 2.0
        true_of = (drawn[:, : people - 1] > threshold[:, None]).sum(axis=1) + (asked > threshold)
        found[index] = (true_of == 1).mean()
    return found
