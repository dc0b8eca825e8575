"""Pairs of images of which it is known whether they show one person: what a calibration learns by.

Within a set only: two sets may name one person differently. A pair counts as one whatever its
people's number of images, since it is pairs of images that are matched.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mami_core.data import Record
from mami_core.evaluation.protocol import DIGITS, normalised, usable
from mami_core.files import as_bytes

Array = NDArray[np.float64]
Person = tuple[str, str]

#: Most images of known people that a calibration takes: whole people, in an order by hash.
MOST_IMAGES = 3000
#: Parts of the people. No pair is judged by a fit that has seen either of its two people's parts.
PARTS = 20


@dataclass(frozen=True)
class KnownPairs:
    """Pairs of another visit of one person (mated), and of two people (impostors).

    Attributes
    ----------
    score, mated
        ``(m,)``.
    left, right
        Numbers of the people of either side, ``(m,)``.
    images
        Of each person, how many there are; one row a set, ``(sets, people)``.
    part
        Of each person, ``(people,)``.
    numbers
        Of the people by name.
    """

    score: Array
    mated: NDArray[np.bool_]
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    images: NDArray[np.int64]
    part: NDArray[np.intp]
    numbers: dict[Person, int]

    @property
    def patients(self) -> int:
        """How many have an image of another visit."""
        return int(np.unique(self.left[self.mated]).size)

    def outside(self, parts: Sequence[int]) -> NDArray[np.bool_]:
        """Pairs that touch none of `parts`."""
        inside = np.isin(self.part, list(parts))
        return ~(inside[self.left] | inside[self.right])

    def part_of(self, record: Record) -> int:
        """-1 for somebody who is not among them."""
        number = self.numbers.get(record.person)
        return -1 if number is None else int(self.part[number])

    def pairs_of_people(self, without: Sequence[int] = ()) -> int:
        """Of distinct people who are both outside of the parts `without`."""
        kept = ~np.isin(self.part, list(without))
        people = (self.images[:, kept] > 0).sum(axis=1)
        return int((people * (people - 1) // 2).sum())


def few(records: Sequence[Record]) -> set[Person]:
    """The people that a calibration looks at, where there are more images than it takes."""
    left, taken = MOST_IMAGES, set()
    images = Counter(record.person for record in records)
    for person in sorted(images, key=_order):
        if images[person] <= left:
            taken.add(person)
            left -= images[person]
    return taken


def known_pairs(sets: Sequence[tuple[NDArray[np.floating], Sequence[Record]]]) -> KnownPairs:
    """All pairs within each set ``(embeddings, records)`` of those whose names are reliable."""
    sure = [usable(records) for _, records in sets]
    people = sorted(
        {
            records[i].person
            for (_, records), rows in zip(sets, sure, strict=True)
            for i in rows.tolist()
        },
        key=_order,
    )
    numbers = {person: number for number, person in enumerate(people)}
    images = np.zeros((len(sets), len(people)), dtype=np.int64)
    columns: list[list[NDArray[np.generic]]] = []
    for count, (embeddings, records), rows in zip(images, sets, sure, strict=True):
        some = [records[index] for index in rows]
        owner = np.array([numbers[one.person] for one in some], dtype=np.intp)
        np.add.at(count, owner, 1)
        unit = _numbered([(one.person, one.subject, one.unit) for one in some])
        subject = _numbered([(one.person, one.subject) for one in some])
        first, second = np.triu_indices(len(some), 1)
        mated = (subject[first] == subject[second]) & (unit[first] != unit[second])
        told = mated | (owner[first] != owner[second])
        first, second, mated = first[told], second[told], mated[told]
        directions = normalised(np.asarray(embeddings)[rows])
        score = (directions @ directions.T)[first, second].round(DIGITS)
        columns.append([score, mated, owner[first], owner[second]])
    score, mated, left, right = (np.concatenate(column) for column in zip(*columns, strict=True))
    return KnownPairs(score, mated, left, right, images, np.arange(len(people)) % PARTS, numbers)


def _order(person: Person) -> bytes:
    return hashlib.sha256(as_bytes("/".join(("match", *person)))).digest()


def _numbered(keys: Sequence[object]) -> NDArray[np.intp]:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
