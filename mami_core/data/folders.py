"""A folder with one sub-folder a patient; a folder below that is a visit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mami_core.data.known import known, modality_of
from mami_core.data.pixels import SUFFIXES
from mami_core.data.record import DatasetError, Record, split_of
from mami_core.data.store import Folder, Store

if TYPE_CHECKING:
    from pydicom import Dataset as Header

SOURCE = "folder"

_TAGS = ("Modality", "BodyPartExamined", "ViewPosition", "StudyInstanceUID", "ImageLaterality")


def read_folders(root: Path) -> tuple[list[Record], Store]:
    """Read ``PATIENT/FILE`` and ``PATIENT/VISIT/.../FILE``.

    A DICOM file's modality, region, view, study (as the visit) and side come from its header; of
    other files they are not known.

    Raises
    ------
    DatasetError
        Where there is no picture in any sub-folder.
    """
    records = []
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if len(parts) > 1 and path.suffix.lower() in SUFFIXES and path.is_file():
            records.append(_record(path, parts))
    if not records:
        raise DatasetError(
            "the folder has neither a manifest.csv nor a sub-folder a patient with images; add one"
        )
    return records, Folder(root)


def _record(path: Path, parts: tuple[str, ...]) -> Record:
    header = _header(path) if path.suffix.lower() == ".dcm" else None
    name, patient = "/".join(parts), parts[0]

    def text(tag: str) -> str:
        return str(header.get(tag) or "").strip() if header is not None else ""

    modality = modality_of(text("Modality"))
    visit = parts[1] if len(parts) > 2 else text("StudyInstanceUID")
    return Record(
        name=name,
        patient=patient,
        source=SOURCE,
        modality=modality,
        body_part=text("BodyPartExamined").lower(),
        view=text("ViewPosition").upper(),
        side=text("ImageLaterality").upper(),
        visit=visit,
        kind=known(SOURCE, modality=modality).kind,
        split=split_of(SOURCE, patient),
        subject=patient,
        unit=visit or name,
    )


def _header(path: Path) -> Header:
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        return pydicom.dcmread(path, specific_tags=list(_TAGS), stop_before_pixels=True)
    except InvalidDicomError as error:
        raise DatasetError("a .dcm file in the folder is not DICOM; remove or rename it") from error
