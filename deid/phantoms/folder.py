"""A folder of phantom patients: files as a hospital would hand them over, and a manifest."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from deid.phantoms import ct, fundus, headers, nifti, xray
from deid.phantoms.draw import generator
from deid.phantoms.lettering import burn
from deid.phantoms.persons import Person, Visit, person, visits

MODALITIES = ("xray", "ct", "fundus")

#: The columns of every manifest of the toolkit, and one more: the text burned into the pixels.
COLUMNS = (
    "file",
    "patient",
    "source",
    "modality",
    "body_part",
    "view",
    "side",
    "visit",
    "labels",
    "age",
    "sex",
    "reid",
    "kind",
    "split",
    "width",
    "height",
    "sha256",
    "origin",
    "text",
)

SOURCE = "phantom"


@dataclass(frozen=True)
class File:
    """One file to be written, and what its row in the manifest says."""

    path: str
    data: bytes
    size: tuple[int, int]
    modality: str
    view: str = ""
    side: str = ""
    labels: tuple[str, ...] = ()
    kind: str = "visit"
    text: tuple[str, ...] = ()
    copy: bool = False


def split_of(patient: str) -> str:
    """``train``, ``val`` or ``test`` in the proportions 6:2:2, by the hash of the patient."""
    digest = hashlib.sha256(f"{SOURCE}/{patient}".encode()).hexdigest()
    return (("train",) * 6 + ("val",) * 2 + ("test",) * 2)[int(digest, 16) % 10]


def _xray(who: Person, visit: Visit, size: int, burned_in: float) -> Iterator[File]:
    random = generator("xray file", who.seed, visit.seed)
    exam = xray.exam(who.seed, visit.seed)
    picture = np.round(xray.chest_xray(who.seed, visit.seed, size) * 4095).astype(np.uint16)
    height = max(10, size // 32)
    if random.random() < 0.6:
        picture, _ = burn(picture, ["L"], corner="top right", height=2 * height, value=3900)
    inverted = bool(random.random() < 0.25)
    text: tuple[str, ...] = ()
    if random.random() < burned_in:
        given = f"{who.family.upper()}, {who.given.upper()}"
        text = (given, who.number, visit.when.strftime("%d.%m.%Y"))
        corner = "top left" if random.random() < 0.5 else "bottom left"
        picture, _ = burn(picture, list(text), corner=corner, height=height, value=4095)
    dataset = headers.xray_object(
        who, visit, picture, view=exam.view, burned_in=bool(text), inverted=inverted
    )
    yield File(
        f"xray/{who.family}_{who.number}/{visit.when:%Y%m%d}_{visit.accession}.dcm",
        headers.encode(dataset),
        (size, size),
        "DX",
        view=exam.view,
        labels=exam.findings or ("No Finding",),
        text=text,
    )


def _ct(who: Person, visit: Visit, size: int, slices: int) -> Iterator[File]:
    labels = ct.scan(who.seed, visit.seed).findings or ("No Finding",)
    volume = ct.ct_volume(who.seed, visit.seed, size, slices)
    pixel, step = ct.spacing(who.seed, visit.seed, size, slices)
    base = f"ct/{who.family}_{who.number}/{visit.when:%Y%m%d}"
    for index, hu in enumerate(volume):
        dataset = headers.ct_object(who, visit, hu, index=index, slices=slices, pixel_mm=pixel)
        yield File(
            f"{base}/IM{index + 1:04d}.dcm",
            headers.encode(dataset),
            (size, size),
            "CT",
            view="axial",
            labels=(*labels, f"slice:{index}"),
            kind="study",
        )
    if visit.index == 0:
        yield File(
            f"{base}_{who.given}.nii.gz",
            nifti.encode(who, visit, volume, pixel, step),
            (size, size),
            "CT",
            view="axial",
            labels=labels,
            kind="study",
            copy=True,
        )


def _fundus(who: Person, visit: Visit, size: int) -> Iterator[File]:
    random = generator("fundus file", who.seed)
    side = "RL"[int(random.integers(2))]
    suffix = ("jpg", "png")[int(random.integers(2))]
    exam = fundus.photo(who.seed, visit.seed, side)
    pixels = fundus.fundus(who.seed, visit.seed, size, side)
    picture = np.round(pixels * 255).astype(np.uint8)
    base = f"fundus/{who.family}_{who.number}/{visit.when:%Y%m%d}_{side}"
    if visit.index == 0 and int(who.number[-4:]) == 0:
        dataset = headers.fundus_object(who, visit, picture, side=side)
        suffix, data = "dcm", headers.encode(dataset)
    else:
        data = _photo_file(who, visit, picture, suffix)
    yield File(
        f"{base}.{suffix}",
        data,
        (size, size),
        "OP",
        side=side,
        labels=exam.findings or ("No Finding",),
        kind="same_eye",
    )


def _photo_file(who: Person, visit: Visit, picture: np.ndarray, suffix: str) -> bytes:
    """A JPEG or PNG as a camera writes it: EXIF with names and times."""
    image = Image.fromarray(picture)
    exif = Image.Exif()
    exif[0x010E] = f"{who.name} {who.number}"
    exif[0x013B] = who.physician
    exif[0x0132] = visit.when.strftime("%Y:%m:%d %H:%M:%S")
    out = io.BytesIO()
    if suffix == "jpg":
        image.save(out, "JPEG", quality=92, subsampling=0, exif=exif)
    else:
        image.save(out, "PNG", exif=exif)
    return out.getvalue()


def files(
    who: Person,
    visit: Visit,
    modality: str,
    *,
    size: int,
    ct_size: int,
    slices: int,
    burned_in: float,
) -> Iterator[File]:
    """The files of one visit and one modality."""
    if modality == "xray":
        return _xray(who, visit, size, burned_in)
    if modality == "ct":
        return _ct(who, visit, ct_size, slices)
    return _fundus(who, visit, size)


def _row(file: File, who: Person, visit: Visit, *, visits: int, seed: int) -> dict[str, str]:
    again = visits > 1 and not file.copy
    return {
        "file": file.path,
        "patient": who.number,
        "source": SOURCE,
        "modality": file.modality,
        "body_part": "EYE" if file.modality == "OP" else "CHEST",
        "view": file.view,
        "side": file.side,
        "visit": str(visit.index),
        "labels": "|".join(file.labels),
        "age": str(visit.age(who)),
        "sex": who.sex,
        "reid": str(int(again)),
        "kind": file.kind,
        "split": split_of(who.number),
        "width": str(file.size[0]),
        "height": str(file.size[1]),
        "sha256": hashlib.sha256(file.data).hexdigest(),
        "origin": f"deid phantoms --seed {seed}",
        "text": "|".join(file.text),
    }


def make(
    folder: Path,
    *,
    patients: int,
    visits: int,
    seed: int,
    modalities: tuple[str, ...] = MODALITIES,
    size: int = 512,
    ct_size: int = 128,
    slices: int = 24,
    burned_in: float = 0.25,
) -> list[dict[str, str]]:
    """Write a folder of phantom patients with ``manifest.csv``.

    Parameters
    ----------
    folder
        A new or an empty folder.
    patients, visits
        How many people, and how often each comes; every visit is imaged in every modality.
    seed
        Decides everything: the same seed gives the same bytes, and more patients or visits
        leave the first ones as they were.
    modalities
        Of ``xray`` (DICOM DX), ``ct`` (a DICOM series a visit; the first visit also as NIfTI,
        a copy with ``reid`` 0) and ``fundus`` (JPEG or PNG; one DICOM OP).
    size, ct_size, slices
        Side of X-rays and photos in pixels; side and number of CT slices.
    burned_in
        Share of X-rays with name, number and date written into a corner (manifest's ``text``).

    Returns
    -------
    The rows of the manifest (see `COLUMNS`).

    Raises
    ------
    FileExistsError
        The folder holds something already.
    ValueError
        An unknown modality, or a count below one.
    """
    unknown = set(modalities) - set(MODALITIES)
    if unknown or patients < 1 or visits < 1:
        raise ValueError(f"modalities are of {', '.join(MODALITIES)}; counts are at least 1")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError("the folder is not empty: name a new or an empty one")
    draw = partial(files, size=size, ct_size=ct_size, slices=slices, burned_in=burned_in)
    rows = []
    for who, visit in _appointments(seed, patients, visits):
        for file in chain.from_iterable(draw(who, visit, modality) for modality in modalities):
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            rows.append(_row(file, who, visit, visits=visits, seed=seed))
    write_manifest(folder / "manifest.csv", rows)
    return rows


def _appointments(seed: int, patients: int, number: int) -> Iterator[tuple[Person, Visit]]:
    for index in range(patients):
        who = person(seed, index)
        for visit in visits(seed, index, number):
            yield who, visit


def write_manifest(path: Path, rows: list[dict[str, str]]) -> None:
    """Write the rows with the columns in their order."""
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
