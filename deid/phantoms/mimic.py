"""A miniature archive in the layout of MIMIC-CXR-JPG, made of phantoms."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from deid.phantoms import xray
from deid.phantoms.persons import Person, Visit, person, visits

#: The fourteen columns of the CheXpert table, in its order.
CHEXPERT = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)

_NAMES = {
    "Cardiomegaly": "Cardiomegaly",
    "Effusion": "Pleural Effusion",
    "Nodule": "Lung Lesion",
    "Pneumonia": "Pneumonia",
}

Table = list[dict[str, str]]


def _study_row(exam: xray.Exam) -> dict[str, str]:
    """CheXpert marks: 1.0 present, 0.0 absent, empty not mentioned, as its labeller leaves them."""
    marks = dict.fromkeys(CHEXPERT, "")
    for ours, theirs in _NAMES.items():
        if ours in exam.findings:
            marks[theirs] = "1.0"
        elif ours in ("Effusion", "Pneumonia"):
            marks[theirs] = "0.0"
    if not exam.findings:
        marks["No Finding"] = "1.0"
    if exam.leads:
        marks["Support Devices"] = "1.0"
    return marks


def _picture(who: Person, visit: Visit, size: int) -> bytes:
    pixels = np.round(xray.chest_xray(who.seed, visit.seed, size) * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()


def _dicom_id(visit: Visit) -> str:
    digest = hashlib.sha256(str(visit.seed).encode()).hexdigest()
    return "-".join(digest[k : k + 8] for k in range(0, 40, 8))


def _write_table(path: Path, rows: Table) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def mimic_tree(
    folder: Path, *, patients: int, seed: int, visits_each: int = 2, size: int = 256
) -> Table:
    """Write ``files/p10/p10000032/s50414267/<dicom_id>.jpg`` and the three gzipped tables.

    Parameters
    ----------
    folder
        The root, as of MIMIC-CXR-JPG 2.0.0; made when missing.
    visits_each
        Studies a patient; every study holds one frontal picture.

    Returns
    -------
    The rows of the split table. Every eighth patient is ``validate``, every eighth ``test``.
    """
    metadata: Table = []
    splits: Table = []
    findings: Table = []
    for index in range(patients):
        who = person(seed, index)
        subject = str(10_000_032 + 1_009 * index)
        split = {3: "validate", 7: "test"}.get(index % 8, "train")
        for visit in visits(seed, index, visits_each):
            exam = xray.exam(who.seed, visit.seed)
            study = str(50_000_000 + visit.seed % 9_000_000)
            name = _dicom_id(visit)
            keys = {"dicom_id": name, "subject_id": subject, "study_id": study}
            place = folder / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{study}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{name}.jpg").write_bytes(_picture(who, visit, size))
            metadata.append(
                {
                    **keys,
                    "ViewPosition": exam.view,
                    "Rows": str(size),
                    "Columns": str(size),
                    "StudyDate": visit.when.strftime("%Y%m%d"),
                    "StudyTime": visit.when.strftime("%H%M%S.000"),
                }
            )
            splits.append({**keys, "split": split})
            findings.append({"subject_id": subject, "study_id": study, **_study_row(exam)})
    _write_table(folder / "mimic-cxr-2.0.0-metadata.csv.gz", metadata)
    _write_table(folder / "mimic-cxr-2.0.0-split.csv.gz", splits)
    _write_table(folder / "mimic-cxr-2.0.0-chexpert.csv.gz", findings)
    return splits
