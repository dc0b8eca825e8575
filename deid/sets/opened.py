"""The way in: a spec as a person types it to records, pictures, and what was left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deid.sets.files import read_files
from mami_core.data import Dataset, DatasetError, Record, known, open_dataset
from mami_core.data.dataset import ARCHIVES
from mami_core.data.manifest import MANIFEST


@dataclass(frozen=True)
class Opened:
    """A set of images.

    Attributes
    ----------
    groups
        Rows that are one image, or one scan.
    left_out
        (name, why) of files that are no image, or can not be used.
    tabled
        Whether a table says whose an image is; else headers and folders do.
    """

    dataset: Dataset
    groups: Sequence[Sequence[int]]
    left_out: list[tuple[str, str]] = field(default_factory=list)
    tabled: bool = True

    def by_kind(self) -> Dataset:
        """The data set as galleries: where no table names sources, what an image is names its own.

        An X-ray is no foil for a fundus photo.
        """
        if self.tabled:
            return self.dataset
        return self.dataset.told(lambda one: replace(one, source=_kind(one)))

    def counted(self) -> dict[str, int]:
        """How many files are left out, by why."""
        return dict(Counter(why for _, why in self.left_out))


def open_set(
    spec: str,
    root: Path | None = None,
    *,
    modality: str | None = None,
    unnamed: bool = False,
) -> Opened:
    """Open a data set as `deid evaluate` does, or any folder of images (or one image).

    Parameters
    ----------
    root
        Where a named archive lies.
    modality
        Of the images of a folder that do not say it themselves.
    unnamed
        Neither headers nor sub-folders say whose an image is.

    Raises
    ------
    mami_core.data.DatasetError
        Where there is nothing to open.
    """
    path = Path(spec)
    tabled = (path / MANIFEST).is_file() or any(path.glob(f"*/{MANIFEST}"))
    owners = _of_volumes(path)
    if spec in ARCHIVES or (tabled and not owners):
        dataset = open_dataset(spec, root)
        return Opened(dataset, _scans(dataset.records))
    if not path.exists():
        raise DatasetError(
            "a set of images does not exist; name a folder, an image, or one of: "
            + ", ".join(ARCHIVES)
        )
    entries, left_out = read_files(
        path, {} if unnamed else owners, unnamed=unnamed, modality=modality
    )
    if not entries:
        raise DatasetError("a set holds no image that can be opened; name another folder")
    groups, rows = [], 0
    for frames in entries:
        groups.append(range(rows, rows + len(frames)))
        rows += len(frames)
    records, stores = zip(*(frame for frames in entries for frame in frames), strict=True)
    return Opened(Dataset(records, stores), groups, left_out, tabled=False)


def _of_volumes(folder: Path) -> dict[str, str]:
    """Patients by file of a table that names NIfTI volumes, which a data set can not; else none."""
    from deid.scrub.options import CannotStart
    from deid.scrub.plan import manifest_patients

    try:
        owners = manifest_patients(folder)
    except CannotStart:
        return {}
    return owners if any(name.endswith((".nii", ".nii.gz")) for name in owners) else {}


def _kind(record: Record) -> str:
    return " ".join(filter(None, (record.body_part, record.modality))) or record.source


def _scans(records: Sequence[Record]) -> list[list[int]]:
    """One group an image; where the set's row of `known.toml` pools a scan, one a scan."""
    groups: dict[object, list[int]] = defaultdict(list)
    for row, record in enumerate(records):
        pooled = known(record.source, modality=record.modality).pooled
        groups[(record.person, record.subject, record.unit) if pooled else row].append(row)
    return list(groups.values())
