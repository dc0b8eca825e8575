"""Who is matched with whom: a split's images and their embeddings become scores and figures.

Queries are the images of subjects with at least two units (visits, photos, other eyes: what the
set's `kind` names). The gallery is every person of the split; the score of a person is the cosine
with the mean of the person's normalised eligible embeddings, where eligible means: not of the
query's own unit. Another subject of the same patient (the other eye) is neither mate nor impostor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mami_core.data.known import known
from mami_core.data.record import Record
from mami_core.evaluation.intervals import Estimate, patient_bootstrap, patient_mean
from mami_core.evaluation.metrics import Ranks, found_within

Array = NDArray[np.float64]

#: Cosines are equal from here on: what rounding does must not order equal pictures.
DIGITS = 9


@dataclass(frozen=True)
class Gallery:
    """Scores of queries to people.

    Attributes
    ----------
    query
        Index of each query's record, ``(q,)``.
    patient
        Patient number of each query, ``(q,)``.
    own
        Score to the own person, ``(q,)``.
    impostors
        Scores to all people, ``(q, people)``; NaN for the query's own patient.
    """

    query: NDArray[np.intp]
    patient: NDArray[np.intp]
    own: Array
    impostors: Array

    @property
    def size(self) -> int:
        """How many people a query is searched among, its own included."""
        return int((~np.isnan(self.impostors[0])).sum()) + 1 if len(self.own) else 0


@dataclass(frozen=True)
class Pairs:
    """Scores of pairs of images, and the patients of either side; sorted where it helps."""

    mated: Array
    mated_patient: NDArray[np.intp]
    mated_weight: Array
    impostor: Array
    impostor_patients: tuple[NDArray[np.intp], NDArray[np.intp]]
    impostor_weight: Array
    people: int


@dataclass(frozen=True)
class Figures:
    """The figures of one attacker on one source."""

    auc: Estimate
    rank1: Estimate
    gallery: int

    def as_dict(self) -> dict[str, object]:
        """As `deid evaluate --json` prints them."""
        rank1 = self.rank1.as_dict() | {"gallery": self.gallery, "chance": 1.0 / self.gallery}
        return {"auc": self.auc.as_dict(), "rank1": rank1}


def normalised(embeddings: NDArray[np.floating]) -> Array:
    """Rows brought to length one; a row of zeros stays, and scores 0 with everything."""
    rows = np.asarray(embeddings, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)


def cosines(first: Array, second: Array) -> Array:
    """``(n, m)`` of normalised rows ``(n, d)`` and ``(m, d)``; equal pictures are equally alike."""
    found: Array = (first @ second.T).round(DIGITS)
    return found


def usable(records: Sequence[Record]) -> NDArray[np.intp]:
    """Indices of the rows that the set's row of `known.toml` lets into a figure."""
    return np.array(
        [
            index
            for index, record in enumerate(records)
            if record.reid or known(record.source, modality=record.modality).rows == "all"
        ],
        dtype=np.intp,
    )


