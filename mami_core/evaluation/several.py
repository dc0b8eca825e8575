"""Several images of one person searched with as one: L of Vauquier et al. (Interspeech 2025).

The query is the mean of L normalised embeddings of a person's images. What is pooled is left out of
the gallery with its whole visit (unit), so that the person is found by other visits only; one has
to be left for that. For L = 1 it is the search of `mami_core.evaluation.protocol.gallery`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mami_core.data.record import Record
from mami_core.evaluation.protocol import DIGITS, Gallery, cosines, normalised, summed

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

#: How often images of one person are drawn, at most.
DRAWS = 5


@dataclass(frozen=True)
class Pool:
    """Searches with several images at a time.

    Attributes
    ----------
    together
        A row a draw of images; its `query` is the record of the first of them.
    alone
        The very images of each draw one by one, against the same gallery: a row an image.
    draw
        Which draw a row of `alone` is of.
    images
        How many are pooled, a draw.
    """

    together: Gallery
    alone: Gallery
    draw: Rows
    images: NDArray[np.intp]


def pool(
    embeddings: NDArray[np.floating],
    records: Sequence[Record],
    images: int | None,
    *,
    queries: NDArray[np.floating] | None = None,
    asking: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> Pool:
    """Search with `images` images of each person who has so many beside another visit.

    A visit is set aside for the person to be found by, and of the person's other images so many
    are drawn, `DRAWS` times. The gallery holds all of the person's visits that none is drawn from.

    Parameters
    ----------
    embeddings, queries, asking
        As for `mami_core.evaluation.protocol.gallery`.
    images
        L; None for all images but those of the visit set aside, each visit in turn.
    """
    rows = normalised(embeddings)
    asked = rows if queries is None else normalised(queries)
    patient, subject, unit, sums, unit_sums, owner = summed(rows, records)
    asks = np.ones(len(rows), dtype=bool) if asking is None else asking
    generator = np.random.default_rng(seed)
    drawn: list[Rows] = []
    for number in range(len(sums)):
        own = np.flatnonzero((subject == number) & asks)
        units = np.unique(unit[subject == number])
        drawn += _draws(own, unit[own], units, images, generator)
    if not drawn:
        nobody = Gallery(*(np.empty(0, np.intp),) * 2, np.empty(0), np.empty((0, len(sums))))
        return Pool(nobody, nobody, np.empty(0, np.intp), np.empty(0, np.intp))
    rest = normalised(
        np.stack(
            [sums[subject[one[0]]] - unit_sums[np.unique(unit[one])].sum(axis=0) for one in drawn]
        )
    )
    people = normalised(sums)

    def searched(query: Array, first: Rows, held: Array) -> Gallery:
        impostors = cosines(query, people)
        impostors[patient[first][:, None] == owner[None, :]] = np.nan
        own = np.einsum("qd,qd->q", query, held).round(DIGITS)
        return Gallery(first, patient[first], own, impostors)

    whose = np.repeat(np.arange(len(drawn)), [len(one) for one in drawn])
    every = np.concatenate(drawn)
    means = normalised(np.stack([asked[one].mean(axis=0) for one in drawn]))
    return Pool(
        searched(means, np.array([one[0] for one in drawn]), rest),
        searched(asked[every], every, rest[whose]),
        whose,
        np.array([len(one) for one in drawn]),
    )


def _draws(
    own: Rows, unit: Rows, units: Rows, images: int | None, generator: np.random.Generator
) -> Iterator[Rows]:
    """Rows that are pooled, a draw each.

    Parameters
    ----------
    own, unit
        Rows of the person's images to search with, and their visits.
    units
        All visits that the person can be found by.
    """
    if images == 1:
        yield from (own[[index]] for index in range(len(own)) if len(units) > 1)
        return
    enough = [one for one in units if (unit != one).sum() >= (images or 1)]
    if not enough:
        return
    if images is None:
        for aside in generator.permutation(enough)[:DRAWS]:
            yield own[unit != aside]
        return
    for _ in range(DRAWS):
        yield generator.choice(own[unit != generator.choice(enough)], images, replace=False)
