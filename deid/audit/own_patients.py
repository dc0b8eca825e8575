"""The attacker's own patients: who is compared with whom, and what is found of who is left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.figures import Scores, by_patient, found_first, score
from deid.audit.linkages import Linkage
from mami_core.data import Record
from mami_core.evaluation.protocol import usable

#: People among whom left-out patients are searched: between a pair (AUC) and everybody (rank-1).
AMONG = 10
#: Left-out patients without whom nothing can be told.
FEWEST_PATIENTS = 5

#: Per person with several units, the rows of each unit.
Mates = list[list[NDArray[np.intp]]]


def owners(records: Sequence[Record]) -> NDArray[np.intp]:
    """Number of each image's person, ``(n,)``."""
    persons: dict[tuple[str, str], int] = {}
    numbers = [persons.setdefault(one.person, len(persons)) for one in records]
    return np.array(numbers, dtype=np.intp)


def mates(records: Sequence[Record]) -> Mates:
    """Those who can be matched."""
    subjects: dict[object, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index in usable(records):
        record = records[index]
        subjects[record.person, record.subject][record.unit].append(int(index))
    return [
        [np.array(unit, dtype=np.intp) for unit in units.values()]
        for units in subjects.values()
        if len(units) > 1
    ]


def drawn(
    random: np.random.Generator, several: Mates, own: NDArray[np.intp], most: int
) -> tuple[list[int], list[int]]:
    """Rows of one step in either role: two visits a person, then images of others.

    Parameters
    ----------
    several
        People of whom `most` at most are taken.
    own
        All rows that may be.

    Returns
    -------
    m rows and k, k at least m: the mate of query i is row i of the gallery.
    """
    chosen = random.permutation(len(several))[:most]
    first: list[int] = []
    second: list[int] = []
    for units in (several[one] for one in chosen):
        pair = random.choice(len(units), 2, replace=False)
        one, other = (int(random.choice(units[unit])) for unit in pair)
        first.append(one)
        second.append(other)
    others = np.setdiff1d(own, [*first, *second])
    second += random.permutation(others)[: len(first)].tolist()
    return first, second


def scores(
    query: NDArray[np.floating],
    gallery: NDArray[np.floating],
    records: Sequence[Record],
    roles: tuple[str, str],
) -> Scores | None:
    """Of embeddings of the same images in two roles; None where nobody can be matched."""
    return score(query, gallery, records, Linkage("own", *roles, question=""))


def found_by_person(folds: Sequence[Scores]) -> dict[str, float]:
    """By person the share of images by which it is found among `AMONG` people of its fold."""
    if not folds:
        return {}
    people = min(AMONG, *(fold.size for fold in folds))
    return by_patient(found_first(folds, people), np.concatenate([fold.people for fold in folds]))


def beside_closed_form(
    found: Mapping[str, float], bar: Mapping[str, float]
) -> tuple[dict[str, Any], bool]:
    """What is found of who is left out, beside what the closed form finds of the same people.

    Returns
    -------
    What is said of it (``reached``: no less than the closed form, within chance), and whether it is
    more. What differs by a standard error tells nothing: left out are few.
    """
    gain = np.array([found[person] - bar[person] for person in bar])
    chance = float(gain.std(ddof=1)) / np.sqrt(len(gain))
    said = {
        "closed_form": float(np.mean(list(bar.values()))),
        "gradient": float(np.mean(list(found.values()))),
        "patients": len(bar),
        "reached": bool(gain.mean() >= -chance),
    }
    return said, bool(gain.mean() > chance)
