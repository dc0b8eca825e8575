"""Protected files that are copies of another original than the one they are paired with.

Such a pair says that somebody is not found who was never looked for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

import numpy as np

from mami_core.data import Dataset, Record, UndecodableError


def of_others(everybody: Dataset, originals: Dataset, protected: Dataset) -> int:
    """How many protected images are copies of another original than their own.

    One that is a copy of its own is no wrong pair, whoever else has the same picture.

    Parameters
    ----------
    everybody
        The data set, whose files are compared byte by byte.
    originals, protected
        The same images in the same order, whose pictures are compared as they are decoded.
    """
    files = _files(everybody, originals, protected)
    return len({row for row in files if _digest(protected, row)} | _pictures(originals, protected))


def _files(everybody: Dataset, originals: Dataset, protected: Dataset) -> set[int]:
    """Rows whose file is that of another original."""
    sizes = defaultdict(list)
    for row in range(len(protected)):
        sizes[protected.size(row)].append(row)
    sizes.pop(None, None)
    # Only files of one length can be equal, and most pictures have lengths of their own.
    theirs = {
        everybody.sha256(row) for row in range(len(everybody)) if everybody.size(row) in sizes
    } - {None}
    if not theirs:
        return set()
    return {
        row
        for rows in sizes.values()
        for row in rows
        if (found := protected.sha256(row)) in theirs and found != originals.sha256(row)
    }


def _pictures(originals: Dataset, protected: Dataset) -> set[int]:
    """Rows whose picture, whatever its file, is that of another original."""
    # The side of the original's record mirrors what belongs to it, and not another's.
    own, shown = (
        [_digest(one, row) for row in range(len(one))]
        for one in map(_as_it_lies, (originals, protected))
    )
    theirs = set(own) - {None}
    return {
        row
        for row, (mine, seen) in enumerate(zip(own, shown, strict=True))
        if seen in theirs and seen != mine
    }


def _as_it_lies(dataset: Dataset) -> Dataset:
    def unmirrored(record: Record) -> Record:
        return replace(record, side="")

    return dataset.told(unmirrored)


def _digest(dataset: Dataset, row: int) -> bytes | None:
    """Of a picture; None where it can not be decoded, or is of one value and is anybody's."""
    try:
        picture = dataset.picture(row)
    except UndecodableError:
        return None
    if np.ptp(picture) == 0.0:
        return None
    return hashlib.sha256(f"{picture.shape}".encode() + picture.tobytes()).digest()
