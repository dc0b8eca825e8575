"""D_sys: how far the scores of mated pairs are told from those of impostor pairs, over all scores.

The global measure of linkability of Gomez-Barrero et al. (IEEE TIFS 2018) with omega = 1. At a
score s with the likelihood ratio LR, one of a mated and an impostor pair is told with
``D(s) = max(0, (LR - 1) / (LR + 1))``; D_sys is its mean over mated scores: 0 where both are alike,
1 where they are apart. It does not ask that mates score high: scores turned round give the same.

Out of finitely many pairs it is above 0 for people who can not be linked at all. So it is read
beside the same figure of the same scores after visits were dealt out to other patients (its null),
and has no interval of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from mami_core.data.record import Record
from mami_core.evaluation.protocol import numbers

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Cells of like scores that pairs are sorted into, once for all ways of dealing out visits.
CELLS = 2048
#: Mated patients behind a bin of the densities, and how many bins there may be: patients, so that
#: linkages which compare a pair twice have as many. Their number is even, so that mates who lie
#: apart from everybody else fill bins of their own.
PATIENTS_A_BIN, FEWEST_BINS, MOST_BINS = 3, 6, 100
DRAWS = 200


@dataclass(frozen=True)
class Grid:
    """Pairs of one fit's images, sorted into cells by score, and whose the images are.

    Attributes
    ----------
    cell
        ``(queries, images)``, from the lowest scores on; `CELLS` where two are not compared.
    query
        Which image each query is of, ``(queries,)``.
    unit
        Number of each image's unit, ``(images,)``.
    patient, subject
        By number of a unit, whose it is.
    copies
        Whether the mate of a query is the very image that it was made from.
    """

    cell: NDArray[np.int16]
    query: Index
    unit: Index
    patient: Index
    subject: Index
    copies: bool


@dataclass(frozen=True)
class Linkable:
    """D_sys, and between what bounds it lies (95 %) where no visit is its patient's own."""

    value: float
    null_low: float
    null_high: float

    def as_dict(self) -> dict[str, float]:
        """The three numbers by name."""
        return asdict(self)


def grid(
    scores: Array,
    records: Sequence[Record],
    *,
    ordered: bool,
    asking: NDArray[np.bool_] | None = None,
    copies: bool = False,
) -> Grid:
    """Sort the pairs that `mami_core.evaluation.pairs` compares.

    Parameters
    ----------
    scores
        ``(n, n)``, a row an image as it is searched with, a column an image of the gallery.
    records
        ``n`` of them.
    ordered
        Whether the two forms differ: each row is compared with each column then.
    asking, copies
        As for `mami_core.evaluation.pairs`.
    """
    query = np.arange(len(records)) if asking is None else np.flatnonzero(asking)
    compared = np.ones((len(query), len(records)), dtype=bool)
    if not ordered:
        compared = query[:, None] < np.arange(len(records))
    values = scores[query]
    shares = np.linspace(0.0, 1.0, CELLS + 1)[1:-1]
    edges = np.unique(np.quantile(values[compared], shares, method="lower"))
    cell = np.searchsorted(edges, values, side="right").astype(np.int16)
    cell[~compared] = CELLS
    unit = numbers([(one.person, one.subject, one.unit) for one in records])
    patient = numbers([one.person for one in records])
    subject = numbers([(one.person, one.subject) for one in records])
    first = np.unique(unit, return_index=True)[1]
    return Grid(cell, query, unit, patient[first], subject[first], copies)


def d_sys(folds: Sequence[Grid], *, draws: int = DRAWS, seed: int = 0) -> Linkable:
    """D_sys within each fit, averaged by its mated patients; scores of two fits never meet.

    Parameters
    ----------
    draws
        How often visits are dealt out among the patients of a fit, each to whoever it falls to, so
        that everybody has as many as before. (Where a copy is looked for: images.)
    """
    own = [_Held.of(fold) for fold in folds]
    bins = [_bins(held) for held in own]
    generator = np.random.default_rng(seed)
    value = _averaged(own, bins)
    dealt = [_averaged([_Held.of(fold, generator) for fold in folds], bins) for _ in range(draws)]
    low, high = np.quantile(dealt, [0.025, 0.975])
    return Linkable(value, float(low), float(high))


@dataclass(frozen=True)
class _Held:
    """Weight of the pairs of either kind in each cell, and how many patients have mates."""

    mated: Array
    impostor: Array
    patients: int

    @classmethod
    def of(cls, fold: Grid, dealing: np.random.Generator | None = None) -> _Held:
        """Of the visits as they are, or dealt out by `dealing`."""
        image, unit = np.arange(len(fold.unit)), fold.unit
        if dealing is not None and fold.copies:
            image = dealing.permutation(len(unit))
        elif dealing is not None:
            unit = dealing.permutation(len(fold.patient))[unit]
        held = unit[image]
        patient, other = fold.patient[unit[fold.query]], fold.patient[held]
        light = 1.0 / np.bincount(other, minlength=int(fold.patient.max()) + 1)
        # Pairs of two patients are all pairs less those of one, which are few.
        weight = light[patient][:, None] * light[other]
        row, column = np.nonzero(patient[:, None] == other)
        weight[row, column] = 0.0
        impostor = _held(fold.cell.ravel(), weight.ravel())
        cell = fold.cell[row, column]
        if fold.copies:
            mates = fold.query[row] == image[column]
        else:
            asked, found = unit[fold.query[row]], held[column]
            mates = (fold.subject[asked] == fold.subject[found]) & (asked != found)
        mates &= cell < CELLS
        whose = patient[row[mates]]
        many = np.bincount(whose, minlength=1)
        return cls(_held(cell[mates], 1.0 / many[whose]), impostor, int((many > 0).sum()))


def _held(cell: NDArray[np.int16], weight: Array) -> Array:
    """Weight in each cell, ``(CELLS,)``, less that of pairs which are not compared."""
    return np.bincount(cell, weight, minlength=CELLS + 1)[:CELLS].astype(np.float64)


def _bins(held: _Held) -> int:
    return int(np.clip(held.patients // PATIENTS_A_BIN // 2 * 2, FEWEST_BINS, MOST_BINS))


def _averaged(folds: Sequence[_Held], bins: Sequence[int]) -> float:
    values = [_one(held, count) for held, count in zip(folds, bins, strict=True)]
    return float(np.average(values, weights=[held.patients for held in folds]))


def _one(held: _Held, bins: int) -> float:
    """D_sys of two histograms: bins hold the same share of both kinds of pairs together."""
    mated, impostor = (part / part.sum() for part in (held.mated, held.impostor))
    both = (mated + impostor) / 2.0
    # A cell that is wider than a bin stays in one: equal scores are never taken apart.
    place = np.minimum(((both.cumsum() - both / 2.0) * bins).astype(np.intp), bins - 1)
    same, different = (np.bincount(place, part, minlength=bins) for part in (mated, impostor))
    filled = same > 0
    same, different = same[filled], different[filled]
    return float(same @ np.maximum(0.0, (same - different) / (same + different)))
