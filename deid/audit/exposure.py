"""Who is exposed: risk by subgroup for everybody to read, and the patients who are found most.

Subgroups go into the record of an audit, from a number of patients on; the names of patients go to
whoever asked for them (see `deid.audit.run.audit`) and nowhere else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.figures import Scores, found_first
from mami_core.data import Record
from mami_core.evaluation import patient_mean

#: Patients of a subgroup, with a mate, that a figure takes.
FEWEST = 20
#: How many patients are named.
MOST_EXPOSED = 10
#: Years of an age band.
BAND = 10
#: What an image is said to have that has none of the findings its set looks for.
NO_FINDING = "none"


@dataclass(frozen=True)
class Exposed:
    """A patient who is found often.

    Attributes
    ----------
    source, linkage, basis, attacker
        What finds them.
    patient
        The name that the data set has.
    images
        How many of theirs were searched with.
    found
        The share of these by which the patient comes first among `people`.
    """

    source: str
    linkage: str
    basis: str
    attacker: str
    patient: str
    images: int
    found: float
    people: int


def groups_of(record: Record) -> Iterator[tuple[str, str]]:
    """Attributes of an image and the subgroups that it is of; what is not known gives none."""
    if record.view:
        yield "view", record.view
    if record.age is not None:
        yield "age", age_band(record.age)
    if record.sex:
        yield "sex", record.sex
    present = [name for name, there in record.findings.items() if there]
    for name in present:
        yield "finding", name
    if record.findings and not present:
        yield "finding", NO_FINDING


def age_band(age: float) -> str:
    """Such as ``60-69``."""
    first = int(age) // BAND * BAND
    return f"{first}-{first + BAND - 1}"


def subgroups(folds: Sequence[Scores], people: int) -> dict[str, Any]:
    """How many patients of each subgroup come first among `people`.

    A patient is of the subgroups of the images that are searched with, and weighs the same in each
    whatever their number.

    Returns
    -------
    ``groups``, a list of ``attribute, group, value, low, high, patients``; ``too_few``, how many
    subgroups had fewer than `FEWEST` patients and are not told.
    """
    found = found_first(folds, people)
    whose = _numbered(folds)
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, record in enumerate(record for fold in folds for record in fold.records):
        for group in groups_of(record):
            members[group].append(row)
    told = []
    for (attribute, name), rows in sorted(members.items()):
        estimate = patient_mean(found[rows], whose[rows])
        if estimate.patients >= FEWEST:
            told.append({"attribute": attribute, "group": name, **estimate.as_dict()})
    return {"groups": told, "too_few": len(members) - len(told)}


def most_exposed(
    folds: Sequence[Scores], people: int, names: tuple[str, str, str, str]
) -> list[Exposed]:
    """The patients whose images are found first most often, of equals those with more images.

    Parameters
    ----------
    names
        Source, linkage, basis and attacker.
    """
    found = found_first(folds, people)
    mine: dict[str, list[float]] = defaultdict(list)
    for record, share in zip((r for fold in folds for r in fold.records), found, strict=True):
        mine[record.patient].append(float(share))
    ordered = sorted(mine.items(), key=lambda one: (-float(np.mean(one[1])), -len(one[1]), one[0]))
    return [
        Exposed(*names, patient, len(shares), float(np.mean(shares)), people)
        for patient, shares in ordered[:MOST_EXPOSED]
    ]


def _numbered(folds: Sequence[Scores]) -> NDArray[np.intp]:
    people = np.concatenate([fold.people for fold in folds])
    return np.unique(people, return_inverse=True)[1]
