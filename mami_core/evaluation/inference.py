"""Inference: what a released record says of the person in an attacker's image.

The third criterion of Opinion 05/2014. The attacker holds an image of a person of whom one other
record is released, among those of everybody else. It ranks the released records, and takes the
attribute of the first for the person's (the main attack). What the release adds is judged beside an
attack without it (Giomi et al., PETS 2023): ``(main - control) / (1 - control)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mami_core.evaluation.intervals import resampled

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.intp]

#: The code of a value that is not known.
UNKNOWN = -1


def read_off(scores: Array, mates: Flags, others: Flags, values: Codes) -> Array:
    """Probability that the record which is ranked first has the value of the person's own record.

    Parameters
    ----------
    scores
        Of each query to each record, ``(q, g)``.
    mates
        Which records are other ones of the query's person; one of them is released, each as
        likely.
    others
        Which are of other people; all of them are released.
    values
        The attribute of each record, ``(g,)``; a record with `UNKNOWN` is left out.

    Returns
    -------
    ``(q,)``; equal scores come in a random order. NaN where no own record has a value, or nobody
    else's.
    """
    known = values != UNKNOWN
    found = np.full(len(scores), np.nan)
    for query, row in enumerate(scores):
        own, rest = mates[query] & known, others[query] & known
        if not (own.any() and rest.any()):
            continue
        top = row[rest].max()
        first = values[rest & (row == top)]
        right = (first[:, None] == values[own]).sum(axis=0)
        alone = row[own] > top
        tied = row[own] == top
        found[query] = np.where(alone, 1.0, (right + tied) / (first.size + tied)).mean()
    return found


def guessed(guess: Codes, mates: Flags, values: Codes) -> Array:
    """The same for a value ``(q,)`` that is named without looking at the records.

    Returns
    -------
    ``(q,)``: the share of the person's own records that have it. NaN where none has a value.
    """
    own = mates & (values != UNKNOWN)
    right = (own & (values == guess[:, None])).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(right / own.sum(axis=1), dtype=np.float64)


def added(
    main: Array, control: Array, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, ...]:
    """``(main - control) / (1 - control)`` with its 95 % interval from a bootstrap over patients.

    Parameters
    ----------
    main, control
        Each patient's share of right answers, ``(p,)``, the same patients in the same order.

    Returns
    -------
    Value, low, high; NaN where the control is never wrong.
    """
    patients = len(main)

    def figures(times: Array) -> Array:
        wrong = 1.0 - times @ control / patients
        with np.errstate(invalid="ignore", divide="ignore"):
            right = times @ (main - control) / patients
            return np.where(wrong > 1e-12, right / wrong, np.nan)

    value = float(figures(np.ones((1, patients)))[0])
    if np.isnan(value):
        return value, value, value
    drawn = [figures(some) for some in resampled(patients, resamples, seed)]
    low, high = np.nanquantile(np.concatenate(drawn), [0.025, 0.975])
    return value, float(low), float(high)
