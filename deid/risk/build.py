"""How a cohort is made: from people that the encoder was not trained on.

In X-ray the people with one image are the `train` patients that training leaves out (`reserved`),
and those with more are of `val`; each as many as `val` has, since people with several visits are
the harder impostors (sicker, and a mean over images is nearer to everybody: measured on frozen
features, rank-1 among 100 people is 0.38, and 0.64 where all impostors have one image). In fundus
photos they are people of `val`, one eye each. The regression's people are of `val`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deid.risk.cohort import MOST, Cohort, directions
from deid.risk.edits import EDITS, Edit, empty_pictures
from deid.risk.tail import Level
from mami_core.data import Dataset, Record, known, reserved
from mami_core.evaluation.embed import Embedder

Array = NDArray[np.float64]

#: Sets whose people stand in a modality's cohort. (ridb's licence is not settled.)
SOURCES = {"xray": ("nih", "kermany"), "fundus": ("odir", "tvhl")}


@dataclass(frozen=True)
class _Person:
    record: Record
    images: list[int]  # that the person's direction is the mean of
    all_images: list[int]  # that the person is known by


def build_cohort(
    encoder: Embedder, dataset: Dataset, modality: str, *, edits: Sequence[Edit] = EDITS
) -> Cohort:
    """Make the cohort of one modality for one encoder.

    Parameters
    ----------
    dataset
        With the sets of `SOURCES`; nothing of their `test` split is read.
    edits
        What the regression's images are edited with, beside not at all; a remover at several
        strengths may be among them.

    Raises
    ------
    ValueError
        Where the data set has no such people.
    """
    spare = iter(reserved(dataset.records))
    part = dataset.select(lambda record: _serves(record, modality, spare=next(spare)))
    people = _people(part.records)
    if not people:
        raise ValueError(f"the data set has no people for the cohort of '{modality}'")
    pictures = part.squares(encoder.size)
    embedded = directions(encoder.embed(pictures))
    known_by = [
        (index, image, image in person.images)
        for index, person in enumerate(people)
        for image in person.all_images
    ]
    owner, image, shown = (np.array(column) for column in zip(*known_by, strict=True))
    nothing = np.empty(0)
    cohort = Cohort(
        modality=modality,
        images=embedded[image],
        owner=owner.astype(np.int32),
        shown=shown,
        empty=directions(encoder.embed(empty_pictures(encoder.size))),
        kept=nothing,
        own_place=nothing,
        mate_place=nothing,
        weight=nothing,
        patients=0,
        sources=dict(Counter(person.record.source for person in people)),
        encoder=encoder.sha256,
    )
    return _with_regression(cohort, encoder, pictures, embedded, part.records, edits)


def _serves(record: Record, modality: str, *, spare: bool) -> bool:
    return record.source in SOURCES[modality] and (record.split == "val" or spare)


def _people(records: Sequence[Record]) -> list[_Person]:
    """Impostors in the proportions of `val`, in a fixed order."""
    images: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        images[record.person].append(index)
    val, spare = [], []
    for members in images.values():
        person = _person(records, members)
        if person.record.split == "val":
            val.append(person)
        else:
            spare.append(person)
    if not spare:  # fundus: nobody of `train` is left out
        return sorted((p for p in val if p.record.reid), key=_order)[:MOST]
    single = [person for person in val if len(person.images) == 1]
    chosen = [person for person in val if len(person.images) > 1]
    wanted = Counter(_stratum(person) for person in single)
    there = Counter(_stratum(person) for person in spare)
    share = min([1.0, *(there[stratum] / count for stratum, count in wanted.items())])
    chosen = sorted(chosen, key=_order)[: round(share * len(chosen))]
    for stratum, count in wanted.items():
        fresh = sorted((p for p in spare if _stratum(p) == stratum), key=_order)
        chosen += fresh[: round(share * count)]
    return sorted(chosen, key=_order)[:MOST]


def _person(records: Sequence[Record], members: list[int]) -> _Person:
    """One person; of fundus photos, the photos of one eye that the name's hash chooses."""
    first = records[members[0]]
    sides = sorted({records[index].side for index in members})
    side = sides[_order_of(first) % len(sides)]
    return _Person(first, [index for index in members if records[index].side == side], members)


def _stratum(person: _Person) -> tuple[str, bool]:
    return person.record.source, person.record.reid


def _order(person: _Person) -> int:
    return _order_of(person.record)


def _order_of(record: Record) -> int:
    text = f"order/{record.source}/{record.patient}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _with_regression(
    cohort: Cohort,
    encoder: Embedder,
    pictures: NDArray[np.uint8],
    embedded: Array,
    records: Sequence[Record],
    edits: Sequence[Edit],
) -> Cohort:
    """The cohort with the rows of its regression: each image with a mate, edited in every way."""
    mates = _mates(records)
    images = list(mates)
    impostors = {
        index: cohort.people[cohort.impostors(embedded[[index, *mates[index]]])] for index in images
    }
    # One other visit, the next: whoever has a single image is not known to have many elsewhere, and
    # several would be found more easily (measured among 438 people: 0.34 against one other X-ray,
    # 0.74 against three or four).
    targets = {i: embedded[next((j for j in mates[i] if j > i), mates[i][0])] for i in images}
    weight = _weights([records[index] for index in images])
    rows = []
    for edit in (None, *edits):
        edited = (
            embedded[images] if edit is None else directions(encoder.embed(edit(pictures[images])))
        )
        for index, query, heavy in zip(images, edited, weight, strict=True):
            level = Level.of(impostors[index] @ query)
            own = float(query @ embedded[index])
            places = level.place(np.array([own, float(query @ targets[index])]))
            rows.append((own, *places, heavy))
    kept, own_place, mate_place, heavy = np.array(rows, dtype=np.float64).T
    counted = {(records[index].person, records[index].kind) for index in images}
    return replace(
        cohort,
        kept=kept,
        own_place=own_place,
        mate_place=mate_place,
        weight=heavy,
        patients=len({person for person, _ in counted}),
        kinds=dict(Counter(kind for _, kind in counted)),
    )


def _mates(records: Sequence[Record]) -> dict[int, list[int]]:
    """Of each `val` image that has some: the images of the same subject from other units."""
    subjects: dict[tuple[tuple[str, str], str], list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        rules = known(record.source, modality=record.modality)
        if record.split == "val" and (record.reid or rules.rows == "all"):
            subjects[record.person, record.subject].append(index)
    mates = {}
    for members in subjects.values():
        for index in members:
            others = [i for i in members if records[i].unit != records[index].unit]
            if others:
                mates[index] = others
    return mates


def _weights(records: Sequence[Record]) -> Array:
    """Each patient weighs the same within a kind, and each kind the same.

    A second photo is of the same eye or of the other one; there are few of the first sort, and a
    gallery holds both.
    """
    images = Counter(record.person for record in records)
    people = Counter(kind for _, kind in {(record.person, record.kind) for record in records})
    return np.array([1.0 / (images[record.person] * people[record.kind]) for record in records])
