"""People who are kept from training, to be the impostors of the risk figures."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from mami_core.data.record import Record
from mami_core.files import as_bytes

#: Sets whose `train` people with one image are reserved (half of them, by hash).
SOURCES = ("nih", "kermany")


def reserved(records: Sequence[Record]) -> list[bool]:
    """Which images show a person of `train` who stays out of every training.

    Parameters
    ----------
    records
        With all images of each person, since who has several is never reserved.
    """
    images = Counter(record.person for record in records)
    return [
        record.split == "train"
        and record.source in SOURCES
        and images[record.person] == 1
        and _drawn(record)
        for record in records
    ]


def _drawn(record: Record) -> bool:
    text = f"cohort/{record.source}/{record.patient}"
    return hashlib.sha256(as_bytes(text)).digest()[0] % 2 == 0
