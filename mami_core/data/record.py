"""One image of a data set, as its table describes it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mami_core.files import as_bytes

SPLITS = ("train", "val", "test")


class DatasetError(ValueError):
    """A data set can not be used: one line with which file, what is wrong, and what to do.

    The text names rows and columns, never a value out of the table.
    """


class UnreadableError(ValueError):
    """An image can not be decoded; `str` of it is why, in static words."""


class UndecodableError(DatasetError):
    """One image of a data set can not be decoded; `why`, in static words."""

    def __init__(self, number: int, kind: str, why: str) -> None:
        super().__init__(
            f"image {number} of the data set can not be decoded ({kind}); "
            "replace the file or drop it"
        )
        self.why = why


@dataclass(frozen=True)
class Record:
    """One image.

    Attributes
    ----------
    name
        Where the image lies within its data set.
    patient, source
        Whose it is and which set it comes from; a patient is the pair of the two.
    modality
        ``xray``, ``ct``, ``fundus``, another DICOM modality in lower case, or None.
    body_part, view, side, visit
        As in the table, "" where unknown (`body_part` in lower case; `side` is L, R or "").
    labels
        The labels as the table has them.
    reid
        Whether the patient id is reliable enough to score matching.
    kind
        What another image of the person is: visit, study, same_eye, bilateral, place, slice.
    split
        ``train``, ``val`` or ``test``; by patient.
    age, sex
        Years (None where unknown); ``M``, ``F`` or "".
    subject
        Whom a match must find (the patient, or one eye of the patient).
    unit
        What counts as one visit: images of the query's own unit are never its mates.
    findings
        Finding -> 1 or 0; what is not in it is not known and masked in training.
    """

    name: str
    patient: str
    source: str
    modality: str | None = None
    body_part: str = ""
    view: str = ""
    side: str = ""
    visit: str = ""
    labels: tuple[str, ...] = ()
    reid: bool = True
    kind: str = "visit"
    split: str = "train"
    age: float | None = None
    sex: str = ""
    subject: str = ""
    unit: str = ""
    findings: Mapping[str, int] = field(default_factory=dict)

    @property
    def person(self) -> tuple[str, str]:
        """The patient within the source."""
        return self.source, self.patient


def split_of(source: str, patient: str) -> str:
    """The split of a patient where no table gives one: 60 % train, 20 % val, 20 % test.

    A function of the name alone (SHA-256 of ``<source>/<patient>``), so that no later image moves a
    patient from one split to another.
    """
    tenth = int(hashlib.sha256(as_bytes(f"{source}/{patient}")).hexdigest(), 16) % 10
    return "train" if tenth < 6 else "val" if tenth < 8 else "test"


def no_images(split: str, records: Iterable[Record]) -> str:
    """What to say where nothing lies in a split: where something does."""
    counts = Counter(record.split for record in records)
    there = ", ".join(f"{count} in '{name}'" for name, count in sorted(counts.items()))
    return f"no images in split '{split}' ({there or 'none in any'}); see --split"