def pooled(
    embeddings: NDArray[np.floating], records: Sequence[Record]
) -> tuple[Array, list[Record]]:
    """Where a set asks for it, one mean embedding a unit (a scan is the mean over its slices)."""
    rows = normalised(embeddings)
    groups: dict[object, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        pool = known(record.source, modality=record.modality).pooled
        groups[(record.person, record.subject, record.unit) if pool else index].append(index)
    means = np.stack([rows[members].mean(axis=0) for members in groups.values()])
    return normalised(means), [records[members[0]] for members in groups.values()]


class Sums(NamedTuple):
    """Rows added up by whom a match must find.

    Attributes
    ----------
    patient, subject, unit
        Consecutive numbers of each row's, ``(n,)``.
    sums, unit_sums
        The rows of each subject and of each unit added up, ``(s, d)`` and ``(u, d)``.
    owner
        The patient of each subject, ``(s,)``.
    """

    patient: NDArray[np.intp]
    subject: NDArray[np.intp]
    unit: NDArray[np.intp]
    sums: Array
    unit_sums: Array
    owner: NDArray[np.intp]


def summed(rows: Array, records: Sequence[Record]) -> Sums:
    """Add up rows ``(n, d)``, one a record."""
    patient = numbers([record.person for record in records])
    subject = numbers([(record.person, record.subject) for record in records])
    unit = numbers([(record.person, record.subject, record.unit) for record in records])
    sums = np.zeros((subject.max(initial=-1) + 1, rows.shape[1]))
    np.add.at(sums, subject, rows)
    unit_sums = np.zeros((unit.max(initial=-1) + 1, rows.shape[1]))
    np.add.at(unit_sums, unit, rows)
    owner = np.zeros(len(sums), dtype=np.intp)
    owner[subject] = patient
    return Sums(patient, subject, unit, sums, unit_sums, owner)


def gallery(
    embeddings: NDArray[np.floating],
    records: Sequence[Record],
    *,
    queries: NDArray[np.floating] | None = None,
    asking: NDArray[np.bool_] | None = None,
    copies: bool = False,
) -> Gallery:
    """Score every query against every person (see the module's text for the rules).

    Parameters
    ----------
    embeddings
        ``(n, d)``, one row a record: the images of the gallery.
    queries
        ``(n, d)``, one row a record: the same images as they are searched with (protected ones,
        say); `embeddings` where none are given.
    asking
        Which rows are queries at all, ``(n,)``; every one without it.
    copies
        Every image is a query, and its own score is that to the very image that it was made from.
    """
    rows = normalised(embeddings)
    asked = rows if queries is None else normalised(queries)
    patient, subject, unit, sums, unit_sums, owner = summed(rows, records)
    units_of = np.bincount(np.unique(np.stack([subject, unit]), axis=1)[0], minlength=len(sums))
    asks = np.ones(len(rows), dtype=bool) if asking is None else asking
    query = np.flatnonzero(((units_of[subject] > 1) | copies) & asks)
    # A person without the query's own unit: what is left of the sum.
    rest = rows if copies else normalised(sums[subject[query]] - unit_sums[unit[query]])
    impostors = cosines(asked[query], normalised(sums))
    impostors[patient[query][:, None] == owner[None, :]] = np.nan
    own = np.einsum("qd,qd->q", asked[query], rest).round(DIGITS)
    return Gallery(query, patient[query], own, impostors)


def pairs(
    embeddings: NDArray[np.floating],
    records: Sequence[Record],
    *,
    queries: NDArray[np.floating] | None = None,
    asking: NDArray[np.bool_] | None = None,
    copies: bool = False,
) -> Pairs:
    """All pairs of images: mated ones weigh 1 a patient, impostor ones 1 a pair of patients.

    Parameters
    ----------
    embeddings
        ``(n, d)``, one row a record.
    queries
        ``(n, d)``: the same images as they are searched with, as for `gallery`. Pairs are ordered
        then: each query against each image.
    asking
        As for `gallery`; taken where there are `queries`.
    copies
        The mate of a query is the very image that it was made from, and no other.
    """
    rows = normalised(embeddings)
    asked = rows if queries is None else normalised(queries)
    patient = numbers([record.person for record in records])
    subject = numbers([(record.person, record.subject) for record in records])
    unit = numbers([(record.person, record.subject, record.unit) for record in records])
    compared = np.ones((len(rows), len(rows)), dtype=bool)
    if queries is None:
        compared = np.triu(compared, 1)
    elif asking is not None:
        compared &= asking[:, None]
    first, second = np.nonzero(compared)
    scores = cosines(asked, rows)[first, second]
    mates = (subject[first] == subject[second]) & (unit[first] != unit[second])
    if copies:
        mates = first == second
    others = patient[first] != patient[second]
    of = patient[first[mates]]
    left, right = patient[first[others]], patient[second[others]]
    images = np.bincount(patient)
    order = np.argsort(scores[others], kind="stable")
    return Pairs(
        mated=scores[mates],
        mated_patient=of,
        mated_weight=1.0 / np.bincount(of, minlength=1)[of],
        impostor=scores[others][order],
        impostor_patients=(left[order], right[order]),
        impostor_weight=(1.0 / (images[left] * images[right]))[order],
        people=int(images.size),
    )


def verification(found: Pairs, *, resamples: int = 400) -> Estimate:
    """Patient-weighted AUC with its patient bootstrap."""
    ranks = Ranks.of(found.mated, found.impostor)
    left, right = found.impostor_patients

    def statistic(times: Array) -> float:
        return ranks.auc(
            found.mated_weight * times[found.mated_patient],
            found.impostor_weight * times[left] * times[right],
        )

    patients = int(np.unique(found.mated_patient).size)
    return patient_bootstrap(statistic, found.people, patients, resamples=resamples)


def matched(
    embeddings: NDArray[np.floating], records: Sequence[Record]
) -> tuple[Gallery, Pairs] | None:
    """Scores of one source's images; None where no subject has two units."""
    keep = usable(records)
    if not keep.size:
        return None
    rows, kept = pooled(np.asarray(embeddings)[keep], [records[index] for index in keep])
    searched = gallery(rows, kept)
    if not searched.own.size or searched.size < 2:
        return None
    return searched, pairs(rows, kept)


def figures(embeddings: NDArray[np.floating], records: Sequence[Record]) -> Figures | None:
    """AUC and rank-1 of one source's images; None where no subject has two units."""
    scores = matched(embeddings, records)
    if scores is None:
        return None
    searched, compared = scores
    rank1 = patient_mean(found_within(searched.own, searched.impostors), searched.patient)
    return Figures(verification(compared), rank1, searched.size)


def by_source(
    records: Sequence[Record], embeddings: Callable[[NDArray[np.intp]], NDArray[np.floating]]
) -> dict[str, Figures]:
    """`figures` of each source; `embeddings` gives the rows of the indices that it is handed."""
    result = {}
    for source in sorted({record.source for record in records}):
        members = np.array(
            [index for index, record in enumerate(records) if record.source == source],
            dtype=np.intp,
        )
        found = figures(embeddings(members), [records[index] for index in members])
        if found is not None:
            result[source] = found
    return result


def mated(records: Sequence[Record]) -> int:
    """Patients with an image that another of their images can be found by."""
    units: dict[tuple[tuple[str, str], str], set[str]] = defaultdict(set)
    for index in usable(records):
        one = records[index]
        units[one.person, one.subject].add(one.unit)
    return len({person for (person, _), several in units.items() if len(several) > 1})


def numbers(keys: Sequence[object]) -> NDArray[np.intp]:
    """Consecutive numbers for equal keys, in order of appearance."""
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.intp)
