"""The images that are matched: of a data set with its names, or of a folder as it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deid.match.trouble import LeftOutError, MatchError
from deid.sets import Opened, open_set
from mami_core.data import Record, UndecodableError, no_images

Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Entry:
    """What is matched as one: an image, or the slices of a scan.

    Attributes
    ----------
    record
        `reid` is False where nothing says reliably whose it is; an empty patient is unknown.
    pictures
        Gives its frames as the models see them, or raises `LeftOutError`.
    """

    record: Record
    pictures: Callable[[], Sequence[Picture]]


@dataclass(frozen=True)
class Images:
    """A set of entries, and what was left out of it: (name, why)."""

    entries: list[Entry]
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def select(self, keep: Callable[[Record], bool]) -> Images:
        """Those whose record `keep` accepts, in the same order."""
        return replace(self, entries=[entry for entry in self.entries if keep(entry.record)])

    def in_split(self, split: str) -> Images:
        """Those of one split, or of ``all``.

        Raises
        ------
        MatchError
            Where there is none.
        """
        part = self.select(lambda record: split in ("all", record.split))
        if not part.entries:
            raise MatchError(f"a set has {no_images(split, (one.record for one in self.entries))}")
        return part


def open_images(
    spec: str,
    root: Path | None = None,
    *,
    modality: str | None = None,
    unnamed: bool = False,
) -> Images:
    """What `deid.sets.open_set` opens, as entries.

    Parameters
    ----------
    modality
        Of the images that do not say it themselves.
    unnamed
        Neither headers nor sub-folders say whose an image is.

    Raises
    ------
    mami_core.data.DatasetError
        Where there is nothing to open.
    """
    opened = open_set(spec, root, modality=modality, unnamed=unnamed)
    entries = [
        Entry(_said(opened.dataset.records[rows[0]], modality), partial(_decoded, opened, rows))
        for rows in opened.groups
    ]
    return Images(entries, opened.left_out)


def _said(record: Record, modality: str | None) -> Record:
    return replace(record, modality=record.modality or modality)


def _decoded(opened: Opened, rows: Sequence[int]) -> list[Picture]:
    try:
        return [opened.dataset.picture(row) for row in rows]
    except UndecodableError as error:
        raise LeftOutError(error.why) from None
