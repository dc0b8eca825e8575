"""Residual risk of one image: how likely an attacker with a gallery of N people ranks it first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deid.risk.cohort import FEWEST_PATIENTS, Cohort, directions
from deid.risk.tail import Level, below
from mami_core.evaluation.metrics import linkability

Array = NDArray[np.float64]

#: Rows of the regression around a similarity whose residuals the expectation runs over.
NEIGHBOURS = 400

GALLERY = 1000

#: A fitted tail is followed to so many times the people of the cohort (the tests foresee 10,000
#: from 300). Farther out it gives 0 or 1 whatever the image, which nobody has measured.
FARTHEST = 30


@dataclass(frozen=True)
class Risk:
    """The probability that the person is ranked first, and what it rests on.

    Attributes
    ----------
    value
        None where it is not known; never below chance, 1 / `gallery`.
    basis
        ``visit``: measured against the person's other images; ``model``: predicted from the
        similarity to the own original, for an attacker who has *one* other visit (more raise the
        risk); ``unknown``.
    gallery
        How many people are searched, this one among them.
    extrapolated
        The gallery is larger than the cohort.
    adaptive
        Whether an attacker that was trained on the remover's output had its say.
    """

    value: float | None
    basis: str
    gallery: int
    extrapolated: bool = False
    adaptive: bool = False

    def __str__(self) -> str:
        """The basis as a report's row says it, e.g. ``visit, extrapolated, fixed only``."""
        if self.value is None:
            return "unknown"
        extrapolated = ["extrapolated"] if self.extrapolated else []
        return ", ".join([self.basis, *extrapolated, *([] if self.adaptive else ["fixed only"])])


UNKNOWN = Risk(None, "unknown", GALLERY)


def residual_risk(
    query: NDArray[np.floating],
    original: NDArray[np.floating],
    cohort: Cohort | None,
    *,
    others: NDArray[np.floating] | None = None,
    gallery_size: int = GALLERY,
    empty: bool = True,
) -> Risk:
    """Residual risk ``R(N)`` of one image under one attacker (DESIGN, section 5).

    Parameters
    ----------
    query
        Identity embedding of the image as it would be released, ``(d,)``; for the risk before the
        edit this is `original` itself.
    original
        Identity embedding of the untouched image, ``(d,)``.
    cohort
        The impostors of its modality, for the same encoder; None where there are none.
    others
        Embeddings of other images of the person (of the same eye, in fundus photos), ``(k, d)``;
        None or no rows where there are none.
    gallery_size
        N, the person included.
    empty
        Whether the untouched image may show nothing (see `is_empty`).

    Returns
    -------
    Risk
        ``unknown`` without a cohort, where fewer than 30 real patients with a second visit or photo
        stand behind it, and for a gallery of more than `FARTHEST` times its people. A picture that
        shows nobody (noise, a blank) has the risk of chance; where it is not `empty`, and this
        attacker sees nobody, another who cuts off its black borders may: ``unknown``.

    Raises
    ------
    ValueError
        Where `gallery_size` is below 1.
    """
    if gallery_size < 1:
        raise ValueError("a gallery holds at least one person")
    if cohort is None or cohort.patients < FEWEST_PATIENTS:
        return Risk(None, "unknown", gallery_size)
    released, untouched = directions(query), directions(original)
    visits = directions(np.empty((0, released.size)) if others is None else others)
    basis = "visit" if len(visits) else "model"
    people = cohort.impostors(np.vstack([untouched[None], visits]))
    if len(people) < FEWEST_PATIENTS or gallery_size - 1 > FARTHEST * len(people):
        return Risk(None, "unknown", gallery_size)
    chance = 1.0 / gallery_size
    extrapolated = gallery_size - 1 > len(people)
    if cohort.shows_nobody(untouched):
        if not empty:
            return Risk(None, "unknown", gallery_size)
        return Risk(chance, basis, gallery_size, extrapolated)
    impostors = cohort.people[people] @ released
    level = Level.of(impostors)
    if len(visits):
        similarity = np.array([released @ directions(visits.mean(axis=0))])
        weight = np.ones(1)
    else:
        similarity, weight = _predicted(float(released @ untouched), level, cohort)
    if extrapolated:
        found = below(similarity, impostors, level, cohort.shape) ** (gallery_size - 1)
    else:
        rows = np.broadcast_to(impostors, (similarity.size, impostors.size))
        found = linkability(similarity, rows, gallery_size)
    value = float(weight @ found / weight.sum())
    return Risk(min(max(value, chance), 1.0), basis, gallery_size, extrapolated)


def largest(risks: Iterable[Risk]) -> Risk:
    """The figure over several attackers: the largest that is known."""
    known = [risk for risk in risks if risk.value is not None]
    return max(known, key=lambda risk: risk.value or 0.0, default=UNKNOWN)


def _predicted(own: float, level: Level, cohort: Cohort) -> tuple[Array, Array]:
    """Similarities to another visit, and their weights, given that to the own original.

    The regression's line plus the residuals of the rows whose similarity to their original is
    nearest: an untouched image gets those of untouched images, since residuals shrink as an edit
    takes identity away.
    """
    distance = np.abs(cohort.kept - own)
    reach = np.sort(distance)[min(NEIGHBOURS, distance.size) - 1]
    near = distance <= reach
    slope, intercept = cohort.slope
    residual = cohort.mate_place[near] - (slope * cohort.own_place[near] + intercept)
    line = slope * float(level.place(np.array([own]))[0]) + intercept
    return level.score(line + residual), cohort.weight[near]
