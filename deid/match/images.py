"""The images that are matched: of a data set with its names, or of a folder as it lies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deid.match.files import read_files
from deid.match.trouble import LeftOutError, MatchError
from mami_core.data import Dataset, DatasetError, Record, known, open_dataset
from mami_core.data.dataset import ARCHIVES
from mami_core.data.manifest import MANIFEST

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
            raise MatchError(f"a set has no images in split '{split}'; see --split")
        return part


def open_images(
    spec: str,
    root: Path | None = None,
    *,
    modality: str | None = None,
    unnamed: bool = False,
) -> Images:
    """Open a data set as `deid evaluate` does, or any folder of images (or one image).

    Parameters
    ----------
    modality
        Of the images that do not say it themselves.
    unnamed
        Neither headers nor sub-folders say whose an image is.

    Raises
    ------
    MatchError, mami_core.data.DatasetError
        Where there is nothing to open.
    """
    path = Path(spec)
    tabled = (path / MANIFEST).is_file() or any(path.glob(f"*/{MANIFEST}"))
    owners = _of_volumes(path)
    if spec in ARCHIVES or (tabled and not owners):
        images = _of_dataset(open_dataset(spec, root))
    elif path.exists():
        files, left_out = read_files(path, {} if unnamed else owners, unnamed=unnamed)
        images = Images([Entry(*file) for file in files], left_out)
    else:
        raise MatchError("a set of images does not exist; name a folder, an image, or 'mimic'")
    if not images.entries:
        raise MatchError("a set holds no image that can be opened; name another folder")
    entries = [
        replace(entry, record=replace(entry.record, modality=entry.record.modality or modality))
        for entry in images.entries
    ]
    return replace(images, entries=entries)


def _of_volumes(folder: Path) -> dict[str, str]:
    """Patients by file of a table that names NIfTI volumes, which a data set can not; else none."""
    from deid.scrub.options import CannotStart
    from deid.scrub.plan import manifest_patients

    try:
        owners = manifest_patients(folder)
    except CannotStart:
        return {}
    return owners if any(name.endswith((".nii", ".nii.gz")) for name in owners) else {}


def _of_dataset(dataset: Dataset) -> Images:
    """One entry an image; where the set's row of `known.toml` pools a scan, one a scan."""
    groups: dict[object, list[int]] = defaultdict(list)
    for row, record in enumerate(dataset.records):
        pooled = known(record.source, modality=record.modality).pooled
        groups[(record.person, record.subject, record.unit) if pooled else row].append(row)
    return Images(
        [
            Entry(dataset.records[rows[0]], partial(_decoded, dataset, rows))
            for rows in groups.values()
        ]
    )


def _decoded(dataset: Dataset, rows: Sequence[int]) -> list[Picture]:
    try:
        return [dataset.picture(row) for row in rows]
    except DatasetError:
        raise LeftOutError("it can not be decoded") from None
