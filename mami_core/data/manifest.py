"""A folder with ``manifest.csv``; the images beside it, or in ``images.zip``, read in place."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from mami_core.data.known import Known, known, modality_of
from mami_core.data.record import SPLITS, DatasetError, Record, split_of
from mami_core.data.store import Archive, Folder, Store, is_inside

MANIFEST = "manifest.csv"
ARCHIVE = "images.zip"

_HALF = 8  # slices of a packed scan below its middle


def read_manifest(folder: Path) -> tuple[list[Record], Store]:
    """Read a folder's table.

    Only the columns ``file`` and ``patient`` are required; the others are those of `Record`.

    Raises
    ------
    DatasetError
        Where the table can not be used; the text says which row, what is wrong and what to do.
    """
    rows = _rows(folder / MANIFEST)
    archive = folder / ARCHIVE
    store: Store = Archive(archive) if archive.is_file() else Folder(folder)
    records = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        record = _record(row, number)
        if record.name in seen:
            raise _bad(number, "names a file that an earlier row names", "keep one row a file")
        if record.name.lower().endswith((".nii", ".nii.gz")):
            raise _bad(number, "names a NIfTI volume", "list its slices as pictures, or drop it")
        if record.name not in store:
            where = ARCHIVE if archive.is_file() else "the folder"
            raise _bad(number, f"names a file that is not in {where}", "add the file or drop it")
        seen.add(record.name)
        records.append(record)
    check_splits(records, MANIFEST)
    return records, store


def check_splits(records: list[Record], table: str) -> None:
    """Raise where a patient's images lie in more than one split."""
    split: dict[tuple[str, str], str] = {}
    for record in records:
        if split.setdefault(record.person, record.split) != record.split:
            raise DatasetError(
                f"{table}: one patient's images lie in two splits; give each patient one split"
            )


def _bad(number: int, wrong: str, remedy: str) -> DatasetError:
    return DatasetError(f"{MANIFEST}, line {number}: {wrong}; {remedy}")


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or [])
            rows = list(reader)
    except OSError as error:
        raise DatasetError(f"{MANIFEST} can not be read; check the folder's rights") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{MANIFEST} is not UTF-8 text; save it as UTF-8 CSV") from error
    except csv.Error as error:
        raise DatasetError(f"{MANIFEST} is not well-formed CSV; save it again as CSV") from error
    for column in ("file", "patient"):
        if column not in columns:
            raise DatasetError(f"{MANIFEST} has no column '{column}'; add it to the first line")
    if len(set(columns)) != len(columns):
        raise DatasetError(f"{MANIFEST} has two columns of one name; rename one of them")
    if not rows:
        raise DatasetError(f"{MANIFEST} has no rows; list at least one image")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise _bad(number, "has another number of fields than the first line", "correct it")
    return rows


def _record(row: dict[str, str], number: int) -> Record:
    name, patient = row["file"], row["patient"].strip()
    if not is_inside(name):
        raise _bad(number, "its file is empty or leads out of the folder", "give a path inside")
    if not patient:
        raise _bad(number, "its patient is empty", "give a pseudonym")
    source = row.get("source", "").strip() or "manifest"
    split = row.get("split", "").strip() or split_of(source, patient)
    if split not in SPLITS:
        raise _bad(number, "its split is none of train, val, test", "use one of these")
    reid = row.get("reid", "").strip() or "1"
    if reid not in ("0", "1"):
        raise _bad(number, "its reid is neither 0 nor 1", "use one of these, or leave it empty")
    side = row.get("side", "").strip().upper()
    modality = modality_of(row.get("modality", ""))
    rules = known(source, modality=modality)
    labels = tuple(label for label in row.get("labels", "").split("|") if label)
    fields = {
        "name": name,
        "patient": patient,
        "side": side,
        # Without a visit every image is one of its own.
        "visit": row.get("visit", "").strip() or name,
        "half": str(int(_label(labels, "slice") or 0) // _HALF),
    }
    return Record(
        name=name,
        patient=patient,
        source=source,
        modality=modality,
        body_part=row.get("body_part", "").strip().lower(),
        view=row.get("view", "").strip().upper(),
        side=side,
        visit=row.get("visit", "").strip(),
        labels=labels,
        reid=reid == "1",
        kind=row.get("kind", "").strip() or rules.kind,
        split=split,
        age=_age(row.get("age", ""), number),
        sex=row.get("sex", "").strip().upper(),
        subject="/".join(fields[column] for column in rules.subject),
        unit="/".join(fields[column] for column in rules.unit),
        findings=_findings(labels, rules),
    )


def _age(text: str, number: int) -> float | None:
    if not text.strip():
        return None
    if not re.fullmatch(r"\d{1,3}(\.\d+)?", text.strip()):
        raise _bad(number, "its age is not a number of years", "give years, or leave it empty")
    return float(text)


def _label(labels: tuple[str, ...], name: str) -> str:
    """The digits behind ``name:`` among the labels, "" where there are none."""
    found = (re.fullmatch(rf"{name}:(\d+)", label) for label in labels)
    return next((match[1] for match in found if match), "")


def _findings(labels: tuple[str, ...], rules: Known) -> dict[str, int]:
    """What the labels say: by the set's vocabulary, else ``NAME=0`` and ``NAME=1``, else NAME."""
    if rules.findings:
        found = {name: int(label in labels) for name, label in rules.findings.items()}
        return found if labels else {}
    findings = {}
    for label in labels:
        name, _, value = label.partition("=")
        if value in ("", "0", "1") and ":" not in name:
            findings[name] = int(value or 1)
    return findings
