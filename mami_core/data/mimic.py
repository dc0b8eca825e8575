"""MIMIC-CXR-JPG as PhysioNet packs it: ``files/p10/p10000032/s50414267/*.jpg`` and three tables.

Needed are the columns dicom_id, subject_id and study_id of the metadata. The split table, the
CheXpert table and every other column may be absent: what they say is then unknown, and masked.
"""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

from mami_core.data.record import DatasetError, Record, split_of
from mami_core.data.store import Folder, Store

SOURCE = "mimic"

_TABLES = "mimic-cxr-2.0.0-"
_KEYS = ("dicom_id", "subject_id", "study_id")
_SPLITS = {"train": "train", "validate": "val", "test": "test"}


def read_mimic(root: Path) -> tuple[list[Record], Store]:
    """Read the archive under `root`; images that are listed and not there are left out.

    Users often hold a part of the archive, so that absent images are no error; none at all is.

    Raises
    ------
    DatasetError
        Where the metadata is missing, lacks one of the three columns, or no image is there.
    """
    metadata = _table(root, "metadata", required=_KEYS)
    if not metadata:
        raise DatasetError(
            f"{_TABLES}metadata.csv.gz is missing or empty; put it into the archive's root"
        )
    splits = {row["dicom_id"]: row for row in _table(root, "split", required=("dicom_id",))}
    chexpert = {row["study_id"]: row for row in _table(root, "chexpert", required=("study_id",))}
    store = Folder(root)
    records = [
        _record(row, splits.get(row["dicom_id"], {}), chexpert.get(row["study_id"], {}))
        for row in metadata
    ]
    records = [record for record in records if record.name in store]
    if not records:
        raise DatasetError(
            f"none of the images in {_TABLES}metadata.csv.gz is under files/; check the root"
        )
    return records, store


def _table(root: Path, name: str, *, required: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a table, packed or not; none where the file is absent."""
    packed, plain = (root / f"{_TABLES}{name}.csv{suffix}" for suffix in (".gz", ""))
    path = packed if packed.is_file() else plain
    if not path.is_file():
        return []
    try:
        data = gzip.decompress(path.read_bytes()) if path is packed else path.read_bytes()
        reader = csv.DictReader(data.decode("utf-8-sig").splitlines(), strict=True, restval="")
        rows = list(reader)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path.name} can not be read; fetch it again") from error
    for column in required:
        if column not in (reader.fieldnames or []):
            raise DatasetError(f"{path.name} has no column '{column}'; fetch the table again")
    for number, row in enumerate(rows, start=2):
        if not all(re.fullmatch(r"[\w-]+", row[column]) for column in required):
            raise DatasetError(f"{path.name}, line {number}: an id is not valid; fetch it again")
    return rows


def _record(row: dict[str, str], split: dict[str, str], chexpert: dict[str, str]) -> Record:
    dicom, subject, study = (row[key] for key in _KEYS)
    patient, visit = f"p{subject.removeprefix('p')}", f"s{study.removeprefix('s')}"
    findings = {
        name: int(float(value))
        for name, value in chexpert.items()
        # -1 is "uncertain" and an empty field "not mentioned": neither is known.
        if name not in _KEYS and re.fullmatch(r"[01](\.0*)?", value)
    }
    return Record(
        name=f"files/{patient[:3]}/{patient}/{visit}/{dicom}.jpg",
        patient=patient,
        source=SOURCE,
        modality="xray",
        body_part="chest",
        view=row.get("ViewPosition", "").upper(),
        visit=visit,
        labels=tuple(name for name, value in findings.items() if value),
        split=_SPLITS.get(split.get("split", "")) or split_of(SOURCE, patient),
        subject=patient,
        unit=visit,
        findings=findings,
    )
